from dataclasses import replace

import jax
import numpy as np
import pytest

from experiments._contract import NullJob
from experiments.nla_motor import CLAIMS, Config, figure, initial_weights, rates_of, run


@pytest.fixture(scope="module")
def result():
    return run(Config.smoke(), key=jax.random.key(0), job=NullJob())


def test_unseen_channels_are_filled_in_better_after_learning(result):
    assert result.synthetic
    assert np.all(result.train[:, -1] < result.train[:, 0])
    assert np.all(result.held_out[:, -1] < result.held_out[:, 0])


def test_the_force_stays_small_while_targets_move(result):
    assert np.all(result.force < 0.05)
    assert np.all(result.force > 0)


def test_the_figure_says_that_the_channels_are_synthetic(result):
    assert "synthetic" in figure(result).get_suptitle()


def test_every_claim_gives_a_number_per_seed(result):
    for claim in CLAIMS:
        assert np.shape(claim.measure(result)) == (2,)


def test_no_neuron_projects_to_itself():
    config = Config.smoke()
    theta = initial_weights(config, jax.random.key(1))
    assert np.all(np.diag(theta.weight) == 0)
    assert np.all(np.diag(rates_of(config, theta).weight) == 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_from_test": 20}, "hidden_from_test=20 must lie between 1 and 19"),
        ({"duration": 50}, "duration=50 must exceed 100 ms"),
    ],
)
def test_bad_configurations_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        run(replace(Config.smoke(), **change), key=jax.random.key(0), job=NullJob())
