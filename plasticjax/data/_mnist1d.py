"""MNIST-1D: S. Greydanus & D. Kobak, Scaling Down Deep Learning with MNIST-1D, ICML 2024."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

DIGITS = np.array(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)
POINTS = 72  # of a sample before the last interpolation
PADDING = (36, 60)  # zeros behind a template, both ends included
SHIFTS = 48  # a sample is rolled by 0 to 47 points
FILTER_SIGMA = 2  # points
FILTER_RADIUS = 8  # points: the filter is cut off at four standard deviations


class Draws(NamedTuple):
    """The random numbers behind one sample."""

    padding: Int[Array, ""]  # number of zeros
    gain: Float[Array, ""]
    shift: Int[Array, ""]  # points
    correlated: Float[Array, " 72"]  # before it is filtered
    independent: Float[Array, " 72"]
    slope: Float[Array, ""]


def mnist1d(
    key: PRNGKeyArray, *, size: int = 5000, length: int = POINTS
) -> tuple[
    tuple[Float[Array, "train length"], Int[Array, " train"]],
    tuple[Float[Array, "test length"], Int[Array, " test"]],
]:
    """MNIST-1D: ten one-dimensional digits, padded, scaled, rolled, sheared and noisy.

    The recipe and its parameters are the published ones, the random numbers are not: another
    generator draws them. A digit of 12 points is followed by 36 to 60 zeros, interpolated at 72
    places, multiplied by 0.8 to 1.2, and rolled by 0 to 47 places. Smooth noise replaces the zeros,
    white noise and a slope are added, and the result is interpolated at `length` places.

    The classes are equally frequent in the whole set, which is shuffled, and scaled to mean 0 and
    standard deviation 1 over all points of all samples.

    Args:
        key: random key.
        size: number of samples, a multiple of 10; static under `jit`.
        length: number of points of a sample, at least 2; static under `jit`. The published set
            has 40; generalised latent equilibrium takes 360.

    Returns:
        The training set, which is the first 80 % of the samples, and the test set, which is the
        rest. Each is a pair of inputs `[samples, length]` in JAX's default float dtype,
        dimensionless, and labels `[samples]` in its default int dtype, 0 to 9.

    Raises:
        ValueError: if `size` is not a positive multiple of 10, or `length` is below 2.

    Source: S. Greydanus & D. Kobak, ICML 2024, arXiv 2011.14439.
    """
    if size <= 0 or size % len(DIGITS):
        raise ValueError(f"size is {size}; a positive multiple of {len(DIGITS)} is required")
    shuffle_key, sample_key = jax.random.split(key)
    labels = jax.random.permutation(shuffle_key, jnp.arange(size) % len(DIGITS))
    keys = jax.random.split(sample_key, size)
    inputs = jax.vmap(lambda key, label: mnist1d_sample(key, label, length=length))(keys, labels)
    inputs = (inputs - inputs.mean()) / inputs.std()
    train = size * 4 // 5
    return (inputs[:train], labels[:train]), (inputs[train:], labels[train:])


def mnist1d_sample(
    key: PRNGKeyArray, label: Int[Array, ""] | int, *, length: int = POINTS
) -> Float[Array, " length"]:
    """One sample of MNIST-1D, before the set is scaled to mean 0 and standard deviation 1.

    Args:
        key: random key.
        label: the digit, scalar, 0 to 9.
        length: number of points, at least 2; static under `jit`.

    Returns:
        The sample `[length]` in JAX's default float dtype, dimensionless.

    Raises:
        ValueError: if `length` is below 2.

    Source: S. Greydanus & D. Kobak, ICML 2024, arXiv 2011.14439.
    """
    if length < 2:
        raise ValueError(f"length is {length}; a number of points >= 2 is required")
    draws = draw(key)
    template = jnp.asarray(templates(), draws.gain.dtype)[label]
    return render(template, draws, length)


def templates() -> Float[np.ndarray, "10 12"]:
    """The digits with standard deviation 1/6, shifted so that each begins at 0."""
    return (DIGITS - DIGITS[:, :1]) / DIGITS.std(axis=1, keepdims=True) / 6


def draw(key: PRNGKeyArray) -> Draws:
    keys = jax.random.split(key, 6)
    low, high = PADDING
    return Draws(
        padding=jax.random.randint(keys[0], (), low, high + 1),
        gain=1 + 0.4 * (jax.random.uniform(keys[1]) - 0.5),
        shift=jax.random.randint(keys[2], (), 0, SHIFTS),
        correlated=0.25 * jax.random.normal(keys[3], (POINTS,)),
        independent=0.02 * jax.random.normal(keys[4], (POINTS,)),
        slope=0.75 * (jax.random.uniform(keys[5]) - 0.5),
    )


def render(template: Float[Array, " 12"], draws: Draws, length: int) -> Float[Array, " length"]:
    zeros = (0, POINTS - template.size)
    knots = template.size + draws.padding
    signal = draws.gain * resample(jnp.pad(template, zeros), knots, POINTS)
    stroke = resample(jnp.pad(jnp.ones_like(template), zeros), knots, POINTS) > 0
    signal, stroke = jnp.roll(signal, draws.shift), jnp.roll(stroke, draws.shift)
    signal = jnp.where(stroke, signal, smooth(draws.correlated))
    ramp = jnp.linspace(-0.5, 0.5, POINTS, dtype=signal.dtype)
    return resample(signal + draws.independent - draws.slope * ramp, POINTS, length)


def resample(
    values: Float[Array, " points"], knots: Int[Array, ""] | int, length: int
) -> Float[Array, " length"]:
    """The first `knots` values, linearly interpolated at `length` equidistant places.

    Places are fractions of integers, so that a place on a knot has exactly its value.
    """
    below, rest = jnp.divmod(jnp.arange(length) * (knots - 1), length - 1)
    above = jnp.minimum(below + 1, knots - 1)
    part = rest.astype(values.dtype) / (length - 1)
    return values[below] + part * (values[above] - values[below])


def smooth(noise: Float[Array, " points"]) -> Float[Array, " points"]:
    """A Gaussian filter; beyond its ends the signal is continued by its mirror image."""
    offsets = np.arange(-FILTER_RADIUS, FILTER_RADIUS + 1)
    kernel = np.exp(-0.5 * (offsets / FILTER_SIGMA) ** 2)
    kernel = jnp.asarray(kernel / kernel.sum(), noise.dtype)
    return jnp.convolve(jnp.pad(noise, FILTER_RADIUS, "symmetric"), kernel, "valid")
