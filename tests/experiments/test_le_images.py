"""The convolutional experiments at smoke size, on images made here."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import le_cifar10, le_mnist_conv
from experiments._contract import NullJob
from experiments._image_networks import backpropagate, outputs, random_split
from experiments._latent_equilibrium import Protocol, _Run
from plasticjax.models import convolutional_layers

KEY = jax.random.key(0)


def blobs(side, channels, count):
    """A bright square whose place tells the class."""
    rng = np.random.default_rng(3)
    labels = rng.permutation(np.arange(count) % 10)
    images = rng.integers(0, 60, (count, side, side, channels), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 4)
        image[3 + 8 * row : 9 + 8 * row, 1 + 6 * column : 7 + 6 * column] = 250
    return images, labels


@pytest.fixture(scope="module")
def results():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(le_cifar10, "cifar10", lambda split: blobs(32, 3, 300))

        def digits(split):
            images, labels = blobs(28, 1, 200)
            return images[..., 0], labels

        patch.setattr(le_mnist_conv, "mnist", digits)
        return {
            module: module.run(module.Config.smoke(), key=KEY, job=NullJob())
            for module in (le_cifar10, le_mnist_conv)
        }


@pytest.mark.parametrize("module", [le_cifar10, le_mnist_conv])
def test_results_have_one_number_a_seed_and_a_figure(module, results, tmp_path):
    for claim in module.CLAIMS:
        values = np.asarray(claim.measure(results[module]))
        assert values.shape == (1,)
        assert np.all(np.isfinite(values))
    assert results[module].latent_equilibrium.validation.shape == (1, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module.figure(results[module]).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5_000


def test_splits_are_disjoint_and_follow_the_key():
    images = np.arange(12, dtype=np.uint8).reshape(12, 1, 1, 1) * np.ones((1, 2, 3, 1), np.uint8)
    task = random_split(images, np.arange(12) % 10, (6, 3, 2), key=KEY, dtype="float32")
    seen = [np.asarray(255 * split.inputs[:, 0, 0, 0]).round().astype(int) for split in task]
    assert [len(part) for part in seen] == [6, 3, 2]
    assert len(set(np.concatenate(seen))) == 11
    assert task.train.inputs.shape == (6, 1, 2, 3)
    for part, split in zip(seen, task, strict=True):
        np.testing.assert_array_equal(split.labels, part % 10)
    with pytest.raises(ValueError, match=r"sizes=\(6, 3, 4\) must not add up to more than the 12"):
        random_split(images, np.arange(12) % 10, (6, 3, 4), key=KEY, dtype="float32")


def small(key):
    return convolutional_layers((1, 8, 8), (3,), (5, 10), kernel=3, width=0.3, dtype=float, key=key)


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def test_weakly_nudged_latent_equilibrium_moves_weights_as_backpropagation_does(x64):
    images, labels = blobs(32, 1, 20)
    task = random_split(images[:, ::4, ::4], labels, (10, 5, 5), key=KEY, dtype="float64")
    task = task._replace(validation=task.train, test=task.train)
    protocol = Protocol(
        tau_m=10.0, dt=0.1, steps=400, batch=10, beta=0.01, learning_rate=1.0, factors=(1.0,) * 3
    )
    run = _Run(protocol, small, task)
    begin = run.begin(KEY[None])
    after = run.learn(jax.tree.map(jnp.copy, begin), KEY[None], 1)[0].theta

    def loss(layers):
        shown = jax.vmap(lambda image: outputs(layers, image))(task.train.inputs)
        return jnp.mean(jnp.sum((task.train.targets - shown) ** 2, axis=1)) / 2

    layers = jax.tree.map(lambda leaf: leaf[0], begin[0].theta)
    gradient = jax.grad(loss)(layers)
    for before, now, slope in zip(*map(jax.tree.leaves, (layers, after, gradient)), strict=True):
        moved = np.ravel(now[0] - before)
        slope = -np.ravel(slope)
        cosine = moved @ slope / np.linalg.norm(moved) / np.linalg.norm(slope)
        assert cosine > 0.99


def test_backpropagation_lowers_the_error():
    images, labels = blobs(32, 1, 200)
    task = random_split(images[:, ::4, ::4], labels, (100, 50, 50), key=KEY, dtype="float32")
    protocol = Protocol(batch=10, learning_rate=2.0, factors=(1.0,) * 3, shuffle=True)
    result = backpropagate(protocol, small, task, epochs=15, keys=jax.random.split(KEY, 2))
    assert result.validation.shape == (2, 16)
    assert np.all(result.test > result.validation[:, 0] + 0.2)


def test_published_sizes():
    paper = le_mnist_conv.Config.paper()
    assert paper.training + paper.validation + paper.testing == 70_000
    assert (paper.steps, paper.batch, paper.learning_rate) == (100, 512, 0.125 * 128)
    paper = dataclasses.asdict(le_cifar10.Config.paper())
    assert (paper["steps"], paper["batch"], paper["learning_rate"]) == (50, 128, 0.125 * 64)
