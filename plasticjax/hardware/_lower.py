"""Lowers a synapse update to an integer program for the plasticity processor."""

import warnings
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..plasticity._reductions import POST, PRE
from ._builder import RangeError
from ._cost import EXTERNAL_BYTES, INTERNAL_BYTES, REGISTERS_PER_HALF, Cost, cost
from ._evaluate_ops import depends_on
from ._loads import load
from ._lower_primitives import PRIMITIVES
from ._lower_sums import COLUMNS
from ._lowering import Lowering
from ._passes import read_again
from ._program import ROUNDINGS, IntegerProgram, Op, Output, leaf_paths
from ._rounding import store
from ._signals import ALLOWED, Number, Signal
from ._trace import Walker
from ._unsupported import UnsupportedOnPPU

ARGUMENTS = ("syn", "pre", "post", "third", "obs")


def lower(
    update: Any,
    *,
    syn: Any,
    pre: Any = None,
    post: Any = None,
    third: Any = None,
    obs: Any = None,
    rounding: str = "stochastic",
    name: str | None = None,
    period: Number | None = None,
    rows: int = 256,
) -> IntegerProgram:
    """Lowers a synapse update to an integer program for the plasticity processor.

    The arguments of the update are declared with signals: pytrees as the update expects them, with
    a `Signal` for every value that the chip provides and plain numbers for what is constant. The
    rule sees their units: LSB of weights and sensors, spikes per call, times their `scale`.

    Args:
        update: `(syn, pre, post, third, obs) -> syn`, such as `increment(rule)`; a rule itself
            returns a change and is refused.
        syn: declared synapse: `weight()`, or a pytree with a weight, states, or a label.
        pre: declared presynaptic values: row tables or symbols.
        post: declared postsynaptic values: rates, membranes, column tables or symbols.
        third: declared values for all synapses: symbols or the time index.
        obs: declared values of each synapse: correlations, noise, random labels.
        rounding: how weights are rounded: "stochastic", "nearest", "floor", or "toward_zero",
            which rounds the change.
        name: of the rule, any text; None: that of its class or function.
        period: time between calls, scalar (us); a warning says if the chip needs longer.
        rows: most rows that the rule serves, for that estimate and for sums over rows.

    Returns:
        The program; `print` shows it.

    Raises:
        UnsupportedOnPPU: if the rule asks for what the processor cannot do; names the line.
        ValueError: if an argument is declared wrongly, or the update is a rule.
    """
    signals = (syn, pre, post, third, obs)
    leaves = _check(update, signals, rounding)
    ctx = Lowering(rows)
    loaded = {}
    for path, signal in leaves:
        if isinstance(signal, Signal):
            loaded[path] = load(ctx, path, signal)
    closed = _trace(update, signals, rows)
    inputs = [loaded[path] for path, signal in leaves if isinstance(signal, Signal)]
    results = Walker(PRIMITIVES, ctx).run(closed, inputs)
    ctx.builder.line = ""
    outputs = []
    stored = [(path, signal) for path, signal in leaves if path.split(".")[0] == "syn"]
    try:
        for (path, signal), value in zip(stored, results, strict=True):
            if isinstance(signal, Signal):
                outputs.append(store(ctx, path, signal, value, loaded[path], rounding))
    except RangeError as error:
        raise UnsupportedOnPPU(
            "the result", "", None, f"{error} exceeds 2^15", "clip it or use a smaller unit"
        ) from None
    program = _pruned(
        IntegerProgram(
            name=name or getattr(update, "__name__", type(update).__name__),
            ops=tuple(ctx.builder.ops),
            inputs=tuple(ctx.builder.inputs),
            outputs=tuple(outputs),
            signals=signals,
            loaded={path: value.id for path, value in loaded.items()},
            rounding=rounding,
            tables=tuple(ctx.builder.tables),
            warnings=tuple(dict.fromkeys(ctx.warnings)),
        )
    )
    twice = read_again(program)
    if twice is not None:
        reason = f"{twice.name} is needed before and after a sum over rows, and is read only once"
        hint = "keep it in a state, or sum weights, states and row tables"
        raise UnsupportedOnPPU("sum_pre", "", None, reason, hint)
    return _warned(program, period, rows)


def _check(update, signals, rounding):
    if rounding not in ROUNDINGS:
        raise ValueError(f"rounding={rounding!r} must be one of {', '.join(ROUNDINGS)}")
    if not callable(update):
        raise ValueError(f"update must be callable, got {type(update).__name__}")
    if hasattr(update, "per"):
        raise ValueError(
            f"update must return the new synapse, and {type(update).__name__} is a rule, which "
            "returns a change; lower increment(rule)"
        )
    leaves = leaf_paths(signals)
    for path, leaf in leaves:
        argument = path.split(".")[0]
        if not isinstance(leaf, Signal):
            if isinstance(leaf, int | float) and argument != "syn":
                continue
            raise ValueError(
                f"{path} must be a signal such as weight() or rate(), or a number, got "
                f"{type(leaf).__name__}"
            )
        if leaf.place not in ALLOWED[argument]:
            allowed = " or ".join(place.name for place in ALLOWED[argument])
            raise ValueError(
                f"{path} must belong to {allowed}, and {leaf.source} belongs to {leaf.place.name}"
            )
        if argument == "syn" and leaf.source not in ("weight", "signed_weight", "state", "label"):
            raise ValueError(f"{path} must be weight(), state() or label(), got {leaf.source}")
        if argument != "syn" and leaf.source in ("weight", "signed_weight", "state", "label"):
            raise ValueError(f"{path} is read-only, and {leaf.source} belongs into syn")
    for source in ("causal", "anticausal", "rate", "membrane", "label"):
        twice = [p for p, leaf in leaves if isinstance(leaf, Signal) and leaf.source == source]
        if len(twice) > 1:
            raise ValueError(f"{source} is declared at {' and '.join(twice)}; read it once")
    kinds = [leaf.source for path, leaf in leaves if path.split(".")[0] == "syn"]
    if sum(kind in ("weight", "signed_weight") for kind in kinds) != 1:
        raise ValueError(f"syn must have one weight, got the sources {kinds}")
    return leaves


def _trace(update, signals, rows):
    leaves, structure = jax.tree.flatten(signals)
    traced = [isinstance(leaf, Signal) for leaf in leaves]

    def call(*values):
        given = iter(values)
        full = [next(given) if on else leaf for on, leaf in zip(traced, leaves, strict=True)]
        syn, *others = jax.tree.unflatten(structure, full)
        result = update(syn, *others)
        told, have = jax.tree.structure(result), jax.tree.structure(syn)
        if told != have:
            raise ValueError(f"update must return the structure of syn, {have}, got {told}")
        return jax.tree.leaves(result)

    abstract = [jax.ShapeDtypeStruct((), jnp.float32)] * sum(traced)
    axes = [(PRE, rows), (POST, COLUMNS)]
    closed = jax.make_jaxpr(call, axis_env=axes)(*abstract)
    for aval in closed.out_avals:
        if aval.dtype.itemsize > 4 or int(np.prod(aval.shape)) != 1:
            raise UnsupportedOnPPU(
                "the result", "", None, f"it is {aval.dtype} of shape {aval.shape}",
                "return float32 scalars",
            )  # fmt: skip
    return closed


def _pruned(program: IntegerProgram) -> IntegerProgram:
    """Drops operations and inputs that no output needs."""
    wanted = [n for output in program.outputs for n in (output.value, output.bound)]
    kept = sorted(depends_on(program.ops, wanted))
    number = {old: new for new, old in enumerate(kept)}
    used = sorted({program.ops[n].imm[0] for n in kept if program.ops[n].code == "ld"})
    slot = {old: new for new, old in enumerate(used)}

    def moved(op: Op) -> Op:
        imm = (slot[op.imm[0]], *op.imm[1:]) if op.code == "ld" else op.imm
        return replace(op, args=tuple(number[arg] for arg in op.args), imm=imm)

    def placed(output: Output) -> Output:
        return replace(output, value=number[output.value], bound=number[output.bound])

    return replace(
        program,
        ops=tuple(moved(program.ops[n]) for n in kept),
        inputs=tuple(program.inputs[n] for n in used),
        outputs=tuple(placed(output) for output in program.outputs),
        loaded={path: number[n] for path, n in program.loaded.items() if n in number},
    )


def _warned(program, period, rows):
    found = list(program.warnings)
    change = _largest_change(program)
    if program.rounding != "stochastic" and change is not None and change < 2:
        found.append(
            f"changes are at most {change:.3g} LSB, and rounding {program.rounding!r} loses or "
            "biases such changes; use 'stochastic'"
        )
    estimate: Cost = cost(program, rows)
    if estimate.registers > REGISTERS_PER_HALF:
        found.append(
            f"up to {estimate.registers} vectors wait at once and the chip has "
            f"{REGISTERS_PER_HALF} for each half row; the others go to memory and back"
        )
    for what, used, most in (
        ("bytes of internal memory", estimate.sram_bytes, INTERNAL_BYTES),
        ("bytes of external block memory", estimate.external_bytes, EXTERNAL_BYTES),
    ):
        if used > most:
            found.append(
                f"it needs {used} {what}, and there are {most}; serve fewer rows or states"
            )
    if period is not None and estimate.microseconds * 1.2 > period:
        found.append(
            f"a call takes about {estimate.microseconds:.0f} us for {rows} rows, and the "
            f"period is {period:.0f} us; use at least {1.2 * estimate.microseconds:.0f} us"
        )
    for text in found:
        warnings.warn(f"{program.name}: {text}", stacklevel=4)
    return replace(program, warnings=tuple(found))


def _largest_change(program):
    """The greatest change in LSB, if the new weight is the old one plus something."""
    output = program.output()
    signal = dict(leaf_paths(program.signals))[output.name]
    old = program.loaded.get(output.name)
    if old is None:
        return None
    number = output.bound
    passing = ("shrf", "shlf", "rescale")
    while program.ops[number].code in (*passing, "sel"):
        op = program.ops[number]
        inner = [a for a in op.args[-2:] if program.ops[a].code != "const"]
        if op.code == "sel" and len(inner) != 1:
            return None
        number = inner[0] if op.code == "sel" else op.args[0]
    op = program.ops[number]
    if op.code not in ("addf", "subf"):
        return None

    def is_old(n):
        while program.ops[n].code in passing:
            n = program.ops[n].args[0]
        return n == old

    for mine, other in (op.args, op.args[::-1]):
        if is_old(mine):
            change = program.ops[other]
            if change.ulp * 2.0**change.zeros >= signal.scale:
                return None  # Whole LSB are not rounded.
            return max(abs(change.lo), abs(change.hi)) * change.ulp / signal.scale
    return None
