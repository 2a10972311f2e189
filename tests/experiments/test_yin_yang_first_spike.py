import dataclasses
import json
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments._contract import NullJob
from experiments._first_spikes import learning_loss
from experiments.yin_yang_first_spike import (
    CLAIMS,
    EXAMPLES,
    Config,
    figure,
    plane,
    run,
)
from plasticjax.data import yin_yang_class
from plasticjax.training import FirstSpikeMetrics

ROOT = Path(__file__).parents[2]
TINY = dataclasses.replace(Config.smoke(), hidden=40, epochs=6, batch=100)


class Killed(Exception):
    pass


class MemoryJob(NullJob):
    """Keeps the last checkpoint in memory and dies right after writing the one of step `last`."""

    def __init__(self, last=None, checkpoint=None):
        self.last = last
        self.checkpoint = checkpoint
        self.steps = []

    def save(self, step, state):
        self.steps.append(step)
        self.checkpoint = step, jax.tree.map(np.array, state)
        if step == self.last:
            raise Killed

    def restore(self, like):
        return self.checkpoint


@pytest.fixture(scope="module")
def tiny():
    job = MemoryJob()
    with jax.enable_x64(True):
        return run(TINY, key=jax.random.key(0), job=job), job


def test_learning_happens(tiny):
    result, _ = tiny
    accuracy = result.history.validation.accuracy
    assert np.all(accuracy[:, 0] < 0.6)
    assert np.all(accuracy[:, -1] > 0.7)
    assert np.all(accuracy[:, -1] > accuracy[:, 0] + 0.15)
    assert np.all(result.test.accuracy > 0.7)
    assert np.all(result.history.loss[:, -1] < 0.75 * result.history.loss[:, 0])


def test_the_correct_label_neuron_becomes_earlier_than_the_others(tiny):
    result, _ = tiny
    times = result.history.validation.time_mean
    own = np.diagonal(times, axis1=2, axis2=3)
    others = (times.sum(axis=3) - own) / 2
    assert np.all(np.abs(others[:, 0] - own[:, 0]) < 0.1)
    assert np.all(others[:, -1] - own[:, -1] > 0.2)


def test_results_have_seeds_first_and_are_double(tiny):
    result, _ = tiny
    for leaf in jax.tree.leaves(result):
        assert leaf.shape[0] == TINY.seeds
        assert leaf.dtype in (np.float64, np.float32) and not np.any(np.isnan(leaf))
    assert result.trained_weights[0].dtype == np.float64
    assert not np.array_equal(*result.trained_weights[0])


def test_traces_meet_the_threshold_at_the_spikes(tiny):
    result, _ = tiny
    at = np.linspace(0, 3.0, result.traces.shape[3])
    spikes = result.spikes[0]
    for when, sample, neuron in np.argwhere(spikes < 3.0):
        trace = result.traces[0, when, sample, :, neuron]
        before = at < spikes[when, sample, neuron]
        assert np.all(trace[before] <= 1.0)
        assert np.argmin(before) == np.argmax(trace > 1.0)


def test_the_classes_of_the_map_are_those_of_the_disc(tiny):
    result, _ = tiny
    truth = yin_yang_class(plane())
    inside = result.class_map[0] >= 0
    np.testing.assert_allclose(inside.mean(), np.pi / 4, atol=0.01)
    assert np.mean(result.class_map[0][inside] == truth[inside]) > 0.65
    np.testing.assert_array_equal(yin_yang_class(np.array(EXAMPLES)), [0, 1, 2])


def test_a_killed_run_continues_to_the_identical_result(tiny):
    whole, job = tiny
    assert job.steps == [1, 2, 3, 4, 5]
    killed = MemoryJob(last=4)
    with jax.enable_x64(True):
        with pytest.raises(Killed):
            run(TINY, key=jax.random.key(0), job=killed)
        resumed = run(TINY, key=jax.random.key(0), job=MemoryJob(checkpoint=killed.checkpoint))
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_figure_is_drawn_without_warnings(tiny, tmp_path):
    result, _ = tiny
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fig = figure(result)
        fig.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 20_000
    titles = [ax.get_title() for ax in fig.axes]
    assert titles[0] == "before training, a point in yin"
    assert titles[8] == "validation samples of dot"
    assert all(ax.get_xlabel() and (ax.get_ylabel() or k % 3) for k, ax in enumerate(fig.axes))
    assert len(fig.legends[0].get_texts()) == 5


def test_the_loss_of_a_learning_epoch_leaves_out_bumps():
    loss, bumped = np.array([1.0, 5.0, 3.0]), np.array([False, True, False])

    def metrics(bumped):
        return FirstSpikeMetrics(*map(jax.numpy.asarray, (loss, loss, loss[:, None], bumped)))

    np.testing.assert_allclose(learning_loss(metrics(bumped)), 2.0)
    np.testing.assert_allclose(learning_loss(metrics(np.ones(3, bool))), 3.0)


def _start(out, *arguments):
    command = [sys.executable, "-m", "experiments", "run", "yin-yang-first-spike"]
    small = ["--set", "epochs=30", "--set", "hidden=20", "--seeds", "2"]
    return subprocess.Popen(
        [*command, *small, "--out", str(out), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _metrics(out):
    (path,) = out.glob("yin-yang-first-spike/*/metrics.json")
    return json.loads(path.read_text())


@pytest.mark.slow
def test_kill_and_resume_of_the_command_give_the_result_of_one_run(tmp_path):
    killed = _start(tmp_path / "killed")
    deadline = time.monotonic() + 300
    while not list((tmp_path / "killed").glob("*/*/checkpoints/5")):
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not list((tmp_path / "killed").rglob("metrics.json"))
    resumed, whole = _start(tmp_path / "killed", "--resume"), _start(tmp_path / "whole")
    output, _ = resumed.communicate()
    assert resumed.returncode == 0, output
    output, _ = whole.communicate()
    assert whole.returncode == 0, output
    one, other = _metrics(tmp_path / "whole"), _metrics(tmp_path / "killed")
    assert one["resumed_from"] is None and other["resumed_from"] in range(5, 30, 5)
    assert one["claims"] == other["claims"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "config"), [("smoke", Config.smoke()), ("default", Config())], ids=["smoke", "default"]
)
def test_the_claims_hold(size, config):
    with jax.enable_x64(True):
        result = run(config, key=jax.random.key(0), job=NullJob())
    for claim in CLAIMS:
        if size in claim.accept:
            low, high = claim.accept[size]
            assert low <= np.mean(claim.measure(result)) <= high, claim.statement
