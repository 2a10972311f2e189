import jax
import numpy as np
import pytest

from experiments import bss2_homeostasis
from experiments._contract import NullJob
from experiments.bss2_homeostasis import CLAIMS, Config, figure, run
from plasticjax.hardware import emulate

from .judged import assert_claims_hold

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def smoke():
    return run(Config.smoke(), key=KEY, job=NullJob())


def test_the_claims_hold_at_smoke_size(smoke):
    assert_claims_hold(CLAIMS, smoke, size="smoke", seeds=2)


def test_updates_follow_the_counts(smoke):
    before = np.concatenate([np.zeros_like(smoke.weights[:, :1]), smoke.weights[:, :-1]], axis=1)
    expected = np.clip(before + np.sign(60 - smoke.counts), 0, 63)
    np.testing.assert_array_equal(smoke.weights, expected)
    assert np.all(smoke.weights[~np.broadcast_to(smoke.alive[:, None], smoke.weights.shape)] > 0)


def test_the_lowered_rule_is_the_sign_for_all_weights_and_counts():
    program = bss2_homeostasis.lowered_rule(60)
    weights, counts = np.arange(64), np.arange(256)
    raw = {"syn": np.tile(weights, (256, 1)), "post": counts}
    expected = np.clip(weights + np.sign(60 - counts)[:, None], 0, 63)
    np.testing.assert_array_equal(emulate(program)(raw)["syn"], expected)


def test_a_run_goes_on_where_it_was_killed(smoke):
    class Killed(NullJob):
        saved = None

        def save(self, step, state):
            self.saved = step, state
            if step == 3:
                raise KeyboardInterrupt

        def restore(self, like):
            return self.saved

    config = Config(seeds=1, columns=4, calls=6, calls_per_piece=3)
    whole = run(config, key=KEY, job=NullJob())
    job = Killed()
    with pytest.raises(KeyboardInterrupt):
        run(config, key=KEY, job=job)
    resumed = run(config, key=KEY, job=job)
    jax.tree.map(np.testing.assert_array_equal, resumed, whole)


def test_the_size_of_the_chip():
    paper = Config.paper()
    assert (paper.hemispheres * paper.columns, paper.dt, paper.calls) == (512, 0.1, 100)


def test_both_hemispheres_hear_one_source():
    events = bss2_homeostasis.one_source(Config.paper(), 1000.0, KEY)
    ticks, words = np.asarray(events.ticks), np.asarray(events.words)
    np.testing.assert_array_equal(ticks[words == 0], ticks[words == 4 << 11])


def test_the_figure_shows_rates_weights_and_their_histogram(smoke):
    assert [ax.get_xlabel() for ax in figure(smoke).axes] == [
        *["hardware time (ms)"] * 2,
        "final weight",
    ]


@pytest.mark.slow
def test_the_claims_hold():
    result = run(Config(), key=KEY, job=NullJob())
    assert_claims_hold(CLAIMS, result, size="default", seeds=2)
