import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.plasticity import LowPass, Trace
from plasticjax.plasticity._traces import _require_time

TIMES = np.array([3.0, 4.0, 20.0])


def after(trace, until):
    value, last = jnp.zeros(2), 0.0
    for t in TIMES:
        value = trace.receive(trace.decay(value, t - last), jnp.array([True, False]))
        last = t
    return trace.decay(value, until - last)


def test_traces_count_every_spike_or_the_last_one():
    expected = np.exp(-(25.0 - TIMES) / 10.0)
    np.testing.assert_allclose(after(Trace(10.0), 25.0), [expected.sum(), 0], rtol=1e-6)
    nearest = after(Trace(10.0, "nearest"), 25.0)
    np.testing.assert_allclose(nearest, [expected[-1], 0], rtol=1e-6)


def test_time_constants_may_differ_between_neurons():
    trace = Trace(jnp.array([10.0, 20.0]))
    np.testing.assert_allclose(trace.decay(jnp.ones(2), 5.0), np.exp([-0.5, -0.25]), rtol=1e-6)


def test_vector_fields_and_exact_steps_agree(x64):
    def solve(field, start, args):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(field), diffrax.Dopri8(), 0.0, 7.0, 0.1, start, args=args
        ).ys[0]

    start = jnp.array([1.0, 0.3])
    trace, mean = Trace(10.0), LowPass(4.0)
    np.testing.assert_allclose(
        solve(trace.vector_field, start, None), trace.decay(start, 7.0), rtol=1e-9
    )
    np.testing.assert_allclose(
        solve(mean.vector_field, start, jnp.asarray(0.5)), mean.follow(start, 0.5, 7.0), rtol=1e-9
    )


def test_a_trace_is_differentiable_in_its_time_constant():
    slope = jax.grad(lambda tau: after(Trace(tau), 25.0)[0])(10.0)
    lags = 25.0 - TIMES
    np.testing.assert_allclose(slope, (np.exp(-lags / 10) * lags / 100).sum(), rtol=1e-5)


def test_time_constants_are_positive():
    for tau in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="must be a positive time in ms"):
            _require_time(tau)
