"""Constants of rules, found by gradients or by an evolution strategy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plasticjax.evolution import (
    ADD,
    MUL,
    GenomeSpec,
    GradientSearch,
    MuPlusLambda,
    NaturalEvolutionSearch,
    Objective,
    Program,
    Search,
    clipped_descent,
    evolve,
    from_dna,
    parameter,
    parameters_of,
)

# The outputs of this genome are p * x + q.
SPEC = GenomeSpec(("x",), (ADD, MUL, parameter(1.0)), columns=4)
LINE = [-1, -3, -3, 2, 0, 0, 1, 0, 1, 2, 0, 0, 0, 2, 3, -2, 4, -3]
POINTS = jnp.linspace(-1, 1, 9)[None, :, None]
METHODS = {
    "gradient": GradientSearch(optimiser=clipped_descent(0.1), steps=20),
    "adam": GradientSearch(optimiser=optax.adam(0.1), steps=30),
    "natural evolution": NaturalEvolutionSearch(steps=40, spread=0.3),
}


def distance(rule, points, key):
    return -jnp.mean((rule(points)[:, 0] - (2.5 * points[:, 0] - 0.75)) ** 2)


def evolved(local_search, generations=12):
    search = Search(SPEC, MuPlusLambda(mu=1, lam=2, rate=0.01), local_search=local_search)
    return evolve(
        Objective(distance, SPEC, POINTS),
        search,
        key=jax.random.key(0),
        generations=generations,
        seeds=(from_dna(SPEC, LINE),),
        block=generations,
    )


@pytest.mark.parametrize("method", METHODS)
def test_constants_of_a_line_are_found(method):
    found = evolved(METHODS[method])
    assert np.all(np.diff(found.history.fitness[:, 0]) >= 0)
    assert found.fitness[0] > -1e-3
    numbers = parameters_of(SPEC, jax.tree.map(jnp.asarray, found.best))
    outputs = Program(jax.tree.map(jnp.asarray, found.best), SPEC)(jnp.array([[0.0], [1.0]]))
    np.testing.assert_allclose(outputs[:, 0], [-0.75, 1.75], atol=0.1)
    assert len(numbers) == 2


def test_without_local_search_constants_stay():
    found = evolved(None)
    assert found.fitness[0] < -1e-3


def test_what_is_learned_in_life_need_not_be_inherited():
    found = evolved(GradientSearch(optimiser=clipped_descent(0.1), steps=20, lamarckian=False), 2)
    outputs = Program(jax.tree.map(jnp.asarray, found.best), SPEC)(POINTS[0])
    own = -np.mean((np.asarray(outputs[:, 0]) - (2.5 * POINTS[0, :, 0] - 0.75)) ** 2)
    assert found.fitness[0] > own + 0.1


def test_a_step_into_the_undefined_is_not_taken():
    def edge(rule, points, key):
        value = distance(rule, points, key)
        return jnp.where(value > -1.0, jnp.nan, value)

    search = Search(SPEC, MuPlusLambda(lam=1, rate=1e-6), local_search=METHODS["gradient"])
    found = evolve(
        Objective(edge, SPEC, POINTS),
        search,
        key=jax.random.key(0),
        generations=3,
        seeds=(from_dna(SPEC, LINE),),
    )
    assert np.isfinite(found.fitness[0])
    assert found.fitness[0] <= -1.0


@pytest.mark.parametrize("count", [1, 2])
def test_only_the_best_are_improved(count):
    method = GradientSearch(optimiser=clipped_descent(0.1), steps=5, best=count)
    search = Search(SPEC, MuPlusLambda(mu=3, lam=3, rate=0.01), local_search=method)
    objective = Objective(distance, SPEC, POINTS)
    key = jax.random.key(1)
    state = search.init(key, seeds=(from_dna(SPEC, LINE),))
    state, _ = jax.jit(search.step)(state, key, (objective,))
    theta = np.asarray(state.parents.theta[0])
    improved = np.sum(np.any(theta != np.where(theta == 0, 0, 1), axis=(1, 2)))
    assert 1 <= improved <= count


def test_specs_without_constants_are_refused():
    spec = GenomeSpec(("x",), (ADD, MUL), columns=3)
    with pytest.raises(ValueError, match="specs without parameters"):
        Search(spec, MuPlusLambda(), local_search=GradientSearch())
