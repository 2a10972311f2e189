import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasticjax.neurons import CurrentLIF, CurrentLIFState
from plasticjax.simulate import (
    InputSpikes,
    LayerSpikes,
    SpikingCircuit,
    largest_voltage,
    membrane_state,
)

T_END = 40.0
DELAYS = np.linspace(0, 9, 12)


def readout(seed: int, *, delays: Any = 0.0, tau_mem: Any = 20.0, tau_syn: Any = 5.0):
    rng = np.random.default_rng(seed)
    neuron = CurrentLIF.event_prop(tau_mem, tau_syn)
    weights = jnp.asarray(rng.normal(0.2, 1.0, (3, 12)))
    start = CurrentLIFState(jnp.asarray(np.array(0.05)), jnp.asarray(rng.normal(0, 0.3, 3)))
    circuit = SpikingCircuit(
        neuron, weights, delays=delays, bias=jnp.asarray(np.array(0.02)), initial=start
    )
    return circuit, InputSpikes(jnp.asarray(rng.uniform(0, T_END, 12)))


@eqx.filter_jit
def on_grid(circuit, inputs, times):
    silent = LayerSpikes(jnp.full((circuit.weights.shape[0], 1), jnp.inf), jnp.zeros(3, bool))
    return jax.vmap(lambda t: membrane_state(circuit, inputs, silent, t).voltage)(times)


@eqx.filter_jit
def largest(circuit, inputs, *, t_end) -> Any:
    return largest_voltage(circuit, inputs, t_end=t_end)


def test_it_is_the_largest_value_on_a_fine_grid(x64):
    times = jnp.linspace(0, T_END, 4001)
    for seed in range(5):
        circuit, inputs = readout(seed, tau_mem=jnp.asarray([20.0, 5.0, 3.0]), delays=DELAYS)
        found = largest(circuit, inputs, t_end=T_END)
        values = on_grid(circuit, inputs, jnp.concatenate([times, found.time]))
        best = values[:4001].max(axis=0)
        assert np.all(found.voltage >= best - 1e-12)
        np.testing.assert_allclose(found.voltage, best, atol=2e-3)
        np.testing.assert_allclose(jnp.diagonal(values[4001:]), found.voltage, atol=1e-12)


@pytest.mark.parametrize("shape", [(), pytest.param((3, 12), marks=pytest.mark.slow)])
def test_derivatives_equal_finite_differences(x64, shape):
    delays = jnp.asarray(np.random.default_rng(1).uniform(0, 5, shape))
    taus = jnp.asarray([20.0, 12.0, 5.0]), jnp.asarray(np.array(5.0))
    circuit, inputs = readout(1, delays=delays, tau_mem=taus[0], tau_syn=taus[1])

    def total(given):
        return largest_voltage(*given, t_end=T_END).voltage @ jnp.array([1.0, 2.0, 3.0])

    both = eqx.filter_jit(eqx.filter_value_and_grad(total))
    given = circuit, inputs
    _, gradient = both(given)
    rng = np.random.default_rng(2)
    for path, slopes in jax.tree.leaves_with_path(gradient):
        steps = 1e-6 * rng.normal(size=slopes.shape)

        def moved(sign, path=path, steps=steps):
            return jax.tree_util.tree_map_with_path(
                lambda p, x: jnp.asarray(np.asarray(x) + sign * steps) if p == path else x, given
            )

        difference = (both(moved(1))[0] - both(moved(-1))[0]) / 2
        name = jax.tree_util.keystr(path)
        np.testing.assert_allclose(
            np.sum(np.asarray(slopes) * steps), difference, rtol=1e-5, atol=1e-12, err_msg=name
        )


def test_a_maximum_where_inhibition_arrives_moves_with_it(x64):
    circuit = SpikingCircuit(CurrentLIF.event_prop(), jnp.array([[1.0, -8.0]]))

    def value(times):
        found = largest_voltage(circuit, InputSpikes(times), t_end=T_END)
        return found.voltage[0], found.time[0]

    times = jnp.array([1.0, 3.0])
    (voltage, time), gradient = jax.jit(jax.value_and_grad(value, has_aux=True))(times)
    assert time == 3.0
    expected = 5 / 15 * (np.exp(-2 / 20) - np.exp(-2 / 5))
    np.testing.assert_allclose(voltage, expected, rtol=1e-13)
    slope = (np.exp(-2 / 5) / 5 - np.exp(-2 / 20) / 20) * 5 / 15
    np.testing.assert_allclose(gradient, [-slope, slope], rtol=1e-12)
    forward = jax.jit(jax.jacfwd(lambda times: value(times)[0]))(times)
    np.testing.assert_allclose(forward, [-slope, slope], rtol=1e-12)


def test_the_closed_form_of_one_arrival(x64):
    circuit = SpikingCircuit(CurrentLIF.event_prop(20.0, 5.0), jnp.array([[0.7], [-0.7]]))
    found = largest(circuit, InputSpikes(jnp.array([2.0])), t_end=T_END)
    peak = np.log(4) * 20 / 3
    np.testing.assert_allclose(found.time, [2 + peak, 0], rtol=1e-12)
    height = 0.7 / 3 * (np.exp(-peak / 20) - np.exp(-peak / 5))
    np.testing.assert_allclose(found.voltage, [height, 0], rtol=1e-12)


@pytest.mark.parametrize("times", [np.array([np.inf, 50.0]), np.zeros(0)])
def test_without_arrivals_it_is_the_start_or_the_end(times):
    circuit = SpikingCircuit(CurrentLIF.event_prop(), jnp.ones((2, times.size)))
    found = largest(circuit, InputSpikes(jnp.asarray(times)), t_end=T_END)
    np.testing.assert_array_equal(found, np.zeros((2, 2)))
    rising = dataclasses.replace(circuit, bias=jnp.array([0.5, -0.5]))
    found = largest(rising, InputSpikes(jnp.asarray(times)), t_end=T_END)
    np.testing.assert_allclose(found.time, [T_END, 0])
    np.testing.assert_allclose(found.voltage, [0.5 * (1 - np.exp(-2)), 0], atol=1e-6)


def test_simultaneous_arrivals_add_up(x64):
    neuron = CurrentLIF.event_prop()
    apart = SpikingCircuit(neuron, jnp.array([[0.9, -0.5, 0.4]]))
    joined = SpikingCircuit(neuron, jnp.array([[0.9, -0.1]]))
    one = largest(apart, InputSpikes(jnp.array([1.0, 4.0, 4.0])), t_end=T_END)
    other = largest(joined, InputSpikes(jnp.array([1.0, 4.0])), t_end=T_END)
    np.testing.assert_allclose(one, other, rtol=1e-14)


def test_a_batch_gives_the_same_as_each_sample():
    circuit, inputs = readout(3)
    times = jnp.stack([inputs.times, inputs.times[::-1], jnp.full(12, jnp.inf)])

    def both(times):
        def value(weights):
            changed = dataclasses.replace(circuit, weights=weights)
            return largest_voltage(changed, InputSpikes(times), t_end=T_END).voltage.sum()

        return jax.value_and_grad(value)(circuit.weights)

    batch = jax.jit(jax.vmap(both))(times)
    for k, row in enumerate(times):
        for one, other in zip(jax.jit(both)(row), batch, strict=True):
            np.testing.assert_allclose(one, other[k], rtol=1e-6, atol=1e-7)


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(12)), st.floats(0.1, 10))
def test_order_does_not_matter_and_weights_scale(order, scale):
    circuit, inputs = readout(4)
    circuit = dataclasses.replace(circuit, bias=0.0, initial=None)
    order = jnp.asarray(order)
    expected = largest(circuit, inputs, t_end=T_END).voltage
    changed = dataclasses.replace(circuit, weights=scale * circuit.weights[:, order])
    found = largest(changed, InputSpikes(inputs.times[order]), t_end=T_END).voltage
    np.testing.assert_allclose(found, scale * expected, rtol=1e-4, atol=1e-5)


def test_bad_input():
    circuit, inputs = readout(0)
    with pytest.raises(ValueError, match="t_end=-1"):
        largest_voltage(circuit, inputs, t_end=-1.0)
    recurrent = dataclasses.replace(circuit, recurrent=jnp.zeros((3, 3)))
    with pytest.raises(ValueError, match="recurrent must be None"):
        largest_voltage(recurrent, inputs, t_end=T_END)
    with pytest.raises(ValueError, match="times"):
        largest_voltage(circuit, InputSpikes(-jnp.ones(12)), t_end=T_END)
    bad = jax.jit(lambda t: largest_voltage(circuit, InputSpikes(t), t_end=T_END).voltage)
    assert np.all(np.isnan(bad(-jnp.ones(12))))
