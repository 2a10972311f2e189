"""Individuals of one or several genomes: first ones, mutants, sizes and keys.

`specs` is one `GenomeSpec` or any pytree of them, such as a pair for depression and facilitation;
an individual is the same pytree with `Genomes` in place of each spec.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree, UInt32

from ._genome import Genomes, random_genome
from ._keys import canonical_key
from ._program import active_nodes
from ._spec import GenomeSpec
from ._variation import mutant_of

Specs = PyTree[GenomeSpec]


def _keys_like(specs, key):
    leaves, structure = jax.tree.flatten(specs)
    return structure.unflatten([jax.random.fold_in(key, index) for index in range(len(leaves))])


def genomes_of(specs, individual) -> list[tuple[GenomeSpec, Genomes]]:
    structure = jax.tree.structure(specs)
    return list(zip(jax.tree.leaves(specs), structure.flatten_up_to(individual), strict=True))


def random_individual(specs: Specs, *, key: Any) -> PyTree:
    """Genomes with independent, uniform genes.

    Args:
        specs: search spaces, a pytree.
        key: typed PRNG key.

    Returns:
        `Genomes` in place of each spec (dimensionless).
    """
    return jax.tree.map(
        lambda spec, key: random_genome(spec, key=key), specs, _keys_like(specs, key)
    )


def mutate_individual(
    specs: Specs,
    individual: PyTree,
    rates: PyTree[Float[Array, ""]],
    *,
    key: Any,
    theta_scale: float | None = None,
) -> PyTree:
    """Mutates each genome with its own rate.

    Args:
        specs: search spaces, a pytree.
        individual: `Genomes` in place of each spec.
        rates: probability that a gene changes, for each spec (dimensionless).
        key: typed PRNG key.
        theta_scale: see `mutate` (dimensionless).

    Returns:
        The mutant.
    """
    keys = jax.tree.leaves(_keys_like(specs, key))
    mutants = [
        mutant_of(spec, genome, rate, key=one, theta_scale=theta_scale)[0]
        for (spec, genome), rate, one in zip(
            genomes_of(specs, individual), jax.tree.leaves(rates), keys, strict=True
        )
    ]
    return jax.tree.structure(specs).unflatten(mutants)


def individual_key(specs: Specs, individual: PyTree) -> UInt32[Array, "2"]:
    """A hash of all active programs, equal for individuals that compute the same.

    Args:
        specs: search spaces, a pytree.
        individual: `Genomes` in place of each spec.

    Returns:
        Two words (dimensionless); see `canonical_key`.
    """
    total = jnp.zeros(2, jnp.uint32)
    for spec, genome in genomes_of(specs, individual):
        total = total * jnp.uint32(0x9E3779B1) + canonical_key(spec, genome)
    return total


def complexity(specs: Specs, individual: PyTree) -> Int[Array, ""]:
    """Number of active nodes in all genomes.

    Args:
        specs: search spaces, a pytree.
        individual: `Genomes` in place of each spec.

    Returns:
        The number, scalar (dimensionless).
    """
    sizes = [
        jnp.sum(active_nodes(spec, genome), dtype=jnp.int32)
        for spec, genome in genomes_of(specs, individual)
    ]
    return jnp.sum(jnp.stack(sizes), dtype=jnp.int32)
