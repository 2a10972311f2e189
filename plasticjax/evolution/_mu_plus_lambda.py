"""The (mu + lambda) strategy: tournaments, mutation, and survival with neutral drift."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PyTree

from ._individuals import Specs, mutate_individual
from ._reorder import reorder


class MuPlusLambda(eqx.Module):
    """Parents survive only if no offspring is as good: neutral drift. Jordan et al. 2021.

    Attributes:
        mu: number of parents.
        lam: number of offspring in each generation.
        rate: probability that a gene changes, scalar or one for each island [islands]
            (dimensionless); for individuals of several genomes also a pytree of these.
        tournament: how many random parents compete for each offspring; None: all, so that a best
            parent wins. Ties are broken at random.
        reorder: whether parents are reordered before each generation (Goldman & Punch 2014).
        theta_scale: standard deviation of a mutation of the parameters (dimensionless); None: they
            do not mutate.
        pareto: whether fitness and number of active nodes are two objectives: survivors come from
            the non-dominated fronts, less crowded ones first (NSGA-II, Deb et al. 2002). Use it
            with several parents and a tournament of 1 or 2, as tournaments compare fitness alone.
    """

    mu: int = eqx.field(static=True, default=1)
    lam: int = eqx.field(static=True, default=4)
    rate: PyTree = 0.05
    tournament: int | None = eqx.field(static=True, default=None)
    reorder: bool = eqx.field(static=True, default=False)
    theta_scale: float | None = eqx.field(static=True, default=None)
    pareto: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        for name in ("mu", "lam"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.tournament is not None and not 1 <= self.tournament <= self.mu:
            raise ValueError(
                f"tournament must be between 1 and mu = {self.mu} parents, got {self.tournament}"
            )
        for rate in jax.tree.leaves(self.rate):
            if not isinstance(rate, Tracer) and not jnp.all(
                (jnp.asarray(rate) > 0) & (jnp.asarray(rate) <= 1)
            ):
                raise ValueError(f"rate must be above 0 and at most 1, got {rate}")

    def offspring(
        self,
        specs: Specs,
        parents: PyTree,
        fitness: Float[Array, "mu objectives"],
        rates: PyTree,
        *,
        key: Any,
    ) -> tuple[PyTree, Int[Array, " lam"]]:
        """Mutated copies of the winners of `lam` tournaments.

        Args:
            specs: search spaces.
            parents: individuals with a leading axis of `mu`.
            fitness: of the parents [mu, objectives] (its own units).
            rates: one scalar for each spec (dimensionless).
            key: typed PRNG key.

        Returns:
            The offspring, and the index of each one's parent [lam].
        """
        score = _score(fitness)

        def child(index):
            compete, vary = jax.random.split(jax.random.fold_in(key, index))
            parent = self._winner(score, compete)
            chosen = jax.tree.map(lambda leaf: leaf[parent], parents)
            mutant = mutate_individual(specs, chosen, rates, key=vary, theta_scale=self.theta_scale)
            return mutant, parent

        return jax.vmap(child)(jnp.arange(self.lam))

    def reordered(self, specs: Specs, parents: PyTree, *, key: Any) -> PyTree:
        """The parents with their nodes in another order, if `reorder` asks for it.

        Args:
            specs: search spaces.
            parents: individuals with a leading axis of `mu`.
            key: typed PRNG key.

        Returns:
            Individuals that compute the same.
        """
        if not self.reorder:
            return parents
        keys = jax.random.split(key, self.mu)
        return jax.tree.map(
            lambda spec, genomes: jax.vmap(lambda one, k: reorder(spec, one, key=k))(genomes, keys),
            specs,
            parents,
        )

    def survivors(
        self,
        fitness: Float[Array, "all objectives"],
        sizes: Int[Array, " all"],
        competes: Bool[Array, " all"],
    ) -> Int[Array, " mu"]:
        """Indices of the next parents, the best first; at equal fitness the first comes first.

        Args:
            fitness: of offspring, then parents [all, objectives] (its own units).
            sizes: numbers of active nodes [all].
            competes: who can survive at all [all]; at least `mu`.

        Returns:
            Indices [mu].
        """
        score = _score(fitness)
        if not self.pareto:
            return jnp.lexsort((-score, ~competes))[: self.mu].astype(jnp.int32)
        front, crowding = _fronts(score, sizes)
        return jnp.lexsort((-crowding, front, ~competes))[: self.mu].astype(jnp.int32)

    def _winner(self, score, key):
        if self.mu == 1:
            return jnp.zeros((), jnp.int32)
        drawn = jax.random.uniform(key, (self.mu,))
        if self.tournament is None:
            competes = jnp.full(self.mu, True)
        else:
            competes = jnp.sum(drawn[None] < drawn[:, None], axis=1) < self.tournament
        best = jnp.max(jnp.where(competes, score, -jnp.inf))
        return jnp.argmin(jnp.where(competes & (score == best), drawn, 2.0)).astype(jnp.int32)


def _score(fitness: Float[Array, "all objectives"]) -> Float[Array, " all"]:
    """One number that orders individuals: the last objective first, missing ones being -inf."""
    if fitness.shape[1] == 1:
        return fitness[:, 0]
    order = jnp.lexsort(tuple(fitness.T))
    ranked = fitness[order]
    steps = jnp.any(ranked[1:] != ranked[:-1], axis=1)
    rank = jnp.concatenate([jnp.zeros(1), jnp.cumsum(steps)]).astype(fitness.dtype)
    return jnp.zeros(len(fitness), fitness.dtype).at[order].set(rank)


def _fronts(score, sizes):
    """Index of the non-dominated front of each individual, and its crowding distance there."""
    better = (score[:, None] >= score) & (sizes[:, None] <= sizes)
    strictly = (score[:, None] > score) | (sizes[:, None] < sizes)
    dominates = better & strictly
    everyone = len(score)

    def peel(index, front):
        left = front == everyone
        beaten = jnp.any(dominates & left[:, None], axis=0)
        return jnp.where(left & ~beaten, index, front)

    front = jax.lax.fori_loop(0, everyone, peel, jnp.full(everyone, everyone))
    crowding = sum(
        jax.vmap(partial(_gap, values=values, front=front))(jnp.arange(everyone))
        for values in (score, sizes.astype(score.dtype))
    )
    return front, crowding


def _gap(index, *, values, front):
    """Distance between the neighbours of one individual in its front, along one objective."""
    finite = jnp.isfinite(values)
    mine, value = (front == front[index]) & finite, values[index]
    others = mine & (jnp.arange(len(values)) != index)
    above = jnp.min(jnp.where(others & (values >= value), values, jnp.inf))
    below = jnp.max(jnp.where(others & (values <= value), values, -jnp.inf))
    spread = jnp.max(jnp.where(mine, values, -jnp.inf)) - jnp.min(jnp.where(mine, values, jnp.inf))
    scaled = jnp.where(spread > 0, (above - below) / jnp.where(spread > 0, spread, 1), 0.0)
    return jnp.where(jnp.isfinite(value), scaled, 0.0)
