"""The task of finding the first principal component, for rules of one linear neuron.

Mettler et al. (2021), GECCO companion: `y = w . x`, and after each sample every weight changes by
`learning_rate * rule(x_i, w_i, y)`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

INPUTS = ("x", "w", "y")


class Stream(NamedTuple):
    """Samples [samples, inputs], their first principal component and first weights [inputs]."""

    samples: Float[Array, "samples inputs"]
    component: Float[Array, " inputs"]
    weights: Float[Array, " inputs"]


def general_covariance(key: Key[Array, ""], inputs: int, largest: float) -> Float[Array, "n n"]:
    """A random positive definite matrix whose largest entry is given."""
    basis_key, spread_key = jax.random.split(key)
    square = jax.random.uniform(basis_key, (inputs, inputs))
    left, _, right = jnp.linalg.svd(square.T @ square)
    spread = jnp.diag(jax.random.uniform(spread_key, (inputs,)))
    matrix = left @ (jnp.ones((inputs, inputs)) + spread) @ right
    matrix = (matrix + matrix.T) / 2
    return largest * matrix / jnp.max(jnp.abs(matrix))


def correlated(sign: int):
    """Covariances of unit variances and one correlation of 0.2 to 0.95, times `sign`."""

    def covariance(key, inputs, largest):
        rho = sign * jax.random.uniform(key, minval=0.2, maxval=0.95)
        return largest * (rho * jnp.ones((inputs, inputs)) + (1 - rho) * jnp.eye(inputs))

    return covariance


FAMILIES = {"general": general_covariance, "positive": correlated(1), "negative": correlated(-1)}


def streams(
    family: str,
    *,
    count: int,
    samples: int,
    inputs: int = 2,
    largest: float = 1.0,
    key: Key[Array, ""],
) -> Stream:
    """Gaussian data sets [count] of a family of covariances; first weights are unit vectors."""

    def one(key):
        covariance_key, sample_key, weight_key = jax.random.split(key, 3)
        covariance = FAMILIES[family](covariance_key, inputs, largest)
        values, vectors = jnp.linalg.eigh(covariance)
        root = vectors * jnp.sqrt(jnp.maximum(values, 0))
        drawn = jax.random.normal(sample_key, (samples, inputs)) @ root.T
        weights = jax.random.uniform(weight_key, (inputs,), minval=-1, maxval=1)
        return Stream(drawn, vectors[:, -1], weights / jnp.linalg.norm(weights))

    return jax.vmap(one)(jax.random.split(key, count))


class Learned(NamedTuple):
    """Weights before each step [samples, inputs] and their cosine with the component [samples]."""

    weights: Float[Array, "samples inputs"]
    cosine: Float[Array, " samples"]


def learn(rule, stream: Stream, learning_rate: float) -> Learned:
    """The course of the weights under a rule of `[x, w, y]`."""

    def step(weights, sample):
        output = weights @ sample
        seen = jnp.stack([sample, weights, jnp.full_like(weights, output)], axis=-1)
        change = rule(seen)[..., 0]
        cosine = jnp.abs(weights @ stream.component) / jnp.linalg.norm(weights)
        return weights + learning_rate * change, Learned(weights, cosine)

    return jax.lax.scan(step, stream.weights, stream.samples)[1]


def angle_fitness(rule, stream: Stream, *, learning_rate: float, penalty: float):
    """Mean cosine with the first component, minus a penalty for weights that are no unit vector."""

    def step(carry, sample):
        weights, total, _ = carry
        output = weights @ sample
        seen = jnp.stack([sample, weights, jnp.full_like(weights, output)], axis=-1)
        total += jnp.abs(weights @ stream.component) / jnp.linalg.norm(weights)
        return (weights + learning_rate * rule(seen)[..., 0], total, weights), None

    start = (stream.weights, jnp.zeros((), stream.weights.dtype), stream.weights)
    (_, total, last), _ = jax.lax.scan(step, start, stream.samples)
    return total / len(stream.samples) - penalty * (jnp.linalg.norm(last) - 1) ** 2
