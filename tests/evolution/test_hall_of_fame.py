"""Halls of fame: every program once, the best first, and the front of fitness against size."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.evolution import (
    GenomeSpec,
    MuPlusLambda,
    Objective,
    Search,
    canonical_key,
    complexity,
    evolve,
    hall_of_fame,
)
from tests.evolution.search_spaces import ARITHMETIC

SPEC = GenomeSpec(("a", "b"), ARITHMETIC, columns=8)
POINTS = jax.random.uniform(jax.random.key(3), (1, 20, 2), minval=-4, maxval=4)


def distance(rule, points, key):
    wanted = points[:, 0] ** 2 + points[:, 0] * points[:, 1] + points[:, 1]
    return -jnp.mean((rule(points)[:, 0] - wanted) ** 2)


OBJECTIVE = Objective(distance, SPEC, POINTS)


@pytest.fixture(scope="module")
def searches():
    strategy = MuPlusLambda(mu=6, lam=6, rate=0.1, tournament=2, pareto=True)
    run = partial(evolve, OBJECTIVE, Search(SPEC, strategy), generations=60, islands=2)
    return [run(key=jax.random.key(seed)) for seed in (1, 2)]


def test_programs_are_listed_once_with_their_own_fitness_and_size(searches):
    famous = hall_of_fame(SPEC, *searches, entries=12)
    assert len(famous) == 12
    keys = {tuple(np.asarray(canonical_key(SPEC, one.individual)).tolist()) for one in famous}
    assert len(keys) == len(famous)
    genomes = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[one.individual for one in famous])
    again = OBJECTIVE.evaluate(genomes, jnp.broadcast_to(jax.random.key(0), len(famous)))
    np.testing.assert_allclose([one.fitness for one in famous], again, rtol=1e-5)
    assert [one.size for one in famous] == [int(complexity(SPEC, one.individual)) for one in famous]


def test_the_best_comes_first_and_is_the_best_of_all_searches(searches):
    famous = hall_of_fame(SPEC, *searches)
    fitness = [one.fitness for one in famous]
    assert fitness == sorted(fitness, reverse=True)
    assert fitness[0] == max(float(np.nanmax(one.history.fitness)) for one in searches)
    first = famous[0]
    shown = searches[first.search].history.fitness[first.generation, first.island]
    assert float(shown) == first.fitness


def test_the_front_grows_in_size_and_fitness_and_nothing_beats_it(searches):
    front = hall_of_fame(SPEC, *searches, entries=100, per_size=True)
    everyone = hall_of_fame(SPEC, *searches, entries=100_000)
    assert len(front) > 2
    for small, large in pairwise(front):
        assert small.size < large.size and small.fitness < large.fitness
    for one in everyone:
        assert any(kept.size <= one.size and kept.fitness >= one.fitness for kept in front)


def test_bad_arguments_are_named(searches):
    with pytest.raises(ValueError, match="searches must be at least one"):
        hall_of_fame(SPEC)
    with pytest.raises(ValueError, match="entries must be at least 1, got 0"):
        hall_of_fame(SPEC, searches[0], entries=0)
