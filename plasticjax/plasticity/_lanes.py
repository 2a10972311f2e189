"""Calls to rules in lanes that may be idle, without a trace of the idle ones in derivatives."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.lax import stop_gradient
from jaxtyping import PyTree


def call_where(on: Any, function: Any, signals: tuple[PyTree, ...]) -> PyTree:
    """`function(*signals)`, with inputs and parameters cut off where the lane is not `on`.

    An idle lane sees ones instead of its inputs, so what happens to be there (a NaN, a division
    by zero) is not evaluated. Its parameters keep their values and lose their derivatives: the
    zero cotangent of an idle lane times an infinite slope would be NaN in the sum over lanes. The
    result is meaningless where the lane is idle; the caller selects.
    """
    cut = lambda p: jnp.where(on, p, stop_gradient(p)) if eqx.is_inexact_array(p) else p  # noqa: E731
    return jax.tree.map(cut, function)(*jax.tree.map(lambda x: _or_one(on, x), signals))


def _or_one(on, x):
    if jnp.issubdtype(jnp.result_type(x), jnp.inexact):
        return jnp.where(on, x, jnp.ones_like(x))
    return x


def select(on: Any, new: PyTree, old: PyTree) -> PyTree:
    """`new` where the lane is `on`, else `old`, leaf by leaf."""
    return jax.tree.map(lambda a, b: jnp.where(on, a, b), new, old)
