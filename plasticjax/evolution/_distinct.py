"""Evaluate each distinct program of a population once, and only where it is needed."""

from functools import partial
from itertools import pairwise
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
    bounds = [0, count]
    if objective.short:
        # Short programs come first: who is judged by which code must not depend on the others.
        behind = (objective.sizes(individuals)[first] > objective.short).astype(jnp.int32)
        group = jnp.where(jnp.arange(total) < count, behind, 2)
        order = jnp.argsort(group, stable=True)
        bounds = [0, jnp.sum(group == 0), count]
        first, place = first[order], jnp.argsort(order)[place]

    def chunk(index, found, start, stop):
        places = start + index * batch + jnp.arange(batch)
        picked = first[jnp.minimum(places, stop - 1)]
        some = jax.tree.map(lambda leaf: leaf[picked], (individuals, keys, settings))
        fitness = objective.evaluate(*some).astype(found.dtype)
        return found.at[jnp.where(places < stop, places, total)].set(fitness, mode="drop")

    found = jnp.full(total, -jnp.inf, jnp.result_type(float))
    for start, stop in pairwise(bounds):
        some = partial(chunk, start=start, stop=stop)
        found = jax.lax.fori_loop(0, -(-(stop - start) // batch), some, found)
    return jnp.where(needed, found[place], -jnp.inf)
