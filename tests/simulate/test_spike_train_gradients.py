"""Derivatives of spike trains: both adjoints, central differences, and the published fixtures."""

import json
from dataclasses import replace
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.neurons import CurrentLIF
from plasticjax.simulate import (
    EventPropAdjoint,
    ImplicitAdjoint,
    InputSpikes,
    SpikingCircuit,
    solve_events,
    voltage_integral,
)
from tests.simulate.circuits import CONFIGURATIONS, SPIKES, T_END, draw_circuit
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


@pytest.mark.parametrize(
    "case", ["rec_delay_r2", pytest.param("ff_multi_r4", marks=pytest.mark.slow)]
)
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


@pytest.mark.slow
def test_forward_mode_and_second_derivatives_of_the_implicit_adjoint(x64):
    circuit, inputs = draw_circuit(1, **CONFIGURATIONS["refractory"])
    share = jnp.asarray(np.random.default_rng(0).uniform(0.5, 1.5, SPIKES))
    direction = jnp.asarray(np.random.default_rng(1).normal(0, 1, circuit.weights.shape))

    def loss(weights):
        trains = solve_events(
            replace(circuit, weights=weights), inputs, t_end=T_END, max_spikes=SPIKES
        )
        return jnp.sum(jnp.where(trains.sources >= 0, share * trains.times, 0))

    gradient = jax.jit(jax.grad(loss))
    forward = jax.jit(lambda w: jax.jvp(loss, (w,), (direction,))[1])(circuit.weights)
    reverse = jnp.vdot(gradient(circuit.weights), direction)
    np.testing.assert_allclose(forward, reverse, rtol=1e-10)
    step = 1e-6
    second = jax.jit(lambda w: jax.jvp(jax.grad(loss), (w,), (direction,))[1])(circuit.weights)
    ahead, behind = (gradient(circuit.weights + s * direction) for s in (step, -step))
    differences = (ahead - behind) / (2 * step)
    np.testing.assert_allclose(second, differences, atol=1e-6 * np.abs(differences).max())


@pytest.mark.slow
def test_the_memory_of_eventprop_is_linear_in_the_number_of_spikes(x64):
    circuit, inputs = draw_circuit(1, **CONFIGURATIONS["recurrent"])

    def memory(spikes, adjoint):
        def loss(circuit):
            trains = solve_events(circuit, inputs, t_end=T_END, max_spikes=spikes, adjoint=adjoint)
            return jnp.sum(jnp.where(trains.sources >= 0, trains.times, 0))

        compiled = jax.jit(jax.grad(loss)).lower(circuit).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    small, large = (memory(spikes, EventPropAdjoint()) for spikes in (200, 800))
    assert large < 5 * small
    assert large < memory(800, ImplicitAdjoint()) / 50
