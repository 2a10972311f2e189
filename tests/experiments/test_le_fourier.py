import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments._contract import NullJob
from experiments.le_fourier import CLAIMS, Config, figure, run, stimulus

SMOKE = Config.smoke()


@pytest.fixture(scope="module")
def smoke():
    return run(SMOKE, key=jax.random.key(0), job=NullJob())


def test_the_claims_hold_at_smoke_size(smoke):
    for claim in CLAIMS:
        values = np.asarray(claim.measure(smoke))
        assert values.shape == (SMOKE.seeds,)
        low, high = claim.accept["smoke"]
        assert low <= values.mean() <= high, claim.statement


def test_the_sawtooth_is_learnt_and_kept_without_nudging(smoke):
    assert np.all(smoke.block_error[..., -8:].max(-1) < 0.2 * smoke.block_error[..., 0])


def test_inputs_are_sines_of_multiples_of_10_hz_and_the_target_a_sawtooth():
    config = dataclasses.replace(SMOKE, dtype="float32")
    for index in (0, 37, 5_003, 11_999):
        t = index * config.dt
        x = stimulus(config, jnp.asarray(index))
        expected = np.sin(2 * np.pi * np.arange(1, 51) * t / 100)
        np.testing.assert_allclose(x.input, expected, atol=2e-4)
        np.testing.assert_allclose(x.target, [2 * (t / 50 % 1) - 1], atol=1e-5)
        np.testing.assert_allclose(x.beta, 0.1 if t < 400 else 0.0)


def test_nudging_away_from_the_target_costs_only_at_first(smoke):
    towards, away = smoke.block_error.mean(axis=1)
    assert smoke.gammas == (1.0, -1.0)
    assert away[0] > 1.1 * towards[0]
    assert away[-1] < 0.02


def test_a_sign_that_was_left_out_is_not_judged():
    config = dataclasses.replace(SMOKE, gammas=(1.0,), seeds=1)
    result = run(config, key=jax.random.key(0), job=NullJob())
    assert [claim.measure(result) is None for claim in CLAIMS] == [True, True, True, False]


def test_the_figure_is_drawn_without_warnings(smoke, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure(smoke).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
