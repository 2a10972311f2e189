"""Trials of the delayed exclusive or: what the definition says, for many of them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.data import delayed_xor

KEY = jax.random.key(5)


def many(count, **options):
    return jax.jit(jax.vmap(partial(delayed_xor, **options)))(jax.random.split(KEY, count))


def test_bits_are_bursts_and_the_label_their_exclusive_or():
    trials = many(500)
    np.testing.assert_array_equal(trials.label, trials.bits[:, 0] ^ trials.bits[:, 1])
    fires = np.isfinite(trials.times).reshape(-1, 3, 5)
    np.testing.assert_array_equal(fires[:, :2].all(axis=2), np.asarray(trials.bits) == 1)
    np.testing.assert_array_equal(fires[:, :2].any(axis=2), np.asarray(trials.bits) == 1)
    assert fires[:, 2].all()
    assert 90 < np.all(np.asarray(trials.bits) == [1, 0], axis=1).sum() < 160
    np.testing.assert_array_equal(trials.sources[0], np.repeat([0, 1, 2], 5))


def test_bursts_begin_in_their_windows_and_spikes_are_a_spacing_apart():
    trials = many(400, jitter=0.0)
    times = np.asarray(trials.times).reshape(-1, 3, 5)
    for channel, (low, high) in enumerate(((2, 8), (22, 28), (60, 70))):
        starts = times[:, channel, 0]
        starts = starts[np.isfinite(starts)]
        assert low <= starts.min() < low + 0.3 and high - 0.3 < starts.max() <= high
    np.testing.assert_allclose(np.diff(times[:, 2], axis=1), 1.0, atol=1e-4)
    np.testing.assert_allclose(trials.go, times[:, 2, 0], atol=1e-5)


def test_jitter_has_its_size_and_times_are_never_negative():
    trials = many(2000)
    times = np.asarray(trials.times).reshape(-1, 3, 5)
    away = times[:, 2] - np.asarray(trials.go)[:, None] - np.arange(5)
    assert abs(away.mean()) < 0.02 and abs(away.std() - 0.3) < 0.02
    assert np.asarray(many(500, jitter=5.0).times).min() == 0


def test_dtype_follows(x64):
    assert delayed_xor(KEY, dtype="float64").times.dtype == jnp.float64
    assert delayed_xor(KEY).times.dtype == jnp.float32


@pytest.mark.parametrize(
    "options, message",
    [
        ({"burst": 0}, "burst is 0"),
        ({"spacing": -1.0}, "spacing is -1.0"),
        ({"jitter": float("nan")}, "jitter is nan"),
    ],
)
def test_bad_numbers_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        delayed_xor(KEY, **options)
