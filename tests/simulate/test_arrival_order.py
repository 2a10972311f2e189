"""The order of arrivals is NumPy's stable argsort, in both precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from plasticjax.simulate._arrival_order import arrival_order

order_in_batches = jax.jit(jax.vmap(arrival_order))


def _check(times):
    expected = np.argsort(times, axis=1, kind="stable")
    np.testing.assert_array_equal(order_in_batches(jnp.asarray(times)), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 2, 3, 100, 600])
def test_random_times_with_ties_and_silence(x64, dtype, count):
    rng = np.random.default_rng(count)
    times = rng.normal(size=(20, count)).astype(dtype)
    times[rng.random(times.shape) < 0.2] = np.inf
    times[rng.random(times.shape) < 0.2] = 0.5
    times[rng.random(times.shape) < 0.1] = -0.0
    _check(times)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_neighbouring_numbers_in_falling_order(x64, dtype):
    start = np.array([1.0, -1.0, 1e-300 if dtype == np.float64 else 1e-30, 3e5], dtype)
    times = [start]
    for _ in range(39):
        times.append(np.nextafter(times[-1], dtype(-np.inf)))
    _check(np.stack(times, axis=1))


@given(arrays(np.float64, (4, 8), elements=st.floats(allow_nan=False, allow_infinity=True)))
def test_any_numbers(times):
    with jax.enable_x64(True):
        flushed = np.where(np.abs(times) < np.finfo(np.float64).tiny, 0, times)  # XLA does the same
        _check(flushed)
