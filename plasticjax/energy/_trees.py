"""Arithmetic of pytrees that energies share."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree


def minus(a: PyTree, b: PyTree) -> PyTree:
    return jax.tree.map(jnp.subtract, a, b)


def plus(a: PyTree, b: PyTree) -> PyTree:
    return jax.tree.map(jnp.add, a, b)


def negative(tree: PyTree) -> PyTree:
    return jax.tree.map(jnp.negative, tree)


def half_squared(tree: PyTree) -> Float[Array, ""]:
    return jnp.asarray(sum(0.5 * jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))


def spread(prefix: PyTree, tree: PyTree, name: str) -> PyTree:
    """`prefix` with one entry for every leaf of `tree`."""
    try:
        return jax.tree.broadcast(prefix, tree)
    except ValueError as error:
        raise ValueError(
            f"{name} must be a number, an array or a pytree prefix of the state "
            f"{jax.tree.structure(tree)}, got {jax.tree.structure(prefix)}"
        ) from error
