import jax
import numpy as np
import pytest

from experiments._contract import NullJob
from experiments.randman_scaling import CLAIMS, SERIES, Config, change, figure, run

from .judged import assert_claims_hold


@pytest.fixture(scope="module")
def smoke():
    return run(Config.smoke(), key=jax.random.key(0), job=NullJob())


def test_each_claim_has_a_number_for_each_seed(smoke):
    assert_claims_hold(CLAIMS, smoke, size="smoke", seeds=2)


def test_each_series_has_what_was_tried(smoke):
    for name in SERIES:
        values = getattr(smoke, name)
        assert values.shape == (len(smoke.tried[name]), 2)
        assert np.all((values >= 0) & (values <= 100))
    # The setting that all series share is one run.
    np.testing.assert_array_equal(smoke.dimensions[0], smoke.spikes[0])
    np.testing.assert_array_equal(smoke.dimensions[0], smoke.classes[0])
    found = smoke.dimensions[1] - smoke.dimensions[0]
    np.testing.assert_array_equal(change("dimensions", smoke), found)


def test_the_figure_shows_all_series(smoke):
    assert len(figure(smoke).axes) == len(SERIES)


@pytest.mark.slow
def test_the_claims_hold_at_default_size():
    result = run(Config(), key=jax.random.key(0), job=NullJob())
    assert_claims_hold(CLAIMS, result, size="default", seeds=3)
