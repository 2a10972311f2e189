"""How a number becomes a weight of 6 bits again, and how states and labels are stored."""

import math

from ._builder import EXACT, RangeError
from ._loads import declared_exponent, random_byte
from ._lowering import Lowering
from ._program import Output
from ._signals import Signal
from ._trace import Const, Num, Value

ROUNDING_TAPE = "rounding"


def store(
    ctx: Lowering, path: str, signal: Signal, value: Value, old: Num, rounding: str
) -> Output:
    """Clamps, rounds and stores the new value of a leaf of the synapse."""
    number = _vector(ctx, value)
    if signal.source in ("weight", "signed_weight"):
        signed = signal.source == "signed_weight"
        octave = round(math.log2(signal.scale))
        top = 64 - 2.0**-8
        clamped = _clamped(ctx, number, -top * signal.scale if signed else 0.0, top * signal.scale)
        bound = ctx.builder.at(clamped, 7 + octave)
        byte = _rounded(ctx, bound, old.id, rounding, path)
        if signed:
            final = _clip_byte(ctx, byte)
        else:
            op = ctx.builder.ops[byte]
            limits = max(min(op.lo, 63), 0), max(min(op.hi, 63), 0)
            final = ctx.builder.op("satw", (byte,), (), op.place, "U", 8, 0, *limits)
        return Output(path, signal.source, final, bound)
    if signal.source == "label":
        bound = ctx.builder.at(_clamped(ctx, number, 0.0, 63.0), 7)
        return Output(path, "label", _narrow(ctx, bound), bound)
    exponent = declared_exponent(signal)
    hi = min(signal.hi, 2.0**exponent * (1 - 2.0**-15))
    bound = ctx.builder.at(_clamped(ctx, number, float(signal.lo), hi), exponent)
    symbol = ctx.builder.inputs[ctx.builder.ops[old.id].imm[0]].symbol
    return Output(path, "state", bound, bound, symbol)


def _vector(ctx, value):
    number = ctx.number(value)
    if isinstance(number, Const):
        number = Num(ctx.aligned(16, number)[0])
    return Num(ctx.builder.vector(number.id))


def _clamped(ctx, value: Num, lo: float, hi: float) -> int:
    """A value between limits, which are rounded inwards on its grid: the shift must not wrap."""
    for name, bound in (("max", lo), ("min", hi)):
        op = ctx.builder.ops[value.id]
        grid = math.ceil(bound / op.ulp) if name == "max" else math.floor(bound / op.ulp)
        beyond = op.lo < grid if name == "max" else op.hi > grid
        if not beyond:
            continue
        if not -(1 << 15) <= grid < 1 << 15:
            raise RangeError(f"the limit {bound}")
        limit = ctx.builder.raw_constant(grid, 16, op.exponent, _offset(grid * op.ulp - bound))
        mask = value.id if grid == 0 else ctx.builder.sub(value.id, limit)
        true, false = (value.id, limit) if name == "max" else (limit, value.id)
        value = Num(ctx.extremum_of(mask, value.id, limit, true, false, name))
    return value.id


def _offset(error):
    return EXACT if error == 0 else (error, error)


def _rounded(ctx, value, old, rounding, path):
    build = ctx.builder
    exponent = build.ops[value].exponent
    if rounding == "nearest":
        value = build.add(value, build.raw_constant(128, 16, exponent))
    elif rounding == "stochastic":
        value = build.add(value, random_byte(ctx, f"{ROUNDING_TAPE}.{path}", exponent))
    elif rounding == "toward_zero":
        change = build.sub(value, old)
        up = build.add(change, build.raw_constant(255, 16, exponent))
        change = build.select(change, "lesser", up, change, EXACT)
        return build.add(_narrow(ctx, change), _narrow(ctx, old))
    return _narrow(ctx, value)


def _narrow(ctx, value):
    op = ctx.builder.ops[value]
    return ctx.builder.op(
        "narrowf", (value,), (), op.place, "F", 8, op.exponent, op.lo >> 8, op.hi >> 8
    )


def _clip_byte(ctx, byte):
    build = ctx.builder
    op = build.ops[byte]
    for name, q, beyond in (("max", -63, op.lo < -63), ("min", 63, op.hi > 63)):
        if beyond:
            limit = build.raw_constant(q, 8, op.exponent)
            true, false = (byte, limit) if name == "max" else (limit, byte)
            byte = ctx.extremum_of(build.sub(byte, limit), byte, limit, true, false, name)
    return byte
