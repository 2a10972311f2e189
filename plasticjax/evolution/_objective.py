"""What is maximised: the fitness of rules, traced by JAX or measured elsewhere."""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ._evolved import Program
from ._individuals import Specs, complexity, genomes_of
from ._program import active_nodes, compact

_REDUCTIONS = {"mean": jnp.mean, "min": jnp.min, "median": jnp.median}


class Objective(eqx.Module):
    """Fitness that JAX can trace, averaged over environments.

    `fitness(rules, environment, key)` returns one number, or a pair of it and anything else, which
    is dropped; larger is better. `rules` is a `Program` in place of each spec. With settings (one
    per individual, see `evolve`) it is called with the setting as a fourth argument. Anything that
    is not finite counts as minus infinity.

    Attributes:
        fitness: the function above.
        specs: search spaces, a pytree of `GenomeSpec`.
        environments: a pytree of arrays [environments, ...] (in units of `fitness`); every rule is
            tested in each of them.
        reduce: how the numbers of all environments make one: `"mean"`, `"min"` or `"median"`.
        batch: how many individuals run side by side. Few suit functions that are already vectors
            of a thousand numbers: with 1 each node of a program is one real branch. Many suit long
            loops over few synapses, and accelerators.
        penalty: what each active node costs (in units of `fitness`), so that short rules win.
    """

    fitness: Callable[..., Any] = eqx.field(static=True)
    specs: Specs = eqx.field(static=True)
    environments: PyTree
    reduce: str = eqx.field(static=True, default="mean")
    batch: int = eqx.field(static=True, default=64)
    penalty: float = 0.0

    def __check_init__(self):
        if self.reduce not in _REDUCTIONS:
            raise ValueError(f"reduce must be one of {list(_REDUCTIONS)}, got {self.reduce!r}")
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, got {self.batch}")
        sizes = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(self.environments)}
        if len(sizes) != 1 or () in sizes or (0,) in sizes:
            raise ValueError(
                "environments must be arrays with one common leading axis of at least 1, got "
                f"leading axes {sorted(sizes)}"
            )

    def evaluate(
        self, individuals: PyTree, keys: Any, settings: PyTree = None
    ) -> Float[Array, " individuals"]:
        """Fitness of each individual.

        Args:
            individuals: `Genomes` with a leading axis in place of each spec.
            keys: typed PRNG keys [individuals].
            settings: None or a pytree of arrays [individuals, ...] (in units of `fitness`).

        Returns:
            Finite numbers or minus infinity [individuals] (in units of `fitness`).
        """
        sizes = [
            jnp.max(jnp.sum(jax.vmap(partial(active_nodes, spec))(genomes), axis=1))
            for spec, genomes in genomes_of(self.specs, individuals)
        ]
        lengths = _lengths(max(spec.n_hidden for spec in jax.tree.leaves(self.specs)))
        index = jnp.searchsorted(jnp.asarray(lengths), jnp.max(jnp.stack(sizes)))
        one = [partial(self._each, length) for length in lengths]
        if keys.shape[0] > 1:
            one = [jax.vmap(function) for function in one]
            return jax.lax.switch(index, one, individuals, keys, settings)
        first = jax.tree.map(lambda leaf: leaf[0], (individuals, keys, settings))
        return jax.lax.switch(index, one, *first)[None]

    def _each(self, length: int, individual, key, setting):
        method = "scan_switch" if self.batch == 1 else "vmap_select"
        rules = jax.tree.structure(self.specs).unflatten(
            [
                Program(compact(spec, genome, min(length, spec.n_hidden)), spec, method)
                for spec, genome in genomes_of(self.specs, individual)
            ]
        )
        extra = () if setting is None else (setting,)

        def test(environment, key):
            found = self.fitness(rules, environment, key, *extra)
            return found[0] if isinstance(found, tuple) else found

        count = len(jax.tree.leaves(self.environments)[0])
        keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(jnp.arange(count))
        found = jax.vmap(test)(self.environments, keys)
        if found.shape != (count,):
            raise ValueError(
                f"fitness must return one number for each environment, got shape {found.shape[1:]}"
            )
        fitness = _REDUCTIONS[self.reduce](found)
        fitness = fitness - self.penalty * complexity(self.specs, individual)
        return jnp.where(jnp.isfinite(fitness), fitness, -jnp.inf)


def _lengths(largest: int) -> list[int]:
    """Program lengths that are compiled: 4, 8, 16, ... and the whole genome."""
    lengths = [4]
    while lengths[-1] < largest:
        lengths.append(2 * lengths[-1])
    return [min(length, largest) for length in lengths]
