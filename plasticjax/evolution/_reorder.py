"""A random order of the nodes of a genome that keeps what it computes."""

from typing import Any

import jax
import jax.numpy as jnp

from ._genome import Genomes
from ._program import used_addresses
from ._spec import GenomeSpec


def reorder(spec: GenomeSpec, genome: Genomes, *, key: Any) -> Genomes:
    """Shuffles the nodes, active or not, so that each still comes after those that it reads.

    Step by step, one of the nodes whose inputs are placed is taken uniformly. Addresses and
    parameters move along; addresses that are not used and would now point forwards are drawn anew.
    Goldman & Punch 2014.

    Args:
        spec: the search space, with one row and all levels back.
        genome: an unbatched genome.
        key: typed PRNG key.

    Returns:
        A genome with the same outputs.

    Raises:
        ValueError: if the spec has more rows or fewer levels back.
    """
    if spec.rows != 1 or spec.levels_back not in (None, spec.columns):
        raise ValueError(
            f"reorder needs rows = 1 and all levels back, got rows = {spec.rows} and "
            f"levels_back = {spec.levels_back}"
        )
    if spec.n_hidden == 0:
        return genome
    step_key, address_key = jax.random.split(key)
    used = used_addresses(spec, genome.op)
    inputs = jnp.arange(spec.n_inputs)

    def place(step, state):
        order, address = state
        placed = address >= 0
        ready = jnp.all(placed[genome.arg] | ~used, 1) & ~placed[spec.n_inputs :]
        count = jnp.sum(ready)
        rank = jax.random.randint(jax.random.fold_in(step_key, step), (), 0, count)
        node = jnp.argmax(jnp.cumsum(ready) > rank)
        return order.at[step].set(node), address.at[spec.n_inputs + node].set(spec.n_inputs + step)

    address = jnp.concatenate([inputs, jnp.full(spec.n_hidden, -1, inputs.dtype)])
    order = jnp.zeros(spec.n_hidden, inputs.dtype)
    order, address = jax.lax.fori_loop(0, spec.n_hidden, place, (order, address))
    arg = address[genome.arg[order]]
    own = spec.n_inputs + jnp.arange(spec.n_hidden)[:, None]
    drawn = jax.random.randint(address_key, arg.shape, 0, own)
    dtype = genome.op.dtype
    return Genomes(
        genome.op[order],
        jnp.where(arg < own, arg, drawn).astype(dtype),
        address[genome.out].astype(dtype),
        genome.theta[order],
    )
