"""The part of a genome that matters: active nodes, and the same program without the others."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ._genome import Genomes
from ._spec import GenomeSpec


class CompactProgram(NamedTuple):
    """The active nodes of a genome, in their order, at the front of a fixed length.

    Attributes:
        op: index of the primitive of each node [..., length]; one past the last in empty places.
        arg: addresses [..., length, arity]; node `j` has address `inputs + j`.
        out: addresses that the outputs read [..., outputs].
        theta: parameters [..., length, theta] (dimensionless).
        size: number of active nodes [...]; the program is cut off if this exceeds the length.
    """

    op: Int[Array, "*batch length"]
    arg: Int[Array, "*batch length arity"]
    out: Int[Array, "*batch outputs"]
    theta: Float[Array, "*batch length theta"]
    size: Int[Array, "*batch"]


def for_each_node(count, visit, state):
    """`jax.lax.fori_loop` over nodes; a body that indexes nothing cannot be traced."""
    return jax.lax.fori_loop(0, count, visit, state) if count else state


def used_addresses(spec, op):
    """Which address genes a node with each operation reads, `[hidden, arity]`."""
    arity = jnp.zeros_like(op)
    for index, count in enumerate(spec.arities.tolist()):
        arity = jnp.where(op == index, count, arity)
    return arity[:, None] > jnp.arange(spec.arity)


def owned_parameters(spec, op):
    """Which parameter slots a node with each operation owns, `[hidden, theta]`."""
    owned = jnp.zeros((*op.shape, spec.n_theta), bool)
    for index, primitive in enumerate(spec.primitives):
        slots = jnp.arange(spec.n_theta) < len(primitive.parameters)
        owned |= (op == index)[:, None] & slots
    return owned


@partial(jax.jit, static_argnums=0)
def active_nodes(spec: GenomeSpec, genome: Genomes) -> Bool[Array, " hidden"]:
    """The nodes that an output depends on, through addresses that are used.

    Args:
        spec: the search space.
        genome: an unbatched genome.

    Returns:
        True for active nodes [hidden] (dimensionless).
    """
    genome = jax.tree.map(jnp.asarray, genome)
    used = used_addresses(spec, genome.op)
    # A set of addresses is a few words with one bit each, so that no scatter is needed.
    word_count = -(-(spec.n_inputs + spec.n_hidden) // 32)
    words = [jnp.zeros((), jnp.uint32)] * word_count
    for output in range(spec.outputs):
        words = _mark(words, genome.out[output], True)

    def visit(step, words):
        node = spec.n_hidden - 1 - step
        active = _marked(words, spec.n_inputs + node)
        for slot in range(spec.arity):
            words = _mark(words, genome.arg[node, slot], active & used[node, slot])
        return words

    words = for_each_node(spec.n_hidden, visit, words)
    return _marked(words, spec.n_inputs + jnp.arange(spec.n_hidden))


def _mark(words, address, condition):
    bit = jnp.where(condition, jnp.uint32(1) << (address & 31).astype(jnp.uint32), jnp.uint32(0))
    return [
        word | jnp.where(address >> 5 == index, bit, jnp.uint32(0))
        for index, word in enumerate(words)
    ]


def _marked(words, address):
    found = jnp.zeros(jnp.shape(address), bool)
    for index, word in enumerate(words):
        bit = (word >> (address & 31).astype(jnp.uint32)) & 1
        found |= (address >> 5 == index) & (bit == 1)
    return found


def compact(spec: GenomeSpec, genome: Genomes, length: int) -> CompactProgram:
    """Moves the active nodes to the front, in order, and renames their addresses.

    Args:
        spec: the search space.
        genome: an unbatched genome.
        length: places in the result; `program_length` gives one that is large enough.

    Returns:
        The program. If its `size` exceeds `length` it lacks nodes and must not be run.
    """
    active = active_nodes(spec, genome)
    place = jnp.cumsum(active) - 1
    # Few places and few nodes: comparing all pairs is cheaper than sorting or scattering.
    taken = active & (place == jnp.arange(length)[:, None])
    node = jnp.sum(jnp.where(taken, jnp.arange(spec.n_hidden), 0), 1)
    size = jnp.sum(active)
    empty = jnp.arange(length) >= size
    renamed = jnp.concatenate([jnp.arange(spec.n_inputs), spec.n_inputs + place])
    op = jnp.where(empty, len(spec.primitives), genome.op[node])
    used = used_addresses(spec, op)
    arg = jnp.where(used, renamed[genome.arg[node]], 0)
    theta = jnp.where(empty[:, None], 0, genome.theta[node])
    dtype = genome.op.dtype
    return CompactProgram(
        op.astype(dtype),
        arg.astype(dtype),
        renamed[genome.out].astype(dtype),
        theta.astype(genome.theta.dtype),
        size.astype(dtype),
    )


def program_length(spec: GenomeSpec, size: int) -> int:
    """The length to compact to: the next of 4, 8, 16, ... so that few lengths are compiled.

    Args:
        spec: the search space.
        size: the largest number of active nodes.

    Returns:
        A length, never more than the number of hidden nodes.
    """
    doubled = 4
    while doubled < size:
        doubled *= 2
    return min(doubled, spec.n_hidden)
