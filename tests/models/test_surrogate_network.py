"""Layers on a time grid with surrogate derivatives, against NumPy and their invariants."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.models import LeakyReadout, SurrogateLayer, surrogate_network
from plasticjax.neurons import (
    ArctanSurrogate,
    FastSigmoidSurrogate,
    GaussianSurrogate,
    SigmoidSurrogate,
    TriangleSurrogate,
    surrogate_spike,
)

KEY = jax.random.key(0)


def spikes_of(key, steps, units, rate=0.1):
    return jax.random.bernoulli(key, rate, (steps, units)).astype(jnp.result_type(float))


def by_hand(layer, spikes):
    """The order of the sheet, one step after the other."""
    alpha, beta = np.exp(-layer.dt / layer.tau_syn), np.exp(-layer.dt / layer.tau_mem)
    weights = np.asarray(layer.weights)
    post = len(weights)
    between = np.zeros((post, post)) if layer.recurrent is None else np.asarray(layer.recurrent)
    current, voltage, before = np.zeros((3, post))
    traces = []
    for arriving in np.asarray(spikes):
        fired = (voltage > 1).astype(float)
        traces.append((voltage, current, fired))
        gain = 1 - beta if layer.normalised else 1.0
        voltage, current = (
            (beta * voltage + gain * current) * (1 - fired),
            alpha * current + weights @ arriving + between @ before,
        )
        before = fired
    return [np.stack(x) for x in zip(*traces, strict=True)]


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("normalised", [False, True])
def test_a_layer_follows_the_published_order(x64, recurrent, normalised):
    keys = jax.random.split(KEY, 3)
    weights = jax.random.normal(keys[0], (6, 9)) * (3.0 if normalised else 0.4)
    between = 0.3 * jax.random.normal(keys[1], (6, 6)) if recurrent else None
    layer = SurrogateLayer(weights, between, 12.0, 4.0, normalised=normalised)
    spikes = spikes_of(keys[2], 120, 9)
    trace = layer(spikes)
    assert 10 < trace.spikes.sum() < 600
    for found, expected in zip(trace, by_hand(layer, spikes), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_readout_is_a_double_exponential(x64):
    readout = LeakyReadout(jnp.array([[2.0]]), 10.0, 5.0)
    found = readout(jnp.zeros((40, 1)).at[3].set(1.0))
    alpha, beta = np.exp(-1 / 5), np.exp(-1 / 10)
    after = np.arange(41) - 5
    expected = np.where(after >= 0, 2 * (beta ** (after + 1) - alpha ** (after + 1)), 0)
    np.testing.assert_allclose(found[:, 0], expected / (beta - alpha), atol=1e-13)


@pytest.mark.parametrize(
    "surrogate",
    [
        FastSigmoidSurrogate(7.0),
        SigmoidSurrogate(7.0),
        TriangleSurrogate(0.7, 0.3),
        GaussianSurrogate(7.0),
        ArctanSurrogate(7.0),
    ],
)
def test_a_surrogate_is_the_derivative_of_a_spike_and_nothing_else(x64, surrogate):
    margin = (jnp.arange(41) - 20) / 10
    spikes, slopes = jax.jvp(
        partial(surrogate_spike, surrogate=surrogate), (margin,), (jnp.ones(41),)
    )
    np.testing.assert_array_equal(spikes, np.asarray(margin) > 0)
    np.testing.assert_array_equal(slopes, surrogate(margin))
    assert float(slopes[20]) == (0.3 if isinstance(surrogate, TriangleSurrogate) else 1.0)
    np.testing.assert_allclose(slopes[:20], slopes[:20:-1], atol=1e-15)
    assert bool(jnp.all(jnp.diff(slopes)[20:] <= 0))


def test_the_surrogate_does_not_alter_the_spikes():
    keys = jax.random.split(KEY)
    narrow, wide = (
        surrogate_network((20, 30, 30, 4), key=keys[0], surrogate=FastSigmoidSurrogate(s))
        for s in (10.0, 100.0)
    )
    spikes = spikes_of(keys[1], 100, 20).astype(jnp.float32)
    for one, other in zip(
        jax.tree.leaves(narrow(spikes)), jax.tree.leaves(wide(spikes)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("recurrent", [False, True])
def test_checkpoints_do_not_alter_the_gradient(x64, recurrent):
    keys = jax.random.split(KEY)
    network = surrogate_network(
        (8, 12, 3), key=keys[0], recurrent=recurrent, scale=2.0, dtype="float64"
    )
    spikes = spikes_of(keys[1], 60, 8)

    def loss(network, chunk):
        return jnp.sum(network(spikes, chunk=chunk).readout ** 2)

    plain = eqx.filter_grad(partial(loss, chunk=None))(network)
    chunked = eqx.filter_grad(partial(loss, chunk=10))(network)
    assert float(jnp.abs(plain.hidden[0].weights).max()) > 0
    for one, other in zip(jax.tree.leaves(plain), jax.tree.leaves(chunked), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_gradients_flow_through_the_reset_only_if_attached(x64):
    spikes = jnp.ones((12, 1))

    def late_voltage(weight, attached):
        layer = SurrogateLayer(weight[None, None], attached_reset=attached)
        return layer(spikes).voltage[-1, 0]

    detached, attached = (jax.grad(late_voltage)(jnp.asarray(0.4), flag) for flag in (False, True))
    assert detached != attached


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: SurrogateLayer(jnp.ones((2, 3)), dt=0.0), "dt=0.0"),
        (lambda: SurrogateLayer(jnp.ones((2, 3)))(jnp.ones((5, 2))), "pre = 3"),
        (lambda: SurrogateLayer(jnp.ones((2, 3)))(jnp.ones((5, 3)), chunk=2), "chunk=2"),
        (lambda: surrogate_network((4, 3), key=KEY), r"sizes is \(4, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        change()
