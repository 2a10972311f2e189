import jax
import numpy as np
import pytest

from experiments._contract import NullJob
from experiments.nla_volcano import CLAIMS, Config, figure, run


@pytest.fixture(scope="module")
def smoke():
    with jax.enable_x64(True):
        return run(Config.smoke(), key=jax.random.key(0), job=NullJob())


def test_the_claims_hold_at_smoke_size(smoke):
    for claim in CLAIMS:
        values = np.asarray(claim.measure(smoke))
        assert values.shape == (Config.smoke().seeds,)
        low, high = claim.accept.get("smoke", (-np.inf, np.inf))
        assert low <= values.mean() <= high, claim.statement


def test_the_figure_is_drawn(smoke, tmp_path):
    figure(smoke).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_claims_hold_at_default_size():
    with jax.enable_x64(True):
        result = run(Config(), key=jax.random.key(0), job=NullJob())
    for claim in CLAIMS:
        low, high = claim.accept["default"]
        assert low <= np.mean(claim.measure(result)) <= high, claim.statement
