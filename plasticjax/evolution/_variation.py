"""Mutation of genomes, and whether it changed what they compute."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._genome import Genomes, address_of_rank, initial_theta, rank_of_address
from ._keys import canonical_key
from ._program import active_nodes, owned_parameters
from ._spec import GenomeSpec

# Mutations drawn per turn of the loop: two turns serve nearly every genome at usual rates.
_DRAWS = 4


class Silent(NamedTuple):
    """Whether a mutant computes what its parent computes.

    Attributes:
        exact: the active programs are the same up to the order of commutative inputs and repeated
            nodes [...].
        conservative: no gene of an active node or output changed, not even an address that is not
            used, and no parameter was set anew [...]. Implies `exact`.
    """

    exact: Bool[Array, "*batch"]
    conservative: Bool[Array, "*batch"]


def mutate(
    spec: GenomeSpec,
    genome: Genomes,
    rate: float | Float[Array, ""],
    *,
    key: Any,
    theta_scale: float | Float[Array, ""] | None = None,
) -> tuple[Genomes, Silent]:
    """Changes each gene with the same probability, to another permissible value.

    The number of changes is binomial. A node whose function changes gets new parameters. All flags
    refer to the nodes that are active before the mutation.

    Args:
        spec: the search space.
        genome: an unbatched genome.
        rate: probability that a gene changes, scalar, 0 to 1 (dimensionless).
        key: typed PRNG key.
        theta_scale: standard deviation of Gaussian noise, scalar, added to each parameter with
            probability `rate` (dimensionless); None: parameters stay.

    Returns:
        The mutant and its `Silent` flags; what is not used of them is not computed under jit.
    """
    mutant, touched, rewired = mutant_of(spec, genome, rate, key=key, theta_scale=theta_scale)
    active = active_nodes(spec, genome)
    conservative = ~(jnp.any(touched & active) | rewired)
    exact = jnp.all(canonical_key(spec, genome) == canonical_key(spec, mutant))
    return mutant, Silent(exact, conservative)


def mutant_of(spec, genome, rate, *, key, theta_scale):
    """The mutant, which nodes were touched, and whether outputs or parameters were set anew."""
    gene_key, initial_key, theta_key = jax.random.split(key, 3)
    hit, number = _selected(spec.gene_choices.size, rate, gene_key)
    hit &= jnp.asarray(spec.gene_choices > 1)
    # Ranks among the other values: the current rank is skipped.
    drawn = jnp.floor(number * (spec.gene_choices - 1)).astype(genome.op.dtype)
    ends = [spec.n_hidden, spec.n_hidden * (1 + spec.arity)]
    op_hit, arg_hit, out_hit = jnp.split(hit, ends)
    op_drawn, arg_drawn, out_drawn = jnp.split(drawn, ends)
    arg_hit = arg_hit.reshape(genome.arg.shape)
    arg_rank = _other(rank_of_address(spec, genome.arg), arg_drawn.reshape(genome.arg.shape))
    op = jnp.where(op_hit, _other(genome.op, op_drawn), genome.op)
    arg = jnp.where(arg_hit, address_of_rank(spec, arg_rank), genome.arg)
    out = jnp.where(out_hit, _other(genome.out, out_drawn), genome.out)

    owned = owned_parameters(spec, op)
    anew = op_hit[:, None] & owned
    first = initial_theta(spec, op, key=initial_key).astype(genome.theta.dtype)
    theta = jnp.where(op_hit[:, None], first, genome.theta)
    noisy = jnp.zeros_like(owned)
    if theta_scale is not None:
        theta, noisy = _disturb(theta, owned & ~anew, rate, theta_scale, theta_key)
    mutant = Genomes(op, arg, out, theta)

    touched = op_hit | jnp.any(arg_hit, 1) | jnp.any(noisy, 1)
    return mutant, touched, jnp.any(out_hit) | jnp.any(anew)


def _other(current, drawn):
    return drawn + (drawn >= current)


def _disturb(theta, owned, rate, scale, key):
    choice_key, noise_key = jax.random.split(key)
    noisy = owned & jax.random.bernoulli(choice_key, rate, theta.shape)
    noise = scale * jax.random.normal(noise_key, theta.shape, theta.dtype)
    return jnp.where(noisy, theta + noise, theta), noisy


def _selected(count, rate, key):
    """Selects each of `count` places with probability `rate`, each with a uniform number.

    The gaps between selected places are geometric, so the cost goes with the number of mutations
    and not with the number of genes.
    """
    dtype = jnp.result_type(float)
    escape = -jnp.log1p(-jnp.asarray(rate, dtype))
    places = jnp.arange(count)

    def draw(state):
        turn, last, hit, number = state
        draws = jax.random.uniform(jax.random.fold_in(key, turn), (2, _DRAWS), dtype)
        gaps = jnp.where(escape > 0, jnp.floor(-jnp.log1p(-draws[0]) / escape), count)
        gaps = jnp.minimum(gaps, count).astype(places.dtype)
        for index in range(_DRAWS):
            last = jnp.minimum(last + 1 + gaps[index], count)
            here = places == last
            hit |= here
            number = jnp.where(here, draws[1, index], number)
        return turn + 1, last, hit, number

    start = (0, jnp.asarray(-1, places.dtype), jnp.zeros(count, bool), jnp.zeros(count, dtype))
    _, _, hit, number = jax.lax.while_loop(lambda state: state[1] < count, draw, start)
    return hit, number
