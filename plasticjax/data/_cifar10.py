from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from ._cache import data_directory, download

FOLDER = "cifar-10-batches-bin"
FILES = {
    "train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    "test": ("test_batch.bin",),
}
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
URL_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
RECORD_BYTES = 1 + 3 * 32 * 32  # the label, then the red, green and blue planes
RECORDS = 10_000  # a file


def cifar10(split: str) -> tuple[UInt8[np.ndarray, "n 32 32 3"], Int[np.ndarray, " n"]]:
    """The CIFAR-10 colour images.

    The binary batches are looked for in `cifar-10-batches-bin/` below `$PLASTICJAX_DATA` (else
    `~/.cache/plasticjax`); if one is missing, the published archive is downloaded and checked.
    There is no published checksum of a single batch: its size and its labels are checked.

    Args:
        split: `"train"` (50000 images) or `"test"` (10000 images).

    Returns:
        Images `[n, 32, 32, 3]` (row, column, red-green-blue), uint8, 0 to 255, dimensionless; and
        labels `[n]`, int64, 0 to 9: airplane, automobile, bird, cat, deer, dog, frog, horse, ship,
        truck.

    Raises:
        ValueError: if there is no such split, or if a file is truncated or corrupted.
        DataUnavailable: if a file is not in the cache and cannot be downloaded.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009).
    """
    if split not in FILES:
        raise ValueError(f"split is {split!r}; valid splits: 'train', 'test'")
    root = data_directory()
    provide(FILES[split], root, URL, URL_SHA256)
    batches = [read_batch(root / FOLDER / name, RECORDS) for name in FILES[split]]
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def provide(names: tuple[str, ...], root: Path, url: str, sha256: str) -> None:
    """Download and unpack the archive unless all the named batches are there."""
    members = [f"{FOLDER}/{name}" for name in names]
    missing = [member for member in members if not (root / member).is_file()]
    if not missing:
        return

    def unpack(archive: str, action: str, pup: object) -> list[str]:
        import pooch

        return pooch.Untar(members, extract_dir=".")(archive, action, pup)

    download(url, sha256, root / Path(url).name, ", ".join(missing), unpack)


def read_batch(
    path: Path, records: int
) -> tuple[UInt8[np.ndarray, "records 32 32 3"], Int[np.ndarray, " records"]]:
    content = np.fromfile(path, np.uint8)
    if content.size != records * RECORD_BYTES:
        raise ValueError(
            f"{path} is truncated or corrupted: it holds {content.size} bytes instead of "
            f"{records * RECORD_BYTES}"
        )
    table = content.reshape(records, RECORD_BYTES)
    if table[:, 0].max() > 9:
        raise ValueError(
            f"{path} is corrupted: it has the label {table[:, 0].max()}; labels are 0 to 9"
        )
    images = table[:, 1:].reshape(records, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), table[:, 0].astype(np.int64)
