"""Derivatives of spike times by inputs and by every parameter of the neuron."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from plasticjax.neurons import CurrentLIF
from plasticjax.simulate import first_spike_times
from tests.simulate.layers import NEURONS, POST, draw_layer

STEP = 1e-6


def _split(name):
    """The layer of a named neuron as (parameters to differentiate by, what stays fixed). Time
    constants that are differentiated by are traced, which leaves the general method."""
    weights, times = draw_layer(6, NEURONS["other"])
    parameters = {
        "weights": jnp.asarray(weights[:4]),
        "times": jnp.asarray(times),
        "threshold": jnp.asarray([1.0, 1.1, 0.9, 1.05]),
        "leak": jnp.asarray(0.03),
    }
    scalar = {"g_leak": jnp.asarray(0.6)}
    fixed = {
        "equal": dict(tau_mem=1.0, tau_syn=1.0),
        "double": dict(tau_mem=2.0, tau_syn=1.0),
        "non-leaky": dict(tau_mem=np.inf, tau_syn=1.0),
        "general": {},
        "per-neuron": {},
    }[name]
    if name in ("equal", "double"):
        parameters |= scalar
    if name == "general":
        parameters |= scalar | dict(tau_mem=jnp.asarray(1.7), tau_syn=jnp.asarray(0.8))
    if name == "per-neuron":  # equal and double time constants among them, g_leak by convention
        parameters |= dict(
            tau_mem=jnp.asarray([1.0, 2.0, 0.7, 3.0]), tau_syn=jnp.asarray([1.0, 1.0, 1.0, 0.9])
        )
    return parameters, fixed


def _function(name):
    parameters, fixed = _split(name)
    flat, restore = ravel_pytree(parameters)

    def spikes(flat):
        values = restore(flat)
        weights, times = values.pop("weights"), values.pop("times")
        return first_spike_times(CurrentLIF(**fixed, **values), weights, times)

    return spikes, flat, restore


def _differences(function, flat, step=STEP):
    basis = step * np.eye(flat.size)
    values = jax.jit(jax.vmap(function))(jnp.concatenate([flat + basis, flat - basis]))
    return np.moveaxis(values[: flat.size] - values[flat.size :], 0, -1) / (2 * step)


@pytest.mark.parametrize("name", ["equal", "non-leaky", "general"])
def test_first_derivatives(x64, name):
    spikes, flat, restore = _function(name)
    assert np.isfinite(spikes(flat)).sum() >= 3
    reverse = np.asarray(jax.jit(jax.jacrev(spikes))(flat))
    forward = np.asarray(jax.jit(jax.jacfwd(spikes))(flat))
    np.testing.assert_allclose(forward, reverse, rtol=1e-12, atol=1e-14)
    differences = np.nan_to_num(_differences(spikes, flat))
    scale = np.abs(reverse).max(axis=1, keepdims=True)
    np.testing.assert_allclose(reverse, differences, rtol=0, atol=1e-6 * max(1, scale.max()))
    for row in reverse[np.isfinite(spikes(flat))]:
        for leaf in jax.tree.leaves(restore(jnp.asarray(row))):
            assert np.any(leaf != 0)


@pytest.mark.parametrize("name", ["double", "per-neuron"])
def test_second_derivatives(x64, name):
    spikes, flat, _ = _function(name)

    def smooth(flat):
        return jnp.sum(jnp.where(jnp.isfinite(spikes(flat)), spikes(flat), 0))

    gradient = jax.grad(smooth)
    hessian = np.asarray(jax.jit(jax.jacfwd(gradient))(flat))
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-9, atol=1e-9)
    differences = _differences(gradient, flat)
    np.testing.assert_allclose(hessian, differences, rtol=0, atol=1e-6 * np.abs(hessian).max())
    # Reverse over reverse, along one direction.
    direction = jnp.cos(jnp.arange(flat.size))
    twice = jax.jit(jax.grad(lambda x: gradient(x) @ direction))(flat)
    np.testing.assert_allclose(twice, hessian @ direction, rtol=1e-9, atol=1e-9)


closed = eqx.filter_jit(first_spike_times)
jacobian = eqx.filter_jit(jax.jacrev(first_spike_times, argnums=(1, 2)))


@pytest.mark.parametrize("name", ["equal", "double-scaled", "non-leaky", "other"])
def test_shift_and_scaling_identities(x64, name):
    neuron = NEURONS[name]

    @jax.jit
    def jacobian(weights, times, threshold):
        def spikes(weights, times, threshold):
            moved = eqx.tree_at(lambda n: n.threshold, neuron, threshold)
            return first_spike_times(moved, weights, times)

        return spikes(weights, times, threshold), jax.jacrev(spikes, (0, 1, 2))(
            weights, times, threshold
        )

    for seed in range(10):
        weights, times = draw_layer(seed, neuron)
        thresholds = np.full(POST, neuron.threshold)
        spikes, (by_weight, by_time, by_threshold) = jacobian(weights, times, thresholds)
        for j in range(POST):
            if np.isinf(spikes[j]):
                np.testing.assert_array_equal(by_threshold[j], 0)
                continue
            # What rounding costs grows with the terms that cancel.
            assert abs(np.sum(by_time[j]) - 1) < 1e-9 * max(1, np.abs(by_time[j]).max())
            scaled = np.sum(weights[j] * by_weight[j, j])
            height = neuron.threshold - neuron.leak
            np.testing.assert_allclose(scaled, -height * by_threshold[j, j], rtol=1e-9)
            assert np.all(by_weight[j, j] <= 0)
            assert by_threshold[j, j] > 0


def test_closed_forms_of_the_paper(x64):
    """Partial derivatives as printed, with the Lambert function of scipy."""
    from scipy.special import lambertw

    weights, times = draw_layer(0, NEURONS["equal"])
    spikes = np.asarray(closed(NEURONS["equal"], weights, times))
    by_weight, by_time = jacobian(NEURONS["equal"], weights, times)
    for j in np.flatnonzero(np.isfinite(spikes)):
        causal = times < spikes[j]
        w, t, spike = weights[j, causal], times[causal], spikes[j]
        a, b = np.sum(w * np.exp(t)), np.sum(w * t * np.exp(t))
        root = lambertw(-np.exp(b / a) / a).real
        np.testing.assert_allclose(b / a - root, spike, rtol=1e-10)
        factor = -np.exp(t) / (a * (1 + root))
        np.testing.assert_allclose(by_weight[j, j, causal], factor * (spike - t), rtol=1e-7)
        np.testing.assert_allclose(by_time[j, causal], factor * w * (spike - t - 1), rtol=1e-7)

    weights, times = draw_layer(0, NEURONS["double"])
    spikes = np.asarray(closed(NEURONS["double"], weights, times))
    by_weight, by_time = jacobian(NEURONS["double"], weights, times)
    for j in np.flatnonzero(np.isfinite(spikes)):
        causal = times < spikes[j]
        w, t, spike = weights[j, causal], times[causal], spikes[j]
        a_1, a_2 = np.sum(w * np.exp(t)), np.sum(w * np.exp(t / 2))
        s, x = np.sqrt(a_2**2 - 2 * a_1), np.exp(-spike / 2)
        np.testing.assert_allclose(2 * np.log(2 * a_1 / (a_2 + s)), spike, rtol=1e-10)
        expected = 2 / s * (np.exp(t) * x - np.exp(t / 2))
        np.testing.assert_allclose(by_weight[j, j, causal], expected, rtol=1e-7)
        expected = w / s * (2 * np.exp(t) * x - np.exp(t / 2))
        np.testing.assert_allclose(by_time[j, causal], expected, rtol=1e-7)


@pytest.mark.parametrize("name", ["equal", "double", "non-leaky", "other"])
def test_silent_layers_have_zero_and_no_nan_derivatives(x64, name):
    weights, times = draw_layer(0, NEURONS[name])
    for none in (np.zeros_like(weights), -np.abs(weights)):
        for leaf in jacobian(NEURONS[name], none, times):
            np.testing.assert_array_equal(leaf, 0)
    for leaf in jacobian(NEURONS[name], weights, np.full_like(times, np.inf)):
        np.testing.assert_array_equal(leaf, 0)


def test_derivatives_in_single_precision(x64):
    weights, times = draw_layer(0, NEURONS["equal"])
    double = jacobian(NEURONS["equal"], weights, times)
    single = jacobian(NEURONS["equal"], jnp.float32(weights), jnp.float32(times))
    for a, b in zip(single, double, strict=True):
        assert a.dtype == jnp.float32
        np.testing.assert_allclose(a, b, atol=1e-3 * np.abs(b).max())
