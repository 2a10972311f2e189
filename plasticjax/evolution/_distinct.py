"""Evaluate each distinct program of a population once, and only where it is needed."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree, UInt32

from ._objective import Objective


def distinct(
    keys: UInt32[Array, "all words"], needed: Bool[Array, " all"]
) -> tuple[Int[Array, " all"], Int[Array, " all"], Int[Array, ""]]:
    """Finds equal programs.

    Args:
        keys: hashes of programs [all, words] (dimensionless).
        needed: which of them matter [all].

    Returns:
        For each distinct program its first index [all], the first `count` entries being valid; for
        each individual its place among them [all], valid where needed; and `count`.
    """
    count = len(needed)
    words = [keys[:, column] for column in range(keys.shape[1])]
    order = jnp.arange(count, dtype=jnp.int32)
    unneeded, *words, order = jax.lax.sort(
        (~needed, *words, order), num_keys=1 + len(words), is_stable=True
    )
    changed = jnp.any(
        jnp.stack([jnp.concatenate([jnp.ones(1, bool), w[1:] != w[:-1]]) for w in words]), axis=0
    )
    new = changed & ~unneeded
    place = jnp.cumsum(new).astype(jnp.int32) - 1
    first = jnp.zeros(count, jnp.int32).at[jnp.where(new, place, count)].set(order, mode="drop")
    return first, jnp.zeros(count, jnp.int32).at[order].set(place), jnp.sum(new).astype(jnp.int32)


def evaluate_distinct(
    objective: Objective,
    individuals: PyTree,
    programs: UInt32[Array, "all words"],
    needed: Bool[Array, " all"],
    keys: Any,
    settings: PyTree,
) -> Float[Array, " all"]:
    """Fitness of the needed individuals; equal programs are evaluated once.

    Args:
        objective: what to evaluate, in chunks of its `batch`.
        individuals: with a leading axis [all].
        programs: what distinguishes them [all, words] (dimensionless).
        needed: which of them to evaluate [all].
        keys: typed PRNG keys [all].
        settings: see `Objective.evaluate`.

    Returns:
        Fitness [all] (its own units), minus infinity where not needed.
    """
    first, place, count = distinct(programs, needed)
    total, batch = len(needed), min(objective.batch, len(needed))
    chosen = jnp.concatenate([first, jnp.zeros(-total % batch, first.dtype)])

    def chunk(index, found):
        picked = jax.lax.dynamic_slice(chosen, (index * batch,), (batch,))
        some = jax.tree.map(lambda leaf: leaf[picked], (individuals, keys, settings))
        fitness = objective.evaluate(*some).astype(found.dtype)
        return jax.lax.dynamic_update_slice(found, fitness, (index * batch,))

    dtype = jnp.result_type(float)
    found = jnp.full(len(chosen), -jnp.inf, dtype)
    found = jax.lax.fori_loop(0, -(-count // batch), chunk, found)
    return jnp.where(needed, found[place], -jnp.inf)
