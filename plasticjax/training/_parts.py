"""Gradients of large batches, one part after the other."""

from collections.abc import Callable
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

Parameters = TypeVar("Parameters")


def value_and_grad_in_parts(
    loss: Callable[[Parameters, PyTree], Float[Array, ""]],
    parameters: Parameters,
    batch: PyTree,
    *,
    parts: int,
    axes: PyTree[int] = 0,
) -> tuple[Float[Array, ""], Parameters]:
    """Value and gradient of a loss that is a mean over a batch, taken in equal parts of it.

    Memory is that of one part. On a CPU it is faster than the whole batch at once if the traces of
    a part fit into the cache. The result is the same to rounding.

    To leave samples out, as the `real` of a `Batch` wants, let `loss` return the sum over those of
    its part that count, and scale both results by `parts` over the number of all that count.

    Args:
        loss: `(parameters, part of the batch) -> scalar`, the mean over the samples of the part.
        parameters: pytree; the gradient is by its floating-point arrays, as with
            `equinox.filter_value_and_grad`.
        batch: pytree of arrays with one axis of samples each.
        parts: in how many parts, a divisor of the number of samples.
        axes: which axis of each leaf counts samples, one number for all or a pytree of them that
            is a prefix of `batch`, as `in_axes` of `jax.vmap` (dimensionless).

    Returns:
        The loss of the whole batch, and its gradient in the structure of `parameters`, `None` for
        what is not differentiated (units of the loss, and of the loss over those of a parameter).

    Raises:
        ValueError: if leaves differ in their number of samples, or `parts` does not divide it.
    """
    sizes = jax.tree.map(
        lambda axis, leaves: [leaf.shape[axis] for leaf in jax.tree.leaves(leaves)], axes, batch
    )
    sizes = sorted(set(jax.tree.leaves(sizes)))
    if len(sizes) != 1:
        raise ValueError(f"batch has leaves of {sizes} samples along axes={axes}; expected as many")
    (samples,) = sizes
    if parts < 1 or samples % parts:
        raise ValueError(f"parts={parts} must divide the {samples} samples of the batch")
    size = samples // parts

    def take(k):
        def cut(axis, leaves):
            part = lambda x: jax.lax.dynamic_slice_in_dim(x, k * size, size, axis)  # noqa: E731
            return jax.tree.map(part, leaves)

        return jax.tree.map(cut, axes, batch)

    def add(total, k):
        own = eqx.filter_value_and_grad(loss)(parameters, take(k))
        return jax.tree.map(jnp.add, total, own), None

    shapes = eqx.filter_eval_shape(eqx.filter_value_and_grad(loss), parameters, take(0))
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    total, _ = jax.lax.scan(add, nothing, jnp.arange(parts))
    return jax.tree.map(lambda leaf: leaf / parts, total)
