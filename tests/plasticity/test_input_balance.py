"""The rule that balances the input of a neuron, online and against its penalty."""

import jax
import jax.numpy as jnp
import numpy as np

from plasticjax.plasticity import InputBalance, InputStatistics, LowPass, increment, over_synapses
from plasticjax.training import input_moments, moment_penalty

KEY = jax.random.key(4)


def test_it_is_the_derivative_of_the_penalty_by_the_input(x64):
    """Of one neuron, step by step; the moments are those of all steps."""
    current = 0.5 * jax.random.normal(KEY, (3, 20, 1)) + 0.2
    strength = jnp.array([0.1, 0.2, 0.3])
    exact = jax.grad(moment_penalty)(current, target=0.4, strength=strength)
    rule = InputBalance(0.4, *strength, eta=0.5)
    seen = InputStatistics(current, *input_moments(current))
    np.testing.assert_allclose(rule.imbalance(seen) / current.size, exact, rtol=1e-12)
    one = jax.tree.map(lambda leaf: leaf.reshape(-1)[0], seen)
    change = rule(jnp.asarray(1.0), jnp.asarray(3.0), one)
    np.testing.assert_allclose(change, -0.5 * 3.0 * current.size * exact[0, 0, 0], rtol=1e-12)


def test_inputs_that_meet_the_targets_change_nothing(x64):
    seen = InputStatistics(jnp.array([-0.3, 0.0, 2.0]), 0.0, 0.25, 0.0)
    np.testing.assert_array_equal(InputBalance(0.25).imbalance(seen), 0)


def test_online_it_reaches_the_targets_from_weak_and_strong_weights(x64):
    """Running means in place of moments over a batch, Poisson input of 30 synapses."""
    target, steps, fade = 0.03, 40_000, np.exp(-1 / 5)
    weights = jnp.array([0.02, 0.15])[:, None] * jax.random.normal(KEY, (2, 30))
    spikes = jax.random.bernoulli(KEY, 0.1, (steps, 30)).astype(float)
    filtered = lambda trace, spikes: (fade * trace + spikes,) * 2  # noqa: E731
    _, traces = jax.lax.scan(filtered, jnp.zeros(30), spikes)
    update = over_synapses(increment(InputBalance(target, eta=1.5e-4)))
    mean = LowPass(2000.0)

    def step(carry, traces):
        weights, moments = carry
        current = weights @ traces
        moments = tuple(
            mean.follow(moment, current**k, 1.0) for k, moment in enumerate(moments, start=1)
        )
        return (update(weights, traces, InputStatistics(current, *moments), None), moments), current

    begin = weights, (jnp.zeros(2), jnp.full(2, target), jnp.zeros(2))
    before = input_moments((traces @ weights.T)[None])
    assert float(before.second[0]) < 0.5 * target and float(before.second[1]) > 2 * target
    after = input_moments(jax.lax.scan(step, begin, traces)[1][None, steps // 2 :])
    np.testing.assert_allclose(after.second, target, rtol=0.1)
    np.testing.assert_allclose(after.first / target**0.5, 0, atol=0.05)
    np.testing.assert_allclose(after.third / target**1.5, 0, atol=0.2)
