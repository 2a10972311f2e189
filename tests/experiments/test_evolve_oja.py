"""evolve-oja: the task, known rules on it, and a short search."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments._contract import NullJob
from experiments._evolution import judge
from experiments._principal_component import FAMILIES, angle_fitness, learn, streams
from experiments.evolve_oja import CLAIMS, OJA, Config, figure, objective, run, specs
from tests.experiments.judged import assert_claims_hold


@pytest.mark.parametrize("family", FAMILIES)
def test_covariances_have_the_given_largest_entry_and_component(family, x64):
    key = jax.random.key(3)
    covariance = np.asarray(FAMILIES[family](key, 3, 2.0))
    np.testing.assert_allclose(covariance, covariance.T)
    assert np.abs(covariance).max() == pytest.approx(2.0)
    stream = streams(family, count=1, samples=200_000, inputs=2, key=key)
    values, vectors = np.linalg.eigh(np.cov(stream.samples[0].T))
    assert abs(vectors[:, -1] @ stream.component[0]) == pytest.approx(1, abs=1e-3)
    assert values[-1] > values[0]


def test_the_diagonal_is_the_component_of_positive_correlation():
    component = streams("positive", count=5, samples=1, key=jax.random.key(0)).component
    np.testing.assert_allclose(np.abs(component), np.sqrt(0.5), atol=1e-6)


def test_ojas_rule_finds_the_component_and_unit_length(x64):
    stream = jax.tree.map(
        lambda leaf: leaf[0], streams("general", count=1, samples=20_000, key=jax.random.key(5))
    )
    oja = lambda seen: (seen[..., 2] * (seen[..., 0] - seen[..., 2] * seen[..., 1]))[..., None]  # noqa: E731
    learned = learn(oja, stream, 0.005)
    assert np.linalg.norm(learned.weights[-2000:].mean(axis=0)) == pytest.approx(1, abs=0.05)
    assert learned.cosine[-2000:].mean() > 0.98
    np.testing.assert_allclose(learned.weights[0], stream.weights)


def test_fitness_is_mean_cosine_minus_the_penalty_of_the_last_weights(x64):
    stream = jax.tree.map(
        lambda leaf: leaf[0], streams("general", count=1, samples=50, key=jax.random.key(1))
    )
    hebb = lambda seen: (seen[..., 0] * seen[..., 2])[..., None]  # noqa: E731
    learned = learn(hebb, stream, 0.01)
    expected = learned.cosine.mean() - 2 * (jnp.linalg.norm(learned.weights[-1]) - 1) ** 2
    found = angle_fitness(hebb, stream, learning_rate=0.01, penalty=2.0)
    assert found == pytest.approx(float(expected), rel=1e-12)


def test_known_rules_rank_as_published_and_divergence_costs_only_itself(x64):
    config = Config()
    here = objective(config, specs(config)["general"], "general", jax.random.key(2))
    oja, nothing, hebb, cubic = judge(here, [OJA, "x - x", "x * y", "w * w * w * w"])
    assert 9.2 < oja < 10
    assert nothing < oja
    assert hebb < -1e10
    assert cubic == -np.inf or cubic < nothing


@pytest.mark.slow
def test_a_short_search_improves_on_no_learning(x64):
    result = run(Config.smoke(), key=jax.random.key(0), job=NullJob())
    history = result.general.history
    assert history.shape == (60, 4)
    assert np.all(np.diff(history, axis=0)[np.isfinite(history[:-1])] >= 0)
    assert history[-1].max() > float(result.general.nothing)
    assert len(figure(result).axes) == 4
    assert_claims_hold(CLAIMS, result, size="smoke", seeds=4)
