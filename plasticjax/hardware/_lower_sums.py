"""Sums over rows and over columns on the plasticity processor."""

from typing import Any

from ..plasticity._reductions import POST, PRE
from ._builder import RangeError, tight_exponent
from ._integer_ops import limits
from ._lowering import Lowering, Refusal, finite
from ._signals import Place
from ._trace import Const, Num, Value

COLUMNS = 256


def total(ctx: Lowering, params, *values: Any) -> Value:
    """A sum over an axis that `over_synapses` names."""
    if len(values) != 1 or params["axes"] not in ((PRE,), (POST,)):
        raise Refusal(f"it sums over {params['axes']}", "use sum_pre or sum_post of one value")
    value = ctx.number(values[0])
    over_rows = params["axes"] == (PRE,)
    if isinstance(value, Const):
        if finite(value) == 0:
            return value
        raise Refusal("it sums a constant", "multiply it by the number of neurons")
    place = ctx.builder.ops[value.id].place
    if place not in ((Place.PRE, Place.SYN) if over_rows else (Place.POST, Place.SYN)):
        raise Refusal(
            f"the value is the same for all {'pre' if over_rows else 'post'}synaptic neurons",
            "multiply it by their number",
        )
    if over_rows:
        return _over_rows(ctx, value)
    if place is Place.SYN:
        raise Refusal(
            "columns are summed once per call, and the value belongs to each synapse",
            "sum a value of the postsynaptic neuron, such as a rate or a sum_pre",
        )
    return _over_columns(ctx, value)


def _over_rows(ctx: Lowering, value: Num) -> Num:
    """Row after row into one value per column, or one scalar; nothing saturates on the way."""
    build, rows = ctx.builder, ctx.rows
    width = build.ops[value.id].width
    lo, hi = build.bounds(value.id)
    lo, hi = min(rows * lo, 0.0), max(rows * hi, 0.0)
    exponent = max(tight_exponent(lo, hi, width), build.tight(value.id))
    if exponent > 15:
        raise RangeError(f"the sum of {rows} rows, in [{lo:.4g}, {hi:.4g}],")
    addend = _rounded(ctx, value.id, exponent)
    x = build.ops[addend]
    error = min(rows * x.error[0], 0.0), max(rows * x.error[1], 0.0)
    least, greatest = limits(width)
    bounds = max(min(rows * x.lo, 0), least), min(max(rows * x.hi, 0), greatest)
    place = Place.POST if x.place is Place.SYN else Place.GLOBAL
    made = build.op(
        "sum_pre", (addend,), (rows,), place, "F", width, exponent, *bounds, error
    )  # fmt: skip
    return Num(made, value.integer)


def _rounded(ctx: Lowering, a: int, exponent: int) -> int:
    """A value at an exponent, rounded half up: a floor in each row would add up to a bias."""
    build = ctx.builder
    x = build.ops[a]
    n = exponent - x.exponent
    if n <= 0 or x.zeros >= n or n >= x.width:
        return build.at(a, exponent)
    half = 1 << (n - 1)
    error = half * x.ulp, half * x.ulp
    return build.at(build.add(a, build.raw_constant(half, x.width, x.exponent, error)), exponent)


def _over_columns(ctx: Lowering, value: Num) -> Num:
    """16-bit values of up to 256 columns in one scalar of 32 bits, without loss."""
    build = ctx.builder
    a = build.normal(value.id)
    x = build.ops[a]
    lo, hi = (COLUMNS * bound for bound in (min(x.lo, 0), max(x.hi, 0)))
    shift = 31 - max((-lo - 1).bit_length() if lo < 0 else 0, hi.bit_length())
    exponent = x.exponent + 16 - shift
    if exponent > 15:
        raise RangeError(f"the sum of {COLUMNS} columns, in [{lo * x.ulp:.4g}, {hi * x.ulp:.4g}],")
    if exponent < -15:
        shift, exponent = shift - (-15 - exponent), -15
    error = min(COLUMNS * x.error[0], 0.0), max(COLUMNS * x.error[1], 0.0)
    made = build.op(
        "sum_post", (a,), (shift,), Place.GLOBAL, "F", 32, exponent, lo << shift, hi << shift, error
    )
    return Num(made, value.integer)
