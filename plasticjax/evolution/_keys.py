"""Keys that are equal for programs that compute the same."""

import hashlib
import math
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt32, UInt64

from ._evaluate import evaluate
from ._genome import Genomes
from ._program import for_each_node, owned_parameters, used_addresses
from ._spec import GenomeSpec

_LANES = np.array([0x9E3779B9, 0x7F4A7C15], np.uint32)


@partial(jax.jit, static_argnums=0)
def canonical_key(spec: GenomeSpec, genome: Genomes) -> UInt32[Array, "2"]:
    """Number of the active program: two 32-bit words, by value numbering.

    Equal for genomes whose active nodes compute the same in the same way, wherever these nodes lie,
    however often they are repeated, and in either order of commutative inputs; parameters count by
    their bits. Different programs collide with a probability of about 2^-64.

    Args:
        spec: the search space.
        genome: an unbatched genome.

    Returns:
        The key [2] (dimensionless); `jnp.unique(keys, axis=0)` finds the distinct programs of a
        population.
    """
    genome = jax.tree.map(jnp.asarray, genome)
    used = used_addresses(spec, genome.op)
    owned = owned_parameters(spec, genome.op)
    theta = _theta_words(genome.theta)
    commutes = jnp.zeros(spec.n_hidden, bool)
    for index, primitive in enumerate(spec.primitives):
        commutes |= (genome.op == index) & primitive.commutative
    inputs = _mix(_LANES * (2 * jnp.arange(spec.n_inputs, dtype=jnp.uint32)[:, None] + 1))
    numbers = jnp.concatenate([inputs, jnp.zeros((spec.n_hidden, 2), jnp.uint32)])

    def visit(node, numbers):
        start = _mix(_LANES * (2 * genome.op[node].astype(jnp.uint32) + 3))
        swapped, ordered = start, start
        for slot in range(spec.arity):
            read = numbers[genome.arg[node, slot]]
            swapped = jnp.where(used[node, slot], swapped + _mix(read), swapped)
            ordered = jnp.where(used[node, slot], _mix(ordered * 31 + read), ordered)
        number = jnp.where(commutes[node], _mix(swapped), ordered)
        for slot in range(spec.n_theta):
            for word in theta:
                longer = _mix(number * 31 + word[node, slot])
                number = jnp.where(owned[node, slot], longer, number)
        return numbers.at[spec.n_inputs + node].set(number)

    numbers = for_each_node(spec.n_hidden, visit, numbers)
    key = _mix(_LANES)
    for output in range(spec.outputs):
        key = _mix(key * 31 + numbers[genome.out[output]])
    return key


def functional_key(
    spec: GenomeSpec, genomes: Genomes, *, points: int = 10, digits: int = 12, seed: int = 0
) -> UInt64[np.ndarray, "*batch"]:
    """Number of the function that a program computes, by its outputs on a few seeded points.

    The points are uniform in -100 to 100; outputs are computed in float64 and rounded. Equal
    functions can still differ by rounding, and different functions can agree on all points. Runs
    on the host, so not under jit.

    Args:
        spec: the search space.
        genomes: genomes with any leading axes [...].
        points: number of points.
        digits: significant digits that count.
        seed: seed of the points.

    Returns:
        Keys [...].
    """
    batch = np.shape(genomes.out)[:-1]
    count = math.prod(batch)
    flat = [np.asarray(part).reshape(count, *np.shape(part)[len(batch) :]) for part in genomes]
    inputs = np.random.default_rng(seed).uniform(-100, 100, (points, spec.n_inputs))
    with jax.enable_x64(True):
        op, arg, out, theta = (jnp.asarray(part) for part in flat)
        population = Genomes(op, arg, out, theta.astype(jnp.float64))
        outputs = np.asarray(_run_all(spec)(population, inputs))
    rounded = _round(outputs.reshape(count, -1), digits)
    keys = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rounded]
    return np.frombuffer(b"".join(keys), np.uint64).reshape(batch)


@lru_cache(maxsize=64)
def _run_all(spec):
    run = lambda genome, inputs: evaluate(spec, genome, inputs, "vmap_select")  # noqa: E731
    return jax.jit(jax.vmap(run, (0, None)))


def _round(values, digits):
    finite = np.isfinite(values) & (values != 0)
    magnitude = np.floor(np.log10(np.abs(np.where(finite, values, 1.0))))
    mantissa = np.round(np.where(finite, values, 0.0) / 10.0**magnitude, digits - 1)
    # One bit pattern for NaN and for zero.
    special = np.where(np.isnan(values), np.nan, np.where(np.isinf(values), values, 0.0))
    return np.stack([np.where(finite, mantissa, special) + 0.0, np.where(finite, magnitude, 0)], -1)


def _theta_words(theta):
    words = jax.lax.bitcast_convert_type(theta, jnp.uint32)
    return [words] if words.ndim == theta.ndim else [words[..., 0], words[..., 1]]


def _mix(words):
    """The 32-bit finaliser of MurmurHash3."""
    words = jnp.asarray(words, jnp.uint32)
    words = (words ^ (words >> 16)) * np.uint32(0x85EBCA6B)
    words = (words ^ (words >> 13)) * np.uint32(0xC2B2AE35)
    return words ^ (words >> 16)
