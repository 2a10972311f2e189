import gzip
import hashlib
import struct

import numpy as np
import pytest

from plasticjax.data import DataUnavailable, downsample_mnist, mnist
from plasticjax.data._cache import DataFile, data_directory
from plasticjax.data._mnist import IMAGE_FILES, read_idx

ARRAY = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
IDX = struct.pack(">4B3I", 0, 0, 8, 3, 2, 3, 4) + ARRAY.tobytes()


def data_file(content=IDX, url="http://127.0.0.1:9", packed=b""):
    return DataFile(
        path="mnist/fake-idx3-ubyte",
        sha256=hashlib.sha256(content).hexdigest(),
        url=f"{url}/fake-idx3-ubyte.gz",
        url_sha256=hashlib.sha256(packed).hexdigest(),
    )


def cache(root, content, name="fake-idx3-ubyte"):
    (root / "mnist").mkdir()
    (root / "mnist" / name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content"),
    [("fake-idx3-ubyte", IDX), ("fake-idx3-ubyte.gz", gzip.compress(IDX, compresslevel=1))],
    ids=["plain", "compressed"],  # a compressed file holds the time: workers must agree on names
)
def test_plain_and_compressed_files_are_read(tmp_path, name, content):
    cache(tmp_path, content, name)
    array = read_idx(data_file(), tmp_path)
    np.testing.assert_array_equal(array, ARRAY)
    assert array.dtype == np.uint8 and array.flags.writeable


@pytest.mark.parametrize("length", [5, 15, 16, len(IDX) - 1, len(IDX) + 1])
def test_a_file_of_the_wrong_length_is_refused_by_name(tmp_path, length):
    cache(tmp_path, (IDX + b"\0")[:length])
    with pytest.raises(ValueError, match=f"fake-idx3-ubyte is truncated .* holds {length} bytes"):
        read_idx(data_file(), tmp_path)


def test_a_truncated_gzip_file_is_refused_by_name(tmp_path):
    cache(tmp_path, gzip.compress(IDX)[:-12], "fake-idx3-ubyte.gz")
    with pytest.raises(ValueError, match=r"fake-idx3-ubyte\.gz is not a complete gzip file"):
        read_idx(data_file(), tmp_path)


def test_a_file_that_is_not_gzip_is_refused_by_name(tmp_path):
    cache(tmp_path, b"<html>not found</html>", "fake-idx3-ubyte.gz")
    with pytest.raises(ValueError, match=r"fake-idx3-ubyte\.gz is not a complete gzip file"):
        read_idx(data_file(), tmp_path)


@pytest.mark.parametrize("content", [b"", b"<html>", b"\0\0\x0d\x03" + IDX[4:]])
def test_another_format_is_refused_by_name(tmp_path, content):
    cache(tmp_path, content)
    with pytest.raises(ValueError, match="fake-idx3-ubyte is not an IDX file of unsigned bytes"):
        read_idx(data_file(), tmp_path)


def test_one_changed_pixel_is_refused_by_name(tmp_path):
    cache(tmp_path, IDX[:-1] + b"\0")
    with pytest.raises(ValueError, match="fake-idx3-ubyte is corrupted: the SHA-256"):
        read_idx(data_file(), tmp_path)


def test_a_missing_file_is_downloaded_once(tmp_path, server):
    folder, url = server
    packed = gzip.compress(IDX)
    (folder / "fake-idx3-ubyte.gz").write_bytes(packed)
    file = data_file(url=url, packed=packed)
    np.testing.assert_array_equal(read_idx(file, tmp_path), ARRAY)
    (folder / "fake-idx3-ubyte.gz").unlink()
    np.testing.assert_array_equal(read_idx(file, tmp_path), ARRAY)


def test_a_download_with_another_content_is_refused_and_not_kept(tmp_path, server):
    folder, url = server
    (folder / "fake-idx3-ubyte.gz").write_bytes(gzip.compress(IDX[:-1] + b"\0"))
    with pytest.raises(DataUnavailable, match="SHA256 hash"):
        read_idx(data_file(url=url, packed=gzip.compress(IDX)), tmp_path)
    assert not (tmp_path / "mnist" / "fake-idx3-ubyte.gz").exists()


def test_an_unavailable_file_is_named_with_the_ways_to_provide_it(tmp_path, server):
    _, url = server
    with pytest.raises(FileNotFoundError) as caught:
        read_idx(data_file(url=url), tmp_path)
    message = str(caught.value)
    assert f"fake-idx3-ubyte or fake-idx3-ubyte.gz not found in {tmp_path / 'mnist'}" in message
    assert f"{url}/fake-idx3-ubyte.gz failed" in message and "PLASTICJAX_DATA" in message
    assert isinstance(caught.value, DataUnavailable)


def test_the_cache_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("PLASTICJAX_DATA", str(tmp_path))
    assert data_directory() == tmp_path
    cache(tmp_path, b"truncated", "t10k-images-idx3-ubyte")
    with pytest.raises(ValueError, match="t10k-images-idx3-ubyte is not an IDX file"):
        mnist("test")
    monkeypatch.setenv("PLASTICJAX_DATA", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_directory() == tmp_path / ".cache" / "plasticjax"


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="split is 'validation'; valid splits: 'train', 'test'"):
        mnist("validation")


@pytest.mark.parametrize(
    ("split", "counts", "first"),
    [
        (
            "train",
            [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
            [5, 0, 4, 1, 9],
        ),
        ("test", [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009], [7, 2, 1, 0, 4]),
    ],
)
def test_the_real_files(split, counts, first):
    plain = data_directory() / IMAGE_FILES[split].path
    if not plain.exists() and not plain.with_name(plain.name + ".gz").exists():
        pytest.skip(f"MNIST is not in the cache: {plain} and {plain.name}.gz do not exist")
    images, labels = mnist(split)
    assert images.shape == (sum(counts), 28, 28) and images.dtype == np.uint8
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(np.bincount(labels), counts)
    np.testing.assert_array_equal(labels[:5], first)


def test_downsampling_crops_the_centre_and_keeps_grey_values():
    images = np.zeros((2, 28, 28), np.uint8)
    images[0, 2:26, 2:26] = 255
    images[1] = 255
    images[1, 2:26, 2:26] = 51
    small = downsample_mnist(images)
    assert small.shape == (2, 16, 16) and small.dtype == np.float64
    np.testing.assert_array_equal(small[0], 1.0)
    np.testing.assert_array_equal(small[1], 0.2)


def test_downsampling_is_the_triangle_filter():
    """24 to 16 pixels: a triangle of half width 1.5 source pixels around each target's centre."""
    image = np.random.default_rng(0).integers(0, 256, (1, 28, 28), np.uint8)
    centre = (np.arange(16) + 0.5) * 1.5
    weights = np.maximum(0, 1 - np.abs(np.arange(24) + 0.5 - centre[:, None]) / 1.5)
    weights /= weights.sum(axis=1, keepdims=True)
    expected = weights @ image[0, 2:26, 2:26] @ weights.T
    # Two roundings to whole grey values: after the horizontal and after the vertical pass.
    np.testing.assert_allclose(255 * downsample_mnist(image)[0], expected, atol=1.01)


def test_downsampled_values_are_whole_grey_values():
    images = np.random.default_rng(1).integers(0, 256, (3, 28, 28), np.uint8)
    grey = 255 * downsample_mnist(images)
    np.testing.assert_allclose(grey, np.rint(grey), atol=1e-12)


@pytest.mark.parametrize("images", [np.zeros((1, 28, 28)), np.zeros((28, 28), np.uint8)])
def test_downsampling_refuses_other_images(images):
    # With the annotations checked at run time the array is refused before the function's own check.
    with pytest.raises(Exception, match=r"images"):
        downsample_mnist(images)
