"""The update of first-spike networks against an independent implementation in NumPy."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import lambertw

from plasticjax.models import FirstSpikeNetwork
from plasticjax.neurons import CurrentLIF
from plasticjax.training import (
    Batch,
    FirstSpikeUpdate,
    chopped_sum,
    first_spike_loss,
    step_schedule,
)

KEY = jax.random.key(0)
NEURON = CurrentLIF()


def forward(weights, times, sample_key, batch_key):
    return FirstSpikeNetwork(weights, NEURON, bias_times=((0.9,), (0.9,)))(times)


@eqx.filter_jit
def apply(update, state, batch):
    return update(state, batch, KEY)


# -- the published update, written with loops --


def _layer(weights, times):
    """Spikes [post] and their derivatives by weights and by times [post, pre]."""
    spikes = np.full(len(weights), np.inf)
    by_weight, by_time = np.zeros_like(weights), np.zeros_like(weights)
    order = [i for i in np.argsort(times, kind="stable") if np.isfinite(times[i])]
    for j, row in enumerate(weights):
        for k in range(1, len(order) + 1):
            causal = order[:k]
            w, t = row[causal], times[causal]
            a, b = np.sum(w * np.exp(t)), np.sum(w * t * np.exp(t))
            if a <= 0:
                continue
            z = -np.exp(b / a) / a
            if z < -1 / np.e:
                continue
            root = lambertw(z).real
            spike = b / a - root
            following = times[order[k]] if k < len(order) else np.inf
            if t[-1] <= spike <= following:
                spikes[j] = spike
                factor = -np.exp(t) / (a * (1 + root))
                by_weight[j, causal] = factor * (spike - t)
                by_time[j, causal] = factor * w * (spike - t - 1)
                break
    return spikes, by_weight, by_time


class Reference:
    """Adam with chopped gradients, state included."""

    def __init__(self, weights, rate, chop):
        self.weights, self.rate, self.chop = [w.copy() for w in weights], rate, chop
        self.m = [np.zeros_like(w) for w in weights]
        self.v = [np.zeros_like(w) for w in weights]
        self.steps = self.dropped = 0

    def step(self, inputs, labels):
        gradients = [np.zeros_like(w) for w in self.weights]
        loss = 0.0
        for times, label in zip(inputs, labels, strict=True):
            below = np.append(times, 0.9)
            hidden, hidden_by_weight, _ = _layer(self.weights[0], below)
            out, out_by_weight, out_by_time = _layer(self.weights[1], np.append(hidden, 0.9))
            if np.isinf(out[label]):
                loss += 100 / len(labels)
                continue
            own = out[label]
            p = np.exp(-(out - own) / 0.2)
            loss += (np.log(p.sum()) + 0.005 * np.exp(own)) / len(labels)
            error = -p / p.sum() / 0.2
            error[label] += 1 / 0.2 + 0.005 * np.exp(own)
            error /= len(labels)
            below_error = (error @ out_by_time)[: len(hidden)]
            for k, (delta, by_weight) in enumerate(
                [(below_error, hidden_by_weight), (error, out_by_weight)]
            ):
                sample = delta[:, None] * by_weight
                keep = np.max(np.abs(sample), axis=1) <= self.chop
                self.dropped += np.sum(~keep)
                gradients[k] += np.where(keep[:, None], sample, 0)
        self.steps += 1
        for k, g in enumerate(gradients):
            self.m[k] = 0.9 * self.m[k] + 0.1 * g
            self.v[k] = 0.999 * self.v[k] + 0.001 * g**2
            m = self.m[k] / (1 - 0.9**self.steps)
            v = self.v[k] / (1 - 0.999**self.steps)
            self.weights[k] = self.weights[k] - self.rate * m / (np.sqrt(v) + 1e-8)
        return loss


def _problem(seed=0, batch=6):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(1.4, 1.0, (7, 5)), rng.normal(0.8, 0.8, (3, 8))]
    inputs = 0.15 + 1.85 * rng.random((batch, 4))
    inputs[1, 2] = np.inf
    return weights, inputs, rng.integers(0, 3, batch)


def _state(update, weights):
    return update.init(tuple(jnp.asarray(w) for w in weights))


def test_three_steps_equal_the_independent_implementation(x64):
    weights, inputs, labels = _problem()
    update = FirstSpikeUpdate(forward, optax_constant(0.01), (1.0, 1.0), chop=0.05)
    reference, state = Reference(weights, 0.01, 0.05), _state(update, weights)
    batch = Batch(jnp.asarray(inputs), jnp.asarray(labels), jnp.ones(len(labels), bool))
    for _ in range(3):
        loss = reference.step(inputs, labels)
        state, metrics = apply(update, state, batch)
        assert not metrics.bumped
        np.testing.assert_allclose(metrics.loss, loss, rtol=1e-10)
        for found, expected in zip(state.weights, reference.weights, strict=True):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    assert 0 < reference.dropped < 3 * 6 * 10  # the chop has been at work
    assert state.bumped_layer == -1


def optax_constant(rate):
    return step_schedule(rate, every=1000, factor=0.5)


def test_the_last_batch_uses_its_own_count(x64):
    weights, inputs, labels = _problem(1)
    update = FirstSpikeUpdate(forward, optax_constant(0.01), (1.0, 1.0))
    state = _state(update, weights)
    real = jnp.arange(6) < 4
    filled, filled_metrics = apply(
        update, state, Batch(jnp.asarray(inputs), jnp.asarray(labels), real)
    )
    short, short_metrics = apply(
        update, state, Batch(jnp.asarray(inputs[:4]), jnp.asarray(labels[:4]), real[:4])
    )
    for a, b in zip(filled.weights, short.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(filled_metrics.loss, short_metrics.loss, rtol=1e-12)
    np.testing.assert_allclose(filled_metrics.accuracy, short_metrics.accuracy)
    np.testing.assert_allclose(filled_metrics.silent, short_metrics.silent)
    reference = Reference(weights, 0.01, 0.2)
    reference.step(inputs[:4], labels[:4])
    for a, b in zip(filled.weights, reference.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)


def test_metrics(x64):
    weights, inputs, labels = _problem()
    update = FirstSpikeUpdate(forward, optax_constant(0.01), (1.0, 1.0))
    batch = Batch(jnp.asarray(inputs), jnp.asarray(labels), jnp.ones(6, bool))
    _, metrics = apply(update, _state(update, weights), batch)
    hits, silent = 0, np.zeros(2)
    for times, label in zip(inputs, labels, strict=True):
        hidden = _layer(weights[0], np.append(times, 0.9))[0]
        out = _layer(weights[1], np.append(hidden, 0.9))[0]
        hits += np.isfinite(out.min()) and np.argmin(out) == label
        silent += np.mean(np.isinf(hidden)), np.mean(np.isinf(out))
    np.testing.assert_allclose(metrics.accuracy, hits / 6)
    np.testing.assert_allclose(metrics.silent, silent / 6)


# The rules of bumping do not depend on what computes the spikes. Here the inputs are the spikes
# of two layers of three and two neurons, which the weights can shift.


def shown(weights, spikes, sample_key, batch_key):
    shifts = [0.1 * jnp.sum(w, axis=1) for w in weights]
    return spikes[:3] + shifts[0], spikes[3:] + shifts[1]


BUMPING = FirstSpikeUpdate(shown, optax_constant(0.01), (0.3, 0.25), bump=0.125, chop=10.0)
SHOWN_WEIGHTS = (np.full((3, 4), 0.5), np.full((2, 3), 0.25))
SPIKES = np.array([[1.0, 2.0, 3.0, 1.0, 1.2], [1.1, 2.1, 3.1, 1.3, 1.0]])


def _show(state, silent, real=(True, True)):
    spikes = SPIKES.copy()
    for sample, neuron in silent:
        spikes[sample, neuron] = np.inf
    batch = Batch(jnp.asarray(spikes), jnp.array([0, 1]), jnp.array(real))
    return apply(BUMPING, state, batch)


def test_a_bump_reaches_all_inputs_of_the_silent_neurons_of_one_layer(x64):
    state = _state(BUMPING, SHOWN_WEIGHTS)
    # Two of six in the first layer, one of four in the second: 1/3 > 0.3, 1/4 is not above.
    new, metrics = _show(state, [(0, 0), (1, 2), (1, 3)])
    assert metrics.bumped and new.bumped_layer == 0 and new.bump == 0.125
    np.testing.assert_allclose(metrics.silent, [1 / 3, 1 / 4])
    expected = np.array([0.625, 0.5, 0.625])[:, None] * np.ones((3, 4))
    np.testing.assert_array_equal(new.weights[0], expected)
    np.testing.assert_array_equal(new.weights[1], SHOWN_WEIGHTS[1])


def test_the_first_layer_in_need_comes_first(x64):
    state = _state(BUMPING, SHOWN_WEIGHTS)
    new, _ = _show(state, [(0, 0), (1, 0), (0, 3), (1, 3)])
    assert new.bumped_layer == 0
    np.testing.assert_array_equal(new.weights[1], SHOWN_WEIGHTS[1])
    new, _ = _show(state, [(0, 0), (0, 3), (1, 3)])
    assert new.bumped_layer == 1
    np.testing.assert_array_equal(new.weights[0], SHOWN_WEIGHTS[0])
    np.testing.assert_array_equal(new.weights[1], [[0.375] * 3, [0.25] * 3])


def test_samples_that_do_not_count_do_not_bump(x64):
    state = _state(BUMPING, SHOWN_WEIGHTS)
    new, metrics = _show(state, [(1, 0), (1, 1), (1, 2), (1, 3), (1, 4)], real=(True, False))
    assert not metrics.bumped and new.bumped_layer == -1
    np.testing.assert_array_equal(metrics.silent, 0)
    # One of three neurons of the one real sample; the neurons silent in the other stay.
    new, metrics = _show(state, [(0, 1), (1, 0), (1, 2)], real=(True, False))
    assert metrics.bumped
    np.testing.assert_array_equal(new.weights[0][:, 0], [0.5, 0.625, 0.5])


def test_bumps_double_in_succession_and_start_again(x64):
    first_layer, second_layer = [(0, 0), (1, 0)], [(0, 3), (1, 3)]
    state = _state(BUMPING, SHOWN_WEIGHTS)
    sizes = []
    for silent in (first_layer, first_layer, first_layer, [], first_layer, first_layer,
                   second_layer, second_layer, first_layer):  # fmt: skip
        before = state
        state, metrics = _show(before, silent)
        assert metrics.bumped == bool(silent)
        if silent:
            layer = 0 if silent is first_layer else 1
            sizes.append(float(state.weights[layer][0, 0] - before.weights[layer][0, 0]))
            assert state.bump == pytest.approx(sizes[-1])
            jax.tree.map(np.testing.assert_array_equal, state.optimizer, before.optimizer)
    np.testing.assert_allclose(sizes, [0.125, 0.25, 0.5, 0.125, 0.25, 0.125, 0.25, 0.125])


def test_moments_of_adam_ignore_bumped_batches(x64):
    state = _state(BUMPING, SHOWN_WEIGHTS)
    state, _ = _show(state, [])
    assert np.any(state.optimizer.mu[1] != 0) and state.optimizer.count == 1
    bumped, _ = _show(state, [(0, 0), (1, 0)])
    jax.tree.map(np.testing.assert_array_equal, bumped.optimizer, state.optimizer)
    learned, _ = _show(bumped, [])
    assert learned.optimizer.count == 2 and learned.bumped_layer == -1


def test_a_network_of_zero_weights_reaches_spiking(x64):
    update = FirstSpikeUpdate(forward, optax_constant(0.005), (0.3, 0.0))
    _, inputs, labels = _problem(2, batch=8)
    inputs[1, 2] = 1.0
    batch = Batch(jnp.asarray(inputs), jnp.asarray(labels), jnp.ones(8, bool))
    state = _state(update, [np.zeros((7, 5)), np.zeros((3, 8))])
    layers = []
    for _ in range(40):
        state, metrics = apply(update, state, batch)
        if not metrics.bumped:
            break
        layers.append(int(state.bumped_layer))
    assert not metrics.bumped
    assert layers == sorted(layers) and set(layers) == {0, 1}
    assert len(layers) < 30
    assert metrics.silent[0] <= 0.3 and metrics.silent[1] == 0


def test_weights_are_clipped_after_steps_and_bumps(x64):
    limited = eqx.tree_at(lambda u: u.weight_limit, BUMPING, 0.51)
    state = limited.init(tuple(jnp.asarray(w) for w in SHOWN_WEIGHTS))
    spikes = SPIKES.copy()
    spikes[:, 0] = np.inf
    labels, real = jnp.array([0, 1]), jnp.ones(2, bool)
    new, metrics = apply(limited, state, Batch(jnp.asarray(spikes), labels, real))
    assert metrics.bumped
    np.testing.assert_array_equal(new.weights[0][0], 0.51)
    tight = eqx.tree_at(lambda u: u.weight_limit, BUMPING, 0.2)
    new, metrics = apply(tight, state, Batch(jnp.asarray(SPIKES), labels, real))
    assert not metrics.bumped
    for leaf in new.weights:
        assert np.max(np.abs(leaf)) <= 0.2


def test_the_learning_rate_follows_the_epoch(x64):
    update = FirstSpikeUpdate(shown, step_schedule(0.1, every=2, factor=0.5), (1.0, 1.0), chop=10.0)
    batch = Batch(jnp.asarray(SPIKES), jnp.array([0, 1]), jnp.ones(2, bool))
    for epoch, rate in ((0, 0.1), (1, 0.1), (2, 0.05), (4, 0.025)):
        state = _state(update, SHOWN_WEIGHTS)._replace(epoch=jnp.array(epoch, jnp.int32))
        new, _ = apply(update, state, batch)
        # The first step of Adam has the size of the rate.
        np.testing.assert_allclose(np.abs(new.weights[1] - 0.25), rate, rtol=1e-5)
        assert new.epoch == epoch


def test_step_schedule():
    schedule = step_schedule(0.005, every=20, factor=0.95)
    for epoch, rate in ((0, 0.005), (19, 0.005), (20, 0.00475), (299, 0.005 * 0.95**14)):
        np.testing.assert_allclose(schedule(epoch), rate, rtol=1e-6)


def test_noise_has_a_key_for_each_sample_and_one_for_the_batch(x64):
    def noisy(weights, spikes, sample_key, batch_key):
        layers = shown(weights, spikes, sample_key, batch_key)
        return layers[0], layers[1] + jnp.array(
            [jax.random.uniform(sample_key), jax.random.uniform(batch_key)]
        )

    def loss(times, label):
        return times[label]

    update = FirstSpikeUpdate(noisy, optax_constant(0.01), (1.0, 1.0), loss=loss)
    batch = Batch(jnp.asarray(SPIKES), jnp.array([0, 1]), jnp.ones(2, bool))
    _, metrics = apply(update, _state(update, SHOWN_WEIGHTS), batch)
    own, common = jax.random.uniform(jax.random.fold_in(KEY, 0)), jax.random.uniform(KEY)
    expected = (SPIKES[0, 3] + own + SPIKES[1, 4] + common) / 2 + 0.075
    np.testing.assert_allclose(metrics.loss, expected, rtol=1e-12)
    samples = [jax.random.uniform(jax.random.fold_in(KEY, k)) for k in range(2)]
    _, metrics = apply(
        update, _state(update, SHOWN_WEIGHTS), batch._replace(targets=jnp.zeros(2, int))
    )
    expected = np.mean(SPIKES[:, 3]) + np.mean(samples) + 0.075
    np.testing.assert_allclose(metrics.loss, expected, rtol=1e-12)


@pytest.mark.parametrize("limit", [0.5, np.inf])
def test_chopped_sum(limit):
    gradients = np.array(
        [
            [[0.1, -0.6], [0.5, 0.5]],
            [[0.2, 0.3], [np.nan, 0.1]],
            [[0.1, 0.1], [0.2, -0.5]],
            [[9.0, 9.0], [9.0, 9.0]],
        ],
        np.float32,
    )
    real = jnp.array([True, True, True, False])
    expected = [[0.3, 0.4], [0.7, 0.0]] if limit == 0.5 else [[0.4, -0.2], [0.7, 0.0]]
    np.testing.assert_allclose(
        chopped_sum(jnp.asarray(gradients), real, limit), expected, rtol=1e-6, atol=1e-7
    )


def test_states_of_many_seeds_are_a_vmap(x64):
    _, inputs, labels = _problem()
    update = FirstSpikeUpdate(
        forward, optax_constant(0.01), (0.3, 0.0), loss=partial(first_spike_loss, xi=0.3)
    )
    batch = Batch(jnp.asarray(inputs), jnp.asarray(labels), jnp.ones(6, bool))
    # Some of these networks are bumped, others learn.
    states = [_state(update, _problem(seed)[0]) for seed in range(4)]
    states.append(_state(update, [np.zeros((7, 5)), np.zeros((3, 8))]))
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    together = eqx.filter_jit(eqx.filter_vmap(lambda state: update(state, batch, KEY)))
    new, metrics = together(stacked)
    assert len(set(np.asarray(metrics.bumped))) == 2
    for k, state in enumerate(states):
        alone, _ = apply(update, state, batch)
        for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a[k], b, rtol=1e-10, atol=1e-12)
