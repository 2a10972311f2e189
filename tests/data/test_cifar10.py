import hashlib
import tarfile

import numpy as np
import pytest

from plasticjax.data import DataUnavailable, cifar10
from plasticjax.data._cache import data_directory
from plasticjax.data._cifar10 import FILES, FOLDER, provide, read_batch


def batch(records, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, records, np.uint8)
    planes = rng.integers(0, 256, (records, 3, 32, 32), np.uint8)
    content = b"".join(bytes([c]) + p.tobytes() for c, p in zip(labels, planes, strict=True))
    return content, planes, labels


def test_a_batch_becomes_images_with_the_colour_last(tmp_path):
    content, planes, labels = batch(3)
    (tmp_path / "batch.bin").write_bytes(content)
    images, found = read_batch(tmp_path / "batch.bin", 3)
    assert images.shape == (3, 32, 32, 3) and images.dtype == np.uint8
    for colour in range(3):
        np.testing.assert_array_equal(images[..., colour], planes[:, colour])
    np.testing.assert_array_equal(found, labels)
    assert found.dtype == np.int64


@pytest.mark.parametrize("change", [-1, 1])
def test_a_batch_of_the_wrong_length_is_refused_by_name(tmp_path, change):
    content = (batch(3)[0] + b"\0")[: 3 * 3073 + change]
    (tmp_path / "batch.bin").write_bytes(content)
    with pytest.raises(ValueError, match=rf"batch\.bin is truncated .* {len(content)} bytes"):
        read_batch(tmp_path / "batch.bin", 3)


def test_a_batch_with_an_impossible_label_is_refused_by_name(tmp_path):
    (tmp_path / "batch.bin").write_bytes(b"\x0a" + batch(3)[0][1:])
    with pytest.raises(ValueError, match=r"batch\.bin is corrupted: it has the label 10"):
        read_batch(tmp_path / "batch.bin", 3)


def test_the_archive_is_downloaded_and_unpacked(tmp_path, server):
    served, url = server
    contents = {name: batch(2, seed=len(name))[0] for names in FILES.values() for name in names}
    with tarfile.open(served / "cifar.tar.gz", "w:gz") as archive:
        for name, content in contents.items():
            (served / name).write_bytes(content)
            archive.add(served / name, f"{FOLDER}/{name}")
    sha256 = hashlib.sha256((served / "cifar.tar.gz").read_bytes()).hexdigest()
    root = tmp_path / "cache"
    names = tuple(contents)
    provide(names, root, f"{url}/cifar.tar.gz", sha256)
    for name, content in contents.items():
        assert (root / FOLDER / name).read_bytes() == content

    # A batch that was lost comes out of the archive that is still there.
    (served / "cifar.tar.gz").unlink()
    (root / FOLDER / "test_batch.bin").unlink()
    provide(names, root, f"{url}/cifar.tar.gz", sha256)
    assert (root / FOLDER / "test_batch.bin").read_bytes() == contents["test_batch.bin"]


def test_missing_batches_are_named_with_the_ways_to_provide_them(tmp_path, server):
    _, url = server
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "data_batch_1.bin").write_bytes(b"")
    with pytest.raises(DataUnavailable) as caught:
        provide(FILES["train"], tmp_path, f"{url}/cifar.tar.gz", "0" * 64)
    message = str(caught.value)
    assert "data_batch_1.bin" not in message
    assert f"{FOLDER}/data_batch_2.bin" in message and str(tmp_path) in message
    assert f"{url}/cifar.tar.gz failed" in message and "PLASTICJAX_DATA" in message


def test_a_truncated_batch_in_the_cache_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PLASTICJAX_DATA", str(tmp_path))
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "test_batch.bin").write_bytes(b"\0" * 100)
    with pytest.raises(ValueError, match=r"test_batch\.bin is truncated .* 100 bytes .* 30730000"):
        cifar10("test")


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="split is 'dev'; valid splits: 'train', 'test'"):
        cifar10("dev")


@pytest.mark.parametrize(
    ("split", "count", "first_labels", "first_pixel", "mean"),
    [
        ("train", 5000, [6, 9, 9, 4, 1], [59, 62, 63], [0.49139968, 0.48215841, 0.44653091]),
        ("test", 1000, [3, 8, 8, 0, 6], [158, 112, 49], [0.49421428, 0.48513139, 0.45040909]),
    ],
)
def test_the_real_files(split, count, first_labels, first_pixel, mean):
    """The channel means of the training images are those that are in common use for them."""
    missing = [n for n in FILES[split] if not (data_directory() / FOLDER / n).exists()]
    if missing:
        pytest.skip(f"CIFAR-10 is not in {data_directory() / FOLDER}: no {', '.join(missing)}")
    images, labels = cifar10(split)
    assert images.shape == (10 * count, 32, 32, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(labels), [count] * 10)
    np.testing.assert_array_equal(labels[:5], first_labels)
    np.testing.assert_array_equal(images[0, 0, 0], first_pixel)
    sums = images.reshape(-1, 3).sum(axis=0, dtype=np.int64)
    np.testing.assert_allclose(sums / (len(images) * 1024 * 255), mean, atol=5e-9)
