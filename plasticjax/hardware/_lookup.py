"""Functions that the chip reads from tables of 256 entries, computed when a rule is lowered."""

import math
from collections.abc import Callable

import numpy as np

from ._builder import EXACT, tight_exponent
from ._evaluate_ops import depends_on, run_ops
from ._lowering import Lowering, Refusal
from ._scalar_lookup import OSCILLATING, scalar_lookup
from ._signals import Place
from ._trace import Const, Num

FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "cbrt": np.cbrt,
    "erf": np.vectorize(math.erf),
    "sin": np.sin,
    "cos": np.cos,
    "atan": np.arctan,
}


def lookup(lowering: Lowering, name: str, function: Callable, value: Num) -> Const | Num:
    """A function of a scalar, or of one 8-bit value of the postsynaptic neuron."""
    build = lowering.builder
    op = build.ops[value.id]
    if op.place is Place.SYN:
        raise Refusal("a function of a value of each synapse has no table", "use piecewise_linear")
    if op.place is not Place.POST:
        return scalar_lookup(lowering, name, function, value)
    loads = [n for n in depends_on(build.ops, [value.id]) if build.ops[n].code == "ld"]
    bytes_read = [n for n in loads if build.ops[n].kind == "U" and build.ops[n].width == 8]
    if len(loads) != 1 or bytes_read != loads:
        names = ", ".join(build.inputs[build.ops[n].imm[0]].name for n in loads)
        raise Refusal(
            f"a table has one 8-bit input, and the argument depends on {names}",
            "use piecewise_linear, or a function of a rate or membrane alone",
        )
    raw = [np.arange(256)] * len(build.inputs)
    q = np.broadcast_to(run_ops(build.ops, [value.id], raw, build.tables)[value.id], (256,))
    x = np.asarray(q, np.float64) * op.ulp
    with np.errstate(all="ignore"):
        y = function(x)
        around = [y - function(x - error) for error in op.error]
    if not np.all(np.isfinite(y)) or not np.all(np.isfinite(around)):
        raise Refusal(
            f"{name} is not finite for all values of its argument, [{x.min():.4g}, {x.max():.4g}]",
            "clip the argument",
        )
    if name in OSCILLATING:
        around = [
            np.full(256, error) for error in (-max(map(abs, op.error)), max(map(abs, op.error)))
        ]
    exponent = tight_exponent(float(y.min()), float(y.max()), 16)
    ulp = 2.0 ** (exponent - 15)
    entries = np.clip(np.rint(y / ulp), -(2**15), 2**15 - 1).astype(int)
    rounding = entries * ulp - y
    spread = np.minimum(*around) + rounding, np.maximum(*around) + rounding
    error = float(spread[0].min()), float(spread[1].max())
    table = build.table(entries)
    bounds = int(entries.min()), int(entries.max())
    made = build.op(
        "lookup", (loads[0],), (table,), Place.POST, "F", 16, exponent, *bounds,
        EXACT if error == (0.0, 0.0) else error,
    )  # fmt: skip
    return Num(made)
