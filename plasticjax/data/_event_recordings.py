"""Recordings of event-based sensors, read by tonic: N-MNIST and the Spiking Heidelberg Digits."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from . import _cache

MICROSECOND = 1e-3  # ms
NMNIST_MS, SHD_MS = 315.0, 1400.0  # how long recordings are, apart from a few
SPLITS = ("train", "test")


def nmnist(
    split: str, *, indices: Sequence[int] | Int[np.ndarray, " n"] | None = None, bin_ms: float = 3.0
) -> tuple[Float[np.ndarray, "n bins 2312"], Int[np.ndarray, " n"]]:
    """N-MNIST: recordings of an event camera that looks at MNIST digits, on a time grid.

    Read by `tonic` (`pip install tonic`) from `NMNIST/` below `$PLASTICJAX_DATA` (else
    `~/.cache/plasticjax`), where the published archives and their folders `Train` and `Test` lie
    as tonic leaves them. Nothing is downloaded. All 60,000 recordings take 58 GB, hence `indices`.

    Args:
        split: `"train"` (60,000 recordings) or `"test"` (10,000), sorted by digit.
        indices: which of them, in this order; `None`: all.
        bin_ms: width of the bins, positive (ms); 315 ms are covered, later events are left out.

    Returns:
        Rasters [n, bins, 2312], float32, 1 where a channel has at least one event, channel p 34 34
        + 34 y + x of polarity p (1: brighter), as `camera_raster` (dimensionless); and labels [n],
        int64.

    Raises:
        ValueError: if there is no such split or recording, or the bins are not positive.
        DataUnavailable: without tonic, or without the files.

    Source: Orchard et al. (2015), Front. Neurosci. 9, 437.
    """
    return _rasters("NMNIST", split, indices, (2, 34, 34), bin_ms, NMNIST_MS)


def shd(
    split: str,
    *,
    indices: Sequence[int] | Int[np.ndarray, " n"] | None = None,
    bin_ms: float = 14.0,
) -> tuple[Float[np.ndarray, "n bins 700"], Int[np.ndarray, " n"]]:
    """Spiking Heidelberg Digits: spoken digits as spikes of 700 cochlear channels, on a time grid.

    Read by `tonic` (`pip install tonic`) from `SHD/` below `$PLASTICJAX_DATA` (else
    `~/.cache/plasticjax`), where the published archives and the unpacked `.h5` files lie as tonic
    leaves them. Nothing is downloaded.

    Args:
        split: `"train"` (8,156 recordings) or `"test"` (2,264).
        indices: which of them, in this order; `None`: all.
        bin_ms: width of the bins, positive (ms); 1,400 ms are covered, later spikes are left out.

    Returns:
        Rasters [n, bins, 700], float32, 1 where a channel has at least one spike (dimensionless),
        and labels [n], int64: ten English digits, then ten German ones.

    Raises:
        ValueError: if there is no such split or recording, or the bins are not positive.
        DataUnavailable: without tonic, or without the files.

    Source: Cramer et al. (2020), IEEE Trans. Neural Netw. Learn. Syst. 33, 2744.
    """
    return _rasters("SHD", split, indices, (1, 1, 700), bin_ms, SHD_MS)


def event_raster(
    events: Shaped[np.ndarray, " events"],
    *,
    size: tuple[int, int, int],
    bin_ms: float,
    duration_ms: float,
) -> Float[np.ndarray, "bins channels"]:
    """Events in the form of tonic on a time grid.

    Args:
        events: structured array [events] with the fields t (us), x, and, where there is more than
            one row or polarity, y and p.
        size: number of polarities, rows and columns of the sensor.
        bin_ms: width of the bins, positive (ms).
        duration_ms: what is covered, positive (ms); later events are left out.

    Returns:
        [bins, channels], float32, 1 where a channel has at least one event, channel
        (p rows + y) columns + x (dimensionless).

    Raises:
        ValueError: for bins that are not positive, or events outside of the sensor.
    """
    if not bin_ms > 0:
        raise ValueError(f"bin_ms is {bin_ms}; a positive number is required")
    if not duration_ms > 0:
        raise ValueError(f"duration_ms is {duration_ms}; a positive number is required")
    bins = int(np.ceil(duration_ms / bin_ms))
    place = []
    for name, count in zip("pyx", size, strict=True):
        values = events[name].astype(int) if count > 1 else np.zeros(len(events), int)
        if np.any((values < 0) | (values >= count)):
            raise ValueError(f"{name} of an event lies outside of 0 to {count - 1}")
        place.append(values)
    at = np.floor(MICROSECOND * events["t"] / bin_ms).astype(int)
    covered = (at >= 0) & (at < bins)
    polarity, row, column = place
    channel = (polarity * size[1] + row) * size[2] + column
    raster = np.zeros((bins, np.prod(size)), np.float32)
    raster[at[covered], channel[covered]] = 1
    return raster


def _rasters(name: str, split: str, indices, size, bin_ms: float, duration_ms: float):
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; valid splits: {', '.join(map(repr, SPLITS))}")
    recordings = _local(name, split)
    chosen = range(len(recordings)) if indices is None else np.asarray(indices)
    if np.any((np.asarray(chosen) < 0) | (np.asarray(chosen) >= len(recordings))):
        raise ValueError(f"indices must lie between 0 and {len(recordings) - 1}")
    raster = partial(event_raster, size=size, bin_ms=bin_ms, duration_ms=duration_ms)
    empty = raster(np.zeros(0, [(field, int) for field in "txyp"]))
    rasters = np.zeros((len(chosen), *empty.shape), np.float32)
    labels = np.zeros(len(chosen), np.int64)
    for row, index in enumerate(chosen):
        events, labels[row] = recordings[int(index)]
        rasters[row] = raster(events)
    return rasters, labels


def _local(name: str, split: str) -> Any:
    """The recordings of tonic, which asks for a download if it misses files."""
    root = _cache.data_directory()
    try:
        import tonic  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        why = f", and tonic, which reads it, cannot be imported ({error}); pip install tonic"
        raise _cache.unavailable(f"{name}/", root, why) from error

    def refuse(recordings):
        archive = getattr(recordings, "filename", f"{split} archive")
        raise _cache.unavailable(f"{archive} or what it unpacks to", root / name, "")

    # The folder is named after the class.
    kind = type(name, (getattr(tonic.datasets, name),), {"download": refuse})
    return kind(save_to=str(root), train=split == "train")
