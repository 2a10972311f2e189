"""Events that need a definition, and input that is refused."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.neurons import CurrentLIF, CurrentLIFState
from plasticjax.simulate import InputSpikes, SpikingCircuit, solve_events, solve_layer
from tests.simulate.circuits import GIVEN, INPUTS, POST, draw_circuit, solve


def plain(weights, recurrent=0.0, voltage=0.0, current=0.0, bias=0.0, refractory=0.0):
    """Neurons with tau_mem 10, tau_syn 5, threshold 1; spikes of the inputs at 1, 2 and 3."""
    circuit, _ = draw_circuit(0)

    def each(value, *shape):
        return jnp.broadcast_to(jnp.asarray(value, float), (POST, *shape))

    values = CurrentLIF.event_prop(10.0, 5.0)
    neuron = jax.tree.map(
        each, CurrentLIF(values.tau_mem, values.tau_syn, 1.0, 0.0, values.g_leak, 0.0)
    )
    circuit = SpikingCircuit(
        neuron,
        each(weights, INPUTS),
        each(recurrent, POST),
        jnp.zeros_like(circuit.delays),
        jnp.zeros_like(circuit.recurrent_delays),
        each(bias),
        each(refractory),
        CurrentLIFState(each(voltage), each(current)),
    )
    times = jnp.full(GIVEN, jnp.inf).at[:INPUTS].set(jnp.arange(1.0, INPUTS + 1))
    return circuit, InputSpikes(times, jnp.arange(GIVEN) % INPUTS)


def test_simultaneous_spikes_come_in_the_order_of_the_neurons_and_before_their_arrivals(x64):
    between = jnp.ones((POST, POST)) - jnp.eye(POST)
    together = solve(*plain(3.0, recurrent=between))
    alone = solve(*plain(3.0))
    first = np.asarray(together.times[:POST])
    np.testing.assert_array_equal(together.sources[:POST], np.arange(POST))
    np.testing.assert_array_equal(first, first[0])
    np.testing.assert_allclose(first, alone.times[:POST], atol=1e-12)
    assert together.times[POST] < alone.times[POST]
    excited = solve(*plain(3.0, recurrent=-between))
    np.testing.assert_array_equal(excited.times[:POST], first)


def test_a_neuron_at_threshold_at_time_zero_fires_if_its_potential_rises(x64):
    voltage, current = jnp.array([1, 1, 1, 0.999, 0]), jnp.array([2, 0.5, 1, 2, 0.0])
    trains = solve(*plain(0.0, voltage=voltage, current=current))
    times = trains.first(POST)
    assert times[0] == 0
    assert np.all(np.isinf(times[jnp.array([1, 2, 4])]))  # falls; grazes; rests
    assert 0 < times[3] < 0.02


def test_a_maximum_that_only_touches_the_threshold_is_no_spike(x64):
    # V(s) = w (e^{-s/10} - e^{-s/5}) has its maximum w / 4 at s = 10 ln 2.
    exact, more, less = 4.0, 4 * (1 + 1e-12), 4 * (1 - 1e-12)
    weights = jnp.zeros((POST, INPUTS)).at[:3, 0].set(jnp.array([exact, more, less]))

    @eqx.filter_jit
    @eqx.filter_grad(has_aux=True)
    def slope(given):
        trains = solve(*given)
        return jnp.sum(jnp.where(trains.sources >= 0, trains.times, 0)), trains

    gradient, trains = slope(plain(weights))
    first = trains.first(POST)
    assert np.isfinite(first[1]) and np.isinf(first[2])
    np.testing.assert_allclose(first[1], 1 + 10 * np.log(2), atol=1e-4)
    assert np.all(np.isfinite(gradient[0].weights))
    assert abs(gradient[0].weights[1, 0]) > 1e4  # diverges as the slope vanishes
    np.testing.assert_array_equal(gradient[0].weights[2:], 0)


def test_neurons_above_threshold_at_rest_fire_for_ever(x64):
    bias = jnp.array([1.5, 2, 0, 0, 0])
    trains = solve(*plain(0.0, bias=bias, refractory=2.0))
    own = np.asarray(trains.times)[np.asarray(trains.sources) == 0]
    period = 10 * np.log(1.5 / 0.5)
    np.testing.assert_allclose(own, period + np.arange(own.size) * (period + 2), rtol=1e-12)
    np.testing.assert_array_equal(trains.counts(POST)[2:], 0)


def test_the_order_of_equal_arrivals_and_of_inputs_is_free(x64):
    circuit, inputs = plain(jnp.array([2.0, -0.5, 1.0]))
    at_once = inputs._replace(times=jnp.where(jnp.isfinite(inputs.times), 1.5, jnp.inf))
    summed, _ = plain(jnp.array([2.5, 0.0, 0.0]))
    np.testing.assert_allclose(solve(circuit, at_once).times, solve(summed, at_once).times)
    backwards = jax.tree.map(lambda x: x[::-1], inputs)
    np.testing.assert_array_equal(solve(circuit, backwards).times, solve(circuit, inputs).times)


def test_runaway_excitation_ends_with_the_flag(x64):
    trains = solve(*plain(3.0, recurrent=5.0))
    assert trains.overflow and np.all(np.isfinite(trains.times))


def test_what_comes_too_late_has_no_gradient(x64):
    circuit, inputs = plain(jnp.array([8.0, 0.1, 0.1]), refractory=100.0)
    late = inputs._replace(times=inputs.times.at[1:3].set(jnp.array([2.0, 9.0])))
    assert np.all(solve(circuit, late).first(POST) < 9)

    @eqx.filter_jit
    @eqx.filter_grad
    def gradient(given):
        return jnp.sum(solve(*given).first(POST))

    by_circuit, by_input = gradient((circuit, late))
    assert np.all(by_circuit.weights[:, :2] < 0) and np.all(by_input.times[:2] > 0)
    np.testing.assert_array_equal(by_circuit.weights[:, 2], 0)
    np.testing.assert_array_equal(by_circuit.delays[:, 2], 0)
    np.testing.assert_array_equal(by_input.times[2:], 0)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c, i: (replace(c, weights=c.weights.at[1, 1].set(jnp.nan)), i),
        lambda c, i: (replace(c, delays=c.delays.at[0, 0].set(-0.1)), i),
        lambda c, i: (c, i._replace(times=i.times.at[1].set(-1.0))),
        lambda c, i: (c, i._replace(times=i.times.at[1].set(jnp.nan))),
    ],
)
def test_inside_of_jit_invalid_values_make_all_times_nan(x64, spoil):
    trains = eqx.filter_jit(lambda given: solve(*spoil(*given)))(plain(2.0))
    assert np.all(np.isnan(trains.times))


NEURON = CurrentLIF.event_prop()
WEIGHTS = jnp.ones((2, 3))
TIMES = jnp.arange(3.0)
# beartype, active in the tests, refuses some shapes before our own message can.
REFUSED = (ValueError, TypeError)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(weights=WEIGHTS.at[0, 0].set(jnp.nan)), "weights has the entry nan; it must be fini"),
        (dict(recurrent=jnp.full((2, 2), jnp.inf)), "recurrent has the entry inf; it must be fini"),
        (dict(delays=-1.0), "delays has the entry -1.0; it must be finite and not negative"),
        (dict(recurrent_delays=jnp.array([1.0, -2])), "recurrent_delays has the entry -2.0"),
        (dict(refractory=-0.5), "refractory has the entry -0.5"),
        (dict(delays=jnp.ones(2)), r"delays has shape \(2,\); expected one of"),
        (dict(bias=jnp.ones(3)), r"bias has shape \(3,\)"),
        (dict(neuron=CurrentLIF(np.inf)), "neuron.tau_mem has the entry inf; it must be finite"),
        (dict(initial=CurrentLIFState(1.1, 0.0)), "at most the threshold 1.0"),
        (dict(neuron=CurrentLIF(tau_mem=jnp.ones(3))), r"neuron.tau_mem has shape \(3,\)"),
    ],
)
def test_circuits_that_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SpikingCircuit(**(dict(neuron=NEURON, weights=WEIGHTS) | changes))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (InputSpikes(-TIMES), "inputs.times has the entry -1.0; it must be not negative"),
        (InputSpikes(TIMES * jnp.nan), "inputs.times has the entry nan"),
        (InputSpikes(TIMES[:2]), r"inputs.times has shape \(2,\)"),
        (InputSpikes(TIMES, jnp.arange(2)), r"both \[spikes\]"),
        (InputSpikes(TIMES, jnp.array([0, 1, 3])), "sources has the entry 3; it must be from 0 to"),
    ],
)
@pytest.mark.parametrize("solver", [solve_events, solve_layer])
def test_input_that_is_refused(solver, inputs, message):
    with pytest.raises(ValueError, match=message):
        solver(SpikingCircuit(NEURON, WEIGHTS), inputs, t_end=10.0, max_spikes=3)


def test_other_arguments_that_are_refused():
    circuit, inputs = SpikingCircuit(NEURON, WEIGHTS), InputSpikes(TIMES)
    for t_end in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match=f"t_end={t_end} must be positive and finite"):
            solve_events(circuit, inputs, t_end=t_end, max_spikes=3)
    with pytest.raises(ValueError, match="max_spikes=0 must be at least 1"):
        solve_layer(circuit, inputs, t_end=1.0, max_spikes=0)
    with pytest.raises(ValueError, match=r"circuit.recurrent must be None for a layer"):
        solve_layer(replace(circuit, recurrent=jnp.ones((2, 2))), inputs, t_end=1.0, max_spikes=1)
    with pytest.raises(REFUSED, match=r"weights has shape|[Tt]ype-check"):
        SpikingCircuit(NEURON, WEIGHTS[0])
