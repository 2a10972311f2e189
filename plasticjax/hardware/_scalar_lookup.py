"""Functions of what belongs to a call or a row: straight lines between the entries of a table."""

from collections.abc import Callable

import numpy as np

from ._builder import EXACT, tight_exponent
from ._integer_ops import limits
from ._lowering import Lowering, Refusal
from ._trace import Num

CELLS_BITS = 8
# Points of a cell at which lines and function are compared, and what may lie between the points.
SAMPLES = 33
MARGIN = 1.05
OSCILLATING = ("sin", "cos")


def scalar_lookup(lowering: Lowering, name: str, function: Callable, value: Num) -> Num:
    """A function of a scalar of 32 bits: its highest bits choose a line, the others a point on it.

    A cell of the table has 2^n values of the argument, as few as 256 cells allow.
    """
    build = lowering.builder
    a = build.normal(value.id)
    op = build.ops[a]
    shift = max((op.hi - op.lo).bit_length() - CELLS_BITS, 0)
    cells = ((op.hi - op.lo) >> shift) + 1
    nodes = op.lo + (np.arange(cells + 1) << shift).astype(np.float64)
    y = _values(name, function, nodes, op)
    steepest = float(np.diff(y).min()), float(np.diff(y).max())
    steep = tight_exponent(*steepest, 32)
    exponent = max(tight_exponent(float(y.min()), float(y.max()), 32), steep)

    entries = _integers(y, exponent)
    base = _entry(lowering, a, entries[:-1], shift, exponent)
    slope = _entry(lowering, a, _integers(np.diff(y), steep), shift, steep)
    rest = build.op("rest", (a,), (op.lo, shift), op.place, "F", 32, 0, 0, limits(32)[1])
    rise = build.at(build.product(slope, rest), exponent)
    least, greatest = limits(32)
    bounds = max(int(entries.min()) - 2, least), min(int(entries.max()) + 2, greatest)
    error = _error(name, function, op, nodes, y, 4 * 2.0 ** (exponent - 31))
    return Num(build.op("addf", (base, rise), (), op.place, "F", 32, exponent, *bounds, error))


def _values(name: str, function: Callable, nodes, op):
    """At all nodes; the one behind the last value is such that the last line ends at that value."""
    with np.errstate(all="ignore"):
        y = function(nodes[:-1] * op.ulp)
        end = float(function(np.asarray([op.hi * op.ulp]))[0])
    if not (np.all(np.isfinite(y)) and np.isfinite(end)):
        raise Refusal(
            f"{name} is not finite for all values of its argument, [{op.lo * op.ulp:.4g}, "
            f"{op.hi * op.ulp:.4g}]",
            "clip the argument",
        )
    part = (op.hi - nodes[-2]) / (nodes[-1] - nodes[-2])
    return np.append(y, y[-1] + (end - y[-1]) / part if part else y[-1])


def _integers(values, exponent: int):
    return np.clip(np.rint(values * 2.0 ** (31 - exponent)), *limits(32)).astype(np.int64)


def _entry(lowering: Lowering, a: int, table, shift: int, exponent: int) -> int:
    build = lowering.builder
    op = build.ops[a]
    imm = (build.table(table), op.lo, shift)
    bounds = int(table.min()), int(table.max())
    return build.op("lookup", (a,), imm, op.place, "F", 32, exponent, *bounds)


def _error(name: str, function: Callable, op, nodes, y, rounding: float) -> tuple[float, float]:
    """Bounds of the lines less the function of the argument that has no error."""
    part = np.linspace(0, 1, SAMPLES)
    x = nodes[:-1, None] + np.diff(nodes)[:, None] * part
    lines = y[:-1, None] + np.diff(y)[:, None] * part
    inside = x <= op.hi
    x, lines = x[inside] * op.ulp, lines[inside]
    errors = (0.0,) if op.error == EXACT or name in OSCILLATING else (0.0, *op.error)
    with np.errstate(all="ignore"):
        apart = np.stack([lines - function(x - error) for error in errors])
    if not np.all(np.isfinite(apart)):
        raise Refusal(f"{name} is not finite next to the values of its argument", "clip it")
    # The derivatives of what oscillates are at most 1.
    more = rounding + (max(map(abs, op.error)) if name in OSCILLATING else 0.0)
    return MARGIN * min(float(apart.min()), 0.0) - more, MARGIN * max(
        float(apart.max()), 0.0
    ) + more
