"""Robustness of latent equilibrium at smoke size, on images made here."""

import warnings

import jax
import numpy as np
import pytest

from experiments import le_robustness
from experiments._contract import NullJob
from tests.experiments.judged import assert_claims_hold

KEY = jax.random.key(0)
CONFIG = le_robustness.Config.smoke()


def digits(split):
    """Ten thousand noisy images with a faint square whose rough place tells the class."""
    rng = np.random.default_rng(3)
    labels = rng.permutation(np.arange(10_000) % 10)
    images = rng.integers(0, 160, (10_000, 28, 28), dtype=np.uint8)
    for image, label, (down, right) in zip(
        images, labels, rng.integers(0, 4, (10_000, 2)), strict=True
    ):
        row, column = divmod(int(label), 4)
        image[8 * row + down :, 6 * column + right :][:6, :6] += 90
    return images, labels


@pytest.fixture(scope="module")
def smoke():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments._mnist_task.mnist", digits)
        return le_robustness.run(CONFIG, key=KEY, job=NullJob())


def test_every_condition_has_an_error(smoke):
    assert smoke.mismatch.shape == (1, 5, 2)
    assert smoke.noise.shape == (1, 2, 2)
    for errors in (smoke.mismatch, smoke.noise):
        assert np.all((errors >= 0) & (errors <= 100))
    for claim in le_robustness.CLAIMS:
        assert np.shape(claim.measure(smoke)) == (1,)


def test_equal_time_constants_do_not_feel_the_length_of_a_presentation(smoke):
    equal = smoke.mismatch[:, 0]
    np.testing.assert_allclose(equal[:, 0], equal[:, 1], atol=1.0)
    assert np.all(equal < 30)


def test_mismatch_hurts_where_errors_come_from_firing_voltages(smoke):
    firing = le_robustness.FIRING
    assert np.all(le_robustness.extra(firing, le_robustness.WIDE, smoke) > 10)
    assert np.all(le_robustness.extra(firing, le_robustness.REPAIRED, smoke) > 10)


def test_filters_need_presentations_longer_than_those_of_all_layers(smoke):
    short, long = (le_robustness.noise_error(-1, smoke, longest=longest) for longest in (0, 1))
    assert np.all(short > long + 10)


def test_the_figure_is_drawn_without_warnings(smoke, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        le_robustness.figure(smoke).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_the_published_table():
    paper = le_robustness.Config.paper()
    mismatch, noise = (
        each(paper) for each in (le_robustness.mismatch_protocols, le_robustness.noise_protocols)
    )
    steps = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]
    np.testing.assert_allclose([protocol.dt for protocol in mismatch], 5 * steps)
    assert {protocol.steps for protocol in mismatch} == {100}
    widths = [protocol.tau_width for protocol in mismatch[::10]]
    assert widths == [0, 0.2, 0.3, 0.01, 0.2]
    assert [protocol.homeostasis for protocol in mismatch[::10]] == [False] * 4 + [True]
    assert [protocol.errors_from for protocol in mismatch[::10]] == [
        *["membrane"] * 3,
        *["prospective"] * 2,
    ]
    filters = [(protocol.dt, protocol.synaptic_tau) for protocol in noise[::6]]
    assert filters == [(0.01, None), (0.01, 0.1), (0.05, None), (0.05, 0.5), (0.05, 2.0)]
    assert [protocol.steps for protocol in noise[:6]] == [20, 50, 100, 200, 500, 1000]
    assert {protocol.rate_noise for protocol in noise} == {0.2}


@pytest.mark.slow
def test_the_claims_hold():
    result = le_robustness.run(le_robustness.Config(), key=KEY, job=NullJob())
    assert_claims_hold(le_robustness.CLAIMS, result, size="default", seeds=2)
