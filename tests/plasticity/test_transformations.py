from typing import NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasticjax.plasticity import (
    AbstractRule,
    HardBound,
    Hebb,
    RoundToGrid,
    Signals,
    SoftBound,
    Spiking,
    event_rule,
    flow,
    increment,
    over_synapses,
)


def leaky(w, pre, post, third, obs=None):
    return third * (pre * post - w)


class Decay(AbstractRule):
    rate: jax.Array
    per = "time"

    def __call__(self, syn, pre, post, third, obs=None):
        return -self.rate * syn


class Line(eqx.Module):
    slope: jax.Array

    def __call__(self, t, w):
        return Signals(self.slope * t, jnp.ones(2), jnp.asarray(0.0))


def solve(field, w, args):
    return diffrax.diffeqsolve(
        diffrax.ODETerm(field), diffrax.Tsit5(), 0.0, 2.0, 0.01, w, args=args
    ).ys[0]


def test_flow_is_a_vector_field_for_diffrax_and_for_scan(x64):
    w = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    signals = Signals(jnp.array([1.0, 2.0]), jnp.array([0.5, 0.0]), jnp.asarray(1.5))
    fixed = jnp.outer(signals.post, signals.pre)
    exact = fixed + (w - fixed) * jnp.exp(-3.0)
    field = flow(over_synapses(leaky))
    np.testing.assert_allclose(solve(field, w, signals), exact, rtol=1e-8)

    def euler(w, t):
        return w + 1e-4 * field(t, w, tuple(signals)), None

    scanned = jax.lax.scan(euler, w, jnp.arange(20000) * 1e-4)[0]
    np.testing.assert_allclose(scanned, exact, rtol=1e-3)


def test_flow_takes_signals_that_change_with_time_and_weights(x64):
    field = flow(over_synapses(Hebb(eta=0.1, per="time")))
    slope = jnp.array([1.0, -2.0])
    grown = solve(field, jnp.zeros((2, 2)), Line(slope))
    np.testing.assert_allclose(grown, 0.1 * 2.0 * jnp.stack([slope, slope]), rtol=1e-6)
    gradient = jax.grad(lambda s: solve(field, jnp.zeros((2, 2)), Line(s))[0, 0])(slope)
    np.testing.assert_allclose(gradient, [0.2, 0.0], rtol=1e-6)

    x = jnp.array([1.0, 0.5])
    linear = solve(field, jnp.ones((2, 2)), lambda t, w: (x, w @ x))
    along = (1.5 / 1.25) * x * (jnp.exp(0.1 * 2.0 * 1.25) - 1)
    np.testing.assert_allclose(linear, jnp.ones((2, 2)) + along, rtol=1e-6)


def test_the_parameters_of_a_flowing_rule_have_derivatives(x64):
    def end(rate):
        return solve(flow(Decay(rate)), jnp.asarray(1.0), Signals(None, None))

    np.testing.assert_allclose(jax.grad(end)(jnp.asarray(0.5)), -2 * np.exp(-1.0), rtol=1e-8)


def test_what_is_not_per_time_does_not_flow_and_what_is_does_not_increment():
    with pytest.raises(ValueError, match="rule is a change per sample, and flow takes changes per"):
        flow(over_synapses(Hebb()))
    with pytest.raises(ValueError, match="rule must return a change, got the update"):
        flow(increment(Hebb()))
    with pytest.raises(ValueError, match="change per time, and increment takes changes per sample"):
        increment(Hebb(per="time"))
    with pytest.raises(ValueError, match="on_pre is a change per post_spike, and event_rule"):
        event_rule(Hebb(per="post_spike"))
    with pytest.raises(ValueError, match="rule must return a change, got the update"):
        increment(over_synapses(increment(Hebb())))
    assert increment(leaky) and event_rule(leaky, leaky) and flow(leaky)


class Synapse(NamedTuple):
    w: jax.Array
    tag: jax.Array


def both(syn, pre, post, third, obs=None):
    return Synapse(pre * 1.0, post * 1.0)


def test_an_increment_is_added_once_and_bounds_the_weight_only():
    syn = Synapse(jnp.asarray(0.5), jnp.asarray(0.5))
    assert increment(both)(syn, 2.0, 3.0, None) == (2.5, 3.5)
    assert increment(both, bound=HardBound(0.0, 1.0))(syn, 2.0, 3.0, None) == (1.0, 3.5)
    with pytest.raises(ValueError, match="bound acts on the field w of syn, and tuple has none"):
        pair = lambda syn, *signals: (1.0, 1.0)  # noqa: E731
        increment(pair, bound=HardBound())((0.0, 0.0), None, None, None)


@settings(max_examples=40)
@given(st.floats(-0.5, 1.5), st.floats(-2.0, 2.0), st.floats(0.0, 3.0), st.floats(0.0, 3.0))
def test_soft_bounds_are_the_formula_of_guetig_and_stay_inside(w, change, mu_plus, mu_minus):
    lo, hi = -0.5, 1.5
    x = (w - lo) / (hi - lo)
    room = (1 - x) ** mu_plus if change > 0 else x**mu_minus
    expected = np.clip(w + change * room, lo, hi)
    new = SoftBound(lo, hi, mu_plus, mu_minus)(jnp.asarray(w), jnp.asarray(change))
    np.testing.assert_allclose(new, expected, atol=2e-6)
    traced = jax.jit(lambda *mu: SoftBound(lo, hi, *mu)(jnp.asarray(w), change))(mu_plus, mu_minus)
    np.testing.assert_allclose(traced, expected, atol=2e-6)


def test_soft_bounds_are_additive_and_multiplicative_at_their_ends():
    w, up, down = jnp.asarray(0.25), 0.1, -0.1
    van_rossum = SoftBound(0.0, 1.0, mu_plus=0, mu_minus=1)
    np.testing.assert_allclose(van_rossum(w, up), 0.35, rtol=1e-6)
    np.testing.assert_allclose(van_rossum(w, down), 0.225, rtol=1e-6)
    np.testing.assert_allclose(SoftBound()(w, up), 0.25 + 0.1 * 0.75, rtol=1e-6)
    for mu in (0.0, 0.5, 1.0):
        slope = jax.grad(lambda w, mu=mu: SoftBound(mu_plus=mu, mu_minus=mu)(w, -0.1))
        assert jnp.isfinite(slope(jnp.asarray(0.0))) and jnp.isfinite(slope(jnp.asarray(1.0)))


def test_a_weight_on_its_bound_keeps_its_derivative():
    slope = jax.grad(lambda w, change: HardBound(0.0, 1.0)(w, change))
    assert slope(0.0, 0.0) == 1 and slope(1.0, 0.0) == 1
    assert slope(0.5, 1.0) == 0


class Noise(NamedTuple):
    noise: jax.Array


def test_stochastic_rounding_keeps_the_mean_and_stays_on_the_grid():
    noise = Noise((jnp.arange(1000) + 0.5) / 1000)
    grid = RoundToGrid(0.25, HardBound(-1.0, 1.0))
    for w in (0.3, -0.3, 0.5, 0.9999):
        rounded = grid(jnp.asarray(w), 0.05, noise)
        np.testing.assert_array_equal(rounded % 0.25, 0)
        assert len(np.unique(rounded)) <= 2
        np.testing.assert_allclose(rounded.mean(), min(w + 0.05, 1.0), atol=2.6e-4)
    nearest = RoundToGrid(0.25, mode="nearest")
    np.testing.assert_array_equal(nearest(jnp.array([0.1, 0.13, 0.375]), 0.0), [0, 0.25, 0.5])
    assert jax.grad(lambda w: nearest(w, 0.05))(0.3) == 1


def test_bounds_refuse_what_makes_no_sense():
    with pytest.raises(ValueError, match=r"lo=1.0 must be below hi=0.0"):
        HardBound(1.0, 0.0)
    with pytest.raises(ValueError, match=r"hi=inf must be finite"):
        SoftBound(0.0, np.inf)
    with pytest.raises(ValueError, match=r"mu_plus=-1.0 must be at least 0"):
        SoftBound(mu_plus=-1.0)
    with pytest.raises(ValueError, match=r"step=0.0 must be positive"):
        RoundToGrid(0.0)
    with pytest.raises(ValueError, match=r"obs must have a field noise"):
        RoundToGrid(0.1)(0.3, 0.1)


def neuron(spike, trace):
    return Spiking(jnp.asarray(spike), jnp.asarray(trace))


def test_events_change_only_the_synapses_of_those_that_fire():
    update = over_synapses(
        event_rule(lambda w, pre, post, *_: -post.trace, lambda w, pre, post, *_: pre.trace)
    )
    w = jnp.zeros((2, 3))
    pre = neuron([True, False, False], [0.1, 0.2, 0.3])
    post = neuron([False, True], [0.5, 0.7])
    new = update(w, pre, post, None)
    np.testing.assert_allclose(new, [[-0.5, 0, 0], [0.1 - 0.7, 0.2, 0.3]], rtol=1e-6)
    numbers = update(w, neuron([1.0, 0.0, 0.0], pre.trace), neuron([0, 1], post.trace), None)
    np.testing.assert_array_equal(numbers, new)


def test_the_order_at_equal_times():
    double = lambda w, *signals: w  # noqa: E731
    one = lambda w, *signals: 1.0  # noqa: E731
    fires = neuron(True, 0.0)
    assert event_rule(on_pre=double, on_post=one)(3.0, fires, fires, None) == 8
    assert event_rule(on_pre=double, on_post=one, post_first=False)(3.0, fires, fires, None) == 7


class Divide(eqx.Module):
    gain: jax.Array

    def __call__(self, syn, pre, post, third=None, obs=None):
        return self.gain * syn / pre.trace


def test_idle_lanes_do_not_spoil_derivatives():
    def loss(gain, w, traces):
        update = over_synapses(event_rule(on_pre=Divide(gain), bounds=HardBound(0.0, 9.0)))
        pre = Spiking(jnp.array([True, False, False]), traces)
        return update(w, pre, neuron([False], [0.0]), None).sum()

    w, traces = jnp.array([[1.0, 1.0, jnp.nan]]), jnp.array([2.0, 0.0, jnp.inf])
    grads = jax.grad(loss, argnums=(0, 1, 2))(jnp.asarray(3.0), w, traces)
    np.testing.assert_allclose(grads[0], 0.5)
    np.testing.assert_allclose(grads[1], [[2.5, 1.0, 1.0]])
    np.testing.assert_allclose(grads[2], [-0.75, 0.0, 0.0])


def test_parameters_have_derivatives_where_idle_lanes_divide_by_zero():
    """Neutral inputs cannot suit every rule, so parameters are cut off in idle lanes, too."""

    class Singular(eqx.Module):
        gain: jax.Array

        def __call__(self, syn, pre, post, third, obs=None):
            return self.gain * syn / (pre.trace - post.trace)

    def loss(gain):
        update = over_synapses(event_rule(on_pre=Singular(gain)))
        pre = neuron([True, False], [3.0, 1.0])
        return update(jnp.ones((1, 2)), pre, neuron([False], [1.0]), None).sum()

    assert jax.grad(loss)(jnp.asarray(2.0)) == 0.5
    assert jax.jvp(loss, (jnp.asarray(2.0),), (jnp.asarray(1.0),))[1] == 0.5


def test_event_rules_need_rules_and_spikes():
    with pytest.raises(ValueError, match="on_pre and on_post are both None"):
        event_rule()
    with pytest.raises(ValueError, match="pre must have a field spike"):
        event_rule(on_pre=leaky)(0.0, 1.0, neuron(True, 0.0), None)
