"""The table from operations of JAX to those of the plasticity processor."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ._builder import EXACT, RangeError, hull, tight_exponent
from ._integer_ops import limits
from ._lookup import FUNCTIONS, lookup
from ._lowering import OPPOSITE, Lowering, Refusal, finite, scalar
from ._signals import Place
from ._trace import Bool, Const, Num, Value

Handler = Callable[..., Value]


def add(l: Lowering, params, a: Value, b: Value) -> Value:
    return _sum(l, a, b, "add")


def sub(l: Lowering, params, a: Value, b: Value) -> Value:
    return _sum(l, a, b, "sub")


def _sum(l, a, b, name):
    a, b = l.number(a), l.number(b)
    if name == "sub" and isinstance(a, Num) and isinstance(b, Num) and a.id == b.id:
        return Const(np.float32(0))
    if name == "add" and (_negates(l, a, b) or _negates(l, b, a)):
        return Const(np.float32(0))
    if isinstance(b, Const) and finite(b) == 0:
        return a
    if isinstance(a, Const) and finite(a) == 0:
        return b if name == "add" else _neg(l, b)
    width = l.width(a, b)
    x, y = l.operand(a, width), l.operand(b, width)
    (a_lo, a_hi), (b_lo, b_hi) = l.bounds(x), l.bounds(y)
    lo, hi = (a_lo + b_lo, a_hi + b_hi) if name == "add" else (a_lo - b_hi, a_hi - b_lo)
    first, second = l.aligned(width, x, y, lo=lo, hi=hi)
    build = l.builder
    made = build.add(first, second) if name == "add" else build.sub(first, second)
    return Num(made, _is_integer(a) and _is_integer(b))


def _negates(l, a, b):
    if not (isinstance(a, Num) and isinstance(b, Num)):
        return False
    op = l.builder.ops[b.id]
    return op.code == "negf" and op.args == (a.id,)


def neg(l: Lowering, params, a: Value) -> Value:
    return _neg(l, l.number(a))


def _neg(l, a):
    return Num(l.builder.neg(a.id), a.integer)


def mul(l: Lowering, params, a: Value, b: Value) -> Value:
    a, b = l.number(a), l.number(b)
    if isinstance(a, Const):
        a, b = b, a
    assert isinstance(a, Num)
    build = l.builder
    integer = _is_integer(a) and _is_integer(b)
    if isinstance(b, Const):
        factor = finite(b)
        if factor == 0:
            return Const(np.float32(0))
        mantissa, exponent = math.frexp(abs(factor))
        if mantissa == 0.5:
            scaled = Num(build.legal(build.rescale(a.id, exponent - 1)), integer)
            return scaled if factor > 0 else _neg(l, scaled)
    width = l.width(a, b)
    x, y = l.operand(a, width), l.operand(b, width)
    x, y = (l.at(operand, width, l.tight(operand, width)) for operand in (x, y))
    return Num(build.legal(build.product(x, y)), integer)


def integer_pow(l: Lowering, params, a: Value) -> Value:
    return _power(l, a, params["y"])


def _power(l, a, y):
    if not 0 <= y <= 4:
        raise Refusal(f"the exponent is {y}", "exponents 0 to 4 are repeated products")
    if y == 0:
        return Const(np.float32(1))
    if y == 4:
        square = mul(l, {}, a, a)
        return mul(l, {}, square, square)
    result = a
    for _ in range(y - 1):
        result = mul(l, {}, result, a)
    return result


def square(l: Lowering, params, a: Value) -> Value:
    return mul(l, params, a, a)


def div(l: Lowering, params, a: Value, b: Value) -> Value:
    a, b = l.number(a), l.number(b)
    whole = _is_integer(a) and _is_integer(b) and (isinstance(a, Num) or isinstance(b, Num))
    if isinstance(b, Const):
        divisor = finite(b)
        if divisor == 0:
            raise Refusal("it divides by 0", "check the parameters of the rule")
        quotient = mul(l, params, a, Const(np.float64(1 / divisor)))
        if whole and b.value.dtype.kind == "i":
            if math.frexp(abs(divisor))[0] != 0.5:
                raise Refusal("integers are divided by powers of two only", "use one, or floats")
            return _truncate(l, quotient)
        return quotient
    place = l.builder.ops[b.id].place
    if place is Place.SYN:
        raise Refusal("the divisor belongs to each synapse", "reformulate without a quotient")
    if place is Place.POST:
        inverse = lookup(l, "the reciprocal", lambda x: 1 / x, b)
    else:
        inverse = _reciprocal(l, b)
    if isinstance(a, Const):
        return mul(l, params, inverse, a)
    return mul(l, params, a, inverse)


def _reciprocal(l, value):
    build = l.builder
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


def maximum(l: Lowering, params, a: Value, b: Value) -> Value:
    return l.extremum("max", a, b)


def minimum(l: Lowering, params, a: Value, b: Value) -> Value:
    return l.extremum("min", a, b)


def clamp(l: Lowering, params, lo: Value, x: Value, hi: Value) -> Value:
    return l.extremum("min", l.extremum("max", x, lo), hi)


def absolute(l: Lowering, params, a: Value) -> Value:
    a = l.number(a)
    negative = _neg(l, a)
    build = l.builder
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


def sign(l: Lowering, params, a: Value) -> Value:
    a = l.number(a)
    build = l.builder
    op = build.ops[a.id]
    one, zero, minus = (build.constant(v, op.width, 1) for v in (1.0, 0.0, -1.0))
    error = EXACT if op.error == EXACT else (-2.0, 2.0)
    below = build.select(a.id, "lesser", minus, zero, EXACT)
    return Num(build.select(a.id, "greater", one, below, error), True)


def compare(name: str) -> Handler:
    return lambda l, params, a, b: l.compare(name, a, b)


def logical_and(l: Lowering, params, a: Value, b: Value) -> Value:
    return _logic(l, a, b, "and")


def logical_or(l: Lowering, params, a: Value, b: Value) -> Value:
    return _logic(l, a, b, "or")


def _logic(l, a, b, name):
    for value in (a, b):
        if not isinstance(value, Bool) and getattr(value, "value", np.zeros(1)).dtype != bool:
            raise Refusal("bits of numbers cannot be reached", "combine truth values")
    if isinstance(a, Const):
        a, b = b, a
    if isinstance(b, Const):
        decides = bool(b.value) == (name == "or")
        return b if decides else a
    other = l.number(b)
    fixed = Const(np.float32(name == "or"))
    true, false = (other, fixed) if name == "and" else (fixed, other)
    exact = a.exact and b.exact
    flag = l.choose(Bool(a.mask, a.condition, True), true, false)
    assert isinstance(flag, Num)
    return Bool(flag.id, "greater", exact)


def logical_not(l: Lowering, params, a: Value) -> Value:
    if not isinstance(a, Bool):
        raise Refusal("bits of numbers cannot be reached", "negate a truth value")
    return Bool(a.mask, OPPOSITE[a.condition], a.exact)


def select_n(l: Lowering, params, which: Value, *cases: Value) -> Value:
    if isinstance(which, Const):
        return cases[int(which.value)]
    if isinstance(which, Num):
        result = cases[-1]
        for index in range(len(cases) - 1, 0, -1):
            below = l.compare("lt", which, Const(np.float32(index)))
            result = _choose(l, below, cases[index - 1], result)
        return result
    return _choose(l, which, cases[1], cases[0])


def _choose(l, chosen, true, false):
    if isinstance(chosen, Const):
        return true if bool(chosen.value) else false
    if isinstance(true, Bool) or isinstance(false, Bool):
        kinds = [isinstance(v, Bool) or v.value.dtype == bool for v in (true, false)]
        flag = l.choose(chosen, true, false)
        if all(kinds) and isinstance(flag, Num):
            exact = chosen.exact and all(getattr(v, "exact", True) for v in (true, false))
            return Bool(flag.id, "greater", exact)
        return flag
    clip = _as_extremum(l, chosen, true, false)
    return l.choose(chosen, true, false) if clip is None else clip


def _as_extremum(l, chosen, true, false):
    """Choices that are maxima or minima have tighter intervals and errors."""
    test = chosen.test
    if test is None or test.name not in ("gt", "ge", "lt", "le"):
        return None
    greater = test.name in ("gt", "ge")
    if _same(true, test.left) and _same(false, test.right):
        return l.extremum("max" if greater else "min", true, false)
    if _same(true, test.right) and _same(false, test.left):
        return l.extremum("min" if greater else "max", true, false)
    # where(x < lo, lo, min(x, hi)) with lo <= hi is max(min(x, hi), lo), and so is its mirror.
    origin = l.extrema.get(false.id) if isinstance(false, Num) else None
    if origin is None or not _same(true, test.right) or not isinstance(true, Const):
        return None
    name, inner, bound = origin
    if not _same(inner, test.left) or not isinstance(bound, Const):
        return None
    if name == "min" and not greater and scalar(bound) >= scalar(true):
        return l.extremum("max", false, true)
    if name == "max" and greater and scalar(bound) <= scalar(true):
        return l.extremum("min", false, true)
    return None


def convert_element_type(l: Lowering, params, a: Value) -> Value:
    kind = np.dtype(params["new_dtype"]).kind
    if isinstance(a, Bool):
        return a
    if kind == "b":
        return l.compare("ne", a, Const(np.float32(0)))
    if kind in "iu":
        return _truncate(l, a)
    return a


def _truncate(l, a):
    """Rounds toward zero."""
    if isinstance(a, Const):
        return Const(np.trunc(a.value))
    lo, hi = l.bounds(a)
    if _is_integer(a):
        return a
    if lo >= 0:
        return _floor(l, a)
    down, up = _floor(l, a), _neg(l, _floor(l, _neg(l, a)))
    test = l.compare("lt", a, Const(np.float32(0)))
    return _choose(l, test, up, down)


def floor(l: Lowering, params, a: Value) -> Value:
    return _floor(l, l.number(a))


def _floor(l, a):
    build = l.builder
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


def ceil(l: Lowering, params, a: Value) -> Value:
    return _neg(l, _floor(l, _neg(l, l.number(a))))


def round_half_up(l: Lowering, params, a: Value) -> Value:
    a = l.number(a)
    if a.integer:
        return a
    l.warnings.append(f"ties are rounded up, not to even, in {l.builder.line or 'round'}")
    return _floor(l, add(l, params, a, Const(np.float32(0.5))))


def rem(l: Lowering, params, a: Value, b: Value) -> Value:
    if not isinstance(b, Const) or math.frexp(abs(finite(b)))[0] != 0.5:
        raise Refusal("remainders exist for constant powers of two only", "use one")
    whole = _truncate(l, mul(l, params, a, Const(np.float64(1 / finite(b)))))
    return sub(l, params, a, mul(l, params, whole, b))


def shift(direction: int) -> Handler:
    def apply(l: Lowering, params, a: Value, b: Value) -> Value:
        if not isinstance(b, Const):
            raise Refusal("all lanes shift by the same constant", "multiply instead")
        scaled = mul(l, params, a, Const(np.float64(2.0 ** (direction * scalar(b)))))
        if direction > 0 or not isinstance(scaled, Num):
            return scaled
        return _floor(l, Num(scaled.id, False))

    return apply


def power(l: Lowering, params, a: Value, b: Value) -> Value:
    if not isinstance(b, Const):
        raise Refusal("the exponent is not constant", "use piecewise_linear")
    exponent = finite(b)
    if exponent in (0, 1, 2, 3, 4):
        return _power(l, l.number(a), int(exponent))
    return lookup(l, "pow", lambda x: x**exponent, l.number(a))


def function(name: str) -> Handler:
    return lambda l, params, a: lookup(l, name, FUNCTIONS[name], l.number(a))


def identity(l: Lowering, params, a: Value, *rest: Any) -> Value:
    return a


def always_finite(l: Lowering, params, a: Value) -> Value:
    return Const(np.asarray(True))


def _same(a, b):
    if isinstance(a, Const) and isinstance(b, Const):
        return a.value.size == b.value.size == 1 and scalar(a) == scalar(b)
    return isinstance(a, Num) and isinstance(b, Num) and a.id == b.id


def _is_integer(value):
    if isinstance(value, Num):
        return value.integer
    return scalar(value) == round(scalar(value)) if math.isfinite(scalar(value)) else False


PRIMITIVES: dict[str, Handler] = {
    "add": add,
    "add_any": add,
    "sub": sub,
    "neg": neg,
    "mul": mul,
    "integer_pow": integer_pow,
    "square": square,
    "div": div,
    "max": maximum,
    "min": minimum,
    "clamp": clamp,
    "abs": absolute,
    "sign": sign,
    **{name: compare(name) for name in ("gt", "lt", "ge", "le", "eq", "ne")},
    "and": logical_and,
    "or": logical_or,
    "not": logical_not,
    "select_n": select_n,
    "convert_element_type": convert_element_type,
    "floor": floor,
    "ceil": ceil,
    "round": round_half_up,
    "rem": rem,
    "shift_left": shift(1),
    "shift_right_arithmetic": shift(-1),
    "shift_right_logical": shift(-1),
    "pow": power,
    "is_finite": always_finite,
    **{name: function(name) for name in FUNCTIONS},
    **dict.fromkeys(
        (
            "broadcast_in_dim",
            "reshape",
            "squeeze",
            "expand_dims",
            "stop_gradient",
            "copy",
            "copy_p",
            "name",
            "sharding_constraint",
        ),
        identity,
    ),
}
