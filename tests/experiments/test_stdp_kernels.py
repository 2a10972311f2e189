import jax
import numpy as np
import pytest

from experiments._contract import NullJob
from experiments.stdp_kernels import CLAIMS, Config, figure, run

from .judged import assert_claims_hold


@pytest.fixture(scope="module")
def smoke():
    return run(Config.smoke(), key=jax.random.key(0), job=NullJob())


def test_the_claims_hold(smoke):
    assert_claims_hold(CLAIMS, smoke, size="smoke", seeds=1)


def test_the_kernels_are_those_of_the_papers(smoke):
    lags = smoke.lags
    window = np.exp(-np.abs(lags) / 20)
    pair = np.where(lags == 0, 0, window * np.where(lags > 0, 0.005, -0.00525))
    np.testing.assert_allclose(smoke.pair, pair, atol=1e-12)
    np.testing.assert_allclose(smoke.reward, np.exp(-0.5) * np.stack([pair, -pair]), atol=1e-12)
    late = np.where(lags == 0, 0, window)
    np.testing.assert_allclose(smoke.inhibitory, 0.01 * (late - 0.12), atol=1e-12)
    assert not np.allclose(smoke.burst[0], smoke.burst[1])
    additive, multiplicative, van_rossum, _ = smoke.dependence
    inner = slice(1, -1)
    np.testing.assert_allclose(additive[1, inner], 0.005, rtol=1e-6)
    np.testing.assert_allclose(multiplicative[1], 0.005 * (1 - smoke.weights), atol=1e-9)
    np.testing.assert_allclose(van_rossum[0], -0.00525 * smoke.weights, atol=1e-9)
    above = np.maximum(smoke.clamps + 70.6, 0)
    clamped = above * (8e-5 * np.maximum(smoke.clamps + 45.3, 0) - 14e-5)
    np.testing.assert_allclose(smoke.clamped, clamped, rtol=0.03, atol=2e-4)


def test_the_figure_has_a_panel_for_every_rule(smoke):
    titles = [ax.get_title() for ax in figure(smoke).axes]
    assert len(titles) == 8 and all(titles)
