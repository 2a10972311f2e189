import jax
import pytest

from experiments._contract import NullJob
from experiments.nla_presentation_time import CLAIMS, Config, figure, run
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


def test_looking_ahead_learns_what_is_shown_for_a_time_constant(smoke):
    ahead, slow = smoke.accuracy[0, :, smoke.presentations.index(1.0), -1]
    assert ahead > 0.6 > 0.3 > slow


def test_unknown_images_are_refused():
    with pytest.raises(ValueError, match="images is 'letters'; valid: 'digits', 'mnist'"):
        run(Config(images="letters"), key=jax.random.key(0), job=NullJob())
