"""The table from operations of JAX to those of the plasticity processor."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ._lookup import FUNCTIONS, lookup
from ._lower_arithmetic import (
    absolute,
    add,
    ceil,
    div,
    floor,
    integer_pow,
    mul,
    neg,
    power,
    rem,
    round_half_up,
    shift,
    sign,
    square,
    sub,
    truncate,
)
from ._lower_choices import (
    clamp,
    compare,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    select_n,
)
from ._lower_sums import total
from ._lowering import Lowering, Refusal
from ._trace import Bool, Const, Value

Handler = Callable[..., Value]


def convert_element_type(ctx: Lowering, params, a: Value) -> Value:
    kind = np.dtype(params["new_dtype"]).kind
    if isinstance(a, Bool):
        return a
    if kind == "b":
        return ctx.compare("ne", a, Const(np.float32(0)))
    if kind in "iu":
        whole: Any = truncate(ctx, a)
        held = np.iinfo(params["new_dtype"])
        lo, hi = ctx.bounds(whole)
        if lo < held.min or hi > held.max:
            raise Refusal(
                f"[{lo:.4g}, {hi:.4g}] does not fit {held.dtype}, and what is beyond would wrap",
                "clip it, or use int32",
            )
        return whole
    return a


def function(name: str) -> Handler:
    return lambda ctx, params, a: lookup(ctx, name, FUNCTIONS[name], ctx.number(a))


def identity(ctx: Lowering, params, a: Value, *rest: Any) -> Value:
    return a


def always_finite(ctx: Lowering, params, a: Value) -> Value:
    return Const(np.asarray(True))


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
    "psum": total,
    "psum_invariant": total,
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
