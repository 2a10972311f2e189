"""Measured spike times with the derivatives of the ideal model."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import lambertw

from plasticjax.neurons import CurrentLIF
from plasticjax.simulate import first_spike_times, measured_spike_times
from tests.simulate.layers import NEURONS, POST, draw_layer

ideal = eqx.filter_jit(first_spike_times)
ideal_jacobian = eqx.filter_jit(jax.jacrev(first_spike_times, argnums=(1, 2)))
measured_jacobian = eqx.filter_jit(jax.jacrev(measured_spike_times, argnums=(1, 2, 3)))


@pytest.mark.parametrize("name", NEURONS)
def test_at_the_ideal_time_the_derivatives_are_those_of_the_model(x64, name):
    neuron = NEURONS[name]
    for seed in range(5):
        weights, times = draw_layer(seed, neuron)
        spikes = ideal(neuron, weights, times)
        expected = ideal_jacobian(neuron, weights, times)
        *found, by_measured = measured_jacobian(neuron, weights, times, spikes)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-7)
        np.testing.assert_array_equal(by_measured, 0)


def test_parameters_of_the_neuron_too(x64):
    weights, times = map(jnp.asarray, draw_layer(0, NEURONS["other"]))

    def neuron(values):
        return CurrentLIF(*values)

    values = jnp.asarray([1.4, 0.9, 1.0, 0.1, 0.8])
    spikes = first_spike_times(neuron(values), weights, times)
    expected = jax.jit(jax.jacfwd(lambda v: first_spike_times(neuron(v), weights, times)))(values)
    found = jax.jit(jax.jacfwd(lambda v: measured_spike_times(neuron(v), weights, times, spikes)))(
        values
    )
    assert np.isfinite(spikes).sum() >= 3
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_the_value_is_the_measured_one():
    weights, times = map(jnp.float32, draw_layer(0, NEURONS["equal"]))
    measured = jnp.array([0.7, jnp.inf, 3.0, -1.0, 2.5], jnp.float32)
    for name in ("equal", "double", "other"):
        found = measured_spike_times(NEURONS[name], weights, times, measured)
        np.testing.assert_array_equal(found, measured)
        assert found.dtype == jnp.float32


def _perturbed(name):
    """A layer, measured times beside the ideal ones, and the neurons whose inputs before the
    measured time suffice for a spike."""
    neuron = NEURONS[name]
    weights, times = draw_layer(0, neuron)
    spikes = np.asarray(ideal(neuron, weights, times))
    measured = spikes + np.array([0.05, -0.02, 0.11, 0.01, 0.3])
    return neuron, weights, times, measured, np.flatnonzero(np.isfinite(spikes))


def test_formula_of_equal_time_constants_with_the_measured_time(x64):
    neuron, weights, times, measured, fired = _perturbed("equal")
    by_weight, by_time, _ = measured_jacobian(neuron, weights, times, measured)
    compared = 0
    for j in fired:
        causal = times <= measured[j]
        w, t, spike = weights[j, causal], times[causal], measured[j]
        a, b = np.sum(w * np.exp(t)), np.sum(w * t * np.exp(t))
        z = -np.exp(b / a) / a
        if a <= 0 or z < -1 / np.e:
            np.testing.assert_array_equal(by_weight[j, j], 0)
            continue
        factor = -np.exp(t) / (a * (1 + lambertw(z).real))
        np.testing.assert_allclose(by_weight[j, j, causal], factor * (spike - t), rtol=1e-8)
        np.testing.assert_allclose(by_time[j, causal], factor * w * (spike - t - 1), rtol=1e-8)
        np.testing.assert_array_equal(by_weight[j, j, ~causal], 0)
        np.testing.assert_array_equal(by_time[j, ~causal], 0)
        compared += 1
    assert compared >= 3


def test_formula_of_the_double_time_constant_with_the_measured_time(x64):
    neuron, weights, times, measured, fired = _perturbed("double")
    by_weight, by_time, _ = measured_jacobian(neuron, weights, times, measured)
    compared = 0
    for j in fired:
        causal = times <= measured[j]
        w, t = weights[j, causal], times[causal]
        a_1, a_2 = np.sum(w * np.exp(t)), np.sum(w * np.exp(t / 2))
        square, x = a_2**2 - 2 * a_1, np.exp(-measured[j] / 2)
        if a_1 <= 0 or square < 0:
            np.testing.assert_array_equal(by_weight[j, j], 0)
            continue
        s = np.sqrt(square)
        expected = 2 / s * (np.exp(t) * x - np.exp(t / 2))
        np.testing.assert_allclose(by_weight[j, j, causal], expected, rtol=1e-8)
        expected = w / s * (2 * np.exp(t) * x - np.exp(t / 2))
        np.testing.assert_allclose(by_time[j, causal], expected, rtol=1e-8)
        compared += 1
    assert compared >= 3


@pytest.mark.parametrize("name", ["equal", "double", "non-leaky"])
def test_no_derivative_where_the_ideal_model_cannot_cross(x64, name):
    """Too weak, inhibited, without input before the measured time, or silent."""
    weights, times = np.zeros((POST, 7)), np.linspace(0, 3, 7)
    weights[0], weights[1], weights[2], weights[3] = 0.02, -1, 2.0, 2.0
    measured = np.array([2.0, 2.0, -0.5, np.inf, 0.0])
    for leaf in measured_jacobian(NEURONS[name], weights, times, measured):
        np.testing.assert_array_equal(leaf, 0)
    times[5] = np.inf
    measured[2] = 1.0
    by_weight, by_time, _ = measured_jacobian(NEURONS[name], weights, times, measured)
    assert np.all(by_weight[2, 2, :2] < 0) and np.all(by_weight[2, 2, 3:] == 0)
    assert np.all(np.isfinite(by_time))
