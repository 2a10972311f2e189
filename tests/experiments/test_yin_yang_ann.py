import dataclasses

import jax
import numpy as np
import pytest

from experiments._contract import NullJob
from experiments.yin_yang_ann import (
    CLAIMS,
    Config,
    figure,
    initial_networks,
    outputs,
    run,
    total_loss,
)
from plasticjax.data import yin_yang_split


class Killed(Exception):
    pass


class KilledJob(NullJob):
    """Keeps the last checkpoint and dies right after writing the one of step `last`."""

    def __init__(self, last=None, checkpoint=None):
        self.last = last
        self.checkpoint = checkpoint

    def save(self, step, state):
        self.checkpoint = step, jax.tree.map(np.asarray, state)
        if step == self.last:
            raise Killed

    def restore(self, like):
        if self.checkpoint is not None:
            jax.tree.map(lambda a, b: np.testing.assert_equal(a.shape, b.shape), like, self.state)
        return self.checkpoint

    @property
    def state(self):
        assert self.checkpoint is not None
        return self.checkpoint[1]


@pytest.fixture(scope="module")
def smoke():
    return run(Config.smoke(), key=jax.random.key(0), job=NullJob())


def test_the_gaps_of_the_paper_appear_at_smoke_size(smoke):
    trained, frozen, shallow = (curves[:, -1].mean() for curves in smoke)
    assert trained > frozen > shallow > 50


def test_the_claims_hold_at_smoke_size(smoke):
    for claim in CLAIMS:
        low, high = claim.accept["smoke"]
        assert low <= claim.measure(smoke).mean() <= high, claim.statement


def test_results_have_seeds_first(smoke):
    for curves in smoke:
        assert curves.shape == (Config.smoke().seeds, Config.smoke().epochs)
        assert len(np.unique(curves[:, -1])) > 1


def test_a_seed_does_not_depend_on_how_many_run_beside_it(smoke):
    config = dataclasses.replace(Config.smoke(), seeds=2, epochs=1)
    few = run(config, key=jax.random.key(0), job=NullJob())
    for some, all_seeds in zip(few, smoke, strict=True):
        np.testing.assert_allclose(some[:, 0], all_seeds[:2, 0], atol=0.5)


def test_a_killed_run_continues_to_the_identical_result(monkeypatch):
    monkeypatch.setattr("experiments.yin_yang_ann.SAVE_EVERY", 2)
    config = Config(seeds=2, epochs=5)
    key = jax.random.key(3)
    whole = run(config, key=key, job=NullJob())
    killed = KilledJob(last=4)
    with pytest.raises(Killed):
        run(config, key=key, job=killed)
    resumed = run(config, key=key, job=KilledJob(checkpoint=killed.checkpoint))
    for a, b in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_frozen_layer_is_the_initial_one(monkeypatch):
    job = KilledJob()
    config = Config(seeds=2, epochs=1)
    key = jax.random.key(4)
    run(config, key=key, job=job)
    for seed in range(config.seeds):
        seed_key = jax.random.fold_in(jax.random.fold_in(key, seed), 0)
        networks, hidden = initial_networks(seed_key, config.hidden, config.dtype)
        np.testing.assert_allclose(job.state.hidden.weight[seed], hidden.weight, rtol=1e-6)
        np.testing.assert_allclose(job.state.hidden.bias[seed], hidden.bias, rtol=1e-6)
        lower, _ = job.state.networks.trained
        assert np.abs(lower.weight[seed] - networks.trained[0].weight).max() > 0.01


def test_initial_weights_are_those_of_pytorch():
    networks, _ = initial_networks(jax.random.key(0), 1000, "float32")
    lower, upper = networks.trained
    for layer, pre in ((lower, 4), (upper, 1000), (networks.shallow, 4)):
        bound = pre**-0.5
        assert np.abs(layer.weight).max() <= bound
    np.testing.assert_allclose(lower.weight.std(), 0.5 / np.sqrt(3), rtol=0.05)
    np.testing.assert_allclose(lower.bias.std(), 0.5 / np.sqrt(3), rtol=0.05)


def test_loss_and_gradient_agree_with_numpy():
    with jax.enable_x64(True):
        networks, hidden = initial_networks(jax.random.key(1), 7, "float64")
        x, labels = (array[:20] for array in yin_yang_split("train"))
        gradient = jax.grad(total_loss)(networks, hidden, x, labels)
        logits = np.asarray(outputs(networks, hidden, x))
        loss = float(total_loss(networks, hidden, x, labels))
    chance = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    expected = -np.log(chance[:, np.arange(20), labels]).mean(axis=1)
    np.testing.assert_allclose(loss, expected.sum(), rtol=1e-12)

    error = (chance - np.eye(3)[labels]) / 20
    np.testing.assert_allclose(gradient.shallow.weight, error[2].T @ x, rtol=1e-10, atol=1e-15)
    lower, upper = networks.trained
    drive = x @ np.asarray(lower.weight).T + np.asarray(lower.bias)
    np.testing.assert_allclose(gradient.frozen.weight, error[1].T @ np.maximum(drive, 0))
    back = (error[0] @ np.asarray(upper.weight)) * (drive > 0)
    np.testing.assert_allclose(gradient.trained[0].weight, back.T @ x, rtol=1e-10, atol=1e-15)


def test_the_figure_has_the_three_splits_and_the_curves(smoke, tmp_path):
    fig = figure(smoke)
    *panels, curves = fig.axes
    assert [ax.get_title() for ax in panels] == ["train (5000)", "validation (1000)", "test (1000)"]
    assert len(curves.get_legend_handles_labels()[1]) == 3
    fig.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 0}, "seeds is 0"),
        ({"batch": 5001}, "batch is 5001"),
        ({"dtype": "float16"}, "dtype is 'float16'; valid: 'float32', 'float64'"),
    ],
)
def test_bad_configurations_are_refused(change, message):
    config = dataclasses.replace(Config.smoke(), **change)
    with pytest.raises(ValueError, match=message):
        run(config, key=jax.random.key(0), job=NullJob())


@pytest.mark.slow
def test_the_claims_hold_at_default_size():
    result = run(Config(), key=jax.random.key(0), job=NullJob())
    for claim in CLAIMS:
        low, high = claim.accept["default"]
        assert low <= claim.measure(result).mean() <= high, claim.statement
