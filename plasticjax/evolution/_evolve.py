"""The loop over generations: progress, history, checkpoints, devices."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from plasticjax.runtime import gather, shard_over

from ._migration import migrate
from ._objective import Objective
from ._search import Search, tasks_key
from ._state import Record, SearchState, record_like


@runtime_checkable
class Checkpoints(Protocol):
    """Where states are kept, such as `plasticjax.runtime.Checkpoints`."""

    def save(self, step: int, state: Any) -> None:
        """Store the state of a step."""
        ...

    def restore(self, like: Any) -> tuple[int, Any] | None:
        """Return the last step and state, or None."""
        ...


class Evolved(NamedTuple):
    """The result of `evolve`.

    Attributes:
        state: the last state; its `champions` are the best individuals [islands].
        history: a `Record` with a leading axis [generations, islands], generation 0 first; the
            fitness of generations that were not reached is NaN (units of the objective).
    """

    state: SearchState
    history: Record

    @property
    def fitness(self) -> Float[Array, " islands"]:
        """Fitness of the champion of each island."""
        return self.state.champion_fitness

    @property
    def best(self) -> PyTree:
        """The champion of the best island."""
        island = jnp.argmax(self.fitness)
        return jax.tree.map(lambda leaf: leaf[island], self.state.champions)


def evolve(
    objective: Any,
    search: Search,
    *,
    key: Any,
    generations: int,
    islands: int = 1,
    settings: PyTree = None,
    seeds: tuple[PyTree, ...] = (),
    migrate_every: int | None = None,
    migrants: int = 1,
    block: int = 25,
    mesh: Any = None,
    checkpoints: Checkpoints | None = None,
    progress: Callable[[int, str], AbstractContextManager[Any]] | None = None,
    description: str = "evolution",
) -> Evolved:
    """Searches for individuals of large fitness.

    An `Objective` runs inside one compiled loop of `block` generations. Anything else with a method
    `evaluate(individuals, keys) -> fitness [individuals]`, such as a chip or a pool of processes,
    is called once a generation with the distinct individuals that are needed.

    Args:
        objective: what to maximise; a tuple of `Objective`s if the search has hurdles.
        search: search spaces and strategy.
        key: typed PRNG key; equal keys give equal results on any number of devices.
        generations: how many, the evaluation of the first parents included; at least 1.
        islands: number of independent searches.
        settings: None or one entry per island [islands, ...] that the objective gets as a fourth
            argument, for scans of parameters.
        seeds: individuals that take the first places among the parents of every island.
        migrate_every: generations between migrations along a ring of islands; None: never.
        migrants: how many of the best move then.
        block: generations between two looks at the search: progress, checkpoints, migration.
        mesh: a mesh of devices over whose first axis islands are spread; None: one device.
        checkpoints: where to store the search after each block, and to resume it from.
        progress: such as `plasticjax.runtime.progress`.
        description: what the progress bar says.

    Returns:
        The last state and the history.

    Raises:
        ValueError: if numbers do not fit, or the objective is of no known kind.
        CheckpointError: if the checkpoint belongs to another search.
    """
    for name, number in (("generations", generations), ("block", block), ("migrants", migrants)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    if migrate_every is not None:
        if migrate_every < 1 or migrants > search.strategy.mu:
            raise ValueError(
                f"migrate_every={migrate_every} must be at least 1 and migrants={migrants} at "
                f"most mu={search.strategy.mu}"
            )
        block = min(block, migrate_every)
        if migrate_every % block:
            raise ValueError(f"migrate_every={migrate_every} must be a multiple of block={block}")
    objectives = objective if isinstance(objective, tuple) else (objective,)
    _check_objectives(objectives, search)
    state = gather(_init(search, key, islands, settings, seeds))
    record = record_like(state)
    if isinstance(objectives[0], Objective):
        run = _device_block(objectives, search, key, mesh, min(block, generations))
    else:
        run = _host_block(objectives, search, key, mesh)
    history = jax.tree.map(lambda leaf: _empty((generations, *leaf.shape), leaf.dtype), record)
    found = checkpoints.restore((state, history)) if checkpoints is not None else None
    done, (state, history) = found if found is not None else (0, (state, history))
    opened = nullcontext() if progress is None else progress(generations - done, description)
    with opened as bar:
        while done < generations:
            count = min(block, generations - done)
            state, records = run(state, count)
            for kept, new in zip(jax.tree.leaves(history), jax.tree.leaves(records), strict=True):
                kept[done : done + count] = new
            done += count
            if migrate_every is not None and done % migrate_every == 0 and done < generations:
                state = gather(jax.jit(migrate, static_argnums=1)(state, migrants))
            if bar is not None:
                best = history.fitness[done - 1]
                bar.advance(count, best=float(best.max()), mean=float(np.mean(best)))
            if checkpoints is not None:
                checkpoints.save(done, (state, history))
            if bool(np.all(search.stopped(state))):
                break
    return Evolved(state, history)


def _check_objectives(objectives, search):
    if len(objectives) != search.objectives:
        raise ValueError(
            f"objective must be {search.objectives} objectives for this search, "
            f"got {len(objectives)}"
        )
    traced = [isinstance(objective, Objective) for objective in objectives]
    if not all(traced) and (len(objectives) > 1 or not hasattr(objectives[0], "evaluate")):
        raise ValueError(
            "objective must be an Objective, a tuple of them, or have a method "
            f"evaluate(individuals, keys), got {objectives}"
        )


# Compiled once for each search, objective and number of islands, not once for each call.
@eqx.filter_jit
def _init(search: Search, key, islands: int, settings, seeds):
    return search.init(key, islands=islands, settings=settings, seeds=seeds)


@eqx.filter_jit
def _block(state, words, search: Search, objectives, count, *, longest: int, kind, mesh):
    def many(state, words, objectives, count):
        key = jax.random.wrap_key_data(words, impl=kind)
        # The last block may be shorter; a program of its own would take longer to compile.
        records = jax.tree.map(
            lambda leaf: jnp.zeros((longest, *leaf.shape), leaf.dtype), record_like(state)
        )

        def one(index, carry):
            state, records = carry
            state, new = search.step(state, key, objectives)
            return state, jax.tree.map(lambda all_, one: all_.at[index].set(one), records, new)

        return jax.lax.fori_loop(0, count, one, (state, records))

    if mesh is None:
        return many(state, words, objectives, count)
    spread = shard_over(many, mesh, shared=(1, 2, 3), out_axes=(0, 1))
    return spread(state, words, objectives, count)


def _device_block(objectives, search: Search, key, mesh, longest: int):
    # Host arrays are the same in all processes, so they may enter a computation of all of them.
    words, kind = gather(jax.random.key_data(key)), jax.random.key_impl(key)
    arrays, others = eqx.partition(objectives, eqx.is_array)
    objectives = eqx.combine(gather(arrays), others)

    def run(state, count):
        found = _block(
            state,
            words,
            search,
            objectives,
            np.asarray(count),
            longest=longest,
            kind=kind,
            mesh=mesh,
        )
        state, records = gather(found)
        return state, jax.tree.map(lambda leaf: leaf[:count], records)

    return run


def _host_block(objectives, search: Search, key, mesh):
    if search.local_search is not None:
        raise ValueError("local_search must be None for an objective that is not traced")
    if mesh is not None:
        raise ValueError("mesh must be None: this objective is not traced, it runs on the host")
    ask, tell = jax.jit(search.ask), jax.jit(search.tell)
    record = jax.jit(search.record)
    tasks = tasks_key(key)

    def generation(state):
        state, asked = ask(state, key)
        needed = np.asarray(asked.needed)
        fitness = np.array(asked.fitness)
        words = [np.asarray(asked.programs)[needed]]
        if state.settings is not None:
            raise ValueError("settings must be None for an objective that is not traced")
        _, first, place = np.unique(words[0], axis=0, return_index=True, return_inverse=True)
        where = np.argwhere(needed)[first]
        if len(where):
            chosen = jax.tree.map(lambda leaf: leaf[where[:, 0], where[:, 1]], asked.individuals)
            draws = state.generation[0] if search.resample else 0
            own = jax.random.fold_in(tasks, draws)
            keys = jnp.broadcast_to(own, len(where))
            found = np.asarray(objectives[0].evaluate(chosen, keys), fitness.dtype)
            if found.shape != (len(where),):
                raise ValueError(
                    f"evaluate must return {len(where)} numbers, got shape {found.shape}"
                )
            fitness[needed, 0] = found[place.ravel()]
        state = tell(state, asked, jnp.asarray(fitness))
        return state, record(state, asked)

    def run(state, count):
        records = []
        for _ in range(count):
            state, one = generation(state)
            records.append(one)
        return gather((state, jax.tree.map(lambda *leaves: np.stack(leaves), *records)))

    return run


def _empty(shape, dtype):
    return np.full(shape, np.nan if np.issubdtype(dtype, np.floating) else 0, dtype)
