import jax
import numpy as np
import pytest

from experiments._contract import NullJob
from experiments._randman_networks import Numbers
from experiments.weight_scale import (
    CLAIMS,
    CONDITIONS,
    REGULARISERS,
    SCALES,
    Config,
    figure,
    over_scales,
    run,
)

from .judged import assert_claims_hold


def test_each_condition_starts_from_its_own_weights():
    smoke = run(Config.smoke(), key=jax.random.key(0), job=NullJob())
    assert smoke.accuracy.shape == (2, len(CONDITIONS), 2)
    assert all(np.isfinite(field).all() for field in smoke)
    # Without regularisation the mean square of the input still follows the first weights.
    assert np.all(np.diff(over_scales("second", "none", smoke)[1:], axis=0) > 0)


def made_up():
    accuracy = np.full((1, len(CONDITIONS), 2), 90.0)
    accuracy[0, 0] = 60  # no regularisation, the smallest weights
    accuracy[0, -1] = 88  # moments, the largest
    second = np.full(accuracy.shape, 0.03)
    second[0, -2] = 0.06
    return Numbers(accuracy, accuracy, second, second, second, np.ones((len(CONDITIONS), 2, 4)))


def test_claims_compare_scales():
    found = [np.asarray(claim.measure(made_up())) for claim in CLAIMS]
    np.testing.assert_allclose(found, [[2, 2], [28, 28], [2, 2]])


def test_the_figure_shows_all_scales_and_regularisers():
    accuracy = figure(made_up()).axes[0]
    np.testing.assert_array_equal(accuracy.lines[0].get_xdata(), SCALES)
    assert len(accuracy.get_legend().get_texts()) == 2 * len(REGULARISERS)


@pytest.mark.slow
def test_the_claims_hold_at_default_size():
    result = run(Config(), key=jax.random.key(0), job=NullJob())
    assert_claims_hold(CLAIMS, result, size="default", seeds=2)
