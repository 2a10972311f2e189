"""Trajectories on a fixed time grid."""

import itertools
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

Carry = TypeVar("Carry")


def scan_steps(
    stepper: Callable[[Carry, Any], tuple[Carry, Any]],
    carry: Carry,
    inputs: PyTree,
    *,
    chunk: int | None = None,
    on_chunk: Callable[[int, int], None] | None = None,
) -> tuple[Carry, PyTree]:
    """Iterates a stepper over the leading (time) axis of its inputs.

    One compiled `lax.scan`. With `chunk`, the scan is cut into calls of that many steps, so that a
    long simulation can report progress between them; the result is bit-identical. Chunks are for
    the outermost call: inside `jit`, `vmap` or `grad` leave `chunk` unset.

    Args:
        stepper: `(carry, inputs at one step) -> (carry, outputs at that step)`; pure. The carry is
            any pytree of arrays, in whatever units the stepper uses.
        carry: initial carry.
        inputs: pytree of arrays [steps, ...].
        chunk: steps per call, at least 2 (1,000 to 10,000 serves most simulations); `None`: all.
            A single step left over joins the last call.
        on_chunk: called as `on_chunk(steps done, steps)` after each chunk; needs `chunk`.

    Returns:
        The final carry, and the outputs stacked along a leading axis [steps, ...].

    Raises:
        ValueError: inputs without a common leading axis, `chunk` below 2, or `on_chunk`
            without `chunk`.
    """
    lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(inputs)}
    if len(lengths) != 1 or () in lengths:
        raise ValueError(
            f"inputs has leading axes {sorted(lengths)}; expected one common time axis [steps, ...]"
        )
    ((steps,),) = lengths
    if chunk is None:
        if on_chunk is not None:
            raise ValueError("on_chunk is given and chunk=None; on_chunk needs a chunk size")
        return _scan(stepper, carry, inputs)
    if chunk < 2:
        raise ValueError(f"chunk={chunk} must be at least 2 steps")
    bounds = [*range(0, max(steps, 1), chunk), steps]
    if steps > 1 and steps % chunk == 1:
        # XLA unrolls a loop of one step, which rounds differently.
        del bounds[-2]
    pieces = []
    for start, end in itertools.pairwise(bounds):
        piece = jax.tree.map(lambda leaf: leaf[start:end], inputs)  # noqa: B023
        carry, outputs = _scan(stepper, carry, piece)
        pieces.append(outputs)
        if on_chunk is not None:
            jax.block_until_ready(outputs)
            on_chunk(end, steps)
    return carry, jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *pieces)


@eqx.filter_jit
def _scan(stepper, carry, inputs):
    # The lambda: JAX hashes the function, and a Module with traced fields cannot be hashed.
    return jax.lax.scan(lambda carry, x: stepper(carry, x), carry, inputs)
