"""Small layered networks."""

from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp


def dense(weight, bias):
    """An `equinox.nn.Linear` of given weights [post, pre]."""
    weight, bias = jnp.asarray(weight), jnp.asarray(bias)
    layer = eqx.nn.Linear(
        weight.shape[1], weight.shape[0], dtype=weight.dtype, key=jax.random.key(0)
    )
    return eqx.tree_at(lambda layer: (layer.weight, layer.bias), layer, (weight, bias))


def random_layers(sizes, key, width=0.7):
    layers = []
    for pre, post in pairwise(sizes):
        key, weight, bias = jax.random.split(key, 3)
        layers.append(
            dense(
                width * jax.random.normal(weight, (post, pre), float),
                0.1 * jax.random.normal(bias, (post,), float),
            )
        )
    return tuple(layers)
