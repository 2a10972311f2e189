"""What islands of searches carry, ask for, and report."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree, UInt32


class Memory(NamedTuple):
    """The programs that an island evaluated last.

    Attributes:
        programs: hashes [islands, memory, 2] (dimensionless).
        fitness: what was found [islands, memory, objectives] (units of the objective).
        written: how many were ever written [islands].
    """

    programs: UInt32[Array, "islands memory 2"]
    fitness: Float[Array, "islands memory objectives"]
    written: Int[Array, " islands"]


class SearchState(NamedTuple):
    """What islands of parents carry from one generation to the next.

    Attributes:
        parents: individuals [islands, mu], the best first.
        fitness: of the parents [islands, mu, objectives] (units of the objective).
        island: number of each island [islands]; with the key it fixes all random choices.
        rates: mutation rates [islands], in place of each spec (dimensionless).
        settings: None or what the objective gets besides the rule [islands, ...].
        memory: programs evaluated last.
        evaluations: how many evaluations each island asked for [islands].
        generation: generations done, scalar.
    """

    parents: PyTree
    fitness: Float[Array, "islands mu objectives"]
    island: Int[Array, " islands"]
    rates: PyTree
    settings: PyTree
    memory: Memory
    evaluations: Int[Array, " islands"]
    generation: Int[Array, " islands"]

    @property
    def champion_fitness(self) -> Float[Array, " islands"]:
        """Fitness of the best parent of each island, summed over objectives."""
        return jnp.sum(self.fitness[:, 0], axis=-1)

    @property
    def champions(self) -> PyTree:
        """The best parent of each island [islands]."""
        return jax.tree.map(lambda leaf: leaf[:, 0], self.parents)


class Asked(NamedTuple):
    """Individuals of a generation, and what is known about them before they are evaluated.

    Attributes:
        individuals: offspring, then parents [islands, asked].
        fitness: known fitness [islands, asked, objectives] (units of the objective).
        needed: which are to be evaluated [islands, asked].
        programs: hashes [islands, asked, 2] (dimensionless), equal where programs are equal.
        silent: which offspring compute what their parent computes [islands, lam].
    """

    individuals: PyTree
    fitness: Float[Array, "islands asked objectives"]
    needed: Bool[Array, "islands asked"]
    programs: UInt32[Array, "islands asked 2"]
    silent: Bool[Array, "islands lam"]


class Record(NamedTuple):
    """What one generation reports.

    Attributes:
        fitness: of the champion [islands] (units of the objective).
        size: active nodes of the champion [islands].
        evaluations: evaluations that were asked for so far [islands].
        silent: fraction of offspring that compute what their parent computes [islands].
        champion: the best individual [islands].
    """

    fitness: Float[Array, " islands"]
    size: Int[Array, " islands"]
    evaluations: Int[Array, " islands"]
    silent: Float[Array, " islands"]
    champion: PyTree


def record_like(state: SearchState) -> Record:
    """Arrays of the shapes and types of what `Search.record` reports, without tracing it."""
    fitness, count = state.champion_fitness, state.evaluations
    return Record(fitness, count, count, fitness, state.champions)


def recall(memory: Memory, programs):
    """Which programs an island remembers, and their fitness."""
    written = jnp.arange(memory.programs.shape[0]) < memory.written
    same = jnp.all(programs[:, None] == memory.programs, axis=-1) & written
    return jnp.any(same, axis=1), memory.fitness[jnp.argmax(same, axis=1)]


def remember(memory: Memory, programs, fitness, needed) -> Memory:
    """The memory of an island with the needed programs written over its oldest ones."""
    size = memory.programs.shape[0]
    slot = (memory.written + jnp.cumsum(needed) - 1) % size
    slot = jnp.where(needed, slot, size)
    return Memory(
        memory.programs.at[slot].set(programs, mode="drop"),
        memory.fitness.at[slot].set(fitness, mode="drop"),
        memory.written + jnp.sum(needed, dtype=jnp.int32),
    )
