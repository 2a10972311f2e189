import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments._contract import NullJob
from experiments._evolution import judge, known_rules
from experiments._rate_classifier import accuracy, classify, draw, potentials, samples_of, train
from experiments.evolve_yin_yang import (
    BY_HAND,
    CLAIMS,
    DELTA,
    FROZEN,
    Config,
    figure,
    first_pair,
    objective,
    run,
    spaces,
    starts_of,
)
from plasticjax.evolution import Program

from .judged import assert_claims_hold

SPECS = spaces(4)


def pair(hidden, output):
    genomes = jax.tree.map(lambda leaf: leaf[0], known_rules(SPECS, [(hidden, output)]))
    return tuple(Program(one, spec) for one, spec in zip(genomes, SPECS, strict=True))


def start(steps, **options):
    settings = {"hidden": 6, "batch": 5, "size": 5000, "feedback": "random", **options}
    return draw(jax.random.key(0), steps=steps, **settings)


def test_known_rules_through_the_output_weights_descend_the_cross_entropy(x64):
    samples = samples_of("train", jnp.float64)
    one = start(1)
    one = one._replace(feedback=one.network.output.T)
    chosen = one.order[0]

    def loss(network):
        output = potentials(network, samples.features[chosen])[1]
        return optax.softmax_cross_entropy_with_integer_labels(
            output, samples.labels[chosen]
        ).mean()

    gradient = jax.grad(loss)(one.network)
    found = train(pair(BY_HAND, DELTA), one, samples, hidden_rate=0.5, output_rate=2.0)
    change = jax.tree.map(lambda new, old: new - old, found, one.network)
    np.testing.assert_allclose(change.hidden, -0.5 * gradient.hidden, atol=1e-12)
    np.testing.assert_allclose(change.output, -2.0 * gradient.output, atol=1e-12)
    assert np.abs(gradient.hidden).max() > 1e-3


def test_a_frozen_layer_stays_and_a_broadcast_is_the_same_for_all():
    samples = samples_of("train", jnp.float32)
    one = start(20, feedback="broadcast")
    assert np.ptp(one.feedback, axis=0).max() == 0 and np.ptp(one.feedback[0]) > 0
    found = train(pair(FROZEN, DELTA), one, samples, hidden_rate=0.5, output_rate=0.3)
    np.testing.assert_array_equal(found.hidden, one.network.hidden)
    assert np.abs(found.output - one.network.output).max() > 0.01


def test_accuracy_counts_right_answers_and_sees_dead_networks():
    samples = samples_of("test", jnp.float32)
    network = start(1).network
    right = classify(network, samples.features) == samples.labels
    np.testing.assert_allclose(accuracy(network, samples), 100 * np.mean(right), rtol=1e-6)
    dead = network._replace(hidden=network.hidden.at[0, 0].set(jnp.inf))
    assert np.isnan(accuracy(dead, samples))


def test_pairs_that_diverge_cost_only_themselves():
    config = Config(nodes=4, samples=200, networks=2, batch=5)
    here = objective(config, starts_of(config, jax.random.key(0), 2), "validation")
    good = [(FROZEN, DELTA), (BY_HAND, DELTA)]
    dead = [("x / (u - u)", DELTA), (FROZEN, "e / (x - x)"), ("u * u * u * u", DELTA)]
    together = judge(here, [*dead, *good])
    np.testing.assert_array_equal(together[3:], judge(here, good))
    assert np.all(np.isneginf(together[:3])) and np.all(together[3:] > 30)


def test_the_search_starts_without_a_hidden_rule():
    genomes = first_pair(SPECS, jax.random.key(1))
    rules = [Program(one, spec) for one, spec in zip(genomes, SPECS, strict=True)]
    seen = jax.random.normal(jax.random.key(2), (50, 4))
    np.testing.assert_array_equal(rules[0](seen), 0)
    output = seen[:, :3]
    np.testing.assert_allclose(rules[1](output)[:, 0], output[:, 0] * output[:, 2])


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="samples is 5; at least one minibatch of 10"):
        run(Config(samples=5), key=jax.random.key(0), job=NullJob())
    with pytest.raises(ValueError, match="feedback is 'own'; valid: 'random', 'broadcast'"):
        run(Config(feedback="own"), key=jax.random.key(0), job=NullJob())


def test_the_whole_path_runs():
    config = Config.smoke()
    result = run(config, key=jax.random.key(0), job=NullJob())
    assert_claims_hold(CLAIMS, result, size="smoke", seeds=config.seeds)
    assert np.all(result.history[-1] >= result.start)
    assert len(figure(result).axes) == 4


@pytest.mark.slow
def test_the_claims_hold():
    result = run(Config(), key=jax.random.key(0), job=NullJob())
    assert_claims_hold(CLAIMS, result, size="default", seeds=Config().seeds)
