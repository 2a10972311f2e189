"""Builds integer programs op by op; every value knows its interval and its error."""

import math
from fractions import Fraction

from ._integer_ops import limits
from ._program import Op, RawInput
from ._signals import Place

LEAST_EXPONENT, GREATEST_EXPONENT = -15, 15
EXACT = (0.0, 0.0)


class RangeError(ValueError):
    """A value that no format holds."""


def tight_exponent(lo: float, hi: float, width: int) -> int:
    """The smallest exponent of a fractional format that holds [lo, hi]."""
    greatest = max(-lo, hi / (1 - 2.0 ** (1 - width)), 0.0)
    exponent = LEAST_EXPONENT if greatest == 0 else math.ceil(math.log2(greatest))
    return max(exponent, LEAST_EXPONENT)


class Builder:
    """A list of operations that shares equal ones and tracks integer intervals and errors."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.inputs: list[RawInput] = []
        self.tables: list[tuple[int, ...]] = []
        self.line = ""
        self._known: dict[tuple, int] = {}

    def op(self, code, args, imm, place, kind, width, exponent, lo, hi, error=EXACT) -> int:
        """Adds an operation, or finds it; a fractional interval is cut off at the format."""
        key = (code, args, imm, place, kind, width, exponent)
        if key not in self._known:
            self._known[key] = len(self.ops)
            zeros = _zero_bits(code, [self.ops[arg] for arg in args], imm, width, hi)
            line = self.line
            made = Op(code, args, imm, place, kind, width, exponent, lo, hi, error, line, zeros)
            self.ops.append(made)
        return self._known[key]

    def load(self, raw: RawInput, kind: str, width: int, exponent: int = 0, part: str = "") -> int:
        """Loads an input; `part` picks a byte of a random word."""
        if raw not in self.inputs:
            self.inputs.append(raw)
        lo, hi = (0, 255) if part else (raw.lo, raw.hi)
        imm = (self.inputs.index(raw), part) if part else (self.inputs.index(raw),)
        return self.op("ld", (), imm, raw.place, kind, width, exponent, lo, hi)

    def table(self, entries) -> int:
        """The number of a table with these integers."""
        wanted = tuple(int(entry) for entry in entries)
        if wanted not in self.tables:
            self.tables.append(wanted)
        return self.tables.index(wanted)

    def constant(self, value: float, width: int, exponent: int) -> int:
        """A constant, rounded to the nearest that the format holds."""
        least, greatest = limits(width)
        exact = Fraction(value) * Fraction(2) ** (width - 1 - exponent)
        q = min(max(round(exact), least), greatest)
        error = float((q - exact) * Fraction(2) ** (exponent - width + 1))
        return self.raw_constant(q, width, exponent, (error, error))

    def raw_constant(self, q: int, width: int, exponent: int, error=EXACT) -> int:
        place = Place.GLOBAL
        return self.op("const", (), (q,), place, "F", width, exponent, q, q, error)

    # -- exact integer operations on fractional values -------------------------------------------

    def add(self, a: int, b: int) -> int:
        x, y = self._pair(a, b)
        error = (x.error[0] + y.error[0], x.error[1] + y.error[1])
        return self._saturating("addf", (a, b), x.lo + y.lo, x.hi + y.hi, error)

    def sub(self, a: int, b: int) -> int:
        x, y = self._pair(a, b)
        error = (x.error[0] - y.error[1], x.error[1] - y.error[0])
        return self._saturating("subf", (a, b), x.lo - y.hi, x.hi - y.lo, error)

    def neg(self, a: int) -> int:
        x = self.ops[a]
        return self._saturating("negf", (a,), -x.hi, -x.lo, (-x.error[1], -x.error[0]))

    def product(self, a: int, b: int) -> int:
        """The product, rounded down; its exponent is the sum of those of the factors."""
        x, y = self.ops[a], self.ops[b]
        assert x.width == y.width
        exponent = x.exponent + y.exponent
        corners = [p * q for p in (x.lo, x.hi) for q in (y.lo, y.hi)]
        lo = max(0, min(corners)) if a == b else min(corners)
        if a == b and x.lo <= 0 <= x.hi:
            lo = 0
        ulp = 2.0 ** (exponent - x.width + 1)
        error = _product_error(x, y)
        shift = x.width - 1
        greatest = limits(x.width)[1]
        bounds = min(lo >> shift, greatest), min(max(corners) >> shift, greatest)
        if x.zeros + y.zeros >= shift and bounds[1] < greatest:
            ulp = 0.0
        return self.op(
            "mulf",
            (a, b),
            (),
            x.place.join(y.place),
            "F",
            x.width,
            exponent,
            *bounds,
            (error[0] - ulp, error[1]),
        )

    def shift_right(self, a: int, n: int) -> int:
        """Shifts right and keeps the value: the exponent grows."""
        if n == 0:
            return a
        x = self.ops[a]
        ulp = x.ulp * 2.0**n
        error = (x.error[0] - (ulp - x.ulp), x.error[1])
        if n >= x.width:
            zero = (x.error[0] - x.hi * x.ulp, x.error[1] - x.lo * x.ulp)
            return self.op("shrf", (a,), (n,), x.place, "F", x.width, x.exponent + n, 0, 0, zero)
        if x.zeros >= n:
            error = x.error
        return self.op(
            "shrf", (a,), (n,), x.place, "F", x.width, x.exponent + n, x.lo >> n, x.hi >> n, error
        )

    def shift_left(self, a: int, n: int) -> int:
        """Shifts left and keeps the value: the exponent shrinks. The interval must allow it."""
        if n == 0:
            return a
        x = self.ops[a]
        least, greatest = limits(x.width)
        lo, hi = x.lo << n, x.hi << n
        if n >= x.width or lo < least or hi > greatest:
            raise AssertionError(f"shift by {n} of [{x.lo}, {x.hi}] loses bits")
        return self.op("shlf", (a,), (n,), x.place, "F", x.width, x.exponent - n, lo, hi, x.error)

    def rescale(self, a: int, k: int) -> int:
        """Times 2^k, which is bookkeeping: the bits stay."""
        if k == 0:
            return a
        x = self.ops[a]
        factor = 2.0**k
        error = (x.error[0] * factor, x.error[1] * factor)
        exponent = x.exponent + k
        return self.op("rescale", (a,), (k,), x.place, "F", x.width, exponent, x.lo, x.hi, error)

    def select(self, mask: int, condition: str, true: int, false: int, error) -> int:
        m, t, f = self.ops[mask], self.ops[true], self.ops[false]
        assert m.width == t.width == f.width
        assert t.exponent == f.exponent and t.kind == f.kind
        place = m.place.join(t.place).join(f.place)
        bounds = min(t.lo, f.lo), max(t.hi, f.hi)
        args = (mask, true, false)
        return self.op(
            "sel", args, (condition,), place, t.kind, t.width, t.exponent, *bounds, error
        )

    # -- formats ----------------------------------------------------------------------------------

    def tight(self, a: int) -> int:
        """The smallest exponent at which a value fits."""
        x = self.ops[a]
        if x.lo == x.hi == 0:
            return LEAST_EXPONENT
        bits = max((-x.lo - 1).bit_length() if x.lo < 0 else 0, max(x.hi, 0).bit_length())
        return max(x.exponent - (x.width - 1 - bits), LEAST_EXPONENT)

    def at(self, a: int, exponent: int) -> int:
        """A value at another exponent: shifted right with a floor, or left if it fits."""
        n = exponent - self.ops[a].exponent
        return self.shift_right(a, n) if n >= 0 else self.shift_left(a, -n)

    def normal(self, a: int) -> int:
        """A value at its smallest exponent."""
        return self.at(a, self.tight(a)) if self.tight(a) < self.ops[a].exponent else a

    def legal(self, a: int) -> int:
        """A value whose exponent is one that formats may have."""
        exponent = self.ops[a].exponent
        if exponent < LEAST_EXPONENT:
            return self.at(a, LEAST_EXPONENT)
        if exponent > GREATEST_EXPONENT:
            if self.tight(a) > GREATEST_EXPONENT:
                x = self.ops[a]
                raise RangeError(f"the interval [{x.lo * x.ulp:.4g}, {x.hi * x.ulp:.4g}]")
            return self.at(a, GREATEST_EXPONENT)
        return a

    def vector(self, a: int) -> int:
        """A scalar value as an operand of the vector unit."""
        x = self.ops[a]
        if x.width != 32:
            return a
        if x.code == "const":
            value = x.imm[0] * x.ulp
            made = self.constant(value, 16, tight_exponent(value, value, 16))
            return made
        a = self.normal(a)
        x = self.ops[a]
        greatest = limits(16)[1]

        def rounded(q):
            return min((q + (1 << 15)) >> 16, greatest)

        half = 2.0 ** (x.exponent - 16)
        least = -half if x.hi < limits(32)[1] - (1 << 15) else -2 * half
        error = (x.error[0] + least, x.error[1] + half)
        if x.zeros >= 16 and least == -half:
            error = x.error
        return self.op(
            "splat", (a,), (), x.place, "F", 16, x.exponent, rounded(x.lo), rounded(x.hi), error
        )

    def bounds(self, a: int) -> tuple[float, float]:
        """The interval of a value in real numbers."""
        x = self.ops[a]
        return x.lo * x.ulp, x.hi * x.ulp

    def is_exact(self, a: int) -> bool:
        return self.ops[a].error == EXACT

    def _pair(self, a, b):
        x, y = self.ops[a], self.ops[b]
        assert x.exponent == y.exponent and x.width == y.width
        return x, y

    def _saturating(self, code, args, lo, hi, error):
        x = self.ops[args[0]]
        least, greatest = limits(x.width)
        place = x.place
        for arg in args[1:]:
            place = place.join(self.ops[arg].place)
        # What saturation takes away is an error too; formats are chosen so that this is rare.
        error = (
            error[0] - max(hi - greatest, 0) * x.ulp,
            error[1] + max(least - lo, 0) * x.ulp,
        )
        bounds = max(min(lo, greatest), least), max(min(hi, greatest), least)
        return self.op(code, args, (), place, "F", x.width, x.exponent, *bounds, error)


def _zero_bits(code: str, args: list[Op], imm: tuple, width: int, hi: int) -> int:
    """How many of the lowest bits of a result are certainly 0."""
    zeros = [arg.zeros for arg in args]
    if code == "const":
        return (imm[0] & -imm[0]).bit_length() - 1 if imm[0] else width
    if code in ("addf", "subf", "negf"):
        return 0 if hi == limits(width)[1] else min(zeros)
    if code == "mulf":
        return 0 if hi == limits(width)[1] else max(sum(zeros) - width + 1, 0)
    if code == "sel":
        return min(zeros[1:])
    step = {"widenf": 8, "narrowf": -8, "splat": width - 32, "rescale": 0, "widenm": 0}
    step["to_fractional"] = step["to_modulo"] = 0
    step |= {name: imm[0] for name in ("shlf", "shlm") if name == code}
    step |= {name: -imm[0] for name in ("shrf", "shrm") if name == code}
    return max(zeros[0] + step[code], 0) if code in step else 0


def hull(*errors: tuple[float, float]) -> tuple[float, float]:
    """The smallest interval around all of them."""
    return min(error[0] for error in errors), max(error[1] for error in errors)


def _product_error(x: Op, y: Op) -> tuple[float, float]:
    """What errors of the factors do to the exact product: a db + b da - da db at all corners."""
    if x.error == EXACT and y.error == EXACT:
        return EXACT
    corners = [
        a * db + b * da - da * db
        for a in (x.lo * x.ulp, x.hi * x.ulp)
        for b in (y.lo * y.ulp, y.hi * y.ulp)
        for da in x.error
        for db in y.error
    ]
    return min(corners), max(corners)
