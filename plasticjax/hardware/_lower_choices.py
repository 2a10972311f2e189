"""Comparisons, truth values and choices on the plasticity processor."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ._lowering import OPPOSITE, Lowering, Refusal, scalar
from ._trace import Bool, Const, Num, Value


def maximum(ctx: Lowering, params, a: Any, b: Any) -> Value:
    return ctx.extremum("max", a, b)


def minimum(ctx: Lowering, params, a: Any, b: Any) -> Value:
    return ctx.extremum("min", a, b)


def clamp(ctx: Lowering, params, lo: Value, x: Value, hi: Value) -> Value:
    return ctx.extremum("min", ctx.extremum("max", x, lo), hi)


def compare(name: str) -> Callable[..., Value]:
    return lambda ctx, params, a, b: ctx.compare(name, a, b)


def logical_and(ctx: Lowering, params, a: Any, b: Any) -> Value:
    return _logic(ctx, a, b, "and")


def logical_or(ctx: Lowering, params, a: Any, b: Any) -> Value:
    return _logic(ctx, a, b, "or")


def _logic(ctx, a, b, name):
    for value in (a, b):
        if not isinstance(value, Bool) and getattr(value, "value", np.zeros(1)).dtype != bool:
            raise Refusal("bits of numbers cannot be reached", "combine truth values")
    if isinstance(a, Const):
        a, b = b, a
    if isinstance(b, Const):
        decides = bool(b.value) == (name == "or")
        return b if decides else a
    other = ctx.number(b)
    fixed = Const(np.float32(name == "or"))
    true, false = (other, fixed) if name == "and" else (fixed, other)
    exact = a.exact and b.exact
    flag = ctx.choose(Bool(a.mask, a.condition, True), true, false)
    assert isinstance(flag, Num)
    return Bool(flag.id, "greater", exact)


def logical_not(ctx: Lowering, params, a: Any) -> Value:
    if not isinstance(a, Bool):
        raise Refusal("bits of numbers cannot be reached", "negate a truth value")
    return Bool(a.mask, OPPOSITE[a.condition], a.exact)


def select_n(ctx: Lowering, params, which: Value, *cases: Value) -> Value:
    if isinstance(which, Const):
        return cases[int(which.value)]
    if isinstance(which, Num):
        result = cases[-1]
        for index in range(len(cases) - 1, 0, -1):
            below = ctx.compare("lt", which, Const(np.float32(index)))
            result = choose(ctx, below, cases[index - 1], result)
        return result
    return choose(ctx, which, cases[1], cases[0])


def choose(ctx, chosen, true, false):
    if isinstance(chosen, Const):
        return true if bool(chosen.value) else false
    if isinstance(true, Bool) or isinstance(false, Bool):
        kinds = [isinstance(v, Bool) or v.value.dtype == bool for v in (true, false)]
        flag = ctx.choose(chosen, true, false)
        if all(kinds) and isinstance(flag, Num):
            exact = chosen.exact and all(getattr(v, "exact", True) for v in (true, false))
            return Bool(flag.id, "greater", exact)
        return flag
    clip = _as_extremum(ctx, chosen, true, false)
    return ctx.choose(chosen, true, false) if clip is None else clip


def _as_extremum(ctx, chosen, true, false):
    """Choices that are maxima or minima have tighter intervals and errors."""
    test = chosen.test
    if test is None or test.name not in ("gt", "ge", "lt", "le"):
        return None
    greater = test.name in ("gt", "ge")
    if _same(true, test.left) and _same(false, test.right):
        return ctx.extremum("max" if greater else "min", true, false)
    if _same(true, test.right) and _same(false, test.left):
        return ctx.extremum("min" if greater else "max", true, false)
    # where(x < lo, lo, min(x, hi)) with lo <= hi is max(min(x, hi), lo), and so is its mirror.
    origin = ctx.extrema.get(false.id) if isinstance(false, Num) else None
    if origin is None or not _same(true, test.right) or not isinstance(true, Const):
        return None
    name, inner, bound = origin
    if not _same(inner, test.left) or not isinstance(bound, Const):
        return None
    if name == "min" and not greater and scalar(bound) >= scalar(true):
        return ctx.extremum("max", false, true)
    if name == "max" and greater and scalar(bound) <= scalar(true):
        return ctx.extremum("min", false, true)
    return None


def _same(a, b):
    if isinstance(a, Const) and isinstance(b, Const):
        return a.value.size == b.value.size == 1 and scalar(a) == scalar(b)
    return isinstance(a, Num) and isinstance(b, Num) and a.id == b.id
