import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.io import savemat

from plasticjax.data import DataUnavailable, ieeg, multichannel_oscillations


def recording(samples=101, channels=5):
    return np.random.default_rng(0).normal(scale=200, size=(samples, channels))


def save(path, matrix, name="EEG", **others):
    if path.suffix == ".mat":
        savemat(path, {name: matrix, **others})
    elif path.suffix == ".npz":
        np.savez(path, **{name: matrix}, **others)
    else:
        np.save(path, matrix)
    return path


@pytest.mark.parametrize("suffix", [".mat", ".npz", ".npy"])
@pytest.mark.parametrize("transposed", [False, True])
def test_segments_are_interpolated_to_a_millisecond(tmp_path, suffix, transposed):
    raw = recording()
    path = save(tmp_path / f"patient{suffix}", raw.T if transposed else raw)
    segments = ieeg(path, starts=(0, 101), duration=100, channels=5)
    assert segments.shape == (2, 100, 5) and segments.dtype == np.float64
    for segment, start in zip(segments, (0, 101), strict=True):
        for channel in range(5):
            expected = np.interp(start + np.arange(100), 2 * np.arange(101), raw[:, channel])
            np.testing.assert_allclose(segment[:, channel], expected / 200, atol=1e-14)


def test_the_defaults_are_two_segments_of_eight_seconds(tmp_path):
    raw = np.arange(8001)[:, None] * np.ones(56)
    path = save(tmp_path / "line.npy", raw.astype(np.int16))
    train, test = ieeg(str(path))
    line = np.arange(16_000) / 2 / 200
    np.testing.assert_allclose(train[:, 3], line[:8000], atol=1e-14)
    np.testing.assert_allclose(test[:, 55], line[8000:], atol=1e-14)


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
def test_a_matrix_is_chosen_by_name_or_because_it_is_the_only_one(tmp_path, suffix):
    raw = recording()
    rate = np.array([[512.0]])
    path = save(tmp_path / f"one{suffix}", raw, fs=rate)
    settings = {"starts": (0,), "duration": 10, "channels": 5}
    found = ieeg(path, **settings)
    np.testing.assert_array_equal(found, ieeg(path, variable="EEG", **settings))
    path = save(tmp_path / f"two{suffix}", raw, other=-raw)
    with pytest.raises(ValueError, match=r"holds 2 matrices \['EEG', 'other'\]; name one"):
        ieeg(path, **settings)
    np.testing.assert_array_equal(ieeg(path, variable="other", **settings), -found)
    with pytest.raises(ValueError, match=r"variable is 'eeg'; .* holds .*'EEG'"):
        ieeg(path, variable="eeg", **settings)


def test_a_missing_file_is_named_with_where_to_find_it(tmp_path):
    with pytest.raises(DataUnavailable, match=r"patient\.mat not found.*SWEC-ETHZ.*stand-in"):
        ieeg(tmp_path / "patient.mat")


@pytest.mark.parametrize("suffix", [".mat", ".npz", ".npy"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>" * 20])
def test_an_unreadable_file_is_refused_by_name(tmp_path, suffix, content):
    path = tmp_path / f"patient{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"patient\{suffix} cannot be read"):
        ieeg(path)


def test_a_file_of_matlab_7_3_is_refused_with_the_remedy(tmp_path):
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "new.mat").write_bytes(header + bytes(512))
    with pytest.raises(ValueError, match=r"new\.mat cannot be read .* saved with '-v7'"):
        ieeg(tmp_path / "new.mat")


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_python_objects_are_not_loaded(tmp_path, suffix):
    path = save(tmp_path / f"patient{suffix}", np.array([[print] * 5] * 9, object))
    with pytest.raises(ValueError, match="Python objects are not loaded"):
        ieeg(path)


def test_another_format_is_refused(tmp_path):
    (tmp_path / "patient.csv").write_text("1,2\n")
    with pytest.raises(ValueError, match=r"patient\.csv; a file \.mat, \.npz, \.npy is required"):
        ieeg(tmp_path / "patient.csv")


@pytest.mark.parametrize("matrix", [recording(channels=4), recording() * 1j, recording() > 0])
def test_another_matrix_is_refused(tmp_path, matrix):
    path = save(tmp_path / "patient.npy", matrix)
    with pytest.raises(ValueError, match=r"shape .* and dtype .*; a real matrix .* 5 channels"):
        ieeg(path, starts=(0,), duration=10, channels=5)


def test_a_gap_in_the_recording_is_located(tmp_path):
    raw = recording()
    raw[17, 3] = np.nan
    path = save(tmp_path / "patient.npy", raw)
    with pytest.raises(ValueError, match="not finite at sample 17 of channel 3"):
        ieeg(path, starts=(0,), duration=10, channels=5)


@pytest.mark.parametrize("starts, duration", [((0, 101), 101), ((-1,), 10), ((), 10), ((0,), 0)])
def test_segments_outside_the_recording_are_refused(tmp_path, starts, duration):
    path = save(tmp_path / "patient.npy", recording())
    with pytest.raises(ValueError, match=r"starts is .* covers 0 to 200 ms"):
        ieeg(path, starts=starts, duration=duration, channels=5)


def test_overlapping_segments_are_refused(tmp_path):
    path = save(tmp_path / "patient.npy", recording())
    with pytest.raises(ValueError, match=r"segments of 60 ms must not overlap"):
        ieeg(path, starts=(100, 41), duration=60, channels=5)


def test_the_stand_in_is_a_mixture_of_the_stated_sines(x64):
    times = jnp.arange(0, 4000, 0.5)
    signal = np.asarray(multichannel_oscillations(jax.random.key(0), times, channels=7))
    k = np.arange(7)
    sines = np.sin(2 * np.pi * np.asarray(times)[:, None] / (6 + 2 * k) + k)
    mixing, residual, _, _ = np.linalg.lstsq(sines, signal, rcond=None)
    np.testing.assert_allclose(residual, 0, atol=1e-15)
    draws = jax.random.normal(jax.random.key(0), (7, 7)) / np.sqrt(7)
    np.testing.assert_allclose(mixing.T, np.eye(7) + draws, atol=1e-12)


def test_the_stand_in_has_the_range_of_the_recordings():
    keys = jax.random.split(jax.random.key(1), 20)
    times = jnp.arange(8000.0)
    signals = jax.vmap(lambda key: multichannel_oscillations(key, times))(keys)
    assert signals.shape == (20, 8000, 56)
    np.testing.assert_allclose(signals.mean(axis=1), 0, atol=0.05)
    np.testing.assert_allclose(signals.std(), 1, atol=0.02)


def test_the_stand_in_is_smooth_in_time(x64):
    key = jax.random.key(2)

    def signal(t):
        return multichannel_oscillations(key, t, channels=9)

    for t in (0.3, 6.0, 1234.5):
        _, slope = jax.jvp(signal, (jnp.asarray(t),), (jnp.asarray(1.0),))
        steps = signal(jnp.array([t - 1e-5, t + 1e-5]))
        np.testing.assert_allclose(slope, (steps[1] - steps[0]) / 2e-5, atol=1e-7)


def test_the_stand_in_repeats_exactly_at_late_times():
    """All of the first four periods divide 120 ms."""
    times = jnp.arange(0.0, 120.0)
    late = multichannel_oscillations(jax.random.key(3), times + 120 * 5000, channels=4)
    assert late.dtype == jnp.float32
    early = multichannel_oscillations(jax.random.key(3), times, channels=4)
    np.testing.assert_allclose(late, early, atol=1e-6)


def test_no_channels_are_refused():
    with pytest.raises(ValueError, match="channels is 0; a number of channels >= 1"):
        multichannel_oscillations(jax.random.key(0), jnp.zeros(3), channels=0)
