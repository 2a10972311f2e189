"""Moments of the input and rates as penalties: closed forms, invariances, what descent reaches."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plasticjax.models import SurrogateLayer, surrogate_network
from plasticjax.neurons import FastSigmoidSurrogate
from plasticjax.training import input_moments, moment_gradient, moment_penalty, rate_penalty

KEY = jax.random.key(2)
STRENGTH = jnp.array([0.1, 0.2, 0.3])


def traces_and_weights():
    keys = jax.random.split(KEY)
    traces = jax.random.exponential(keys[0], (6, 30, 7))
    return traces, 0.3 * jax.random.normal(keys[1], (5, 7))


def test_the_local_rule_is_the_gradient(x64):
    traces, weights = traces_and_weights()

    def penalty(weights):
        return moment_penalty(traces @ weights.T, target=0.4, strength=STRENGTH)

    found = moment_gradient(traces @ weights.T, traces, target=0.4, strength=STRENGTH)
    np.testing.assert_allclose(found, jax.grad(penalty)(weights), rtol=1e-12)
    step = 1e-6 * jax.random.normal(KEY, weights.shape)
    difference = penalty(weights + step) - penalty(weights - step)
    np.testing.assert_allclose(2 * jnp.sum(found * step), difference, rtol=1e-6)


def test_units_and_signs_do_not_matter(x64):
    traces, weights = traces_and_weights()
    current = traces @ weights.T
    penalty = moment_penalty(current, target=0.4, strength=STRENGTH)
    assert float(penalty) > 0
    for changed in (
        moment_penalty(current / 3, target=0.4 / 9, strength=STRENGTH),
        moment_penalty(-current, target=0.4, strength=STRENGTH),
    ):
        np.testing.assert_allclose(changed, penalty, rtol=1e-12)


def test_it_is_zero_where_all_targets_are_met(x64):
    current = jnp.tile(jnp.array([1.0, -1.0]), 10).reshape(1, 20, 1) * 0.5
    assert float(moment_penalty(current, target=0.25)) == 0
    np.testing.assert_allclose(jnp.stack(input_moments(current))[:, 0], [0, 0.25, 0], atol=1e-15)


def test_descent_reaches_the_targets(x64):
    scale = jnp.array([0.02, 0.05, 0.1, 0.15])[:, None]
    weights = scale * jax.random.normal(KEY, (4, 40))
    spikes = jax.random.bernoulli(KEY, 0.05, (10, 100, 40)).astype(float)
    optimiser = optax.adam(0.01)

    def penalty(weights):
        current = jax.vmap(SurrogateLayer(weights))(spikes).current
        return moment_penalty(current, target=0.03), input_moments(current)

    @jax.jit
    def descend(carry, _):
        weights, state = carry
        gradient, moments = jax.grad(penalty, has_aux=True)(weights)
        change, state = optimiser.update(gradient, state)
        return (weights + change, state), moments

    begin = weights, optimiser.init(weights)
    _, moments = jax.lax.scan(descend, begin, None, length=600)
    assert float(moments.second[0, 0]) < 0.01 and float(moments.second[0, -1]) > 0.1
    np.testing.assert_allclose(moments.second[-1], 0.03, rtol=0.1)
    np.testing.assert_allclose(moments.first[-1] / 0.03**0.5, 0, atol=0.05)
    np.testing.assert_allclose(moments.third[-1] / 0.03**1.5, 0, atol=0.2)


def test_rates_cost_by_unit_from_below_and_by_sample_from_above(x64):
    counts = jnp.array([[0.0, 2.0, 4.0], [0.0, 2.0, 8.0]])
    lower = rate_penalty(counts, lower=3.0, lower_strength=2.0)
    np.testing.assert_allclose(lower, 2 * (9 + 1 + 0) / 3)
    upper = rate_penalty(counts, upper=2.5, upper_strength=3.0, power=2)
    np.testing.assert_allclose(upper, 3 * (0 + (10 / 3 - 2.5) ** 2) / 2)


def test_the_gradient_of_rates_vanishes_with_the_surrogate(x64):
    spikes = jax.random.bernoulli(KEY, 0.1, (4, 50, 12)).astype(float)

    def gradient(scale, strength):
        network = surrogate_network(
            (12, 9, 3), key=KEY, dtype="float64", surrogate=FastSigmoidSurrogate(scale)
        )

        def penalty(weights):
            counts = jax.vmap(SurrogateLayer(weights, surrogate=network.hidden[0].surrogate))
            return rate_penalty(counts(spikes).spikes.sum(1), upper_strength=strength)

        return jax.grad(penalty)(network.hidden[0].weights)

    np.testing.assert_allclose(gradient(100.0, 2.0), 2 * gradient(100.0, 1.0))
    assert float(jnp.abs(gradient(1e9, 1.0)).max()) < 1e-12


@pytest.mark.parametrize("extra", [50, 100])
def test_silence_at_the_end_changes_moments_by_the_share_of_time(x64, extra):
    layer = SurrogateLayer(jax.random.normal(KEY, (4, 8)))
    spikes = jnp.zeros((200, 8)).at[:50].set(jax.random.bernoulli(KEY, 0.1, (50, 8)))
    short, long = (
        input_moments(layer(jnp.pad(spikes, ((0, pad), (0, 0)))).current[None])
        for pad in (0, extra)
    )
    for one, other in zip(short, long, strict=True):
        np.testing.assert_allclose(other * (200 + extra) / 200, one, rtol=1e-10)
