import gzip
import hashlib

import numpy as np
import pytest

from plasticjax.data import DataUnavailable, higgs
from plasticjax.data import _higgs as module


def table(rows=100):
    rng = np.random.default_rng(0)
    return rng.integers(0, 2, rows), rng.normal(size=(rows, 28))


def csv(labels, features):
    """The published format, whose decimals keep every bit of a double."""
    rows = np.column_stack([labels, features])
    return "".join(",".join(f"{value:.18e}" for value in row) + "\n" for row in rows).encode()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PLASTICJAX_DATA", str(tmp_path))
    (tmp_path / "higgs").mkdir()
    return tmp_path / "higgs"


@pytest.mark.parametrize("name", ["HIGGS.csv", "HIGGS.csv.gz"])
def test_the_first_rows_are_split_in_their_order(folder, name):
    labels, features = table(130)
    content = csv(labels, features)
    (folder / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    expected = {"train": slice(0, 86), "validation": slice(86, 90), "test": slice(90, 100)}
    for split, part in expected.items():
        found, classes = higgs(split, rows=100)
        np.testing.assert_array_equal(found, features[part])
        np.testing.assert_array_equal(classes, labels[part])
        assert found.dtype == np.float64 and classes.dtype == np.int64


def test_the_published_sizes(monkeypatch):
    empty = np.zeros((400_000, 28)), np.zeros(400_000, np.int64)
    monkeypatch.setattr(module, "first_rows", lambda folder, rows, download: empty)
    sizes = {split: len(higgs(split)[1]) for split in module.SPLITS}
    assert sizes == {"train": 342_000, "validation": 18_000, "test": 40_000}


def test_rows_are_kept_for_the_next_time(folder):
    labels, features = table()
    (folder / "HIGGS.csv").write_bytes(csv(labels, features))
    first, _ = higgs("train", rows=100)
    assert sorted(path.name for path in folder.iterdir()) == ["HIGGS.csv", "first-100.npz"]
    (folder / "HIGGS.csv").unlink()
    again, classes = higgs("train", rows=100)
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(classes, labels[:86])
    with pytest.raises(DataUnavailable):
        higgs("train", rows=50)


def test_reading_stops_after_the_last_row_that_is_needed(folder):
    (folder / "HIGGS.csv").write_bytes(csv(*table(30)) + b"not a number\n")
    assert len(higgs("train", rows=30)[1]) == 26
    with pytest.raises(ValueError, match=r"HIGGS\.csv, line 31: .* begins with b'not a number"):
        higgs("train", rows=31)


@pytest.mark.parametrize("change", ["short", "long", "label", "nan", "empty"])
def test_a_malformed_line_is_refused_by_number(folder, change):
    lines = csv(*table(30)).splitlines(keepends=True)
    line = lines[16]
    lines[16] = {
        "short": line.rpartition(b",")[0] + b"\n",
        "long": line.strip() + b",1.0\n",
        "label": b"2" + line[1:],
        "nan": line.rpartition(b",")[0] + b",nan\n",
        "empty": b"\n",
    }[change]
    (folder / "HIGGS.csv").write_bytes(b"".join(lines))
    with pytest.raises(ValueError, match=r"HIGGS\.csv, line 17: a label 0 or 1 and 28 finite"):
        higgs("train", rows=30)
    assert not (folder / "first-30.npz").exists()


def test_too_short_a_file_is_refused_by_name(folder):
    (folder / "HIGGS.csv").write_bytes(csv(*table(30)))
    with pytest.raises(ValueError, match=r"HIGGS\.csv ends after line 30; 31 rows are required"):
        higgs("train", rows=31)


@pytest.mark.parametrize(
    "content", [b"<html>", gzip.compress(csv(*table(30)))[:-2000]], ids=["page", "truncated"]
)
def test_a_broken_gzip_file_is_refused_by_name(folder, content):
    (folder / "HIGGS.csv.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"HIGGS\.csv\.gz is not a complete gzip file"):
        higgs("train", rows=30)


@pytest.mark.parametrize("arrays", [None, {}, {"features": np.zeros((3, 28)), "labels": [0]}])
def test_a_broken_kept_file_is_refused_by_name(folder, arrays):
    path = folder / "first-30.npz"
    path.write_bytes(b"broken")
    if arrays is not None:
        np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"first-30\.npz is corrupted .* delete it"):
        higgs("train", rows=30)


def test_kept_python_objects_are_not_loaded(folder):
    np.savez(folder / "first-30.npz", features=np.array([print], object), labels=np.zeros(30))
    with pytest.raises(ValueError, match=r"first-30\.npz is corrupted .* allow_pickle"):
        higgs("train", rows=30)


def test_a_missing_file_is_named_with_the_ways_to_provide_it(folder):
    with pytest.raises(DataUnavailable) as caught:
        higgs("train")
    message = str(caught.value)
    assert f"HIGGS.csv or HIGGS.csv.gz not found in {folder}" in message
    assert f"download=True fetches {module.URL} (2.8 GB)" in message
    assert f"PLASTICJAX_DATA (now {folder.parent})" in message


def test_the_download_is_explicit_and_checked(folder, server, monkeypatch):
    served, url = server
    content = gzip.compress(csv(*table(30)))
    (served / "HIGGS.csv.gz").write_bytes(content)
    monkeypatch.setattr(module, "URL", f"{url}/HIGGS.csv.gz")
    with pytest.raises(DataUnavailable, match="SHA256 hash"):
        higgs("train", rows=30, download=True)
    monkeypatch.setattr(module, "URL_SHA256", hashlib.sha256(content).hexdigest())
    assert len(higgs("train", rows=30, download=True)[1]) == 26
    assert (folder / "HIGGS.csv.gz").read_bytes() == content


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="split is 'dev'; valid splits: 'train', 'validation'"):
        higgs("dev")
    with pytest.raises(ValueError, match="rows is 21; a number of rows >= 22 is required"):
        higgs("train", rows=21)
