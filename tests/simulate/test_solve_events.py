"""Spike trains: invariances, closed forms, special events, and agreement of the two solvers."""

from dataclasses import replace
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.neurons import CurrentLIF, CurrentLIFState
from plasticjax.simulate import (
    InputSpikes,
    first_spike_times,
    membrane_state,
    solve_events,
    solve_layer,
    voltage_integral,
)
from tests.simulate.circuits import (
    CONFIGURATIONS,
    POST,
    SPIKES,
    T_END,
    draw_circuit,
    solve,
)


@eqx.filter_jit
def layer(circuit, inputs):
    return solve_layer(replace(circuit, recurrent=None), inputs, t_end=T_END, max_spikes=40)


def full(**options):
    return draw_circuit(1, **CONFIGURATIONS["bias and initial state"] | options)


def spikes_of(trains):
    count = int(jnp.sum(trains.sources >= 0))
    assert not trains.overflow and count > 10
    assert np.all(np.diff(trains.times[:count]) >= 0)
    assert np.all(np.isinf(trains.times[count:]))
    return np.asarray(trains.times[:count]), np.asarray(trains.sources[:count])


def assert_same(one, other, atol=1e-11):
    times, sources = spikes_of(one)
    other_times, other_sources = spikes_of(other)
    np.testing.assert_array_equal(sources, other_sources)
    np.testing.assert_allclose(times, other_times, atol=atol)


def test_neurons_are_at_threshold_at_their_spikes_and_below_elsewhere(x64):
    circuit, inputs = full()
    trains = solve(circuit, inputs)
    times, sources = spikes_of(trains)
    states = eqx.filter_jit(jax.vmap(lambda t: membrane_state(circuit, inputs, trains, t)))
    grid = jnp.linspace(0, T_END, 3000)
    at = states(jnp.concatenate([jnp.asarray(np.resize(times, SPIKES)), grid]))
    threshold = circuit.neuron.threshold
    own = at.voltage[jnp.arange(times.size), sources]
    np.testing.assert_allclose(own, threshold[sources], atol=1e-12)
    assert np.all(at.voltage[SPIKES:] < threshold)
    # After each spike the potential is held for the refractory time.
    clamped = np.any(
        (np.asarray(grid)[:, None, None] > times)
        & (np.asarray(grid)[:, None, None] < times + np.asarray(circuit.refractory)[:, None])
        & (sources == np.arange(POST)[:, None]),
        axis=-1,
    )
    held = np.broadcast_to(circuit.neuron.reset_voltage, clamped.shape)
    np.testing.assert_allclose(at.voltage[SPIKES:][clamped], held[clamped], atol=1e-12)


def test_the_state_solves_the_differential_equation(x64):
    circuit, inputs = full()
    trains = solve(circuit, inputs)

    @eqx.filter_jit
    @jax.vmap
    def residual(t):
        state, rate = jax.jvp(
            lambda t: membrane_state(circuit, inputs, trains, t), (t,), (jnp.ones_like(t),)
        )
        wanted = circuit.neuron.vector_field(t, state, circuit.bias)
        held = jnp.abs(state.voltage - circuit.neuron.reset_voltage) < 1e-12
        return jnp.where(held, 0, rate.voltage - wanted.voltage), rate.current - wanted.current

    for error in residual(jnp.linspace(0.01, T_END, 200)):
        np.testing.assert_allclose(error, 0, atol=1e-11)


def test_the_integral_of_the_potential_follows_from_its_equation(x64):
    circuit, inputs = draw_circuit(1)
    inputs = inputs._replace(times=inputs.times.at[0].set(0))
    trains = solve(circuit, inputs)
    _, sources = spikes_of(trains)
    integral = eqx.filter_jit(voltage_integral)(circuit, inputs, trains, t_end=T_END)
    state = membrane_state(circuit, inputs, trains, T_END)
    neuron = circuit.neuron
    arrived = inputs.times < T_END
    charge = jnp.sum(jnp.where(arrived, circuit.weights[:, inputs.sources], 0), axis=1)
    current = neuron.tau_syn * (charge - state.current)
    drop = neuron.threshold - neuron.reset_voltage
    jumps = drop * np.bincount(sources, minlength=POST)
    rise = state.voltage - neuron.leak + jumps
    expected = neuron.leak * T_END + current / neuron.g_leak - neuron.tau_mem * rise
    np.testing.assert_allclose(integral, expected, rtol=1e-10)


def test_a_shift_of_all_inputs_shifts_all_spikes(x64):
    circuit, inputs = draw_circuit(1, **CONFIGURATIONS["refractory"])
    shifted = solve(circuit, inputs._replace(times=inputs.times + 0.5))
    times, sources = spikes_of(shifted)
    before = solve(circuit, inputs)
    np.testing.assert_array_equal(before.sources[: times.size], sources)
    np.testing.assert_allclose(times - 0.5, before.times[: times.size], atol=1e-11)


def test_voltages_and_currents_have_no_scale(x64):
    circuit, inputs = full()

    def scale(circuit):
        neuron = circuit.neuron
        return replace(
            circuit,
            neuron=replace(
                neuron,
                threshold=3 * neuron.threshold,
                leak=3 * neuron.leak,
                reset_voltage=3 * neuron.reset_voltage,
            ),
            weights=3 * circuit.weights,
            recurrent=3 * circuit.recurrent,
            bias=3 * circuit.bias,
            initial=CurrentLIFState(3 * circuit.initial.voltage, 3 * circuit.initial.current),
        )

    assert_same(solve(circuit, inputs), solve(scale(circuit), inputs))


def test_halves_of_a_spike_and_spikes_without_weight_change_nothing(x64):
    circuit, inputs = full()
    sources = jnp.where(inputs.sources == 2, 0, inputs.sources)
    once = InputSpikes(inputs.times, sources.at[3].set(2))
    # The last input spike was silent; now it doubles the only one of source 2.
    twice = InputSpikes(inputs.times.at[-1].set(inputs.times[3]), once.sources.at[-1].set(2))
    halved = replace(circuit, weights=circuit.weights.at[:, 2].multiply(0.5))
    assert_same(solve(circuit, once), solve(halved, twice))
    mute = replace(circuit, weights=circuit.weights.at[:, 2].set(0))
    moved = once._replace(times=once.times.at[3].add(0.3))
    assert_same(solve(mute, once), solve(mute, moved))


def test_names_of_neurons_and_the_order_of_the_input_do_not_matter(x64):
    circuit, inputs = full()
    order = jnp.array([3, 0, 4, 2, 1])
    permuted = jax.tree.map(lambda x: x[order] if x.shape[:1] == (POST,) else x, circuit)
    permuted = replace(
        permuted,
        recurrent=permuted.recurrent[:, order],
        recurrent_delays=permuted.recurrent_delays[:, order],
    )
    back = jax.tree.map(lambda x: x[::-1], inputs)
    one, other = solve(circuit, inputs), solve(permuted, back)
    renamed = eqx.tree_at(
        lambda t: t.sources, other, jnp.where(other.sources < 0, -1, order[other.sources])
    )
    assert_same(one, renamed)


def test_a_vanishing_refractory_time_is_none(x64):
    circuit, inputs = draw_circuit(1, **CONFIGURATIONS["delays"])
    almost = replace(circuit, refractory=jnp.full(POST, 1e-9))
    assert_same(solve(circuit, inputs), solve(almost, inputs), atol=1e-6)


def test_a_ratio_close_to_one_is_close_to_one(x64):
    options = CONFIGURATIONS["equal time constants"]
    circuit, inputs = draw_circuit(1, **options)
    near, _ = draw_circuit(1, **options | dict(ratio=1 + 1e-9))
    assert_same(solve(circuit, inputs), solve(near, inputs), atol=1e-6)


@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_without_return_from_reset_only_the_first_spike_of_the_closed_form_is_left(x64, ratio):
    circuit, inputs = draw_circuit(2, ratio=ratio)
    tau = 6.0
    neuron = CurrentLIF(ratio * tau, tau, circuit.neuron.threshold)
    expected = first_spike_times(neuron, 4 * circuit.weights[:, inputs.sources], inputs.times)
    expected = np.where(expected > T_END, np.inf, expected)
    same = {
        name: jnp.broadcast_to(jnp.asarray(getattr(neuron, name), float), (POST,))
        for name in ("tau_mem", "tau_syn", "threshold", "leak")
    }
    same |= dict(g_leak=jnp.full(POST, 1 / ratio), reset_voltage=jnp.full(POST, -1e5))
    rest = CurrentLIFState(jnp.zeros(POST), jnp.zeros(POST))
    single = replace(circuit, neuron=CurrentLIF(**same), weights=4 * circuit.weights, initial=rest)
    found = solve(single, inputs)
    assert np.isfinite(expected).sum() >= 3
    np.testing.assert_allclose(found.first(POST), expected, atol=1e-10)
    assert np.all(found.counts(POST) == np.isfinite(expected))


@pytest.mark.parametrize("name", ["feed-forward", "bias and initial state"])
def test_the_layered_solver_gives_the_same_spikes(x64, name):
    circuit, inputs = draw_circuit(3, **CONFIGURATIONS[name])
    circuit = replace(circuit, recurrent=jnp.zeros((POST, POST)))
    trains, rows = solve(circuit, inputs), layer(circuit, inputs)
    times, sources = spikes_of(trains)
    assert not np.any(rows.overflow)
    np.testing.assert_array_equal(rows.counts(), trains.counts(POST))
    for neuron in range(POST):
        own = times[sources == neuron]
        np.testing.assert_allclose(rows.times[neuron, : own.size], own, atol=1e-12)


def test_results_are_the_same_to_the_bit_in_a_batch(x64):
    alone = [solve(*full()), solve(*draw_circuit(3, **CONFIGURATIONS["delays"]))]
    both = jax.tree.map(
        lambda *x: jnp.stack(x), full(), draw_circuit(3, **CONFIGURATIONS["delays"])
    )
    batch = jax.jit(jax.vmap(lambda given: solve_events(*given, t_end=T_END, max_spikes=SPIKES)))(
        both
    )
    for k, trains in enumerate(alone):
        np.testing.assert_array_equal(batch.times[k], trains.times)
        np.testing.assert_array_equal(batch.sources[k], trains.sources)


def test_too_many_spikes_raise_a_flag_and_leave_the_earliest(x64):
    circuit, inputs = full()
    times, _ = spikes_of(solve(circuit, inputs))
    few = eqx.filter_jit(solve_events)(circuit, inputs, t_end=T_END, max_spikes=7)
    assert few.overflow
    np.testing.assert_array_equal(few.times, times[:7])


@pytest.mark.slow
def test_room_for_exactly_all_spikes_is_enough(x64):
    circuit, inputs = full()
    times, _ = spikes_of(solve(circuit, inputs))
    exact = eqx.filter_jit(solve_events)(circuit, inputs, t_end=T_END, max_spikes=times.size)
    assert not exact.overflow
    np.testing.assert_array_equal(exact.times, times)


@pytest.mark.slow
def test_a_layer_has_room_for_each_neuron_and_may_stop_when_it_is_full(x64):
    circuit, inputs = full()
    rows = layer(circuit, inputs)
    single = replace(circuit, recurrent=None)
    run = eqx.filter_jit(partial(solve_layer, t_end=T_END, max_spikes=2))
    short, stopped = run(single, inputs), run(single, inputs, until_full=True)
    np.testing.assert_array_equal(short.overflow, rows.counts() > 2)
    np.testing.assert_array_equal(short.times, rows.times[:, :2])
    assert not np.any(stopped.overflow)
    np.testing.assert_array_equal(stopped.times, short.times)


@pytest.mark.slow
def test_the_layered_solver_has_the_same_derivatives(x64):
    circuit, inputs = draw_circuit(3, **CONFIGURATIONS["bias and initial state"])
    circuit = replace(circuit, recurrent=None)

    def by_layer(given):
        times = solve_layer(*given, t_end=T_END, max_spikes=40).times
        return jnp.sum(jnp.where(jnp.isfinite(times), times**2, 0))

    def by_events(given):
        times = solve_events(*given, t_end=T_END, max_spikes=SPIKES).times
        return jnp.sum(jnp.where(jnp.isfinite(times), times**2, 0))

    one, other = (
        eqx.filter_jit(eqx.filter_grad(f))((circuit, inputs)) for f in (by_layer, by_events)
    )
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9 * max(1, np.abs(b).max()))
