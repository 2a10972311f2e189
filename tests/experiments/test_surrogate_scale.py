import jax
import numpy as np
import pytest

from experiments._contract import NullJob
from experiments.surrogate_scale import CLAIMS, SCALES, Config, figure, run

from .judged import assert_claims_hold


@pytest.fixture(scope="module")
def smoke():
    return run(Config.smoke(), key=jax.random.key(0), job=NullJob())


def test_the_claims_hold_at_smoke_size(smoke):
    assert_claims_hold(CLAIMS, smoke, size="smoke", seeds=2)


def test_each_scale_learns_its_own_network(smoke):
    assert smoke.accuracy.shape == (2, len(SCALES), 2)
    assert np.isfinite(smoke.second).all()
    assert len(np.unique(smoke.second[-1, :, 0])) == len(SCALES)


def test_the_figure_shows_all_scales(smoke):
    accuracy = figure(smoke).axes[0]
    np.testing.assert_array_equal(accuracy.lines[0].get_xdata(), SCALES)


@pytest.mark.slow
def test_the_claims_hold_at_default_size():
    result = run(Config(), key=jax.random.key(0), job=NullJob())
    assert_claims_hold(CLAIMS, result, size="default", seeds=3)
