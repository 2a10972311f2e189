"""Derivatives of spike trains: both adjoints, central differences, and the published fixtures."""

import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.neurons import CurrentLIF
from plasticjax.simulate import (
    EventPropAdjoint,
    InputSpikes,
    SpikingCircuit,
    membrane_state,
    solve_events,
    voltage_integral,
)
from tests.simulate.circuits import CONFIGURATIONS, draw_circuit, solve
from tests.simulate.gradient_check import check_gradients

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_both_adjoints_and_central_differences_agree(x64, name):
    check = check_gradients(1, name)
    assert check.spikes > 15
    assert check.between_adjoints < 1e-10
    assert check.to_differences < 1e-6


def _fixture(case):
    meta = json.loads((FIXTURES / "spike_trains.json").read_text())[case]
    arrays = np.load(FIXTURES / "spike_trains.npz")
    data = {k.split("__")[1]: jnp.asarray(arrays[k]) for k in arrays if k.startswith(case)}
    count = meta["n_in"]
    neuron = CurrentLIF.event_prop(
        meta["tau_mem"], meta["tau_syn"], meta["threshold"], reset_voltage=meta["v_reset"]
    )
    weights, delays = data["W"].T, data["D"].T
    circuit = SpikingCircuit(
        neuron,
        weights[:, :count],
        weights[:, count:],
        delays[:, :count],
        delays[:, count:],
        bias=data["Ib"],
        refractory=meta["t_ref"],
    )
    return meta, data, circuit, InputSpikes(data["inp_t"], data["inp_c"])


@pytest.mark.parametrize("case", ["ff_multi_r4", "rec_delay_r2"])
def test_spikes_and_gradients_are_those_of_an_independent_simulation(x64, case):
    meta, data, circuit, inputs = _fixture(case)
    alpha, beta = jnp.asarray(meta["alpha"]), jnp.asarray(meta["beta"])
    t_end = meta["T"]

    @eqx.filter_jit
    def solve_fixture(given):
        def run(given):
            trains = solve_events(
                *given, t_end=t_end, max_spikes=meta["n_spikes"] + 2, adjoint=EventPropAdjoint()
            )
            by_neuron = jnp.where(trains.sources >= 0, alpha[trains.sources], 0)
            first = jnp.sum(by_neuron * jnp.where(trains.sources >= 0, trains.times, 0))
            squares = voltage_integral(*given, trains, lambda v, t: v**2 / 2, t_end=t_end)
            return (first, beta @ squares), trains

        losses, pull, trains = eqx.filter_vjp(run, given, has_aux=True)
        return losses, trains, jax.vmap(lambda *g: pull(g)[0])(jnp.eye(2)[0], jnp.eye(2)[1])

    losses, trains, (by_circuit, by_inputs) = solve_fixture((circuit, inputs))
    count = meta["n_spikes"]
    assert not trains.overflow
    np.testing.assert_allclose(trains.times[:count], data["spike_t"], atol=1e-9)
    np.testing.assert_array_equal(trains.sources[:count], data["spike_n"])
    assert np.all(np.isinf(trains.times[count:]))
    np.testing.assert_allclose(losses, (meta["L1"], meta["L2"]), rtol=1e-9)

    connected = slice(None) if np.any(data["W"][meta["n_in"] :]) else slice(meta["n_in"])
    for k, (name, suffix, tolerance) in enumerate([("L1", "", 1e-6), ("L2", "_fd", 1e-5)]):
        found = {
            "dW": jnp.concatenate([by_circuit.weights[k], by_circuit.recurrent[k]], 1).T,
            "dD": jnp.concatenate([by_circuit.delays[k], by_circuit.recurrent_delays[k]], 1).T,
            "dtin": by_inputs.times[k],
            "dIb": by_circuit.bias[k],
        }
        for key, value in found.items():
            expected = data[f"{key}_{name}{suffix}"]
            if value.ndim == 2:
                value, expected = value[connected], expected[connected]
            worst = np.max(np.abs(value - expected)) / np.max(np.abs(expected))
            assert worst < tolerance, (name, key)


def test_the_state_of_a_neuron_is_at_threshold_at_its_spikes_and_below_elsewhere(x64):
    given = draw_circuit(1, **CONFIGURATIONS["bias and initial state"])
    trains = solve(*given)
    states = eqx.filter_jit(jax.vmap(lambda t: membrane_state(*given, trains, t)))
    count = int(jnp.sum(trains.sources >= 0))
    at = states(jnp.where(trains.sources >= 0, trains.times, 0))
    own = at.voltage[jnp.arange(count), trains.sources[:count]]
    threshold = given[0].neuron.threshold
    np.testing.assert_allclose(own, threshold[trains.sources[:count]], atol=1e-12)
    elsewhere = states(jnp.linspace(0, 60, trains.times.size * 40).reshape(40, -1)[0])
    grid = jnp.linspace(0, 60, 4000).reshape(40, 100)
    for times in grid:
        assert np.all(states(times).voltage < threshold + 1e-9)
    del elsewhere
