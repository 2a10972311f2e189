"""Circuits of any smooth neuron: against the closed form, and events that need a definition."""

from dataclasses import replace

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.neurons import ConductanceLIF, Conductances, CurrentLIF, CurrentLIFState
from plasticjax.simulate import (
    EventPropAdjoint,
    InputSpikes,
    Integrator,
    SmoothCircuit,
    SpikingCircuit,
    solve_events,
)
from tests.simulate.circuits import CONFIGURATIONS, POST, SPIKES, T_END, as_smooth, draw_circuit
from tests.simulate.circuits import solve as solve_exactly
from tests.simulate.test_spike_train_events import plain

SHARE = np.random.default_rng(0).uniform(0.5, 1.5, SPIKES)


@eqx.filter_jit
def solve(circuit, inputs):
    return solve_events(as_smooth(circuit), inputs, t_end=T_END, max_spikes=SPIKES)


@eqx.filter_jit
def gradient(circuit, inputs, smooth):
    """Of a random combination of spike times, by everything."""

    def loss(given):
        circuit, inputs = given
        circuit = as_smooth(circuit) if smooth else circuit
        trains = solve_events(circuit, inputs, t_end=T_END, max_spikes=SPIKES)
        return jnp.sum(jnp.where(trains.sources >= 0, SHARE * trains.times, 0))

    return eqx.filter_grad(loss)((circuit, inputs))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_spike_times_are_those_of_the_closed_form(x64, name):
    circuit, inputs = draw_circuit(1, **CONFIGURATIONS[name])
    exact, found = solve_exactly(circuit, inputs), solve(circuit, inputs)
    assert int(np.sum(exact.sources >= 0)) > 15 and not found.overflow
    np.testing.assert_array_equal(found.sources, exact.sources)
    np.testing.assert_allclose(found.times, exact.times, atol=1e-9)


@pytest.mark.parametrize("name", ["delays", "bias and initial state"])
def test_gradients_are_central_differences(x64, name):
    circuit, inputs = draw_circuit(1, **CONFIGURATIONS[name])
    rng = np.random.default_rng(0)
    # Bias, refractory times and delays stay where they are if they are zero, at a boundary.
    direction = jax.tree.map(
        lambda x: jnp.where((x != 0) & jnp.isfinite(x), rng.normal(size=x.shape), 0),
        eqx.filter((circuit, inputs), eqx.is_inexact_array),
    )
    found = gradient(circuit, inputs, smooth=True)
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(direction), strict=True)
    slope = sum(float(jnp.vdot(a, b)) for a, b in pairs)

    def loss(step):
        moved = eqx.apply_updates((circuit, inputs), jax.tree.map(lambda d: step * d, direction))
        trains = solve(*moved)
        return float(jnp.sum(jnp.where(trains.sources >= 0, SHARE * trains.times, 0)))

    step = 1e-6
    np.testing.assert_allclose(slope, (loss(step) - loss(-step)) / (2 * step), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_gradients_are_those_of_the_closed_form(x64, name):
    given = draw_circuit(1, **CONFIGURATIONS[name])
    exact, found = gradient(*given, smooth=False), gradient(*given, smooth=True)
    scale = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(exact))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-8 * scale)


def test_simultaneous_spikes_come_in_the_order_of_the_neurons_and_before_their_arrivals(x64):
    between = jnp.ones((POST, POST)) - jnp.eye(POST)
    together, exact = (f(*plain(3.0, recurrent=between)) for f in (solve, solve_exactly))
    rounds = 3 * POST  # later the order of the exact solution is one of rounding
    np.testing.assert_array_equal(together.sources[:rounds], np.tile(np.arange(POST), 3))
    np.testing.assert_allclose(together.times[:rounds], exact.times[:rounds], atol=1e-8)


def test_a_neuron_at_threshold_at_time_zero_fires_if_its_potential_rises(x64):
    voltage, current = jnp.array([1, 1, 1, 0.999, 0]), jnp.array([2, 0.5, 1, 2, 0.0])
    times = solve(*plain(0.0, voltage=voltage, current=current)).first(POST)
    assert times[0] == 0
    assert np.all(np.isinf(times[jnp.array([1, 2, 4])]))  # falls; grazes; rests
    assert 0 < times[3] < 0.02


def test_a_short_excursion_within_a_step_is_seen(x64):
    # V(s) = w (e^{-s/10} - e^{-s/5}) has its maximum w / 4 at s = 10 ln 2.
    weights = jnp.zeros((POST, 3)).at[:3, 0].set(4 * jnp.array([1 + 1e-7, 1 - 1e-7, 1 + 1e-4]))
    trains = solve(*plain(weights))
    first = trains.first(POST)
    exact = solve_exactly(*plain(weights)).first(POST)
    assert np.isinf(first[1]) and not np.any(np.isinf(first[jnp.array([0, 2])]))
    np.testing.assert_allclose(first[2], exact[2], atol=1e-7)
    np.testing.assert_allclose(first[0], exact[0], atol=1e-4)  # its slope all but vanishes


def test_runaway_excitation_ends_with_the_flag(x64):
    trains = solve(*plain(3.0, recurrent=5.0))
    assert trains.overflow and np.all(np.isfinite(trains.times))


def test_too_few_steps_raise_the_flag_and_leave_the_earliest_spikes(x64):
    circuit, inputs = draw_circuit(1, **CONFIGURATIONS["refractory"])
    whole = solve(circuit, inputs)
    short = eqx.filter_jit(solve_events)(
        as_smooth(circuit),
        inputs,
        t_end=T_END,
        max_spikes=SPIKES,
        integrator=Integrator(max_steps=40),
    )
    count = int(np.sum(short.sources >= 0))
    assert short.overflow and 0 < count < int(np.sum(whole.sources >= 0))
    np.testing.assert_allclose(short.times[:count], whole.times[:count], atol=1e-12)


@pytest.mark.slow
def test_too_many_spikes_raise_the_flag_and_leave_the_earliest(x64):
    circuit, inputs = draw_circuit(1, **CONFIGURATIONS["refractory"])
    whole = solve(circuit, inputs)
    few = eqx.filter_jit(solve_events)(as_smooth(circuit), inputs, t_end=T_END, max_spikes=5)
    assert few.overflow
    np.testing.assert_allclose(few.times, whole.times[:5], atol=1e-12)


def test_the_order_of_inputs_is_free_and_equal_arrivals_add(x64):
    circuit, inputs = plain(jnp.array([2.0, -0.5, 1.0]))
    backwards = jax.tree.map(lambda x: x[::-1], inputs)
    np.testing.assert_array_equal(solve(circuit, backwards).times, solve(circuit, inputs).times)
    at_once = inputs._replace(times=jnp.where(jnp.isfinite(inputs.times), 1.5, jnp.inf))
    summed, _ = plain(jnp.array([2.5, 0.0, 0.0]))
    np.testing.assert_allclose(
        solve(circuit, at_once).times, solve(summed, at_once).times, atol=1e-9
    )


@pytest.mark.slow
def test_what_comes_too_late_has_no_gradient(x64):
    circuit, inputs = plain(jnp.array([8.0, 0.1, 0.1]), refractory=100.0)
    late = inputs._replace(times=inputs.times.at[1:3].set(jnp.array([2.0, 9.0])))
    by_circuit, by_input = gradient(circuit, late, smooth=True)
    assert np.all(by_circuit.weights[:, :2] < 0) and np.all(by_input.times[:2] > 0)
    np.testing.assert_array_equal(by_circuit.weights[:, 2], 0)
    np.testing.assert_array_equal(by_input.times[2:], 0)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (lambda given: given[0].weights, jnp.nan),
        (lambda given: given[0].delays, -0.1),
        (lambda given: given[0].refractory, -0.1),
        (lambda given: given[0].neuron.tau_syn, jnp.nan),
        (lambda given: given[1].times, -1.0),
        (lambda given: given[1].times, jnp.nan),
    ],
)
def test_inside_of_jit_invalid_values_make_all_times_nan(x64, where, value):
    given = draw_circuit(1, **CONFIGURATIONS["refractory"])
    spoilt = eqx.tree_at(where, given, where(given).at[(1,) * where(given).ndim].set(value))
    assert np.all(np.isnan(solve(*spoilt).times))


@pytest.mark.slow
def test_samples_of_a_batch_do_not_notice_each_other(x64):
    pair = [draw_circuit(seed, **CONFIGURATIONS["delays"]) for seed in (1, 3)]
    together = _solve_both(jax.tree.map(lambda *x: jnp.stack(x), *pair))
    for number, given in enumerate(pair):
        alone = solve(*given)
        np.testing.assert_array_equal(together.sources[number], alone.sources)
        np.testing.assert_array_equal(together.times[number], alone.times)


@jax.jit
@jax.vmap
def _solve_both(given):
    return solve_events(as_smooth(given[0]), given[1], t_end=T_END, max_spikes=SPIKES)


# beartype, active in the tests, refuses some shapes before our own message can.
REFUSED = (ValueError, TypeError)
NEURON = ConductanceLIF()
WEIGHTS = Conductances(jnp.ones((2, 3)), jnp.ones((2, 3)))
SQUARE = Conductances(jnp.ones((2, 2)), jnp.ones((2, 2)))
TIMES = jnp.arange(3.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(weights=jax.tree.map(lambda w: w * jnp.nan, WEIGHTS)), "weights has the entry nan"),
        (dict(weights=Conductances(WEIGHTS[0], SQUARE[0])), r"leaves of shapes|[Tt]ype-check"),
        (dict(recurrent=SQUARE[0]), "recurrent has the structure"),
        (dict(recurrent=WEIGHTS), r"recurrent has shape \(2, 3\)|[Tt]ype-check"),
        (dict(delays=-1.0), "delays has the entry -1.0; it must be finite and not negative"),
        (dict(recurrent_delays=jnp.array([1.0, -2])), "recurrent_delays has the entry -2.0"),
        (dict(refractory=-0.5), "refractory has the entry -0.5"),
        (dict(drive=jnp.ones(3)), r"drive has shape \(3,\)"),
        (dict(neuron=ConductanceLIF(g_leak=jnp.ones(3))), r"parameter of neuron has shape \(3,\)"),
    ],
)
def test_circuits_that_are_refused(changes, message):
    with pytest.raises(REFUSED, match=message):
        SmoothCircuit(**(dict(neuron=NEURON, weights=WEIGHTS) | changes))


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (InputSpikes(-TIMES), {}, "inputs.times has the entry -1.0; it must be not negative"),
        (InputSpikes(TIMES * jnp.nan), {}, "inputs.times has the entry nan"),
        (InputSpikes(TIMES[:2]), {}, r"inputs.times has shape \(2,\)"),
        (InputSpikes(TIMES, jnp.array([0, 1, 3])), {}, "sources has the entry 3"),
        (InputSpikes(TIMES), {"adjoint": EventPropAdjoint()}, "must be None for a SmoothCircuit"),
        (InputSpikes(TIMES), {"t_end": -1.0}, "t_end=-1.0 must be positive"),
        (InputSpikes(TIMES), {"max_spikes": 0}, "max_spikes=0 must be at least 1"),
    ],
)
def test_input_that_is_refused(inputs, options, message):
    with pytest.raises(ValueError, match=message):
        solve_events(
            SmoothCircuit(NEURON, WEIGHTS), inputs, **(dict(t_end=1.0, max_spikes=3) | options)
        )


def test_settings_that_are_refused():
    for options, message in (
        ({"tolerance": 0.0}, "tolerance=0.0"),
        ({"max_steps": 0}, "max_steps=0"),
        ({"parts": 0}, "parts=0"),
    ):
        with pytest.raises(ValueError, match=message):
            Integrator(**options)
    circuit = SpikingCircuit(CurrentLIF(), jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="must be None for a SpikingCircuit"):
        solve_events(circuit, InputSpikes(TIMES), t_end=1.0, max_spikes=1, integrator=Integrator())
    start = SmoothCircuit(CurrentLIF(), jnp.ones((2, 3)), initial=CurrentLIFState(jnp.ones(3), 0.0))
    with pytest.raises(ValueError, match="a leaf of initial has shape"):
        solve_events(start, InputSpikes(TIMES), t_end=1.0, max_spikes=1)
    above = replace(start, initial=CurrentLIFState(1.5, 0.0))
    with pytest.raises(ValueError, match="the margin at time zero has the entry"):
        solve_events(above, InputSpikes(TIMES), t_end=1.0, max_spikes=1)


@pytest.mark.slow
@pytest.mark.parametrize("solver", [diffrax.Tsit5(), diffrax.Dopri5(), diffrax.Bosh3()])
def test_other_methods_give_the_same_spikes(x64, solver):
    circuit, inputs = draw_circuit(1, **CONFIGURATIONS["refractory"])
    integrator = Integrator(solver, tolerance=1e-8, max_steps=20_000)
    trains = eqx.filter_jit(solve_events)(
        as_smooth(circuit), inputs, t_end=T_END, max_spikes=SPIKES, integrator=integrator
    )
    assert not trains.overflow
    np.testing.assert_allclose(trains.times, solve(circuit, inputs).times, atol=1e-5)


@pytest.mark.slow
def test_single_precision_stays_single():
    circuit = SmoothCircuit(CurrentLIF.event_prop(), jnp.full((2, 1), 8.0))
    trains = eqx.filter_jit(solve_events)(
        circuit, InputSpikes(jnp.array([1.0])), t_end=40.0, max_spikes=4
    )
    exact = solve_events(
        SpikingCircuit(circuit.neuron, circuit.weights),
        InputSpikes(jnp.array([1.0])),
        t_end=40.0,
        max_spikes=4,
    )
    assert trains.times.dtype == jnp.float32
    np.testing.assert_allclose(trains.times, exact.times, rtol=1e-4)
