"""Pooling, and convolutions as layers of neurons."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.energy import (
    BatchEnergy,
    MismatchEnergy,
    Stimulus,
    at_rest,
    feed_forward,
    hard_sigmoid,
    latent_equilibrium_step,
    learner,
    linear,
    local_rates,
    rate_cost,
    resting_state,
)
from plasticjax.models import (
    PooledConvolution,
    PooledProjection,
    convolutional_layers,
    dense_layers,
    max_pool,
    redrawn,
)
from plasticjax.simulate import scan_steps

KEY = jax.random.key(5)


def windows(image, side):
    """[channels, below, across, side, side], by plain loops."""
    channels, height, width = image.shape
    return np.array(
        [
            [
                [
                    image[c, i * side : (i + 1) * side, j * side : (j + 1) * side]
                    for j in range(width // side)
                ]
                for i in range(height // side)
            ]
            for c in range(channels)
        ]
    )


@pytest.mark.parametrize(("shape", "side"), [((3, 8, 6), 2), ((2, 7, 9), 2), ((1, 11, 10), 3)])
def test_pooling_takes_the_maxima_and_leaves_out_what_fills_no_window(shape, side):
    image = jax.random.normal(KEY, shape)
    expected = windows(np.asarray(image), side).max((3, 4))
    np.testing.assert_array_equal(max_pool(image, side), expected)


def test_a_window_of_one_pixel_changes_nothing():
    image = jax.random.normal(KEY, (2, 3, 4))
    np.testing.assert_array_equal(max_pool(image, 1), image)


@pytest.mark.parametrize("side", [2, 3])
def test_the_whole_error_reaches_the_maximum_of_a_window(side):
    image = jax.random.normal(KEY, (2, 7, 6))
    error = jax.random.normal(jax.random.key(1), (2, 7 // side, 6 // side))
    (down,) = jax.vjp(lambda image: max_pool(image, side), image)[1](error)
    seen, reached = windows(np.asarray(image), side), windows(np.asarray(down), side)
    is_maximum = seen == seen.max((3, 4), keepdims=True)
    np.testing.assert_array_equal(reached, is_maximum * np.asarray(error)[..., None, None])
    np.testing.assert_allclose(jnp.sum(down), jnp.sum(error), rtol=1e-5)


def test_among_equal_rates_the_error_reaches_the_first_alone():
    image = jnp.zeros((1, 4, 4)).at[0, 2:, 2:].set(jnp.array([[0.0, 1.0], [1.0, 1.0]]))
    down = jax.grad(lambda image: jnp.sum(max_pool(image, 2)))(image)
    expected = np.zeros((1, 4, 4))
    expected[0, [0, 0, 2, 2], [0, 2, 0, 3]] = 1
    np.testing.assert_array_equal(down, expected)


def test_a_window_larger_than_the_image_is_an_error():
    with pytest.raises(ValueError, match=r"side=4 must not exceed the image of 3 x 5 pixels"):
        max_pool(jnp.zeros((1, 3, 5)), 4)


@pytest.mark.parametrize("pool", [1, 2])
def test_a_convolution_is_a_sum_over_kernel_positions(pool):
    (layer, *_) = convolutional_layers((3, 12, 13), (4,), (2,), kernel=3, width=0.5, key=KEY)
    layer = PooledConvolution(layer.convolution, pool)
    image = jax.random.normal(jax.random.key(1), (3, 12, 13))
    below = np.asarray(max_pool(image, pool))
    kernel, bias = np.asarray(layer.convolution.weight), np.asarray(layer.convolution.bias)
    height, width = below.shape[1] - 2, below.shape[2] - 2
    expected = [
        [
            [np.sum(kernel[o] * below[:, i : i + 3, j : j + 3]) for j in range(width)]
            for i in range(height)
        ]
        for o in range(4)
    ]
    np.testing.assert_allclose(layer(image), expected + bias, rtol=1e-4, atol=1e-5)


def trajectory(layers, inputs, targets):
    energy = BatchEnergy(
        MismatchEnergy((hard_sigmoid, hard_sigmoid, linear), feed_forward, rate_cost)
    )
    optimiser = local_rates((0.5, 0.4, 0.3))
    s = jax.tree.map(
        lambda leaf: jnp.zeros((len(inputs), *leaf.shape), leaf.dtype),
        resting_state(layers, inputs[0]),
    )
    step = latent_equilibrium_step(energy, tau_m=10.0, dt=0.5, optimiser=optimiser)
    carry = learner(at_rest(s), layers, optimiser)
    x = Stimulus(inputs, targets, jnp.asarray(0.5, inputs.dtype))
    return scan_steps(step, carry, jax.tree.map(lambda leaf: jnp.stack([leaf] * 12), x))


def test_convolutions_of_single_pixels_learn_as_dense_layers():
    """Sheet of latent equilibrium, invariant 11: trajectories of neurons and weights agree."""
    with jax.enable_x64(True):
        dense = dense_layers((6, 5, 4, 3), width=0.5, dtype=jnp.float64, key=KEY)
        blank = convolutional_layers((6, 1, 1), (5, 4), (3,), kernel=1, pool=1, key=KEY)
        convolutional = tuple(
            as_pixels(layer, other) for layer, other in zip(blank, dense, strict=True)
        )
        inputs = jax.random.uniform(jax.random.key(1), (7, 6), jnp.float64)
        targets = jax.random.uniform(jax.random.key(2), (7, 3), jnp.float64)
        last, seen = trajectory(dense, inputs, targets)
        pixels, other = trajectory(convolutional, inputs[:, :, None, None], targets)
    for one, two in zip(
        jax.tree.leaves((seen.neurons, last.theta)),
        jax.tree.leaves((other.neurons, pixels.theta)),
        strict=True,
    ):
        np.testing.assert_allclose(one, np.reshape(two, one.shape), rtol=1e-12, atol=1e-14)
    assert np.abs(last.theta[0].weight - dense[0].weight).max() > 1e-3


def as_pixels(layer, dense):
    """`layer` with the weights of a dense one."""
    parameters = eqx.filter(layer, eqx.is_inexact_array)
    leaves, structure = jax.tree.flatten(parameters)
    given = [
        value.reshape(leaf.shape)
        for leaf, value in zip(leaves, (dense.weight, dense.bias), strict=True)
    ]
    return eqx.combine(structure.unflatten(given), layer)


@pytest.mark.parametrize(
    ("image", "flat", "shapes"),
    [
        ((1, 28, 28), 800, [(20, 24, 24), (50, 8, 8), (500,), (10,)]),
        ((3, 32, 32), 1250, [(20, 28, 28), (50, 10, 10), (500,), (10,)]),
    ],
)
def test_published_networks_have_their_shapes(image, flat, shapes):
    layers = convolutional_layers(image, (20, 50), (500, 10), key=KEY)
    assert [leaf.shape for leaf in resting_state(layers, jnp.zeros(image))] == shapes
    first, second, projection, out = layers
    assert (first.pool, second.pool, projection.pool) == (1, 2, 2)
    assert first.convolution.weight.shape == (20, image[0], 5, 5)
    assert second.convolution.weight.shape == (50, 20, 5, 5)
    assert isinstance(projection, PooledProjection)
    assert projection.linear.weight.shape == (500, flat)
    assert out.weight.shape == (10, 500)


def test_weights_and_biases_are_drawn_with_the_same_width():
    layers = convolutional_layers((3, 32, 32), (20, 50), (500, 10), width=0.2, key=KEY)
    for leaf in jax.tree.leaves(eqx.filter(layers, eqx.is_inexact_array)):
        spread = 4 / np.sqrt(2 * leaf.size)  # four standard errors
        assert abs(np.std(leaf) / 0.2 - 1) < max(spread, 0.01)
        assert abs(np.mean(leaf)) < 0.2 * 4 / np.sqrt(leaf.size)
    kernels = layers[0].convolution.weight.ravel(), layers[1].convolution.weight.ravel()[:1500]
    assert abs(np.corrcoef(*kernels)[0, 1]) < 0.12


def test_redrawn_layers_keep_their_structure_and_follow_the_key():
    layers = dense_layers((4, 3, 2), key=KEY)
    one, same = redrawn(layers, 0.3, jax.random.key(1)), redrawn(layers, 0.3, jax.random.key(1))
    other = redrawn(layers, 0.3, jax.random.key(2))
    assert eqx.tree_equal(one, same)
    assert jax.tree.structure(one) == jax.tree.structure(layers)
    assert all(
        np.all(a != b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


def test_sizes_that_make_no_network_are_errors():
    with pytest.raises(ValueError, match=r"at least one layer, got \(4,\)"):
        dense_layers((4,), key=KEY)
    with pytest.raises(ValueError, match=r"image=\(1, 12, 12\) is too small for 2 convolutions"):
        convolutional_layers((1, 12, 12), (2, 3), (10,), key=KEY)
