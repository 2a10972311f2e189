"""What is maximised: the fitness of rules, traced by JAX or measured elsewhere."""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from ._evaluate import Method
from ._evolved import Program
from ._individuals import Specs, genomes_of
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
        short: programs of at most as many active nodes run by `"vmap_unrolled"`, beside their like;
            0: none. Worth it, with 4, where the rules take most of the time.
        penalty: what each active node costs (in units of `fitness`), so that short rules win.
    """

    fitness: Callable[..., Any] = eqx.field(static=True)
    specs: Specs = eqx.field(static=True)
    environments: PyTree
    reduce: str = eqx.field(static=True, default="mean")
    batch: int = eqx.field(static=True, default=64)
    short: int = eqx.field(static=True, default=0)
    penalty: float = 0.0

    def __check_init__(self):
        if self.reduce not in _REDUCTIONS:
            raise ValueError(f"reduce must be one of {list(_REDUCTIONS)}, got {self.reduce!r}")
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, got {self.batch}")
        if self.short < 0 or (self.short and self.batch == 1):
            raise ValueError(
                f"short must be 0 or more, and 0 for a batch of 1, got {self.short} for a batch of "
                f"{self.batch}"
            )
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
        programs = [
            jax.vmap(partial(compact, spec, length=spec.n_hidden))(genomes)
            for spec, genomes in genomes_of(self.specs, individuals)
        ]
        sizes = jnp.stack([program.size for program in programs])
        largest = max(spec.n_hidden for spec in jax.tree.leaves(self.specs))
        loop = "scan_switch" if self.batch == 1 else "vmap_select"
        ways = [(length, loop) for length in _lengths(largest)]
        if self.short:
            ways = [(self.short, "vmap_unrolled"), *(way for way in ways if way[0] > self.short)]
        limits = jnp.asarray([length for length, _ in ways])
        index = jnp.searchsorted(limits, jnp.max(sizes))
        one = [partial(self._judged, *way) for way in ways]
        fitness = jax.lax.switch(index, one, programs, keys, settings)
        fitness = fitness - self.penalty * jnp.sum(sizes, axis=0)
        return jnp.where(jnp.isfinite(fitness), fitness, -jnp.inf)

    def sizes(self, individuals: PyTree) -> Int[Array, " individuals"]:
        """Number of active nodes of the largest program of each individual.

        Args:
            individuals: `Genomes` with a leading axis in place of each spec.

        Returns:
            The numbers [individuals] (dimensionless).
        """
        counts = [
            jnp.sum(jax.vmap(partial(active_nodes, spec))(genomes), axis=1)
            for spec, genomes in genomes_of(self.specs, individuals)
        ]
        return jnp.max(jnp.stack(counts), axis=0)

    def _judged(self, length: int, method: Method, programs, keys, settings):
        """Fitness of programs of at most `length` active nodes, which are at their front."""

        def front(program):
            parts = {name: getattr(program, name)[:, :length] for name in ("op", "arg", "theta")}
            return program._replace(**parts)

        specs, structure = jax.tree.flatten(self.specs)

        def test(programs, key, setting, environment, number):
            rules = [
                Program(program, spec, method)
                for spec, program in zip(specs, programs, strict=True)
            ]
            extra = () if setting is None else (setting,)
            own = jax.random.fold_in(key, number)
            found = self.fitness(structure.unflatten(rules), environment, own, *extra)
            return found[0] if isinstance(found, tuple) else found

        everyone = ([front(program) for program in programs], keys, settings)
        count = len(jax.tree.leaves(self.environments)[0])

        def many(*environment):
            if len(keys) == 1:  # not batched, so that the choice between primitives is a branch
                return test(*jax.tree.map(lambda leaf: leaf[0], everyone), *environment)[None]
            # Individuals are the inner axis: what differs between them lies side by side.
            return jax.vmap(lambda one: test(*one, *environment))(everyone)

        found = jax.vmap(many)(self.environments, jnp.arange(count))
        if found.shape != (count, len(keys)):
            raise ValueError(
                f"fitness must return one number for each environment, got shape {found.shape[2:]}"
            )
        return _REDUCTIONS[self.reduce](found, axis=0)


def _lengths(largest: int) -> list[int]:
    """Program lengths that are compiled: 4, 8, 16, ... and the whole genome."""
    lengths = [4]
    while lengths[-1] < largest:
        lengths.append(2 * lengths[-1])
    return [min(length, largest) for length in lengths]
