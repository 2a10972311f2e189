"""Random smooth manifolds against NumPy, and what their definition implies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.data import manifold, randman, spike_raster

KEY = jax.random.key(3)


def test_a_manifold_is_the_product_of_sums_of_waves(x64):
    theta = np.random.default_rng(0).uniform(size=(5, 2, 3, 12))
    points = np.random.default_rng(1).uniform(size=(7, 2))
    expected = np.ones((7, 5))
    for s in range(7):
        for e in range(5):
            for d in range(2):
                total = 0.0
                for i in range(1, 12):
                    size = theta[e, d, 0, i] / (abs(i + 1) ** 1.5 + 1)
                    phase = i * points[s, d] * theta[e, d, 1, i] + theta[e, d, 2, i]
                    total += size * np.sin(2 * np.pi * phase)
                expected[s, e] *= total
    found = manifold(jnp.asarray(theta), jnp.asarray(points), alpha=1.5)
    np.testing.assert_allclose(found, expected, atol=1e-14)


def test_it_is_continuous_and_smoother_for_larger_alpha(x64):
    theta = jax.random.uniform(KEY, (40, 1, 3, 300))
    points = jnp.linspace(0, 1, 2001)[:, None]
    variations = []
    for alpha in (1.0, 2.0, 3.0):
        values = manifold(theta, points, alpha=alpha)
        values = values / values.std(axis=0)
        variations.append(float(jnp.abs(jnp.diff(values, axis=0)).sum(axis=0).mean()))
    assert variations[0] > variations[1] > variations[2]
    for shift in (1e-4, 1e-6):
        change = manifold(theta, points + shift) - manifold(theta, points)
        assert float(jnp.abs(change).max()) < 100 * shift


def test_each_unit_fires_as_often_as_asked_and_fills_the_range():
    data = randman(KEY, classes=3, samples=50, units=6, dimensions=1, spikes=2, steps=40, share=0.5)
    assert data.steps.shape == (150, 2, 6)
    np.testing.assert_array_equal(jnp.bincount(data.labels), [50, 50, 50])
    for label in range(3):
        own = np.asarray(data.steps[data.labels == label])
        np.testing.assert_array_equal(own.min(axis=0), 0)
        np.testing.assert_array_equal(own.max(axis=0), 19)
    raster = jax.vmap(lambda steps: spike_raster(steps, 40))(data.steps)
    assert raster.shape == (150, 40, 6)
    apart = np.asarray(data.steps[:, 0] != data.steps[:, 1])
    np.testing.assert_array_equal(raster.sum(axis=1), 1 + apart)
    rows, units = 7, 4
    np.testing.assert_array_equal(
        np.flatnonzero(raster[rows, :, units]), np.unique(data.steps[rows, :, units])
    )


def test_keys_and_given_numbers_say_everything():
    options = {"classes": 2, "samples": 30, "units": 4, "dimensions": 1}
    one, again, other = (randman(key, **options) for key in (KEY, KEY, jax.random.fold_in(KEY, 1)))
    np.testing.assert_array_equal(one.steps, again.steps)
    assert not np.array_equal(one.steps, other.steps)
    theta = jnp.broadcast_to(jax.random.uniform(KEY, (1, 1, 4, 1, 3, 32)), (2, 1, 4, 1, 3, 32))
    same = randman(KEY, theta=theta, **options)
    means = [np.asarray(same.steps[same.labels == label]).mean(axis=(0, 1)) for label in (0, 1)]
    np.testing.assert_allclose(*means, atol=15)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 0}, "units is 0"),
        ({"alpha": -1.0}, "alpha is -1.0"),
        ({"share": 1.5}, "share is 1.5"),
        ({"theta": jnp.zeros((2, 1, 4, 1, 3, 8))}, "theta has shape"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        randman(KEY, **{"classes": 3, "samples": 5, "units": 4, "dimensions": 1, **options})
