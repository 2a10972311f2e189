"""Genomes as arrays, the flat dna, and random first genomes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer

from ._spec import GenomeSpec

_INPUT, _OUTPUT, _NON_CODING = -1, -2, -3


class Genomes(NamedTuple):
    """One genome, or many with leading axes.

    Attributes:
        op: index of the primitive of each node [..., hidden].
        arg: addresses that each node reads [..., hidden, arity].
        out: addresses that the outputs read [..., outputs].
        theta: parameters of each node [..., hidden, theta] (dimensionless).
    """

    op: Int[Array, "*batch hidden"]
    arg: Int[Array, "*batch hidden arity"]
    out: Int[Array, "*batch outputs"]
    theta: Float[Array, "*batch hidden theta"]


def random_genome(spec: GenomeSpec, *, key: Any) -> Genomes:
    """A genome with every gene uniform over its permissible values, independently.

    Args:
        spec: the search space.
        key: typed PRNG key.

    Returns:
        An unbatched genome.
    """
    op_key, arg_key, out_key, theta_key = jax.random.split(key, 4)
    op = jax.random.randint(op_key, (spec.n_hidden,), 0, len(spec.primitives), jnp.int32)
    choices = jnp.asarray(spec.address_choices)[:, None]
    rank = jax.random.randint(arg_key, (spec.n_hidden, spec.arity), 0, choices, jnp.int32)
    addresses = spec.n_inputs + spec.n_hidden
    out = jax.random.randint(out_key, (spec.outputs,), 0, addresses, jnp.int32)
    arg = address_of_rank(spec, rank)
    return Genomes(op, arg, out, initial_theta(spec, op, key=theta_key))


def address_of_rank(spec, rank):
    """Turns ranks within the permissible addresses of each hidden node into addresses."""
    first = jnp.asarray(spec.first_visible)[:, None]
    return jnp.where(rank < spec.n_inputs, rank, rank - spec.n_inputs + first)


def rank_of_address(spec, address):
    """Turns addresses into their ranks within the permissible addresses of each hidden node."""
    first = jnp.asarray(spec.first_visible)[:, None]
    return jnp.where(address < spec.n_inputs, address, address - first + spec.n_inputs)


def initial_theta(spec, op, *, key):
    """First parameters of nodes with the given operations; slots that are not used hold 0."""
    dtype = jnp.result_type(float)
    theta = jnp.zeros((spec.n_hidden, spec.n_theta), dtype)
    for index, primitive in enumerate(spec.primitives):
        for slot, initial in enumerate(primitive.initial):
            if callable(initial):
                keys = jax.random.split(
                    jax.random.fold_in(key, index * spec.n_theta + slot), spec.n_hidden
                )
                values = jnp.asarray(jax.vmap(initial)(keys), dtype)
            else:
                values = jnp.full(spec.n_hidden, initial, dtype)
            theta = theta.at[:, slot].set(jnp.where(op == index, values, theta[:, slot]))
    return theta


def to_dna(spec: GenomeSpec, genome: Genomes) -> Integer[Array, " genes"]:
    """The flat dna: for each node in address order its function and its addresses.

    Args:
        spec: the search space.
        genome: an unbatched genome.

    Returns:
        Integers [genes] (dimensionless), with -1 and -2 marking inputs and outputs and -3 genes
        without meaning.
    """
    dtype = genome.op.dtype
    inputs = jnp.full((spec.n_inputs, 1 + spec.arity), _NON_CODING, dtype).at[:, 0].set(_INPUT)
    hidden = jnp.concatenate([genome.op[:, None], genome.arg], 1)
    outputs = jnp.full((spec.outputs, 1 + spec.arity), _NON_CODING, dtype)
    outputs = outputs.at[:, 0].set(_OUTPUT).at[:, 1].set(genome.out)
    return jnp.concatenate([inputs, hidden, outputs]).ravel()


def parameters_of(spec: GenomeSpec, genome: Genomes) -> dict[str, float]:
    """The parameters that go with a dna, under the name and address of their nodes.

    Args:
        spec: the search space.
        genome: an unbatched, concrete genome.

    Returns:
        Values such as `{"<p5>": 1.0}` (dimensionless).
    """
    theta = np.asarray(genome.theta)
    return {
        key: float(theta[node, slot]) for key, node, slot, _ in _slots(spec, np.asarray(genome.op))
    }


def from_dna(spec: GenomeSpec, dna: Any, parameters: Mapping[str, float] | None = None) -> Genomes:
    """Reads a flat dna.

    Args:
        spec: the search space.
        dna: integers [genes], as `to_dna` makes them.
        parameters: values such as `{"<p5>": 1.0}` (dimensionless); a node without one gets the
            initial value of its primitive.

    Returns:
        An unbatched genome.

    Raises:
        ValueError: if the dna has the wrong length, a wrong marker, a gene without its permissible
            set, or a changed gene that has no meaning, or if a parameter belongs to no node.
    """
    dna = np.asarray(dna)
    if dna.shape != (spec.n_genes,) or not np.issubdtype(dna.dtype, np.integer):
        raise ValueError(
            f"dna must be {spec.n_genes} integers for this spec, "
            f"got shape {dna.shape} of {dna.dtype}"
        )
    regions = dna.reshape(-1, 1 + spec.arity)
    inputs, hidden, outputs = np.split(regions, [spec.n_inputs, spec.n_inputs + spec.n_hidden])
    _check_region("input", inputs[:, 0], _INPUT, inputs[:, 1:], 0)
    _check_region("output", outputs[:, 0], _OUTPUT, outputs[:, 2:], spec.n_inputs + spec.n_hidden)
    for node, (op, *addresses) in enumerate(hidden):
        if not 0 <= op < len(spec.primitives):
            raise ValueError(
                f"function gene of node {spec.n_inputs + node} must be 0 to "
                f"{len(spec.primitives) - 1}, got {op}"
            )
        _check_addresses(f"node {spec.n_inputs + node}", addresses, spec.permissible(node))
    _check_addresses("output", outputs[:, 1], spec.permissible(None))
    theta = _read_theta(spec, hidden[:, 0], dict(parameters or {}))
    op, arg, out = (
        jnp.asarray(part, jnp.int32) for part in (hidden[:, 0], hidden[:, 1:], outputs[:, 1])
    )
    return Genomes(op, arg, out, jnp.asarray(theta, jnp.result_type(float)))


def _check_region(kind, markers, marker, rest, address):
    for node, (found, values) in enumerate(zip(markers, rest, strict=True)):
        if found != marker:
            raise ValueError(
                f"{kind} node {address + node} must start with marker {marker}, got {found}"
            )
        if np.any(values != _NON_CODING):
            raise ValueError(
                f"non-coding genes of {kind} node {address + node} must be {_NON_CODING}, "
                f"got {values.tolist()}"
            )


def _check_addresses(owner, addresses, permissible):
    for address in addresses:
        if address not in permissible:
            raise ValueError(
                f"an address of {owner} must be one of {list(permissible)}, got {address}"
            )


def _slots(spec, op):
    for node, index in enumerate(op):
        primitive = spec.primitives[index]
        for slot, (name, initial) in enumerate(
            zip(primitive.parameters, primitive.initial, strict=True)
        ):
            yield f"<{name}{spec.n_inputs + node}>", node, slot, initial


def _read_theta(spec, op, parameters):
    theta = np.zeros((spec.n_hidden, spec.n_theta))
    for key, node, slot, initial in _slots(spec, op):
        if key not in parameters and callable(initial):
            raise ValueError(
                f"parameters must hold {key}: its primitive has no fixed initial value"
            )
        theta[node, slot] = parameters.pop(key, initial)
    if parameters:
        raise ValueError(f"parameters {sorted(parameters)} belong to no node of this dna")
    return theta
