import jax
import numpy as np
import pytest

from experiments._contract import NullJob
from experiments.gradient_cosine import CLAIMS, RULES, TIMES, Config, figure, run

from .judged import assert_claims_hold


class StoppedError(Exception):
    pass


class KilledJob(NullJob):
    """Stops after two networks and goes on from there the next time."""

    def __init__(self):
        self.stored = None

    def save(self, step, state):
        self.stored = step, state
        if step == 2:
            raise StoppedError

    def restore(self, like):
        return self.stored


@pytest.fixture(scope="module")
def smoke():
    with jax.enable_x64(True):
        return run(Config.smoke(), key=jax.random.key(0), job=NullJob())


def test_the_claims_hold_at_smoke_size(smoke):
    assert_claims_hold(CLAIMS, smoke, size="smoke", seeds=2)


def test_all_cosines_are_numbers_but_for_recurrent_superspike(smoke):
    assert smoke.cosine.shape == (3, len(TIMES), len(RULES), 2)
    known = np.isfinite(smoke.cosine)
    assert not known[-1, :, RULES.index("SuperSpike")].any()
    assert known.sum() == known.size - 2 * len(TIMES)
    assert np.all(np.abs(smoke.cosine[known]) < 1 + 1e-12)
    assert np.all(smoke.spikes > 0)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_result(smoke, x64):
    job = KilledJob()
    with pytest.raises(StoppedError):
        run(Config.smoke(), key=jax.random.key(0), job=job)
    again = run(Config.smoke(), key=jax.random.key(0), job=job)
    np.testing.assert_array_equal(again.cosine, smoke.cosine)


def test_the_figure_shows_both_times(smoke):
    assert [ax.get_title() for ax in figure(smoke).axes] == list(TIMES)


def test_too_large_a_batch_is_refused():
    with pytest.raises(ValueError, match="batch is 100; there are 30 samples"):
        run(Config(classes=3, samples=10, batch=100), key=jax.random.key(0), job=NullJob())


@pytest.mark.slow
def test_the_claims_hold_at_default_size(x64):
    result = run(Config(), key=jax.random.key(0), job=NullJob())
    assert_claims_hold(CLAIMS, result, size="default", seeds=3)
