"""SuperSpike against backpropagation through time of the van Rossum distance."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.models import SurrogateLayer, superspike_gradient
from plasticjax.neurons import FastSigmoidSurrogate
from plasticjax.simulate import double_exponential
from plasticjax.training import van_rossum_loss

KEY = jax.random.key(5)


def case(sizes=(10, 6)):
    keys = jax.random.split(KEY, len(sizes) + 1)
    layers = tuple(
        SurrogateLayer(
            0.5 * jax.random.normal(key, (post, pre)), surrogate=FastSigmoidSurrogate(5.0)
        )
        for key, pre, post in zip(keys[2:], sizes[:-1], sizes[1:], strict=True)
    )
    spikes = jax.random.bernoulli(keys[0], 0.1, (70, sizes[0])).astype(float)
    targets = jax.random.bernoulli(keys[1], 0.05, (70, sizes[-1])).astype(float)
    return layers, spikes, targets


def bptt(layers, spikes, targets):
    def loss(layers):
        seen = spikes
        for layer in layers:
            seen = layer(seen).spikes
        return van_rossum_loss(seen, targets)

    return eqx.filter_grad(loss)(layers)


def cosine(one, other):
    return float(jnp.vdot(one, other) / jnp.linalg.norm(one) / jnp.linalg.norm(other))


def test_one_layer_has_the_gradient_of_backpropagation(x64):
    given = case()
    (found,), (exact,) = superspike_gradient(*given), bptt(*given)
    assert float(jnp.abs(exact.weights).max()) > 0
    np.testing.assert_allclose(found.weights, exact.weights, rtol=1e-11, atol=1e-15)


def test_the_rule_is_its_formula(x64):
    (layer,), spikes, targets = case()
    trace = layer(spikes)
    lag = np.arange(70)[:, None] - np.arange(70)
    alpha = np.where(lag > 0, (np.exp(-lag / 10) - np.exp(-lag / 5)) / 5, 0)
    beta, fast = np.exp(-1 / 10), np.exp(-1 / 5)
    response = np.where(lag > 1, (beta ** (lag - 1) - fast ** (lag - 1)) / (beta - fast), 0)
    slope = np.asarray(layer.surrogate(trace.voltage - 1))
    eligible = slope[:, :, None] * (response @ np.asarray(spikes))[:, None, :]
    error = alpha @ (np.asarray(targets) - np.asarray(trace.spikes))
    expected = -np.einsum("tj,tjl->jl", error, np.einsum("ts,sjl->tjl", alpha, eligible))
    (found,) = superspike_gradient((layer,), spikes, targets, gated=False)
    np.testing.assert_allclose(found.weights, expected, rtol=1e-10, atol=1e-14)


def test_feedback_replaces_the_weights_above(x64):
    layers, spikes, targets = case((10, 12, 6))
    exact = bptt(layers, spikes, targets)
    symmetric = superspike_gradient(layers, spikes, targets)
    again = superspike_gradient(layers, spikes, targets, feedback=[layers[1].weights.T])
    np.testing.assert_allclose(symmetric[0].weights, again[0].weights)
    np.testing.assert_allclose(symmetric[1].weights, exact[1].weights, rtol=1e-10, atol=1e-14)
    assert 0.1 < cosine(symmetric[0].weights, exact[0].weights) < 0.9999
    uniform = superspike_gradient(layers, spikes, targets, feedback=[jnp.ones((12, 6))])
    np.testing.assert_allclose(uniform[1].weights, symmetric[1].weights)
    assert not np.allclose(uniform[0].weights, symmetric[0].weights)


def test_trains_that_are_met_teach_nothing(x64):
    (layer,), spikes, _ = case()
    reached = layer(spikes).spikes
    (found,) = superspike_gradient((layer,), spikes, reached)
    np.testing.assert_array_equal(found.weights, 0)
    assert float(van_rossum_loss(reached, reached)) == 0


def test_the_filter_has_unit_integral_and_its_kernel(x64):
    found = double_exponential(jnp.zeros(4000).at[0].set(1.0), rise=2.0, decay=9.0, dt=0.05)
    s = 0.05 * np.arange(4000)
    np.testing.assert_allclose(found, (np.exp(-s / 9) - np.exp(-s / 2)) / 7, atol=1e-13)
    np.testing.assert_allclose(0.05 * found.sum(), 1, atol=1e-3)


def test_what_does_not_fit_is_refused():
    layers, spikes, targets = case((10, 12, 6))
    cases = [
        (lambda: superspike_gradient(layers, spikes, targets[:, :3]), "targets has shape"),
        (lambda: superspike_gradient(layers, spikes, targets, feedback=[]), "feedback has shapes"),
        (lambda: double_exponential(spikes, rise=5.0, decay=5.0), "must be positive and differ"),
        (lambda: double_exponential(spikes, dt=0.0), "dt=0.0 must be positive"),
    ]
    recurrent = eqx.tree_at(
        lambda x: x[0].recurrent, layers, jnp.zeros((12, 12)), is_leaf=lambda x: x is None
    )
    cases.append((lambda: superspike_gradient(recurrent, spikes, targets), "recurrent layer"))
    for change, message in cases:
        with pytest.raises(ValueError, match=message):
            change()
