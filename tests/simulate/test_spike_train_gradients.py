"""Derivatives of spike trains: both adjoints, central differences, and the published fixtures."""

import json
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.neurons import CurrentLIF
from plasticjax.simulate import (
    EventPropAdjoint,
    InputSpikes,
    SpikingCircuit,
    solve_events,
    voltage_integral,
)
from tests.simulate.circuits import CONFIGURATIONS
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
    count, t_end = meta["n_spikes"], meta["T"]
    alpha, beta = jnp.asarray(meta["alpha"]), jnp.asarray(meta["beta"])

    @eqx.filter_jit
    @eqx.filter_value_and_grad(has_aux=True)
    def loss(given, share):
        """L1 for share 1, L2 for share 0."""
        trains = solve_events(*given, t_end=t_end, max_spikes=count + 2, adjoint=EventPropAdjoint())
        real = trains.sources >= 0
        on_times = jnp.where(real, alpha[trains.sources] * jnp.where(real, trains.times, 0), 0)
        squares = voltage_integral(*given, trains, lambda v, t: v**2 / 2, t_end=t_end)
        return share * jnp.sum(on_times) + (1 - share) * beta @ squares, trains

    for name, suffix, tolerance in (("L1", "", 1e-6), ("L2", "_fd", 1e-5)):
        share = jnp.asarray(float(name == "L1"))
        (value, trains), (by_circuit, by_input) = loss((circuit, inputs), share)
        np.testing.assert_allclose(value, meta[name], rtol=1e-9)
        found = {
            "dW": jnp.concatenate([by_circuit.weights, by_circuit.recurrent], axis=1).T,
            "dD": jnp.concatenate([by_circuit.delays, by_circuit.recurrent_delays], axis=1).T,
            "dtin": by_input.times,
            "dIb": by_circuit.bias,
        }
        for key, gradient in found.items():
            expected = np.asarray(data[f"{key}_{name}{suffix}"])
            if not np.any(data["W"][meta["n_in"] :]):  # no recurrent synapses, none differentiated
                gradient = np.where(expected == 0, 0, gradient) if gradient.ndim == 2 else gradient
            worst = np.max(np.abs(gradient - expected), initial=0)
            assert worst <= tolerance * np.max(np.abs(expected)), (name, key)
    assert not trains.overflow
    np.testing.assert_allclose(trains.times[:count], data["spike_t"], atol=1e-9)
    np.testing.assert_array_equal(trains.sources[:count], data["spike_n"])
    assert np.all(np.isinf(trains.times[count:]))
