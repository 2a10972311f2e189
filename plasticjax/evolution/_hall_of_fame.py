"""The best individuals that searches ever held, each program once."""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from ._evolve import Evolved
from ._individuals import Specs, complexity, individual_key


class Famous(NamedTuple):
    """One entry of a hall of fame.

    Attributes:
        fitness: its fitness, summed over objectives (units of the objective).
        size: number of active nodes.
        individual: `Genomes` in place of each spec.
        search: number of the search, in the order of the arguments.
        island: number of the island.
        generation: when it was first champion of the island; the last generation for parents that
            never were.
    """

    fitness: float
    size: int
    individual: PyTree
    search: int
    island: int
    generation: int


def hall_of_fame(
    specs: Specs, *searches: Evolved, entries: int = 10, per_size: bool = False
) -> tuple[Famous, ...]:
    """Collects champions of all generations and the last parents of all islands.

    Equal programs (see `canonical_key`) count once; of equal fitness the smaller program comes
    first, then the earlier one. Runs on the host, so not under jit.

    Args:
        specs: search spaces of all searches.
        searches: what `evolve` returned.
        entries: how many at most.
        per_size: whether to list the best program of each size, smallest first, and only those
            that beat all smaller ones: the front of fitness against complexity.

    Returns:
        The entries, the fittest first, or the smallest first with `per_size`.

    Raises:
        ValueError: if there is no search, or `entries` is less than 1.
    """
    if not searches:
        raise ValueError("searches must be at least one result of evolve, got none")
    if entries < 1:
        raise ValueError(f"entries must be at least 1, got {entries}")
    found = [one for number, search in enumerate(searches) for one in _candidates(number, search)]
    individuals = [individual for *_, individual in found]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *individuals)
    keys, sizes = jax.jit(
        jax.vmap(lambda one: (individual_key(specs, one), complexity(specs, one)))
    )(stacked)
    famous = {}
    for (fitness, search, island, generation, individual), key, size in zip(
        found, np.asarray(keys).tolist(), np.asarray(sizes).tolist(), strict=True
    ):
        entry = Famous(fitness, size, individual, search, island, generation)
        famous[tuple(key)] = min(famous.get(tuple(key), entry), entry, key=_order)
    ordered = sorted(famous.values(), key=_order)
    return tuple((_front(ordered) if per_size else ordered)[:entries])


def _candidates(number: int, search: Evolved):
    """Fitness, search, island, generation and individual of all that were kept."""
    fitness = search.history.fitness
    pick = partial(_pick, search.history.champion)
    for generation, island in np.argwhere(np.isfinite(fitness)):
        value = float(fitness[generation, island])
        yield value, number, int(island), int(generation), pick(generation, island)
    parents = np.asarray(search.state.fitness).sum(axis=-1)
    last = np.asarray(search.state.generation) - 1
    for island, place in np.argwhere(np.isfinite(parents)):
        individual = _pick(search.state.parents, island, place)
        yield float(parents[island, place]), number, int(island), int(last[island]), individual


def _pick(tree, *index):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[index], tree)


def _order(entry: Famous):
    return -entry.fitness, entry.size, entry.generation, entry.search, entry.island


def _front(ordered):
    """Of the entries, the fittest first, those that are smaller than all fitter ones."""
    kept = []
    for entry in ordered:
        if not kept or entry.size < kept[-1].size:
            kept.append(entry)
    return kept[::-1]
