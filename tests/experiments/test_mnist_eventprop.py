"""MNIST by the largest potential of readouts: its parts, a tiny run, and the claims (slow)."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import mnist_eventprop
from experiments._contract import NullJob
from experiments.mnist_eventprop import (
    CLAIMS,
    Config,
    compact,
    figure,
    initial_weights,
    load,
    run,
    simulate,
)
from plasticjax.simulate import LayerSpikes

from .judged import assert_claims_hold
from .test_mnist_first_spike import needs_files, striped


@pytest.fixture
def stripes(monkeypatch):
    """Images whose digit is the place of a stripe, in the place of MNIST."""
    monkeypatch.setattr(mnist_eventprop, "VALIDATION", 0)
    monkeypatch.setattr(mnist_eventprop, "mnist", lambda split: striped(400, seed=len(split)))


def test_compact_keeps_all_spikes_and_their_neurons():
    times = jnp.array([[1.0, 4.0, jnp.inf], [jnp.inf] * 3, [0.5, 2.0, 3.0]])
    spikes = compact(LayerSpikes(times, jnp.zeros(3, bool)), 7)
    np.testing.assert_array_equal(spikes.times, [1.0, 4.0, 0.5, 2.0, 3.0, np.inf, np.inf])
    assert spikes.sources is not None and spikes.sources[:5].tolist() == [0, 0, 2, 2, 2]


def test_bright_pixels_are_early_and_dark_ones_silent(stripes, monkeypatch):
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 0, :4] = 255, 100, 2, 1
    monkeypatch.setattr(mnist_eventprop, "mnist", lambda split: (image, np.array([3])))
    images = load("test", Config(test_images=1))
    np.testing.assert_allclose(images.times, [[0, 20 * 155 / 255, 20 * 253 / 255]], rtol=1e-6)
    np.testing.assert_array_equal(images.sources, [[0, 1, 2]])


@pytest.mark.slow
def test_a_tiny_network_learns_stripes(stripes, tmp_path):
    config = dataclasses.replace(Config.smoke(), train_images=400, test_images=100, hidden=30)
    result = run(config, key=jax.random.key(0), job=NullJob())
    assert result.accuracy[0, -1] > result.accuracy[0, 0] + 0.1
    assert result.loss[0, 1] < result.loss[0, 0]
    for example in result.examples:
        # The potentials on a grid reach, and do not pass, the largest ones.
        top = example.potentials.max(axis=0)
        assert np.all(top <= example.peaks + 1e-4 * np.abs(example.peaks).max())
        np.testing.assert_allclose(top, example.peaks, atol=0.05 * np.abs(example.peaks).max())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure(result).savefig(tmp_path / "figure.png")


@pytest.mark.slow
@pytest.mark.parametrize("room", ["spikes", "all_spikes"])
def test_too_many_spikes_stop_a_run(stripes, room):
    small = dataclasses.replace(Config.smoke(), train_images=50, test_images=20, hidden=20)
    config = dataclasses.replace(small, **{room: 2}, input_weights=(3.0, 0.1))
    with pytest.raises(FloatingPointError, match="room"):
        run(config, key=jax.random.key(0), job=NullJob())


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("train_images", 55_001, "train_images=55001 must lie between 5 and 55000"),
        ("test_images", 0, "test_images=0 must lie between 1 and 10000"),
        ("pool", 3, "pool=3; 1, 2, 4 and 7 are valid"),
        ("dropout", 1.0, r"dropout=1.0 must lie in \[0, 1\)"),
    ],
)
def test_impossible_settings_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Config(), **{field: value})


@pytest.mark.slow
def test_the_gradient_of_a_network_equals_finite_differences(x64, stripes):
    small = dataclasses.replace(Config.smoke(), hidden=30, test_images=5, spikes=20)
    config = dataclasses.replace(small, dtype="float64")
    images, weights = load("test", config), initial_weights(jax.random.key(0), config)

    def loss(weights):
        hidden, output = jax.vmap(lambda t, s: simulate(weights, t, s, config))(*images[:2])
        logits = output.voltage
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, images.labels)
        return losses.mean(), jnp.isfinite(hidden.times).sum()

    both = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (_, count), gradient = both(weights)
    rng = np.random.default_rng(0)
    for _ in range(4):
        steps = [1e-7 * rng.normal(size=w.shape) for w in weights]
        (more, same), _ = both(tuple(w + d for w, d in zip(weights, steps, strict=True)))
        (less, too), _ = both(tuple(w - d for w, d in zip(weights, steps, strict=True)))
        assert count == same == too
        expected = sum(jnp.sum(g * d) for g, d in zip(gradient, steps, strict=True))
        np.testing.assert_allclose((more - less) / 2, expected, rtol=1e-5)


@pytest.mark.slow
def test_the_claims_of_the_smoke_size_hold():
    # The claim of the default size is not reproduced; see the documentation.
    needs_files()
    config = Config.smoke()
    result = run(config, key=jax.random.key(0), job=NullJob())
    claims = [claim for claim in CLAIMS if claim.measure(result) is not None]
    assert_claims_hold(claims, result, size="smoke", seeds=config.seeds)
