"""Sums, products, quotients, powers and roundings on the plasticity processor."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ._builder import EXACT, RangeError, hull, tight_exponent
from ._integer_ops import limits
from ._lookup import lookup
from ._lower_choices import choose
from ._lowering import Lowering, Refusal, finite, scalar
from ._signals import Place
from ._trace import Const, Num, Value


def add(ctx: Lowering, params, a: Any, b: Any) -> Value:
    return _sum(ctx, a, b, "add")


def sub(ctx: Lowering, params, a: Any, b: Any) -> Value:
    return _sum(ctx, a, b, "sub")


def _sum(ctx, a, b, name):
    a, b = ctx.number(a), ctx.number(b)
    if name == "sub" and isinstance(a, Num) and isinstance(b, Num) and a.id == b.id:
        return Const(np.float32(0))
    if name == "add" and (_negates(ctx, a, b) or _negates(ctx, b, a)):
        return Const(np.float32(0))
    if isinstance(b, Const) and finite(b) == 0:
        return a
    if isinstance(a, Const) and finite(a) == 0:
        return b if name == "add" else _neg(ctx, b)
    width = ctx.width(a, b)
    x, y = ctx.operand(a, width), ctx.operand(b, width)
    (a_lo, a_hi), (b_lo, b_hi) = ctx.bounds(x), ctx.bounds(y)
    lo, hi = (a_lo + b_lo, a_hi + b_hi) if name == "add" else (a_lo - b_hi, a_hi - b_lo)
    first, second = ctx.aligned(width, x, y, lo=lo, hi=hi)
    build = ctx.builder
    made = build.add(first, second) if name == "add" else build.sub(first, second)
    return Num(made, is_integer(a) and is_integer(b))


def _negates(ctx, a, b):
    if not (isinstance(a, Num) and isinstance(b, Num)):
        return False
    op = ctx.builder.ops[b.id]
    return op.code == "negf" and op.args == (a.id,)


def neg(ctx: Lowering, params, a: Any) -> Value:
    return _neg(ctx, ctx.number(a))


def _neg(ctx, a):
    return Num(ctx.builder.neg(a.id), a.integer)


def mul(ctx: Lowering, params, a: Any, b: Any) -> Value:
    a, b = ctx.number(a), ctx.number(b)
    if isinstance(a, Const):
        a, b = b, a
    assert isinstance(a, Num)
    build = ctx.builder
    integer = is_integer(a) and is_integer(b)
    if isinstance(b, Const):
        factor = finite(b)
        if factor == 0:
            return Const(np.float32(0))
        mantissa, exponent = math.frexp(abs(factor))
        if mantissa == 0.5:
            scaled = Num(build.legal(build.rescale(a.id, exponent - 1)), integer)
            return scaled if factor > 0 else _neg(ctx, scaled)
    width = ctx.width(a, b)
    x, y = ctx.operand(a, width), ctx.operand(b, width)
    x, y = (ctx.at(operand, width, ctx.tight(operand, width)) for operand in (x, y))
    return Num(build.legal(build.product(x, y)), integer)


def integer_pow(ctx: Lowering, params, a: Any) -> Value:
    return _power(ctx, a, params["y"])


def _power(ctx, a, y):
    if not 0 <= y <= 4:
        raise Refusal(f"the exponent is {y}", "exponents 0 to 4 are repeated products")
    if y == 0:
        return Const(np.float32(1))
    if y == 4:
        square = mul(ctx, {}, a, a)
        return mul(ctx, {}, square, square)
    result = a
    for _ in range(y - 1):
        result = mul(ctx, {}, result, a)
    return result


def square(ctx: Lowering, params, a: Any) -> Value:
    return mul(ctx, params, a, a)


def power(ctx: Lowering, params, a: Any, b: Any) -> Value:
    if not isinstance(b, Const):
        raise Refusal("the exponent is not constant", "use piecewise_linear")
    exponent = finite(b)
    if exponent in (0, 1, 2, 3, 4):
        return _power(ctx, ctx.number(a), int(exponent))
    return lookup(ctx, "pow", lambda x: x**exponent, ctx.number(a))


def div(ctx: Lowering, params, a: Any, b: Any) -> Value:
    a, b = ctx.number(a), ctx.number(b)
    whole = is_integer(a) and is_integer(b) and (isinstance(a, Num) or isinstance(b, Num))
    if isinstance(b, Const):
        divisor = finite(b)
        if divisor == 0:
            raise Refusal("it divides by 0", "check the parameters of the rule")
        quotient = mul(ctx, params, a, Const(np.float64(1 / divisor)))
        if whole and b.value.dtype.kind == "i":
            if math.frexp(abs(divisor))[0] != 0.5:
                raise Refusal("integers are divided by powers of two only", "use one, or floats")
            return truncate(ctx, quotient)
        return quotient
    place = ctx.builder.ops[b.id].place
    if place is Place.SYN:
        raise Refusal("the divisor belongs to each synapse", "reformulate without a quotient")
    if place is Place.POST:
        inverse = lookup(ctx, "the reciprocal", lambda x: 1 / x, b)
    else:
        inverse = _reciprocal(ctx, b)
    if isinstance(a, Const):
        return mul(ctx, params, inverse, a)
    return mul(ctx, params, a, inverse)


def _reciprocal(ctx, value):
    build = ctx.builder
    a = build.normal(value.id)
    op = build.ops[a]
    lo, hi = op.lo * op.ulp, op.hi * op.ulp
    true_lo, true_hi = lo - max(op.error[1], 0), hi - min(op.error[0], 0)
    if min(true_lo, lo) <= 0 <= max(true_hi, hi):
        raise Refusal(
            f"the divisor, in [{lo:.4g}, {hi:.4g}], can be 0",
            "declare or clip it so that it keeps its sign",
        )
    ends = 1 / lo, 1 / hi
    exponent = tight_exponent(min(ends), max(ends), 32)
    if exponent > 15:
        raise RangeError(f"the reciprocal, up to {max(map(abs, ends)):.4g},")
    k = 62 - op.exponent - exponent
    greatest = limits(32)[1]
    q = sorted((1 if x > 0 else -1) * min((1 << k) // abs(x), greatest) for x in (op.lo, op.hi))
    ulp = 2.0 ** (exponent - 31)
    spread = max(map(abs, op.error)) * max(abs(1 / true_lo), abs(1 / true_hi)) * max(map(abs, ends))
    error = (-spread - ulp, spread) if lo > 0 else (-spread, spread + ulp)
    place = op.place
    return Num(build.op("recip", (a,), (k,), place, "F", 32, exponent, q[0], q[1], error))


def absolute(ctx: Lowering, params, a: Any) -> Value:
    a = ctx.number(a)
    negative = _neg(ctx, a)
    build = ctx.builder
    positive = build.at(a.id, build.ops[negative.id].exponent)
    x = build.ops[positive]
    lo = 0 if x.lo <= 0 <= x.hi else min(abs(x.lo), abs(x.hi))
    hi = max(min(-x.lo, limits(x.width)[1]), x.hi)
    error = hull(x.error, build.ops[negative.id].error)
    made = build.op(
        "sel", (positive, positive, negative.id), ("greater_equal",), x.place, "F", x.width,
        x.exponent, lo, hi, error,
    )  # fmt: skip
    return Num(made, a.integer)


def sign(ctx: Lowering, params, a: Any) -> Value:
    a = ctx.number(a)
    build = ctx.builder
    op = build.ops[a.id]
    one, zero, minus = (build.constant(v, op.width, 1) for v in (1.0, 0.0, -1.0))
    error = EXACT if op.error == EXACT else (-2.0, 2.0)
    below = build.select(a.id, "lesser", minus, zero, EXACT)
    return Num(build.select(a.id, "greater", one, below, error), True)


def truncate(ctx, a):
    """Rounds toward zero."""
    if isinstance(a, Const):
        return Const(np.trunc(a.value))
    lo, _ = ctx.bounds(a)
    if is_integer(a):
        return a
    if lo >= 0:
        return _floor(ctx, a)
    down, up = _floor(ctx, a), _neg(ctx, _floor(ctx, _neg(ctx, a)))
    test = ctx.compare("lt", a, Const(np.float32(0)))
    return choose(ctx, test, up, down)


def floor(ctx: Lowering, params, a: Any) -> Value:
    return _floor(ctx, ctx.number(a))


def _floor(ctx, a):
    build = ctx.builder
    op = build.ops[a.id]
    if a.integer:
        return a
    bits = op.width - 1 - op.exponent
    if bits <= 0:
        return Num(a.id, True)
    error = EXACT
    if op.error != EXACT:
        error = -float(math.ceil(-op.error[0])), float(math.ceil(op.error[1]))
        error = min(error[0], 0.0), max(error[1], 0.0)
    if bits >= op.width:
        exponent = 1
        minus, zero = (build.constant(v, op.width, exponent) for v in (-1.0, 0.0))
        return Num(build.select(a.id, "lesser", minus, zero, error), True)
    lo, hi = op.lo >> bits, op.hi >> bits
    down = build.op(
        "shrf", (a.id,), (bits,), op.place, "F", op.width, op.exponent + bits, lo, hi, error
    )
    back = build.op(
        "shlf", (down,), (bits,), op.place, "F", op.width, op.exponent, lo << bits, hi << bits,
        error,
    )  # fmt: skip
    return Num(back, True)


def ceil(ctx: Lowering, params, a: Any) -> Value:
    return _neg(ctx, _floor(ctx, _neg(ctx, ctx.number(a))))


def round_half_up(ctx: Lowering, params, a: Any) -> Value:
    a = ctx.number(a)
    if a.integer:
        return a
    ctx.warnings.append(f"ties are rounded up, not to even, in {ctx.builder.line or 'round'}")
    return _floor(ctx, add(ctx, params, a, Const(np.float32(0.5))))


def rem(ctx: Lowering, params, a: Any, b: Any) -> Value:
    if not isinstance(b, Const) or math.frexp(abs(finite(b)))[0] != 0.5:
        raise Refusal("remainders exist for constant powers of two only", "use one")
    whole = truncate(ctx, mul(ctx, params, a, Const(np.float64(1 / finite(b)))))
    return sub(ctx, params, a, mul(ctx, params, whole, b))


def shift(direction: int) -> Callable[..., Value]:
    def apply(ctx: Lowering, params, a: Any, b: Any) -> Value:
        if not isinstance(b, Const):
            raise Refusal("all lanes shift by the same constant", "multiply instead")
        scaled = mul(ctx, params, a, Const(np.float64(2.0 ** (direction * scalar(b)))))
        if direction > 0 or not isinstance(scaled, Num):
            return scaled
        return _floor(ctx, Num(scaled.id, False))

    return apply


def is_integer(value):
    if isinstance(value, Num):
        return value.integer
    return scalar(value) == round(scalar(value)) if math.isfinite(scalar(value)) else False
