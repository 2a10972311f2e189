"""Events in tonic's form on a grid, and N-MNIST and SHD through a stand-in for tonic."""

import sys
import types

import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.data import DataUnavailable, camera_raster, event_raster, nmnist, nmnist_sim, shd

FIELDS = {"NMNIST": "xytp", "SHD": "txp"}  # in the order of tonic


def recorded(fields, **columns):
    events = np.zeros(len(columns["t"]), [(name, int) for name in fields])
    for name, values in columns.items():
        events[name] = values
    return events


CAMERA = recorded("xytp", t=[0, 2999, 3000, 3001, 400_000], x=[0, 33, 5, 5, 1], y=[0, 33, 7, 7, 1],
                  p=[0, 1, 1, 1, 0])  # fmt: skip
COCHLEA = recorded("txp", t=[10, 13_999, 1_399_999, 1_400_000], x=[3, 699, 0, 5], p=[1, 1, 1, 1])


@pytest.fixture
def tonic(monkeypatch, tmp_path):
    """A stand-in that looks for files in the folders of tonic and asks for downloads as it does."""
    monkeypatch.setenv("PLASTICJAX_DATA", str(tmp_path))

    class Dataset:
        def __init__(self, save_to, train=True):
            self.filename = "train.zip" if train else "test.zip"
            self.kind = type(self).__name__
            if not (tmp_path / self.kind / self.filename).exists():
                self.download()
            assert save_to == str(tmp_path)

        def download(self):
            raise AssertionError("nothing must be downloaded")

        def __len__(self):
            return 3

        def __getitem__(self, index):
            return {"NMNIST": CAMERA, "SHD": COCHLEA}[self.kind][index:], 7 - index

    module = types.ModuleType("tonic")
    kinds = {name: type(name, (Dataset,), {}) for name in FIELDS}
    module.__dict__["datasets"] = types.SimpleNamespace(**kinds)
    monkeypatch.setitem(sys.modules, "tonic", module)
    for name in FIELDS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.zip").touch()


def test_camera_events_fall_into_bins_and_channels(tonic):
    rasters, labels = nmnist("train")
    assert rasters.shape == (3, 105, 2312) and rasters.dtype == np.float32
    np.testing.assert_array_equal(labels, [7, 6, 5])
    channels = [0, 34 * 34 + 34 * 33 + 33, 34 * 34 + 34 * 7 + 5]
    found = np.argwhere(rasters[0])
    np.testing.assert_array_equal(found, [(0, channels[0]), (0, channels[1]), (1, channels[2])])
    assert rasters[1].sum() == 2


def test_cochlear_spikes_fall_into_bins_and_channels(tonic):
    rasters, labels = shd("train", indices=[1, 0])
    assert rasters.shape == (2, 100, 700)
    np.testing.assert_array_equal(labels, [6, 7])
    np.testing.assert_array_equal(np.argwhere(rasters[1]), [(0, 3), (0, 699), (99, 0)])
    coarse, _ = shd("train", indices=np.array([0]), bin_ms=700.0)
    np.testing.assert_array_equal(np.argwhere(coarse[0]), [(0, 3), (0, 699), (1, 0)])


def test_the_order_of_channels_is_that_of_the_simulated_camera():
    image = jnp.zeros((28, 28)).at[5:20, 8:15].set(1.0)
    events = nmnist_sim(image, max_events=4000)
    real = np.isfinite(events.times)
    given = {"t": 1e3 * np.asarray(events.times)[real]}
    for name, field in (("x", "x"), ("y", "y"), ("p", "polarity")):
        given[name] = np.asarray(getattr(events, field))[real]
    kept = np.zeros(real.sum(), [("t", float), ("x", int), ("y", int), ("p", int)])
    for name, values in given.items():
        kept[name] = values
    found = event_raster(kept, size=(2, 34, 34), bin_ms=3.0, duration_ms=315.0)
    expected = np.asarray(camera_raster(events))
    assert expected.sum() > 100
    # An event at the edge of a bin may fall to the other side by rounding.
    assert np.abs(found - expected).sum() <= 2


def test_missing_files_are_named_and_nothing_is_downloaded(tonic):
    with pytest.raises(
        DataUnavailable, match=r"test\.zip or what it unpacks to not found in .*SHD"
    ):
        shd("test")
    with pytest.raises(DataUnavailable, match=r"not found in .*NMNIST"):
        nmnist("test")


def test_without_tonic_the_message_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "tonic", None)
    with pytest.raises(DataUnavailable, match="pip install tonic"):
        nmnist("train")


def test_bad_arguments_are_refused(tonic):
    with pytest.raises(ValueError, match="split is 'validation'; valid splits: 'train', 'test'"):
        shd("validation")
    with pytest.raises(ValueError, match="indices must lie between 0 and 2"):
        nmnist("train", indices=[3])
    with pytest.raises(ValueError, match="bin_ms is 0"):
        nmnist("train", bin_ms=0.0)
    with pytest.raises(ValueError, match="duration_ms is -1"):
        event_raster(COCHLEA, size=(1, 1, 700), bin_ms=1.0, duration_ms=-1.0)
    with pytest.raises(ValueError, match="x of an event lies outside of 0 to 99"):
        event_raster(COCHLEA, size=(1, 1, 100), bin_ms=1.0, duration_ms=10.0)
