"""Keys that are equal for programs that compute the same."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt32

from ._genome import Genomes
from ._spec import GenomeSpec

_LANES = np.array([0x9E3779B9, 0x7F4A7C15], np.uint32)


def canonical_key(spec: GenomeSpec, genome: Genomes) -> UInt32[Array, "2"]:
    """Number of the active program: two 32-bit words, by value numbering.

    Equal for genomes whose active nodes compute the same in the same way, wherever these nodes lie,
    however often they are repeated, and in either order of commutative inputs; parameters count by
    their bits. Different programs collide with a probability of about 2^-64.

    Args:
        spec: the search space.
        genome: an unbatched genome.

    Returns:
        The key [2]; `jnp.unique(keys, axis=0)` finds the distinct programs of a population.
    """
    theta = _theta_words(genome.theta)
    inputs = _mix(_LANES + jnp.arange(spec.n_inputs, dtype=jnp.uint32)[:, None] * 2 + 1)
    numbers = jnp.concatenate([inputs, jnp.zeros((spec.n_hidden, 2), jnp.uint32)])

    def visit(node, numbers):
        op = genome.op[node]
        values = numbers[genome.arg[node]]
        number = jnp.zeros(2, jnp.uint32)
        for index, primitive in enumerate(spec.primitives):
            mine = _mix(_LANES * jnp.uint32(2 * index + 3))
            if primitive.commutative:
                mine = _mix(mine + jnp.sum(_mix(values[: primitive.arity] + 5), 0, jnp.uint32))
            else:
                for slot in range(primitive.arity):
                    mine = _mix(mine * 31 + values[slot])
            for slot in range(len(primitive.parameters)):
                for word in theta:
                    mine = _mix(mine * 31 + word[node, slot])
            number = jnp.where(op == index, mine, number)
        return numbers.at[spec.n_inputs + node].set(number)

    numbers = jax.lax.fori_loop(0, spec.n_hidden, visit, numbers)
    key = _mix(_LANES)
    for output in range(spec.outputs):
        key = _mix(key * 31 + numbers[genome.out[output]])
    return key


def _theta_words(theta):
    words = jax.lax.bitcast_convert_type(theta, jnp.uint32)
    return [words] if words.ndim == theta.ndim else [words[..., 0], words[..., 1]]


def _mix(words):
    """The 32-bit finaliser of MurmurHash3."""
    words = jnp.asarray(words, jnp.uint32)
    words = (words ^ (words >> 16)) * np.uint32(0x85EBCA6B)
    words = (words ^ (words >> 13)) * np.uint32(0xC2B2AE35)
    return words ^ (words >> 16)
