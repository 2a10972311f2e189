import jax
import pytest

from experiments._contract import NullJob
from experiments.nla_volcano import CLAIMS, Config, figure, run
from tests.experiments.judged import assert_claims_hold


@pytest.fixture(scope="module")
def smoke():
    with jax.enable_x64(True):
        return run(Config.smoke(), key=jax.random.key(0), job=NullJob())


def test_the_claims_hold_at_smoke_size(smoke):
    assert_claims_hold(CLAIMS, smoke, size="smoke", seeds=Config.smoke().seeds)


def test_the_figure_is_drawn(smoke, tmp_path):
    figure(smoke).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_claims_hold_at_default_size():
    with jax.enable_x64(True):
        result = run(Config(), key=jax.random.key(0), job=NullJob())
    assert all("default" in claim.accept for claim in CLAIMS)
    assert_claims_hold(CLAIMS, result, size="default", seeds=Config().seeds)
