"""Running programs: as straight-line code, or by an interpreter where the genome is traced."""

from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from ._genome import Genomes
from ._primitives import guarded
from ._program import CompactProgram, active_nodes, for_each_node
from ._spec import GenomeSpec

Method = Literal["auto", "straightline", "scan_switch", "vmap_select", "vmap_unrolled"]
_METHODS = ("auto", "straightline", "scan_switch", "vmap_select", "vmap_unrolled")


class Computed(NamedTuple):
    """What a node gives: its value, and under strict semantics where Python would have raised."""

    value: Any
    fault: Any = None


def evaluate(
    spec: GenomeSpec,
    genome: Genomes | CompactProgram,
    inputs: Float[Array | np.ndarray, "*points inputs"],
    method: Method = "auto",
) -> Float[Array, "*points outputs"]:
    """Runs one program on any number of points.

    All methods give the same numbers. `"straightline"` needs a concrete genome and compiles it;
    `"scan_switch"` loops over nodes and branches, best under `jax.lax.map` over genomes with many
    points; `"vmap_select"` computes every primitive and selects, best under `jax.vmap` over genomes
    with few points; `"vmap_unrolled"` does so without a loop over nodes, best for up to 4 of them
    and slow to compile for many. `"auto"` is straight-line code for a concrete genome, else
    `"scan_switch"`. All are differentiable by inputs and theta. Compact traced genomes before: an
    interpreter visits every place.

    Args:
        spec: the search space.
        genome: an unbatched genome or compact program.
        inputs: one value per input in the last axis [..., inputs] (dimensionless).
        method: how to run it.

    Returns:
        Outputs [..., outputs] (dimensionless), all NaN where strict semantics see a fault.

    Raises:
        ValueError: if the last axis does not fit, the genome has leading axes, or straight-line
            code is asked of a traced genome.
    """
    inputs = jnp.asarray(inputs)
    if inputs.ndim == 0 or inputs.shape[-1] != spec.n_inputs:
        raise ValueError(
            f"inputs must have {spec.n_inputs} values in the last axis for {spec.inputs}, "
            f"got shape {inputs.shape}"
        )
    values = [inputs[..., index] for index in range(spec.n_inputs)]
    return jnp.stack(evaluate_values(spec, genome, values, method), -1)


def evaluate_population(
    spec: GenomeSpec,
    genomes: Genomes | CompactProgram,
    inputs: Float[Array | np.ndarray, "*points inputs"],
    method: Method = "scan_switch",
) -> Float[Array, "population *points outputs"]:
    """Runs many programs on the same points.

    Args:
        spec: the search space.
        genomes: genomes or compact programs with one leading axis.
        inputs: one value per input in the last axis [..., inputs] (dimensionless).
        method: `"scan_switch"` takes one program after the other with real branches,
            `"vmap_select"` and `"vmap_unrolled"` all at once.

    Returns:
        Outputs [population, ..., outputs] (dimensionless).

    Raises:
        ValueError: for another method.
    """
    if method == "scan_switch":
        return jax.lax.map(lambda genome: evaluate(spec, genome, inputs, method), genomes)
    if method in ("vmap_select", "vmap_unrolled"):
        return jax.vmap(lambda genome: evaluate(spec, genome, inputs, method))(genomes)
    raise ValueError(
        f"method must be 'scan_switch', 'vmap_select' or 'vmap_unrolled' here, got {method!r}"
    )


def evaluate_values(spec, genome, values, method):
    """Runs one program on a list of inputs of one shape; gives a list of outputs."""
    if method not in _METHODS:
        raise ValueError(f"method must be one of {_METHODS}, got {method!r}")
    if genome.op.ndim != 1:
        raise ValueError(
            f"genome must be unbatched, got op of shape {genome.op.shape}; use jax.vmap or "
            "evaluate_population"
        )
    concrete = not any(isinstance(part, Tracer) for part in genome[:3])
    if method == "auto":
        method = "straightline" if concrete else "scan_switch"
    dtype = float_type(*values)
    inner = jnp.result_type(dtype, jnp.complex64) if spec.power == "complex_real" else dtype
    values = jnp.broadcast_arrays(*[jnp.asarray(value, inner) for value in values])
    theta = genome.theta.astype(inner)
    if method == "straightline":
        if not concrete:
            raise ValueError("straight-line code needs a concrete genome, got a traced one")
        structure, rows = structure_of(spec, genome)
        outputs = _compiled(spec, structure)(theta[np.array(rows, int)], values)
    else:
        outputs = _INTERPRETERS[method](spec, genome, theta, values)
    fault = None
    for output in outputs:
        if output.fault is not None:
            fault = output.fault if fault is None else fault | output.fault
    numbers = [jnp.real(output.value) for output in outputs]
    return [number if fault is None else jnp.where(fault, jnp.nan, number) for number in numbers]


def float_type(*values):
    """The common type of values, or the default one where they are integers."""
    dtype = jnp.result_type(*values)
    return dtype if jnp.issubdtype(dtype, jnp.inexact) else jnp.result_type(float)


class Structure(NamedTuple):
    """The active part of a concrete genome: `(primitive, addresses)` per node, and outputs."""

    nodes: tuple[tuple[int, tuple[int, ...]], ...]
    out: tuple[int, ...]


def structure_of(spec, genome):
    """Reads the active part of a concrete genome, and the node of each of its places."""
    op, arg, out = (np.asarray(part) for part in genome[:3])
    active, waiting = set(), [int(address) for address in out]
    while waiting:
        node = waiting.pop() - spec.n_inputs
        if node >= 0 and node not in active:
            active.add(node)
            waiting += arg[node, : spec.arities[op[node]]].tolist()
    rows = sorted(active)
    address = {index: index for index in range(spec.n_inputs)}
    address |= {spec.n_inputs + node: spec.n_inputs + place for place, node in enumerate(rows)}
    nodes = tuple(
        (int(op[node]), tuple(address[a] for a in arg[node, : spec.arities[op[node]]].tolist()))
        for node in rows
    )
    return Structure(nodes, tuple(address[a] for a in out.tolist())), rows


@lru_cache(maxsize=4096)
def _compiled(spec, structure):
    return jax.jit(lambda theta, values: _straightline(spec, structure, theta, values))


def _straightline(spec, structure, theta, values):
    strict = spec.semantics == "strict"
    shape = jnp.shape(values[0])
    known = [Computed(value, jnp.zeros(shape, bool) if strict else None) for value in values]
    for place, (op, addresses) in enumerate(structure.nodes):
        read = [known[address] for address in addresses]
        value, fault = _apply(spec, spec.primitives[op], read, theta[place], values[0])
        known.append(Computed(_rounded(value), fault))
    return [known[address] for address in structure.out]


def _rounded(value):
    """Keeps the compiler from fusing a product with the sum that reads it, or two quotients.

    A fused multiply-add rounds once where the program says twice: `x * y - z` with z = x * y would
    not be 0.
    """
    if jnp.iscomplexobj(value):
        return value
    return jnp.where(value == value, value, jnp.nan)


def _apply(spec, primitive, read, theta, like):
    function = primitive.function
    if spec.semantics == "protected" and primitive.protected is not None:
        function = primitive.protected
    values = [computed.value for computed in read[: primitive.arity]]
    made = guarded(function)(*values, *[theta[s] for s in range(len(primitive.parameters))])
    value = jnp.broadcast_to(jnp.asarray(made, like.dtype), like.shape)
    if spec.semantics != "strict":
        return Computed(value)
    fault = jnp.zeros(like.shape, bool)
    if primitive.fault is not None:
        fault |= primitive.fault(*values)
    reads = primitive.reads(*values) if primitive.reads is not None else [True] * len(values)
    for computed, wanted in zip(read, reads, strict=False):
        fault |= computed.fault & wanted
    return Computed(value, fault)


def _active_operations(spec, genome):
    """The operation of each node; one past the last where no output depends on the node."""
    if isinstance(genome, Genomes):
        return jnp.where(active_nodes(spec, genome), genome.op, len(spec.primitives))
    return genome.op


def _interpret(spec, genome, theta, values, run):
    op = _active_operations(spec, genome)
    first = jnp.stack(values)
    places = jnp.zeros((op.shape[0], *first.shape[1:]), first.dtype)
    known = Computed(jnp.concatenate([first, places]))
    if spec.semantics == "strict":
        known = known._replace(fault=jnp.zeros(known.value.shape, bool))

    # One buffer, updated in place: stacking the values again at every node would be quadratic.
    def visit(place, known):
        read = [
            jax.tree.map(lambda buffer, at=genome.arg[place, slot]: buffer[at], known)
            for slot in range(spec.arity)
        ]
        made = run(spec, op[place], read, theta[place], values[0])
        return jax.tree.map(
            lambda buffer, new: buffer.at[spec.n_inputs + place].set(new), known, made
        )

    known = for_each_node(op.shape[0], visit, known)
    return [
        jax.tree.map(lambda buffer, at=genome.out[output]: buffer[at], known)
        for output in range(spec.outputs)
    ]


def _unrolled(spec, genome, theta, values):
    """Without a loop or a gather: under `vmap`, passes over numbers that lie side by side."""
    op = _active_operations(spec, genome)
    nothing = _nothing(spec, values[0])
    known = [nothing._replace(value=value) for value in values]

    def pick(address):
        chosen = known[0]
        for index, one in enumerate(known[1:], 1):
            chosen = jax.tree.map(partial(jnp.where, address == index), one, chosen)
        return chosen

    for place in range(op.shape[0]):
        read = [pick(genome.arg[place, slot]) for slot in range(spec.arity)]
        made = _select(spec, op[place], read, theta[place], values[0])
        known.append(made._replace(value=_rounded(made.value)))
    return [pick(genome.out[output]) for output in range(spec.outputs)]


def _nothing(spec, like):
    fault = jnp.zeros(like.shape, bool) if spec.semantics == "strict" else None
    return Computed(jnp.zeros_like(like), fault)


def _switch(spec, op, read, theta, like):
    branches = [
        lambda read, theta, primitive=primitive: _apply(spec, primitive, read, theta, like)
        for primitive in spec.primitives
    ]
    return jax.lax.switch(op, [*branches, lambda read, theta: _nothing(spec, like)], read, theta)


def _select(spec, op, read, theta, like):
    made = _nothing(spec, like)
    for index, primitive in enumerate(spec.primitives):
        own = _apply(spec, primitive, read, theta, like)
        made = jax.tree.map(
            lambda new, old, index=index: jnp.where(op == index, new, old), own, made
        )
    return made


_INTERPRETERS = {
    "scan_switch": partial(_interpret, run=_switch),
    "vmap_select": partial(_interpret, run=_select),
    "vmap_unrolled": _unrolled,
}
