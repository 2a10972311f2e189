import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import mnist28_first_spike, mnist_first_spike
from experiments._contract import NullJob
from experiments.mnist_first_spike import CLAIMS, Config, encode, figure, run
from plasticjax.data import mnist
from plasticjax.data._cache import data_directory
from plasticjax.data._mnist import IMAGE_FILES, LABEL_FILES

BLACK, WHITE = np.zeros((28, 28), np.uint8), np.full((28, 28), 255, np.uint8)


def striped(size, seed):
    """Images whose digit is the place of a bright, noisy stripe."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, size)
    images = np.zeros((size, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[3:25, 3 + 2 * label : 6 + 2 * label] = rng.integers(150, 256, (22, 3))
    return images, labels


def striped_mnist(split):
    return striped(50_300 if split == "train" else 300, seed=len(split))


def needs_files():
    for file in (*IMAGE_FILES.values(), *LABEL_FILES.values()):
        plain = data_directory() / file.path
        if not plain.exists() and not plain.with_name(plain.name + ".gz").exists():
            pytest.skip(f"MNIST is not in the cache: {plain} and {plain.name}.gz do not exist")


def test_at_16_pixels_black_is_silent_and_white_early():
    black, white = encode(np.stack([BLACK, WHITE]), 16)
    assert black.shape == (256,)
    assert np.all(black == np.inf)
    np.testing.assert_allclose(white, 0.15)


def test_at_28_pixels_black_is_late_and_white_early():
    black, white = encode(np.stack([BLACK, WHITE]), 28)
    assert black.shape == (784,)
    np.testing.assert_allclose(black, 2.0)
    np.testing.assert_allclose(white, 0.15 + 1.85 / 256)


@pytest.mark.parametrize("pixels", [16, 28])
def test_times_are_in_range_and_earlier_for_brighter_pixels(pixels):
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    times = encode(images, pixels)
    spiking = np.isfinite(times)
    assert np.all(times[spiking] >= 0.15) and np.all(times[spiking] <= 2.0)
    brighter = encode(np.maximum(images, 128), pixels)
    assert np.all(brighter <= times) and np.any(brighter < times)


def test_the_pixel_order_is_that_of_the_rows():
    image = BLACK.copy()
    image[1, 2] = 255
    assert np.argmin(encode(image[None], 28)[0]) == 28 + 2


@pytest.mark.parametrize("pixels", [0, 14, 32])
def test_other_resolutions_are_refused(pixels):
    with pytest.raises(ValueError, match=f"pixels={pixels}; valid: 16, 28"):
        encode(BLACK[None], pixels)


@pytest.mark.parametrize("samples", [49, 50_001])
def test_a_training_set_of_impossible_size_is_refused(monkeypatch, samples):
    monkeypatch.setattr(mnist_first_spike, "mnist", striped_mnist)
    config = dataclasses.replace(Config.smoke(), train_samples=samples)
    with pytest.raises(ValueError, match=f"train_samples={samples} must lie between batch=50"):
        run(config, key=jax.random.key(0), job=NullJob())


@pytest.fixture(scope="module")
def stripes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mnist_first_spike, "mnist", striped_mnist)
        config = dataclasses.replace(
            Config.smoke(), seeds=2, epochs=3, hidden=30, train_samples=1500
        )
        return run(config, key=jax.random.key(0), job=NullJob())


def test_the_network_learns_images(stripes):
    accuracy = stripes.history.validation.accuracy
    assert np.all(accuracy[:, 0] < 0.3)
    assert np.all(accuracy[:, -1] > accuracy[:, 0] + 0.3)
    assert stripes.label_times.dtype == np.float32


def test_the_confusion_matrix_counts_the_test_samples(stripes):
    decided = np.isfinite(stripes.label_times).any(axis=2)
    np.testing.assert_array_equal(stripes.confusion.sum(axis=(1, 2)), decided.sum(axis=1))
    hits = np.trace(stripes.confusion, axis1=1, axis2=2)
    np.testing.assert_allclose(hits / 300, stripes.test.accuracy, rtol=1e-6)
    labels = striped(300, seed=len("test"))[1]
    if decided.all():
        for confusion in stripes.confusion:
            np.testing.assert_array_equal(confusion.sum(axis=1), np.bincount(labels))


def test_the_figure_is_drawn_without_warnings(stripes, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure(stripes).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_the_full_resolution_is_the_published_one():
    config = mnist28_first_spike.Config.paper()
    assert (config.pixels, config.hidden, config.batch, config.epochs) == (28, 350, 80, 150)
    shapes = [w.shape for w in mnist_first_spike.initial_weights(jax.random.key(0), config)]
    assert shapes == [(350, 784), (10, 350)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "config"), [("smoke", Config.smoke()), ("default", Config())], ids=["smoke", "default"]
)
def test_the_claims_hold_on_the_real_digits(size, config):
    needs_files()
    result = run(config, key=jax.random.key(0), job=NullJob())
    for claim in CLAIMS:
        if size in claim.accept:
            low, high = claim.accept[size]
            assert low <= np.mean(claim.measure(result)) <= high, claim.statement


def test_the_real_digits_are_coded_as_published():
    """A fifth of the pixels is bright at 16x16; every image has some."""
    needs_files()
    images, _ = mnist("test")
    spiking = jnp.isfinite(jnp.asarray(encode(images[:500], 16)))
    assert 0.2 < spiking.mean() < 0.5
    assert spiking.sum(axis=1).min() > 10
