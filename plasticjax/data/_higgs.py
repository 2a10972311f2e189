import gzip
import itertools
import math
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from . import _cache

URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/00280/HIGGS.csv.gz"
URL_SHA256 = "ea302c18164d4e3d916a1e2e83a9a8d07069fa6ebc7771e4c0540d54e593b698"
FEATURES = 28
SPLITS = ("train", "validation", "test")
FEWEST_ROWS = 22  # one of them for validation


def higgs(
    split: str, *, rows: int = 400_000, download: bool = False
) -> tuple[Float[np.ndarray, "n 28"], Int[np.ndarray, " n"]]:
    """The HIGGS data set: simulated collisions that do or do not produce Higgs bosons.

    The file `HIGGS.csv` or `HIGGS.csv.gz` is looked for in `higgs/` below `$PLASTICJAX_DATA` (else
    `~/.cache/plasticjax`). Its first rows are read line by line and kept as `first-<rows>.npz` in
    the same directory, from where they are read the next time. The last tenth of the rows is for
    tests, the last twentieth of the others for validation.

    Args:
        split: `"train"`, `"validation"` or `"test"`: 342000, 18000 and 40000 of 400000 rows.
        rows: number of rows that are read and split, at least 22; the published file has 11000000.
        download: whether to fetch the published file (2.8 GB) if it is missing.

    Returns:
        Features `[n, 28]`, float64, as published: 21 kinematic properties and 7 masses, scaled to a
        mean near 1 or 0, dimensionless; and labels `[n]`, int64, 1 for signal, 0 for background.

    Raises:
        ValueError: if there is no such split, if there are too few rows, or if a line is not a
            label and 28 numbers (it is named).
        DataUnavailable: if there is no file.

    Source: P. Baldi, P. Sadowski & D. Whiteson, Nat. Commun. 5, 4308 (2014), doi
    10.1038/ncomms5308; the split is that of Haider et al., Latent equilibrium, NeurIPS 2021.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; valid splits: {', '.join(map(repr, SPLITS))}")
    if rows < FEWEST_ROWS:
        raise ValueError(f"rows is {rows}; a number of rows >= {FEWEST_ROWS} is required")
    features, labels = first_rows(_cache.data_directory() / "higgs", rows, download)
    test = rows - rows // 10
    validation = test - test // 20
    parts = {"train": (0, validation), "validation": (validation, test), "test": (test, rows)}
    part = slice(*parts[split])
    return features[part], labels[part]


def first_rows(
    folder: Path, rows: int, download: bool
) -> tuple[Float[np.ndarray, "rows 28"], Int[np.ndarray, " rows"]]:
    kept = folder / f"first-{rows}.npz"
    if kept.is_file():
        return read_kept(kept, rows)
    plain, packed = folder / "HIGGS.csv", folder / "HIGGS.csv.gz"
    if not plain.is_file() and not packed.is_file():
        sought = f"{plain.name} or {packed.name}"
        if not download:
            why = f"; download=True fetches {URL} (2.8 GB)"
            raise _cache.unavailable(sought, folder, why)
        _cache.download(URL, URL_SHA256, packed, sought)
    table = read_csv(plain if plain.is_file() else packed, rows)
    features, labels = table[:, 1:].copy(), table[:, 0].astype(np.int64)
    unfinished = kept.with_name(f"{kept.stem}.{os.getpid()}.unfinished")
    with unfinished.open("wb") as file:
        np.savez(file, features=features, labels=labels)
    unfinished.replace(kept)
    return features, labels


def read_kept(
    path: Path, rows: int
) -> tuple[Float[np.ndarray, "rows 28"], Int[np.ndarray, " rows"]]:
    try:
        with np.load(path) as arrays:
            features, labels = arrays["features"], arrays["labels"]
        complete = features.shape == (rows, FEATURES) and labels.shape == (rows,)
        reason = f"shapes {features.shape} and {labels.shape}"
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        complete, reason = False, f"{type(error).__name__}: {error}"
    if not complete:
        raise ValueError(f"{path} is corrupted ({reason}); delete it to read the csv file again")
    return features, labels


def read_csv(path: Path, rows: int) -> Float[np.ndarray, "rows 29"]:
    table = np.empty((rows, 1 + FEATURES))
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(itertools.islice(lines, rows), start=1):
                table[number - 1] = parse_line(path, number, line)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path} is not a complete gzip file: {error} (after line {number})"
        ) from error
    if number < rows:
        raise ValueError(f"{path} ends after line {number}; {rows} rows are required")
    return table


def parse_line(path: Path, number: int, line: bytes) -> list[float]:
    try:
        values = [float(value) for value in line.split(b",")]
    except ValueError:
        values = []
    valid = len(values) == 1 + FEATURES and values[0] in (0.0, 1.0)
    if not valid or not all(map(math.isfinite, values)):
        raise ValueError(
            f"{path}, line {number}: a label 0 or 1 and {FEATURES} finite numbers are required, "
            f"separated by commas; the line begins with {line[:40]!r}"
        )
    return values
