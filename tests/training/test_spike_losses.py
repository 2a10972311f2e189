"""Losses on first spike times against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from plasticjax.training import (
    first_spike_class,
    first_spike_loss,
    nearest_spike_class,
    shift_invariant_mse,
    spike_time_mse,
)

XI, ALPHA, BETA, TAU = 0.3, 0.02, 1.7, 2.5


def paper_loss(times, label):
    return first_spike_loss(times, label, xi=XI, alpha=ALPHA, beta=BETA, tau_syn=TAU)


def mse(times, label):
    return spike_time_mse(times, label, correct=0.8, wrong=1.3)


def shift_mse(times, label):
    return shift_invariant_mse(times, label, delta=0.4)


value_and_grad = {loss: jax.jit(jax.value_and_grad(loss)) for loss in (paper_loss, mse, shift_mse)}
plain = jax.jit(jax.value_and_grad(first_spike_loss))
without_early = jax.jit(jax.value_and_grad(lambda t, n: first_spike_loss(t, n, alpha=0.0)))

spike_times = arrays(np.float64, 4, elements=st.floats(0, 8))
labels = st.integers(0, 3)


@given(spike_times, labels)
def test_first_spike_loss_and_its_derivative(x64, times, label):
    value, gradient = value_and_grad[paper_loss](times, label)
    own = times[label]
    early = ALPHA * np.exp(own / (BETA * TAU))
    expected = np.log(np.sum(np.exp(-(times - own) / (XI * TAU)))) + early
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    p = np.exp(-(times - times.min()) / (XI * TAU))
    p /= p.sum()
    slope = -p / (XI * TAU)
    slope[label] += 1 / (XI * TAU) + early / (BETA * TAU)
    np.testing.assert_allclose(gradient, slope, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.sum(gradient), early / (BETA * TAU), rtol=1e-9, atol=1e-12)


@given(spike_times, labels, st.floats(-3, 3))
def test_without_the_early_term_only_differences_count(x64, times, label, shift):
    value, gradient = without_early(times, label)
    moved, _ = without_early(times + shift, label)
    np.testing.assert_allclose(moved, value, rtol=1e-9, atol=1e-12)
    assert abs(np.sum(gradient)) < 1e-12


def test_published_constants(x64):
    times = np.array([1.0, 1.2, 0.7])
    expected = np.log(np.sum(np.exp(-(times - 1.2) / 0.2))) + 0.005 * np.exp(1.2)
    np.testing.assert_allclose(first_spike_loss(jnp.asarray(times), jnp.array(1)), expected)


@pytest.mark.parametrize("loss", value_and_grad)
def test_a_silent_label_costs_100_and_teaches_nothing(x64, loss):
    for times in ([1.0, np.inf, 2.0, 0.5], [np.inf] * 4):
        value, gradient = value_and_grad[loss](np.array(times), 1)
        assert value == 100
        np.testing.assert_array_equal(gradient, 0)


def test_another_silent_neuron_adds_nothing(x64):
    times = np.array([1.0, 0.8, np.inf, 0.9])
    value, gradient = plain(times, 1)
    less, less_gradient = plain(np.delete(times, 2), 1)
    np.testing.assert_allclose(value, less, rtol=1e-14)
    assert gradient[2] == 0
    np.testing.assert_allclose(np.delete(gradient, 2), less_gradient, rtol=1e-13)
    alone, gradient = plain(np.array([np.inf, 0.8, np.inf, np.inf]), 1)
    np.testing.assert_allclose(alone, 0.005 * np.exp(0.8), rtol=1e-13)
    np.testing.assert_allclose(gradient, [0, 0.005 * np.exp(0.8), 0, 0], rtol=1e-13)


def test_distant_times_neither_overflow_nor_vanish():
    value, gradient = plain(jnp.array([0.0, 60.0, 30.0, 1.0]), 1)
    assert np.isfinite(value) and np.all(np.isfinite(gradient))
    loss = first_spike_loss(jnp.array([0.0, 60.0]), jnp.array(1), alpha=0.0)
    np.testing.assert_allclose(loss, 300, rtol=1e-6)


@given(spike_times, labels)
def test_squared_distances_to_targets(x64, times, label):
    value, gradient = value_and_grad[mse](times, label)
    target = np.where(np.arange(4) == label, 0.8, 1.3)
    np.testing.assert_allclose(value, 0.5 * np.sum((times - target) ** 2), rtol=1e-12)
    np.testing.assert_allclose(gradient, times - target, rtol=1e-12)


@given(spike_times, labels, st.floats(-3, 3))
def test_shift_invariant_distances(x64, times, label, shift):
    value, gradient = value_and_grad[shift_mse](times, label)
    distance = np.where(np.arange(4) == label, 0, times - times[label] - 0.4)
    np.testing.assert_allclose(value, 0.5 * np.sum(distance**2), rtol=1e-12)
    expected = distance.copy()
    expected[label] = -np.sum(distance)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-12)
    moved, _ = value_and_grad[shift_mse](times + shift, label)
    np.testing.assert_allclose(moved, value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("loss", [mse, shift_mse])
def test_squared_losses_need_all_neurons(x64, loss):
    value, gradient = value_and_grad[loss](np.array([1.0, 0.8, np.inf, 0.9]), 1)
    assert value == 100
    np.testing.assert_array_equal(gradient, 0)


def test_batches_come_from_vmap(x64):
    rng = np.random.default_rng(0)
    times, labels = rng.uniform(0, 3, (6, 4)), np.arange(6) % 4
    times[2, 1] = times[5, 1] = np.inf  # silent: another neuron, the label neuron
    for loss, single in value_and_grad.items():
        values, gradients = jax.jit(jax.vmap(jax.value_and_grad(loss)))(times, labels)
        for k in range(6):
            value, gradient = single(times[k], labels[k])
            np.testing.assert_allclose(values[k], value, rtol=1e-13)
            np.testing.assert_allclose(gradients[k], gradient, rtol=1e-13)


def test_predictions():
    inf = np.inf
    for times, expected in (
        ([2.0, 1.0, 3.0], 1),
        ([inf, inf, 3.0], 2),
        ([1.0, 1.0, 3.0], 0),
        ([inf, inf, inf], -1),
        ([np.nan, 1.0, 2.0], -1),
    ):
        assert first_spike_class(jnp.array(times)) == expected
    for times, expected in (
        ([0.1, 0.9, 2.0], 1),
        ([inf, 5.0, inf], 1),
        ([inf, inf, inf], -1),
    ):
        assert nearest_spike_class(jnp.array(times), correct=0.8) == expected


@pytest.mark.parametrize(
    "loss", [first_spike_loss, lambda t, k: spike_time_mse(t, k, correct=1.0, wrong=2.0)]
)
def test_a_nan_time_is_no_silent_neuron(loss):
    assert np.isnan(loss(jnp.array([1.0, jnp.nan, 2.0]), jnp.array(0)))
    assert np.isnan(loss(jnp.array([jnp.nan, 1.0, 2.0]), jnp.array(0)))
