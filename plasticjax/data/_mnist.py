import math
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from ._cache import DataFile, check_sha256, data_directory, read

MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist"
IMAGE_FILES = {
    "train": DataFile(
        path="mnist/train-images-idx3-ubyte",
        sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        url=f"{MIRROR}/train-images-idx3-ubyte.gz",
        url_sha256="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "test": DataFile(
        path="mnist/t10k-images-idx3-ubyte",
        sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        url=f"{MIRROR}/t10k-images-idx3-ubyte.gz",
        url_sha256="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
}
LABEL_FILES = {
    "train": DataFile(
        path="mnist/train-labels-idx1-ubyte",
        sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        url=f"{MIRROR}/train-labels-idx1-ubyte.gz",
        url_sha256="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    "test": DataFile(
        path="mnist/t10k-labels-idx1-ubyte",
        sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        url=f"{MIRROR}/t10k-labels-idx1-ubyte.gz",
        url_sha256="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
}


def mnist(split: str) -> tuple[UInt8[np.ndarray, "n 28 28"], Int[np.ndarray, " n"]]:
    """The MNIST handwritten digits.

    The files are looked for in `mnist/` below `$PLASTICJAX_DATA` (else `~/.cache/plasticjax`), in
    the IDX format, plain or `.gz`; what is missing is downloaded. The content is checked against
    the published one.

    Args:
        split: `"train"` (60000 images) or `"test"` (10000 images).

    Returns:
        Images `[n, 28, 28]`, uint8, grey values 0 to 255, dimensionless; and labels `[n]`, int64,
        0 to 9.

    Raises:
        ValueError: if there is no such split, or if a file is truncated or corrupted.
        DataUnavailable: if a file is not in the cache and cannot be downloaded.

    Source: Y. LeCun, C. Cortes & C. J. C. Burges, The MNIST database of handwritten digits.
    """
    if split not in IMAGE_FILES:
        raise ValueError(f"split is {split!r}; valid splits: 'train', 'test'")
    root = data_directory()
    return read_idx(IMAGE_FILES[split], root), read_idx(LABEL_FILES[split], root).astype(np.int64)


def downsample_mnist(
    images: UInt8[np.ndarray, "n 28 28"],
) -> Float[np.ndarray, "n 16 16"]:
    """MNIST at 16 x 16 pixels, as used for networks of first-spike times on small chips.

    The central 24 x 24 pixels are resized by Pillow's antialiased bilinear filter, rounded to 256
    grey values and divided by 255. Needs Pillow.

    Args:
        images: `[n, 28, 28]`, uint8, grey values 0 to 255.

    Returns:
        Images `[n, 16, 16]`, float64, in [0, 1], dimensionless.

    Raises:
        ValueError: if the images are not uint8 of 28 x 28 pixels.

    Source: Goeltz, Kriener et al., Nat. Mach. Intell. 3 (2021), doi 10.1038/s42256-021-00388-x,
    and its public code, v1.0.0.
    """
    from PIL import Image

    if images.ndim != 3 or images.shape[1:] != (28, 28) or images.dtype != np.uint8:
        raise ValueError(
            f"images has shape {images.shape} and dtype {images.dtype}; [n, 28, 28] and uint8 "
            "are required"
        )
    small = np.empty((len(images), 16, 16))
    for i, image in enumerate(images[:, 2:26, 2:26]):
        resized = Image.fromarray(image).resize((16, 16), Image.Resampling.BILINEAR)
        small[i] = np.asarray(resized)
    return small / 255.0


def read_idx(file: DataFile, root: Path) -> UInt8[np.ndarray, "..."]:
    path, content = read(file, root)
    array = parse_idx(path, content)
    check_sha256(path, content, file.sha256)
    return array


def parse_idx(path: Path, content: bytes) -> UInt8[np.ndarray, "..."]:
    """An IDX file: 0, 0, type 8 (unsigned byte), number of axes; their big-endian sizes; data."""
    if content[:3] != b"\0\0\x08":
        raise ValueError(
            f"{path} is not an IDX file of unsigned bytes: it begins with '{content[:4].hex(' ')}'"
        )
    data = 4 + 4 * int.from_bytes(content[3:4])
    shape = [int.from_bytes(content[i : i + 4]) for i in range(4, data, 4)]
    size = data + math.prod(shape)
    if len(content) != size:
        raise ValueError(
            f"{path} is truncated or corrupted: it holds {len(content)} bytes, but its header "
            f"announces {size} bytes for the shape {tuple(shape)}"
        )
    return np.frombuffer(content, np.uint8, offset=data).reshape(shape).copy()
