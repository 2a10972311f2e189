"""Derivatives of the spikes of a layer: EventProp against the implicit function theorem."""

from dataclasses import replace

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
    solve_layer,
)
from tests.simulate.circuits import CONFIGURATIONS, POST, T_END, draw_circuit

ROOM = 25
SHARES = jnp.asarray(np.random.default_rng(0).uniform(0.5, 1.5, (POST, ROOM)))


def total(given, adjoint):
    times = solve_layer(*given, t_end=T_END, max_spikes=ROOM, adjoint=adjoint).times
    return jnp.sum(jnp.where(jnp.isfinite(times), SHARES * times, 0))


gradient = eqx.filter_jit(eqx.filter_grad(total))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_both_adjoints_agree(x64, name):
    circuit, inputs = draw_circuit(3, **CONFIGURATIONS[name])
    given = replace(circuit, recurrent=None, recurrent_delays=0.0), inputs
    spikes = solve_layer(*given, t_end=T_END, max_spikes=ROOM)
    assert spikes.counts().max() > 3 and not spikes.overflow.any()
    found, exact = gradient(given, EventPropAdjoint()), gradient(given, ImplicitAdjoint())
    for (path, one), other in zip(
        jax.tree_util.tree_leaves_with_path(found), jax.tree.leaves(exact), strict=True
    ):
        scale = max(1.0, float(jnp.abs(other).max()))
        where = jax.tree_util.keystr(path)
        np.testing.assert_allclose(one, other, atol=1e-11 * scale, err_msg=where)


def test_arrivals_during_a_clamp_and_after_the_last_spike(x64):
    """One neuron by hand: it fires, is clamped when the second input comes, and fires again; the
    third input comes too late."""
    neuron = CurrentLIF.event_prop(20.0, 5.0, 0.5)
    circuit = SpikingCircuit(neuron, jnp.array([[8.0, 4.0, 4.0]]), refractory=6.0)
    times = jnp.array([1.0, 4.0, 30.0])

    @jax.jit
    def last(times, weights):
        changed = replace(circuit, weights=weights)
        options = {"t_end": 15.0, "max_spikes": 3, "adjoint": EventPropAdjoint()}
        found = solve_layer(changed, InputSpikes(times), **options).times[0]
        return found[1], found

    (moved, found), (by_times, by_weights) = jax.jit(
        jax.value_and_grad(last, (0, 1), has_aux=True)
    )(times, circuit.weights)
    assert found[0] < 4.0 < found[0] + 6.0 < found[1] and np.isinf(found[2])
    step = 1e-6
    for k in range(3):
        ahead, behind = (last(times.at[k].add(s), circuit.weights)[0] for s in (step, -step))
        np.testing.assert_allclose(by_times[k], (ahead - behind) / (2 * step), atol=1e-7)
        ahead, behind = (last(times, circuit.weights.at[0, k].add(s))[0] for s in (step, -step))
        np.testing.assert_allclose(by_weights[0, k], (ahead - behind) / (2 * step), atol=1e-7)
    assert by_times[2] == 0 and by_weights[0, 2] == 0
    # Both arrivals and the first spike, which ends the clamp, move the second spike with them.
    assert float(moved) == float(found[1])
    np.testing.assert_allclose(by_times.sum(), 1.0, rtol=1e-10)


def test_a_batch_has_the_gradients_of_its_samples():
    circuit, inputs = draw_circuit(1)
    circuit, inputs = jax.tree.map(
        lambda leaf: leaf.astype("float32") if eqx.is_inexact_array(leaf) else leaf,
        (replace(circuit, recurrent=None, recurrent_delays=0.0), inputs),
    )
    shifts = jnp.array([0.0, 2.0], jnp.float32)

    def by_shift(shift):
        moved = inputs.times + shift * (1 + jnp.arange(inputs.times.size) % 3)
        return gradient((circuit, InputSpikes(moved, inputs.sources)), EventPropAdjoint())[0]

    together = jax.jit(jax.vmap(by_shift))(shifts)
    for k, shift in enumerate(shifts):
        for one, other in zip(
            jax.tree.leaves(by_shift(shift)), jax.tree.leaves(together), strict=True
        ):
            np.testing.assert_allclose(other[k], one, rtol=1e-4, atol=1e-4)


def test_memory_grows_with_spikes_plus_arrivals_not_with_their_product():
    def planned(room):
        def value(weights, times):
            circuit = SpikingCircuit(CurrentLIF.event_prop(), weights)
            options = {"t_end": 100.0, "max_spikes": room, "adjoint": EventPropAdjoint()}
            found = solve_layer(circuit, InputSpikes(times), **options).times
            return jnp.sum(jnp.where(jnp.isfinite(found), found, 0))

        given = jnp.zeros((10, 500), jnp.float32), jnp.zeros(500, jnp.float32)
        compiled = jax.jit(jax.grad(value)).lower(*given).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    growth = planned(200) - planned(20)
    assert 0 < growth < 180 * 10 * 4 * 20  # the product with the arrivals would be 25 times that
