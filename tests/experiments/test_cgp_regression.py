"""cgp-regression: what counts as solved, and the statistics of the reference at full size."""

import jax
import numpy as np
import pytest

from experiments._contract import NullJob
from experiments._evolution import judge
from experiments.cgp_regression import (
    CLAIMS,
    TARGETS,
    Config,
    figure,
    objective,
    run,
    solved_at,
)
from tests.experiments.judged import assert_claims_hold

# Generations until the solved ones of 40 searches of hal-cgp were solved: quartiles (sheet 07, D1).
SOLVED = {"square": (59, 117, 299), "quotient": (191, 407, 534)}


def test_the_first_good_generation_counts_and_unsolved_searches_count_as_the_last():
    fitness = np.array([[-3.0, -1.0, -2.0], [-1e-11, -0.5, -2.0], [0.0, -0.0, np.nan]])
    np.testing.assert_array_equal(solved_at(fitness, 1e-10), [1, 2, 3])


@pytest.mark.parametrize(
    "target, formula",
    [("square", "(x0 + x1) * (x0 + x1)"), ("quotient", "1 + 1 / (x0 + x1)")],
)
def test_the_formula_behind_the_points_has_no_loss(target, formula, x64):
    config = Config(points=100)
    here = objective(config, target, jax.random.key(0))
    right, wrong = judge(here, [formula, "x0"])
    assert -1e-20 < right <= 0
    points, wanted = map(np.asarray, here.environments)
    assert float(wrong) == pytest.approx(-np.mean((points[0, :, 0] - wanted[0]) ** 2), rel=1e-12)
    assert set(TARGETS) == {"square", "quotient"}


@pytest.mark.slow
def test_searches_are_as_fast_as_those_of_the_reference(x64):
    config = Config()
    result = run(config, key=jax.random.key(0), job=NullJob())
    assert_claims_hold(CLAIMS[:-1], result, size="default", seeds=40)
    for target, (low, middle, high) in SOLVED.items():
        solved = solved_at(getattr(result, target), config.loss)
        median = np.median(solved[solved < config.generations])
        # The median of about 30 searches whose spread is that of the quartiles.
        assert abs(median - middle) < 3 * 1.25 * (high - low) / 1.35 / np.sqrt(30)
    assert len(figure(result).axes) == 3
