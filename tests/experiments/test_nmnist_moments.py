"""Moments against rates on the simulated camera: parts, a small run, and the claims (slow)."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import _camera_latency as latency
from experiments import _camera_membrane as membrane
from experiments import _camera_recordings as camera
from experiments import nmnist_moments
from experiments._contract import NullJob
from experiments.nmnist_moments import CLAIMS, Config, Result
from plasticjax.models import latency_gradient
from plasticjax.training import Batch

from .judged import assert_claims_hold

SMALL = Config(seeds=1, epochs=1, train_samples=8, test_samples=6, hidden=4, batch=4)


def bright_stripes(split):
    images = np.zeros((8, 28, 28), np.uint8)
    images[:, 4:24, 6:9] = 255
    return images, np.arange(8)


def made_up():
    rng = np.random.default_rng(0)
    accuracy = np.array([[[80.0, 81.0], [90.0, 92.0], [93.0, 93.0], [95.0, 96.0]]])
    rest = (rng.uniform(0.1, 1.0, (1, kinds, 2)) for kinds in (4, 3, 3))
    return Result(accuracy, *rest, rng.uniform(size=(5, 2312)))


def test_claims_are_differences_of_neighbours():
    found = [claim.measure(made_up()) for claim in CLAIMS]
    np.testing.assert_allclose(found[:4], made_up().accuracy[-1])
    np.testing.assert_allclose(found[4:], [[10, 11], [3, 1], [2, 3]])
    published = [claim.paper_value for claim in CLAIMS[4:]]
    np.testing.assert_allclose(published, [9.4, 0.4, 1.0])


def test_recordings_are_small_numbers_of_the_first_images(monkeypatch):
    monkeypatch.setattr(camera, "mnist", bright_stripes)
    rasters, labels = camera.recordings("train", 3, SMALL)
    assert rasters.shape == (3, 105, 2312) and rasters.dtype == jnp.uint8
    np.testing.assert_array_equal(labels, [0, 1, 2])
    np.testing.assert_array_equal(rasters[0], rasters[2])
    assert rasters[0].max() == 1 and rasters[0].sum() > 100


def test_every_sample_counts_once(monkeypatch):
    monkeypatch.setattr(camera, "CHUNK", 4)
    rasters = jnp.arange(6, dtype=jnp.uint8).reshape(6, 1, 1)
    seen = camera.Recordings(rasters, 10 * jnp.arange(6))

    def chunk(rasters, labels, real, number):
        return jnp.sum(jnp.where(real, rasters[:, 0, 0] + labels, 0))

    np.testing.assert_allclose(camera.mean_over_chunks(chunk, seen, "float32"), 11 * 2.5)


def small_batch():
    rasters = (jax.random.uniform(jax.random.key(1), (4, 40, 30)) < 0.1).astype("float32")
    return Batch(rasters, jnp.arange(4), jnp.ones(4, bool))


def test_conditions_have_gradients_of_their_own():
    network = membrane.initial(SMALL, 30, jax.random.key(0))
    kinds = nmnist_moments.kinds(SMALL).values()
    run = jax.jit(
        lambda batch: [
            membrane.gradient(SMALL, kind, network, batch).hidden[0].weights for kind in kinds
        ]
    )
    found = run(small_batch())
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(found[one] - found[other]).max() > 1e-6


def test_the_latency_classifier_follows_its_rule():
    weights = latency.initial(SMALL, 30, jax.random.key(0))
    weights = weights._replace(hidden=20 * weights.hidden)
    batch, key = small_batch(), jax.random.key(2)

    @jax.jit
    def both():
        net = latency.network(SMALL, weights)
        keys = jax.random.split(key, 4)
        each = jax.vmap(lambda x, y, k: latency_gradient(net, x, y, key=k))
        found = each(batch.inputs, batch.targets, keys)
        return latency.mean_change(SMALL, weights, batch, key)[0], found

    change, found = both()
    for one, other in ((change.hidden, found.hidden.weights), (change.readout, found.readout)):
        assert np.abs(other).max() > 0
        np.testing.assert_allclose(one, other.mean(axis=0), rtol=1e-4, atol=1e-5)


def test_silent_neurons_of_the_latency_classifier_are_woken():
    weights = latency.initial(SMALL, 30, jax.random.key(0))
    mute = jax.tree.map(lambda leaf: 1e-3 * leaf, weights)
    _, scaled = jax.jit(lambda *given: latency.mean_change(SMALL, *given))(
        mute, small_batch(), jax.random.key(2)
    )
    for weight, added in zip(mute, scaled, strict=True):
        np.testing.assert_allclose(added, SMALL.scaling * jnp.abs(weight), rtol=1e-5)


def test_a_figure_is_drawn(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nmnist_moments.figure(made_up()).savefig(tmp_path / "figure.png")


def test_sizes_are_checked():
    config = dataclasses.replace(SMALL, hidden=0)
    with pytest.raises(ValueError, match="hidden is 0"):
        nmnist_moments.run(config, key=jax.random.key(0), job=NullJob())


@pytest.mark.slow
def test_a_small_run(monkeypatch):
    monkeypatch.setattr(camera, "mnist", bright_stripes)
    result = nmnist_moments.run(SMALL, key=jax.random.key(0), job=NullJob())
    assert result.accuracy.shape == (1, 4, 1)
    assert all(np.all(np.isfinite(leaf)) for leaf in result)


@pytest.mark.slow
def test_the_order_holds_but_for_its_last_step():
    result = nmnist_moments.run(Config(), key=jax.random.key(0), job=NullJob())
    # Moments do not beat rates; see the documentation.
    assert_claims_hold(CLAIMS[:-1], result, size="default", seeds=2)
