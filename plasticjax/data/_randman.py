"""Random smooth manifolds as spike trains: Zenke & Vogels (2021), Neural Comput. 33, 899."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key


class RandMan(NamedTuple):
    """Samples of the RandMan task.

    Attributes:
        steps: step in which each spike of each unit falls, [samples, spikes, units].
        labels: class of each sample, [samples].
    """

    steps: Int[Array, "samples spikes units"]
    labels: Int[Array, " samples"]


def randman(
    key: Key[Array, ""],
    *,
    classes: int = 10,
    samples: int = 1000,
    units: int = 100,
    dimensions: int = 2,
    alpha: float = 2.0,
    spikes: int = 1,
    steps: int = 100,
    share: float = 1.0,
    theta: Float[Array, "classes spikes units dimensions 3 frequencies"] | None = None,
) -> RandMan:
    """Classes of spike trains in which only the timing of spikes says which class it is.

    Each class is a random smooth manifold in the space of spike times: a sample is a random point
    of it. Every unit fires exactly `spikes` times. Over the samples of a class each time is
    standardised to fill its range, so that no unit alone tells the class.

    Args:
        key: random key of manifolds and samples.
        classes: number of classes.
        samples: samples of each class.
        units: units of the input, the dimension of the space.
        dimensions: dimension of the manifolds.
        alpha: smoothness; amplitudes of the waves fall with the frequency to this power.
        spikes: spikes of each unit, each from a manifold of its own.
        steps: time steps of a sample.
        share: part of the steps in which spikes fall, in (0, 1].
        theta: numbers in [0, 1] that define the manifolds, see `manifold`; `None`: random ones.

    Returns:
        Samples of all classes in random order.

    Raises:
        ValueError: if a number is not positive, `share` outside (0, 1], or `theta` has another
            shape.

    Source: Zenke & Vogels (2021); the spectrum is that of `randman/torch_randman.py`.
    """
    given = {"classes": classes, "samples": samples, "units": units, "dimensions": dimensions}
    for name, value in {**given, "spikes": spikes, "steps": steps, "alpha": alpha}.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}; a positive number is required")
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; a number in (0, 1] is required")
    theta_key, point_key, order_key = jax.random.split(key, 3)
    shape = (classes, spikes, units, dimensions, 3)
    if theta is None:
        theta = jax.random.uniform(theta_key, (*shape, frequencies(alpha)))
    if theta.shape[:-1] != shape:
        raise ValueError(
            f"theta has shape {theta.shape}; expected [classes, spikes, units, dimensions, 3, "
            f"frequencies] = {shape} and any number of frequencies"
        )
    points = jax.random.uniform(point_key, (classes, samples, dimensions), theta.dtype)

    def one_class(given):
        theta, points = given
        values = jax.vmap(partial(manifold, alpha=alpha), (0, None), 1)(theta, points)
        low, high = values.min(axis=0), values.max(axis=0)
        return jnp.floor((values - low) / (high - low + 1e-7) * share * steps).astype(jnp.int32)

    found = jax.lax.map(one_class, (theta, points)).reshape(classes * samples, spikes, units)
    labels = jnp.repeat(jnp.arange(classes), samples)
    order = jax.random.permutation(order_key, classes * samples)
    return RandMan(found[order], labels[order])


def frequencies(alpha: float) -> int:
    """How many waves make a manifold: those whose amplitude exceeds 0.001, at most 1000."""
    return min(math.ceil(1e-3 ** (-1 / alpha)), 1000)


def manifold(
    theta: Float[Array, "units dimensions 3 frequencies"],
    points: Float[Array, "samples dimensions"],
    *,
    alpha: float = 2.0,
) -> Float[Array, "samples units"]:
    r"""Points of a random smooth manifold,
    $f_e(x) = \prod_d \sum_i \theta_{0i} s_i \sin 2\pi(i x_d \theta_{1i} + \theta_{2i})$
    with $s_i = 1 / ((i + 1)^\alpha + 1)$; the constant wave $i = 0$ is left out.

    Args:
        theta: numbers in [0, 1], [units, dimensions, 3, frequencies] (dimensionless).
        points: coordinates on the manifold in [0, 1], [samples, dimensions] (dimensionless).
        alpha: smoothness.

    Returns:
        The points in the embedding space, [samples, units] (dimensionless).

    Source: Zenke & Vogels (2021), Neural Comput. 33, 899.
    """
    wave = jnp.arange(theta.shape[-1])
    amplitude = jnp.where(wave == 0, 0, theta[:, :, 0] / ((wave + 1.0) ** alpha + 1))
    phase = wave * points[:, None, :, None] * theta[:, :, 1] + theta[:, :, 2]
    waves = jnp.sum(amplitude * jnp.sin(2 * jnp.pi * phase), axis=-1)
    return jnp.prod(waves, axis=-1)


def spike_raster(
    steps: Int[Array, "spikes units"], count: int, dtype: str = "float32"
) -> Float[Array, "count units"]:
    """Spikes of a sample on a time grid, 1 where a unit fires and 0 elsewhere.

    Args:
        steps: the step of each spike, [spikes, units]; what lies outside of the grid is left out
            (dimensionless).
        count: number of steps.
        dtype: of the result.

    Returns:
        The raster, [count, units] (dimensionless).
    """
    units = jnp.broadcast_to(jnp.arange(steps.shape[1]), steps.shape)
    inside = jnp.where(steps >= 0, steps, count)
    return jnp.zeros((count, steps.shape[1]), dtype).at[inside, units].set(1, mode="drop")
