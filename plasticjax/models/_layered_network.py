"""Layers of the networks that energies animate: dense, and convolutional with pooling."""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Layer = TypeVar("Layer")


class PooledConvolution(eqx.Module):
    """A convolution without padding of the maxima over square windows of the rates below.

    The rates of the layer below are pooled, so errors travel back to the maxima; neurons sit only
    in the convolution. Ties go to the first maximum, so that an error reaches one neuron.

    Attributes:
        convolution: kernel and biases; without stride, padding or dilation.
        pool: side of the pooling windows in pixels; 1 for none (dimensionless).
    """

    convolution: eqx.nn.Conv2d
    pool: int = eqx.field(static=True, default=1)

    def __call__(
        self, rates: Float[Array, "channels height width"]
    ) -> Float[Array, "features below across"]:
        """Currents of the layer.

        Args:
            rates: rates below [channels, height, width] (dimensionless).

        Returns:
            Currents [features, below, across] (dimensionless).
        """
        pooled = max_pool(rates, self.pool)
        weight = self.convolution.weight
        features, channels, height, width = weight.shape
        below, across = pooled.shape[1] - height + 1, pooled.shape[2] - width + 1
        # One matrix product for each row of the kernel: on a CPU, XLA's own convolution needs ten
        # times as long for the derivative by the kernel.
        shifted = jnp.stack([pooled[:, :, i : i + across] for i in range(width)], axis=1)
        by_row = weight.swapaxes(2, 3).reshape(features, channels * width, height)
        rows = (
            by_row[:, :, i] @ shifted[:, :, i : i + below].reshape(channels * width, -1)
            for i in range(height)
        )
        currents = reduce(add, rows).reshape(features, below, across)
        bias = self.convolution.bias
        return currents if bias is None else currents + bias


class PooledProjection(eqx.Module):
    """A dense projection of the maxima over square windows of the rates below.

    Attributes:
        linear: weights and biases.
        pool: side of the pooling windows in pixels; 1 for none (dimensionless).
    """

    linear: eqx.nn.Linear
    pool: int = eqx.field(static=True, default=1)

    def __call__(self, rates: Float[Array, "channels height width"]) -> Float[Array, " post"]:
        """Currents of the layer.

        Args:
            rates: rates below [channels, height, width] (dimensionless).

        Returns:
            Currents [post] (dimensionless).
        """
        return self.linear(max_pool(rates, self.pool).ravel())


def max_pool(
    rates: Float[Array, "channels height width"], side: int
) -> Float[Array, "channels below across"]:
    """Maxima over square windows that do not overlap, differentiable at one of them.

    Args:
        rates: [channels, height, width] (dimensionless).
        side: side of the windows in pixels; rows and columns that do not fill one are left out
            (dimensionless).

    Returns:
        Maxima [channels, height // side, width // side] (dimensionless).

    Raises:
        ValueError: if no window fits.
    """
    if side == 1:
        return rates
    channels, height, width = rates.shape
    below, across = height // side, width // side
    if not below * across:
        raise ValueError(f"side={side} must not exceed the image of {height} x {width} pixels")
    tiles = rates[:, : below * side, : across * side].reshape(channels, below, side, across, side)
    windows = jnp.moveaxis(tiles, 2, 3).reshape(channels, below, across, side * side)
    first = jax.nn.one_hot(jnp.argmax(windows, axis=-1), side * side, dtype=rates.dtype)
    return jnp.sum(first * windows, axis=-1)


def dense_layers(
    sizes: Sequence[int], *, width: float = 0.05, dtype=jnp.float32, key: Key[Array, ""]
) -> tuple[eqx.nn.Linear, ...]:
    """Dense layers with normally distributed weights and biases.

    Args:
        sizes: neurons of each layer, inputs first.
        width: standard deviation of weights and biases (dimensionless).
        dtype: precision of weights and biases.
        key: random key.

    Returns:
        One `equinox.nn.Linear` a layer, weights [post, pre] (dimensionless).

    Raises:
        ValueError: if there are fewer than two sizes.
    """
    if len(sizes) < 2:
        raise ValueError(f"sizes must name the inputs and at least one layer, got {tuple(sizes)}")
    keys = jax.random.split(key, len(sizes) - 1)
    return tuple(
        redrawn(eqx.nn.Linear(pre, post, dtype=dtype, key=each), width, each)
        for pre, post, each in zip(sizes[:-1], sizes[1:], keys, strict=True)
    )


def convolutional_layers(
    image: tuple[int, int, int],
    features: Sequence[int],
    dense: Sequence[int],
    *,
    kernel: int = 5,
    pool: int = 2,
    width: float = 0.05,
    dtype=jnp.float32,
    key: Key[Array, ""],
) -> tuple[PooledConvolution | PooledProjection | eqx.nn.Linear, ...]:
    """Convolutions, each followed by pooling, and dense layers, with normal weights and biases.

    Args:
        image: shape of the input [channels, height, width] (dimensionless).
        features: feature maps of each convolution.
        dense: neurons of each dense layer after them, the outputs last.
        kernel: side of the kernels in pixels (dimensionless).
        pool: side of the pooling windows in pixels (dimensionless).
        width: standard deviation of weights and biases (dimensionless).
        dtype: precision of weights and biases.
        key: random key.

    Returns:
        One layer of neurons each: `PooledConvolution`, `PooledProjection`, `equinox.nn.Linear`.

    Raises:
        ValueError: if the image is too small for the convolutions.
    """
    keys = iter(jax.random.split(key, len(features) + len(dense)))
    layers: list[PooledConvolution | PooledProjection | eqx.nn.Linear] = []
    channels, height, across = image
    side = 1
    for count in features:
        each = next(keys)
        convolution = eqx.nn.Conv2d(channels, count, kernel, dtype=dtype, key=each)
        layers.append(PooledConvolution(redrawn(convolution, width, each), side))
        height, across = height // side - kernel + 1, across // side - kernel + 1
        if height < pool or across < pool:
            raise ValueError(f"image={image} is too small for {len(features)} convolutions")
        channels, side = count, pool
    size = channels * (height // side) * (across // side)
    for index, count in enumerate(dense):
        each = next(keys)
        linear = redrawn(eqx.nn.Linear(size, count, dtype=dtype, key=each), width, each)
        layers.append(linear if index else PooledProjection(linear, side))
        size = count
    return tuple(layers)


def redrawn(layer: Layer, width: float, key: Key[Array, ""]) -> Layer:
    """A layer with all its parameters drawn from a normal distribution of zero mean.

    Args:
        layer: any pytree of modules, such as one with weights [post, pre].
        width: standard deviation, scalar (dimensionless).
        key: random key.

    Returns:
        The layer with new parameters (dimensionless).
    """
    parameters, rest = eqx.partition(layer, eqx.is_inexact_array)
    leaves, structure = jax.tree.flatten(parameters)
    keys = jax.random.split(key, len(leaves))
    drawn = [
        width * jax.random.normal(each, leaf.shape, leaf.dtype)
        for leaf, each in zip(leaves, keys, strict=True)
    ]
    return eqx.combine(structure.unflatten(drawn), rest)
