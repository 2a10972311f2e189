"""One generation of many searches side by side: `init`, `ask`, `tell`, `step`."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from ._distinct import evaluate_distinct
from ._individuals import Specs, complexity, individual_key, random_individual
from ._local_search import AbstractLocalSearch, refine
from ._mu_plus_lambda import MuPlusLambda
from ._objective import Objective
from ._state import Asked, Memory, Record, SearchState, recall, remember

# An island that comes as close to the target as this has reached it (hal-cgp).
_CLOSE = 1e-10


class Search(eqx.Module):
    """Islands of (mu + lambda) searches in the ask-and-tell form.

    An island is an independent search. All random choices follow from the key, the generation, and
    the numbers of island and individual, so results depend neither on devices nor on batches.

    Attributes:
        specs: search spaces, a pytree of `GenomeSpec`.
        strategy: how parents make offspring and who survives.
        objectives: number of objectives; with several, each is a hurdle before the next.
        hurdles: for each objective but the last the percentile, 0 to 100, of the different finite
            values in an island that an individual must reach to meet the next objective.
        target: an island stops when its champion reaches it (units of the objective).
        max_evaluations: an island stops when it has asked for as many; None: no limit.
        memory: how many evaluated programs an island remembers, 0 or more.
        local_search: how parameters are improved within a generation; None: not at all.
        resample: whether every generation meets new tasks; then parents are evaluated again.
    """

    specs: Specs = eqx.field(static=True)
    strategy: MuPlusLambda
    objectives: int = eqx.field(static=True, default=1)
    hurdles: tuple[float, ...] = eqx.field(static=True, default=())
    target: float = eqx.field(static=True, default=float("inf"))
    max_evaluations: int | None = eqx.field(static=True, default=None)
    memory: int = eqx.field(static=True, default=0)
    local_search: AbstractLocalSearch | None = None
    resample: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        if len(self.hurdles) != self.objectives - 1:
            raise ValueError(
                f"hurdles must be one percentile for each of {self.objectives} objectives but the "
                f"last, got {self.hurdles}"
            )
        if not all(0 <= hurdle <= 100 for hurdle in self.hurdles):
            raise ValueError(f"hurdles must be percentiles from 0 to 100, got {self.hurdles}")
        if self.local_search is not None:
            if self.objectives > 1:
                raise ValueError(
                    f"local_search needs a single objective, got objectives={self.objectives}"
                )
            if not any(spec.n_theta for spec in jax.tree.leaves(self.specs)):
                raise ValueError(
                    "local_search must be None for specs without parameters; add "
                    "plasticjax.evolution.parameter() to the primitives"
                )
        if self.memory < 0:
            raise ValueError(f"memory must be 0 or more programs, got {self.memory}")
        if 0 < self.memory < self.strategy.mu + self.strategy.lam:
            raise ValueError(
                f"memory must be 0 or at least mu + lam = {self.strategy.mu + self.strategy.lam}, "
                f"got {self.memory}"
            )
        if self.resample and self.memory:
            raise ValueError(
                f"memory must be 0 if tasks are drawn anew (resample), got {self.memory}"
            )

    def init(
        self,
        key: Any,
        *,
        islands: int = 1,
        settings: PyTree = None,
        seeds: tuple[PyTree, ...] = (),
    ) -> SearchState:
        """Random parents, not yet evaluated.

        Args:
            key: typed PRNG key of the search.
            islands: how many searches.
            settings: None or one entry per island [islands, ...] that the objective gets.
            seeds: individuals that take the first places among the parents of every island.

        Returns:
            The state before generation 0.

        Raises:
            ValueError: if numbers do not fit.
        """
        mu = self.strategy.mu
        if islands < 1:
            raise ValueError(f"islands must be at least 1, got {islands}")
        if len(seeds) > mu:
            raise ValueError(f"seeds must be at most mu = {mu} individuals, got {len(seeds)}")
        for leaf in jax.tree.leaves(settings):
            if jnp.shape(leaf)[:1] != (islands,):
                raise ValueError(
                    f"settings must have one entry for each of {islands} islands, got shape "
                    f"{jnp.shape(leaf)}"
                )
        number = jnp.arange(islands, dtype=jnp.int32)
        dtype = jnp.result_type(float)

        def population(island):
            own = jax.random.fold_in(jax.random.fold_in(key, island), 0)
            keys = jax.vmap(partial(jax.random.fold_in, own))(jnp.arange(mu))
            return jax.vmap(lambda one: random_individual(self.specs, key=one))(keys)

        parents = jax.vmap(population)(number)
        for place, seed in enumerate(seeds):
            parents = jax.tree.map(
                lambda leaf, new, at=place: leaf.at[:, at].set(new), parents, seed
            )
        rates = self.strategy.rate
        if jax.tree.structure(rates).num_leaves == 1:
            rates = jax.tree.map(lambda _: self.strategy.rate, self.specs)
        nothing = jnp.zeros(islands, jnp.int32)
        return SearchState(
            parents=parents,
            fitness=jnp.full((islands, mu, self.objectives), -jnp.inf, dtype),
            island=number,
            rates=jax.tree.map(
                lambda rate: jnp.broadcast_to(jnp.asarray(rate, dtype), islands), rates
            ),
            settings=settings,
            memory=Memory(
                jnp.zeros((islands, self.memory, 2), jnp.uint32),
                jnp.zeros((islands, self.memory, self.objectives), dtype),
                nothing,
            ),
            evaluations=nothing,
            generation=nothing,
        )

    def ask(self, state: SearchState, key: Any) -> tuple[SearchState, Asked]:
        """Offspring and parents of a generation; in generation 0 only parents are needed.

        Args:
            state: what `init` or `tell` returned.
            key: the key of the search.

        Returns:
            The state with the nodes of its parents in a new order if the strategy reorders, and
            what to evaluate.
        """

        def island(state: SearchState):
            own = jax.random.fold_in(jax.random.fold_in(key, state.island), 1 + state.generation)
            order, vary = jax.random.split(own)
            parents = self.strategy.reordered(self.specs, state.parents, key=order)
            offspring, parent = self.strategy.offspring(
                self.specs, parents, state.fitness, state.rates, key=vary
            )
            first = state.generation == 0
            everyone = jax.tree.map(lambda *parts: jnp.concatenate(parts), offspring, parents)
            programs = jax.vmap(partial(individual_key, self.specs))(everyone)
            new, old = jnp.split(programs, [self.strategy.lam])
            silent = jnp.all(new == old[parent], axis=1)
            fitness = jnp.concatenate([state.fitness[parent], state.fitness])
            known = jnp.concatenate([silent | first, jnp.full(self.strategy.mu, ~first)])
            if self.memory:
                hit, remembered = recall(state.memory, programs)
                fitness = jnp.where((hit & ~known)[:, None], remembered, fitness)
                known |= hit
            needed = ~known | (self.resample & ~first)
            fitness = jnp.where(needed[:, None], -jnp.inf, fitness)
            return parents, Asked(everyone, fitness, needed, programs, silent)

        parents, asked = jax.vmap(island)(state)
        asked = asked._replace(needed=asked.needed & ~self.stopped(state)[:, None])
        return state._replace(parents=parents), asked

    def tell(
        self, state: SearchState, asked: Asked, fitness: Float[Array, "islands asked objectives"]
    ) -> SearchState:
        """Selects the parents of the next generation; islands that have stopped stay as they are.

        Args:
            state: what `ask` returned.
            asked: what `ask` returned.
            fitness: `asked.fitness` with the needed entries filled in [islands, asked, objectives]
                (units of the objectives); NaN counts as -inf.

        Returns:
            The state of the next generation.
        """
        stopped = self.stopped(state)
        fitness = jnp.where(jnp.isnan(fitness), -jnp.inf, fitness)

        def island(state: SearchState, asked: Asked, fitness):
            sizes = jax.vmap(partial(complexity, self.specs))(asked.individuals)
            offspring = jnp.arange(len(sizes)) < self.strategy.lam
            competes = (state.generation > 0) | ~offspring
            chosen = self.strategy.survivors(fitness, sizes, competes)
            memory = state.memory
            if self.memory:
                memory = remember(memory, asked.programs, fitness, asked.needed)
            return state._replace(
                parents=jax.tree.map(lambda leaf: leaf[chosen], asked.individuals),
                fitness=fitness[chosen],
                memory=memory,
                evaluations=state.evaluations + jnp.sum(asked.needed, dtype=jnp.int32),
            )

        told = jax.vmap(island)(state, asked, fitness)

        def keep(new, old):
            return jnp.where(stopped.reshape(-1, *[1] * (old.ndim - 1)), old, new)

        told = jax.tree.map(keep, told, state)
        return told._replace(generation=state.generation + 1)

    def judge(
        self, objectives: tuple[Objective, ...], state: SearchState, asked: Asked, key: Any
    ) -> Float[Array, "islands asked objectives"]:
        """Fitness of what was asked for; equal programs are evaluated once.

        Args:
            objectives: what to maximise, in the order of the hurdles.
            state: the state that goes with `asked`.
            asked: what `ask` returned.
            key: typed PRNG key of the tasks.

        Returns:
            `asked.fitness` with the needed entries filled in (units of the objectives).
        """
        islands, count = asked.needed.shape
        keys = self._task_keys(state, key)
        keys, settings, island = jax.tree.map(
            lambda leaf: jnp.repeat(leaf, count, axis=0), (keys, state.settings, state.island)
        )
        flat = jax.tree.map(
            lambda leaf: leaf.reshape(islands * count, *leaf.shape[2:]), asked.individuals
        )
        programs = asked.programs.reshape(islands * count, 2)
        if settings is not None:
            programs = jnp.concatenate([programs, island.astype(jnp.uint32)[:, None]], axis=1)
        fitness, alive = asked.fitness, asked.needed
        for index, objective in enumerate(objectives):
            found = evaluate_distinct(objective, flat, programs, alive.ravel(), keys, settings)
            found = found.reshape(islands, count)
            fitness = fitness.at[..., index].set(jnp.where(alive, found, fitness[..., index]))
            if index < len(self.hurdles):
                bound = jax.vmap(partial(_percentile, percent=self.hurdles[index]))
                alive &= fitness[..., index] >= bound(fitness[..., index])[:, None]
        return fitness

    def _task_keys(self, state, key):
        drawn = state.generation if self.resample else jnp.zeros_like(state.generation)
        return jax.vmap(partial(jax.random.fold_in, key))(drawn)

    def step(
        self, state: SearchState, key: Any, objectives: tuple[Objective, ...]
    ) -> tuple[SearchState, Record]:
        """One generation, for `jax.lax.scan`.

        Args:
            state: what `init` or `step` returned.
            key: the key of the search.
            objectives: what to maximise, in the order of the hurdles.

        Returns:
            The next state and what to record of it.
        """
        state, asked = self.ask(state, key)
        fitness = self.judge(objectives, state, asked, tasks_key(key))
        if self.local_search is not None:
            own = jax.vmap(
                lambda island, time: jax.random.fold_in(
                    jax.random.fold_in(local_key(key), island), time
                )
            )(state.island, state.generation)
            asked, fitness = refine(
                self.local_search,
                self.specs,
                objectives[0],
                asked,
                fitness,
                keys=own,
                settings=state.settings,
                task_key=self._task_keys(state, tasks_key(key)),
            )
        state = self.tell(state, asked, fitness)
        return state, self.record(state, asked)

    def record(self, state: SearchState, asked: Asked) -> Record:
        """What to record of a generation.

        Args:
            state: what `tell` returned.
            asked: what `ask` returned before.

        Returns:
            The record.
        """
        champions = state.champions
        return Record(
            state.champion_fitness,
            jax.vmap(partial(complexity, self.specs))(champions),
            state.evaluations,
            jnp.mean(asked.silent, axis=1, dtype=state.fitness.dtype),
            champions,
        )

    def stopped(self, state: SearchState) -> Bool[Array, " islands"]:
        """Which islands have reached the target or spent their evaluations.

        Args:
            state: any state.

        Returns:
            True for islands that no longer change [islands] (dimensionless).
        """
        done = state.champion_fitness + _CLOSE >= self.target
        if self.max_evaluations is not None:
            done |= state.evaluations >= self.max_evaluations
        return done


def tasks_key(key: Any) -> Any:
    """The key of the tasks that goes with the key of a search.

    Individuals meet their tasks with this key folded with 0, or with the generation if a search
    resamples.

    Args:
        key: scalar key of the search.

    Returns:
        The key.
    """
    return jax.random.fold_in(key, 2**31)


def local_key(key: Any) -> Any:
    """The key of the local search that goes with the key of a search."""
    return jax.random.fold_in(key, 2**31 + 1)


def _percentile(values, percent):
    """Percentile of the different finite values, linear between them; inf if there are none."""
    ordered = jnp.sort(jnp.where(jnp.isfinite(values), values, jnp.inf))
    new = jnp.isfinite(ordered) & (ordered != jnp.roll(ordered, 1)).at[0].set(True)
    distinct = jnp.sort(jnp.where(new, ordered, jnp.inf))
    place = jnp.maximum(jnp.sum(new) - 1, 0) * (percent / 100)
    low = jnp.floor(place).astype(int)
    high = jnp.minimum(low + 1, jnp.maximum(jnp.sum(new) - 1, 0))
    share = place - low
    between = distinct[low] + jnp.where(share > 0, share * (distinct[high] - distinct[low]), 0)
    return jnp.where(jnp.any(new), between, jnp.inf)
