"""The direct solutions for when a neuron fires next against a search, and before_peak."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasticjax.neurons import CurrentLIF
from plasticjax.simulate import InputSpikes, SpikingCircuit, solve_events
from plasticjax.simulate._before_peak import before_peak
from plasticjax.simulate._crossing import known_ratio
from plasticjax.simulate._membrane import Membrane, _bracketed_root, flow, rise_within
from plasticjax.simulate._next_crossing import wait_for_crossing


def draw(threshold, ratio, size=4000):
    """States below, at and above the threshold, rising and falling, and times to go."""
    rng = np.random.default_rng(0)
    tau_syn = rng.uniform(1, 8, size)
    zero = np.zeros(size)
    ratios = np.exp(rng.normal(0, 1, size)) if ratio is None else ratio
    taus = ratios * tau_syn, tau_syn
    membrane = Membrane(*map(jnp.asarray, (*taus, zero + threshold, zero, zero, zero, zero)))
    u = rng.normal(0, 2, size)
    u[: size // 10], u[size // 10 : size // 5] = threshold, -1000.0
    y = rng.normal(0.3, 2, size)
    y[::17] = 0
    gap = np.where(rng.random(size) < 0.3, 100.0, rng.exponential(5, size))
    return replace(membrane, ratio=ratio), *map(jnp.asarray, (u, y, gap))


def search(membrane, u, y, gap):
    """The crossing by bisection and Newton's method."""
    membrane = replace(membrane, ratio=None)
    rise, _ = rise_within(membrane, u, y, gap)
    found = _bracketed_root(membrane, u, y, rise, rise.crosses)
    return jnp.where(rise.at_once, 0, jnp.where(rise.crosses, found, jnp.inf))


@pytest.mark.parametrize("ratio", [None, 1.0, 2.0, 3.7, 4.0, 0.25])
@pytest.mark.parametrize("threshold", [1.0, 0.01, -0.5])
def test_a_direct_solution_finds_the_same_crossings(x64, threshold, ratio):
    membrane, u, y, gap = draw(threshold, ratio)
    general = replace(membrane, ratio=None)
    for one, other in zip(flow(membrane, u, y, gap), flow(general, u, y, gap), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    wait = eqx.filter_jit(wait_for_crossing)(membrane, u, y, gap)
    expected = eqx.filter_jit(search)(membrane, u, y, gap)
    crosses = np.isfinite(expected)
    assert 200 < np.sum(crosses) < u.size - 200
    np.testing.assert_array_equal(np.isfinite(wait), crosses)
    # What a rounding error of the potential does to the time is allowed.
    potential, current = flow(general, u, y, jnp.where(crosses, expected, 0))
    slope = jnp.where(crosses, current - potential / general.tau_mem, 1)
    size = 1 + jnp.abs(u) + general.tau_mem * jnp.abs(y)
    error = np.where(crosses, wait, 0) - np.where(crosses, expected, 0)
    slower = jnp.maximum(general.tau_mem, general.tau_syn)
    digits = 4e-15 if ratio else 1e-14  # the series of the general kernel begins late
    assert np.all(np.abs(error) <= 1e-14 * slower + digits * size / slope)
    assert np.median(np.abs(error[crosses])) < 1e-14


@given(
    height=st.floats(1e-12, 30.0),
    ratio=st.one_of(st.floats(1.0, 1.5), st.floats(1.5, 1000.0)),
    known=st.sampled_from([None, 1.0, 1.5, 2.0, 4.0, 50.0]),
)
def test_the_time_before_the_peak_solves_its_equation(height, ratio, known):
    with jax.enable_x64(True):
        find = eqx.filter_jit(before_peak)
        time = float(find(jnp.asarray(height), jnp.asarray(ratio) if known is None else known))
    ratio = ratio if known is None else known
    with mpmath.workdps(40):
        rho, q, h = mpmath.mpf(ratio), mpmath.mpf(time), mpmath.mpf(height)
        excess = rho - 1
        power = mpmath.expm1(excess * q) / excess if excess else q
        # Rounding of the height, and of the time.
        slope = rho * power / (1 - power)
        error = -q - mpmath.log(1 - power) - h
        assert abs(error) <= 4e-16 * (2 + h) + 8e-16 * slope


def test_a_reset_far_below_is_no_crossing():
    membrane = Membrane(*(jnp.float32(x) for x in (10, 5, 1, -1e9, 0, 0, 0)), ratio=2.0)
    wait = wait_for_crossing(membrane, jnp.float32(-1e9), jnp.float32(3.0), jnp.float32(1e4))
    assert np.isinf(wait)


def test_the_ratio_is_known_if_it_is_a_constant():
    assert known_ratio(CurrentLIF.event_prop(10.0, 5.0)) == 2
    assert known_ratio(CurrentLIF(jnp.array([4.0, 6.0]), np.array([2.0, 3.0]))) == 2
    assert known_ratio(CurrentLIF(jnp.array([4.0, 6.0]), 2.0)) is None
    seen = []
    jax.jit(lambda tau: seen.append(known_ratio(CurrentLIF(tau, 5.0))))(10.0)
    assert seen == [None]


def circuit_of(neuron, weights, recurrent, delays=0.0):
    bias = jnp.array([0.0, 0.1, 0.0, 1.2, -0.2])
    return SpikingCircuit(
        neuron, weights, recurrent, 0.0, delays, bias, refractory=jnp.array([0, 0, 1.0, 2, 0])
    )


@pytest.mark.parametrize("reset", [0.0, -1000.0])
def test_spikes_and_gradients_are_those_of_the_general_solver(x64, reset):
    rng = np.random.default_rng(1)
    weights = jnp.asarray(rng.normal(1.5, 0.8, (5, 3)))
    recurrent = jnp.asarray(rng.normal(0.2, 0.5, (5, 5)))
    neuron = CurrentLIF.event_prop(10.0, 5.0, reset_voltage=reset)
    times = jnp.asarray(rng.uniform(0, 30, 12))
    inputs = InputSpikes(times, jnp.arange(12) % 3)

    def cost(given, tau_mem, delays):
        circuit = circuit_of(replace(neuron, tau_mem=tau_mem), *given, delays)
        trains = solve_events(circuit, inputs, t_end=50.0, max_spikes=60)
        return jnp.sum(jnp.sin(jnp.where(trains.sources >= 0, trains.times, 0))), trains

    slope = eqx.filter_value_and_grad(cost, has_aux=True)
    given = weights, recurrent
    (_, closed), by_closed = eqx.filter_jit(slope)(given, 10.0, 0.0)
    # Traced time constants need Newton's method, delays of each synapse turns for the arrivals.
    (_, general), by_general = eqx.filter_jit(slope)(given, jnp.array(10.0), jnp.zeros((5, 5)))
    assert not closed.overflow and np.sum(closed.sources >= 0) >= (4 if reset else 15)
    np.testing.assert_array_equal(closed.sources, general.sources)
    np.testing.assert_allclose(closed.times, general.times, atol=1e-11)
    for one, other in zip(by_closed, by_general, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-9)
