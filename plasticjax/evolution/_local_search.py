"""Improving the constants of rules: along the gradient, or by a separable evolution strategy."""

import math
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from ._individuals import Specs, genomes_of, individual_key
from ._objective import Objective
from ._state import Asked

Fitness = Callable[[PyTree], Float[Array, ""]]


def clipped_descent(
    learning_rate: float, largest_step: float = 0.1
) -> optax.GradientTransformation:
    """Gradient descent whose steps have a largest norm.

    Args:
        learning_rate: scalar (dimensionless).
        largest_step: norm of the longest step (dimensionless).

    Returns:
        The optimiser.
    """
    return optax.chain(
        optax.clip_by_global_norm(largest_step / learning_rate), optax.sgd(learning_rate)
    )


class AbstractLocalSearch(eqx.Module):
    """Improves the parameters of some individuals of each generation.

    Attributes:
        best: how many of the best offspring and parents of an island are improved; None: all.
        lamarckian: whether improved parameters are inherited; otherwise only the fitness counts.
    """

    best: eqx.AbstractVar[int | None]
    lamarckian: eqx.AbstractVar[bool]

    @abstractmethod
    def improve(self, fitness: Fitness, theta: PyTree, *, key: Any) -> PyTree:
        """Better parameters of one individual.

        Args:
            fitness: of parameters; to be maximised, may be minus infinity (its own units).
            theta: first parameters, arrays of any shape `[...]` (dimensionless).
            key: typed PRNG key.

        Returns:
            Parameters of the same structure; nothing is lost if they are worse.
        """


class GradientSearch(AbstractLocalSearch):
    """Steps of an optax optimiser along the gradient through the simulation.

    Steps to where the fitness is not finite are not taken. Topchy & Punch 2001.

    Attributes:
        optimiser: any optax optimiser; it is given minus the fitness.
        steps: how many.
        best: how many individuals of an island; None: all.
        lamarckian: whether improved parameters are inherited.
    """

    optimiser: optax.GradientTransformation = eqx.field(static=True, default=clipped_descent(0.05))
    steps: int = eqx.field(static=True, default=5)
    best: int | None = eqx.field(static=True, default=None)
    lamarckian: bool = eqx.field(static=True, default=True)

    def improve(self, fitness: Fitness, theta: PyTree, *, key: Any) -> PyTree:
        """Better parameters of one individual; see `AbstractLocalSearch`.

        Args:
            fitness: of parameters (its own units).
            theta: first parameters, arrays of any shape `[...]` (dimensionless).
            key: not used.

        Returns:
            Parameters of the same structure.
        """

        def step(state, _):
            theta, moments = state
            value, slope = jax.value_and_grad(lambda theta: -fitness(theta))(theta)
            updates, following = self.optimiser.update(slope, moments, theta)
            moved = optax.apply_updates(theta, updates)
            leaves = [*jax.tree.leaves(slope), value]
            sound = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))
            return jax.tree.map(partial(jnp.where, sound), (moved, following), state), None

        start = (theta, self.optimiser.init(theta))
        return jax.lax.scan(step, start, length=self.steps)[0][0]


class NaturalEvolutionSearch(AbstractLocalSearch):
    """Separable natural evolution strategy with mirrored samples; needs no gradient.

    Wierstra et al. 2014, JMLR 15:949. Utilities are `max(0, ln(n/2 + 1) - ln k)`, normalised, minus
    1/n.

    Attributes:
        steps: how many.
        spread: first standard deviation of each parameter relative to its magnitude, and at least
            this (dimensionless).
        best: how many individuals of an island; None: all.
        lamarckian: whether improved parameters are inherited.
    """

    steps: int = eqx.field(static=True, default=10)
    spread: float = 0.05
    best: int | None = eqx.field(static=True, default=None)
    lamarckian: bool = eqx.field(static=True, default=True)

    def improve(self, fitness: Fitness, theta: PyTree, *, key: Any) -> PyTree:
        """Better parameters of one individual; see `AbstractLocalSearch`.

        Args:
            fitness: of parameters (its own units).
            theta: first parameters, arrays of any shape `[...]` (dimensionless).
            key: typed PRNG key.

        Returns:
            Parameters of the same structure: the best sample or mean that was met.
        """
        flat, unflatten = ravel_pytree(theta)
        size = max(flat.size, 1)
        half = 4 + math.floor(3 * math.log(size))
        rank = jnp.arange(1, 2 * half + 1)
        utility = jnp.maximum(0, math.log(half + 1) - jnp.log(rank))
        utility = (utility / jnp.sum(utility) - 1 / (2 * half)).astype(flat.dtype)
        rate = (3 + math.log(size)) / (5 * math.sqrt(size))
        judge = jax.vmap(lambda point: fitness(unflatten(point)))

        def step(state, key):
            mean, sigma, best, value = state
            drawn = jax.random.normal(key, (half, flat.size), flat.dtype)
            drawn = jnp.concatenate([drawn, -drawn])
            points = mean + sigma * drawn
            found = judge(points)
            order = jnp.argsort(-found, stable=True)
            weight = jnp.zeros_like(utility).at[order].set(utility)[:, None]
            top = order[0]
            better = found[top] > value
            best = jnp.where(better, points[top], best)
            value = jnp.where(better, found[top], value)
            mean = mean + sigma * jnp.sum(weight * drawn, axis=0)
            growth = jnp.exp(rate / 2 * jnp.sum(weight * (drawn**2 - 1), axis=0))
            return (mean, jnp.maximum(sigma * growth, 1e-9), best, value), None

        sigma = self.spread * jnp.maximum(jnp.abs(flat), 1)
        start = (flat, sigma, flat, fitness(theta))
        (mean, _, best, value), _ = jax.lax.scan(step, start, jax.random.split(key, self.steps))
        return unflatten(jnp.where(fitness(unflatten(mean)) > value, mean, best))


def refine(
    search: AbstractLocalSearch,
    specs: Specs,
    objective: Objective,
    asked: Asked,
    fitness: Float[Array, "islands asked 1"],
    *,
    keys: Any,
    settings: PyTree,
    task_key: Any,
) -> tuple[Asked, Float[Array, "islands asked 1"]]:
    """Improves the best of each island and accepts what has become better.

    Args:
        search: how.
        specs: search spaces.
        objective: what to maximise.
        asked: individuals [islands, asked].
        fitness: of all of them [islands, asked, 1] (units of the objective).
        keys: typed PRNG keys of the islands [islands].
        settings: see `Objective.evaluate`, [islands].
        task_key: typed PRNG keys of the tasks [islands].

    Returns:
        Individuals and fitness after the improvement.
    """
    count = fitness.shape[1] if search.best is None else min(search.best, fitness.shape[1])

    def island(individuals, programs, fitness, key, setting, task):
        chosen = jnp.argsort(-fitness[:, 0], stable=True)[:count]

        def one(index, key):
            individual = jax.tree.map(lambda leaf: leaf[index], individuals)

            def judge(theta):
                batch = (_with_theta(specs, individual, theta), task, setting)
                return objective.evaluate(*jax.tree.map(lambda leaf: leaf[None], batch))[0]

            theta = [genome.theta for _, genome in genomes_of(specs, individual)]
            better = search.improve(judge, theta, key=key)
            value = judge(better).astype(fitness.dtype)
            accepted = value > fitness[index, 0]
            changed = accepted & search.lamarckian
            theta = jax.tree.map(partial(jnp.where, changed), better, theta)
            individual = _with_theta(specs, individual, theta)
            program = individual_key(specs, individual)
            return individual, program, jnp.where(accepted, value, fitness[index, 0])

        found = jax.vmap(one)(chosen, jax.random.split(key, count))
        everything = (individuals, programs, fitness[:, 0])
        individuals, programs, values = jax.tree.map(
            lambda old, new: old.at[chosen].set(new), everything, found
        )
        return individuals, programs, values[:, None]

    individuals, programs, fitness = jax.vmap(island)(
        asked.individuals, asked.programs, fitness, keys, settings, task_key
    )
    return asked._replace(individuals=individuals, programs=programs), fitness


def _with_theta(specs, individual, theta):
    pairs = zip(genomes_of(specs, individual), theta, strict=True)
    return jax.tree.structure(specs).unflatten(
        [genome._replace(theta=new) for (_, genome), new in pairs]
    )
