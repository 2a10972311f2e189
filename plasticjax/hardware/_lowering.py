"""What the primitive table builds on: aligned operands, truth values, constants."""

import math
from typing import Any

import numpy as np

from ._builder import EXACT, Builder, RangeError, hull, tight_exponent
from ._integer_ops import limits
from ._signals import Place
from ._trace import Bool, Const, Num, Test, Value
from ._unsupported import UnsupportedOnPPU

OPPOSITE = {
    "greater": "lesser_equal",
    "lesser": "greater_equal",
    "equal": "unequal",
    "greater_equal": "lesser",
    "lesser_equal": "greater",
    "unequal": "equal",
}
CONDITION = {
    "gt": "greater",
    "lt": "lesser",
    "eq": "equal",
    "ge": "greater_equal",
    "le": "lesser_equal",
    "ne": "unequal",
}
MIRRORED = {"gt": "lt", "lt": "gt", "ge": "le", "le": "ge", "eq": "eq", "ne": "ne"}


class Lowering:
    """A builder, and the values of the rule in it."""

    def __init__(self, rows: int = 256) -> None:
        self.builder = Builder()
        self.rows = rows
        self.warnings: list[str] = []
        # What maxima and minima were made of, so that nested choices are seen to be clips.
        self.extrema: dict[int, tuple[str, Value, Value]] = {}

    def apply(self, handler, eqn, values, line) -> Value:
        """Runs a handler of the table; range errors name the line."""
        self.builder.line = line
        try:
            return handler(self, eqn.params, *values)
        except RangeError as error:
            raise UnsupportedOnPPU(
                eqn.primitive.name,
                line,
                self.place(*values),
                f"{error} exceeds 2^15",
                "clip an input or use a smaller unit",
            ) from None
        except Refusal as refusal:
            raise UnsupportedOnPPU(
                eqn.primitive.name, line, self.place(*values), refusal.reason, refusal.hint
            ) from None

    def place(self, *values: Value) -> Place:
        """What a result of these values belongs to."""
        place = Place.GLOBAL
        for value in values:
            if isinstance(value, Num):
                place = place.join(self.builder.ops[value.id].place)
            elif isinstance(value, Bool):
                place = place.join(self.builder.ops[value.mask].place)
        return place

    def width(self, *values: Value) -> int:
        """32 for scalar code, 16 for vectors."""
        return 32 if self.place(*values) in (Place.GLOBAL, Place.PRE) else 16

    def number(self, value: Value) -> Any:
        """A truth value as 0 or 1, at exponent 1."""
        if isinstance(value, Const):
            return Const(value.value.astype(np.float32)) if value.value.dtype == bool else value
        if isinstance(value, Num):
            return value
        b = self.builder
        width = b.ops[value.mask].width
        one, zero = b.constant(1.0, width, 1), b.constant(0.0, width, 1)
        error = EXACT if value.exact else (-1.0, 1.0)
        return Num(b.select(value.mask, value.condition, one, zero, error), True)

    def operand(self, value: Const | Num, width: int) -> Any:
        """A number as operand of code of a width."""
        if isinstance(value, Const):
            return value
        return self.builder.vector(value.id) if width == 16 else value.id

    def tight(self, operand: Const | int, width: int) -> int:
        """The smallest exponent for an operand."""
        if isinstance(operand, Const):
            value = finite(operand)
            return tight_exponent(value, value, width)
        return self.builder.tight(operand)

    def at(self, operand: Const | int, width: int, exponent: int) -> int:
        """An operand at an exponent."""
        if isinstance(operand, Const):
            return self.builder.constant(scalar(operand), width, exponent)
        return self.builder.at(operand, exponent)

    def bounds(self, operand: Const | Num | int) -> tuple[float, float]:
        """The interval of an operand."""
        if isinstance(operand, Const):
            return scalar(operand), scalar(operand)
        return self.builder.bounds(operand.id if isinstance(operand, Num) else operand)

    def aligned(self, width: int, *operands: Const | int, lo=math.inf, hi=-math.inf) -> list[int]:
        """Operands at the smallest exponent that holds all of them, and [lo, hi]."""
        exponent = tight_exponent(lo, hi, width) if lo <= hi else -15
        exponent = max(exponent, *(self.tight(operand, width) for operand in operands))
        if exponent > 15:
            raise RangeError(f"the interval [{min(lo, hi):.4g}, {max(lo, hi):.4g}]")
        return [self.at(operand, width, exponent) for operand in operands]

    def compare(self, name: str, left: Any, right: Any) -> Value:
        """A comparison, exact wherever the formats allow it."""
        left, right = self.number(left), self.number(right)
        if isinstance(left, Const):
            name, left, right = MIRRORED[name], right, left
        if isinstance(right, Num) and left == right:
            # Numbers of the chip are never NaN.
            return Const(np.asarray(name in ("eq", "ge", "le")))
        width = self.width(left, right)
        test = Test(name, left, right)
        if isinstance(right, Const):
            return self._compare_constant(name, self.operand(left, width), right, width, test)
        a, b = (self.operand(value, width) for value in (left, right))
        build = self.builder
        tights = build.tight(a), build.tight(b)
        exponents = build.ops[a].exponent, build.ops[b].exponent
        common = (
            min(exponents) if max(tights) <= min(exponents) else max(max(tights), min(exponents))
        )
        lossless = all(common - build.ops[n].exponent <= build.ops[n].zeros for n in (a, b))
        exact = lossless and build.is_exact(a) and build.is_exact(b)
        mask = build.sub(build.at(a, common), build.at(b, common))
        return Bool(mask, CONDITION[name], exact, test)

    def _compare_constant(self, name, operand, right, width, test) -> Value:
        build = self.builder
        value = scalar(right)
        op = build.ops[operand]
        lo, hi = op.lo * op.ulp - op.error[1], op.hi * op.ulp - op.error[0]
        lo, hi = min(lo, op.lo * op.ulp), max(hi, op.hi * op.ulp)
        always = _decided(name, lo, hi, value)
        if always is not None:
            return Const(np.asarray(always))
        quotient = value / op.ulp
        # On the grid of the operand, a > c is a > floor(c) and so on: no bit is lost.
        if name in ("eq", "ne") and quotient != math.floor(quotient) and build.is_exact(operand):
            return Const(np.asarray(name == "ne"))
        q = math.floor(quotient) if name in ("gt", "le", "eq", "ne") else math.ceil(quotient)
        least, greatest = limits(width)
        q = min(max(q, least), greatest)
        exact = build.is_exact(operand)
        if q == 0:
            return Bool(operand, CONDITION[name], exact, test)
        mask = build.sub(operand, build.raw_constant(q, width, op.exponent))
        return Bool(mask, CONDITION[name], exact, test)

    def choose(self, chosen: Bool, true: Any, false: Any) -> Value:
        """One of two numbers."""
        true, false = self.number(true), self.number(false)
        if isinstance(true, Const) and isinstance(false, Const) and scalar(true) == scalar(false):
            return true
        build = self.builder
        width = self.width(chosen, true, false)
        mask, condition = chosen.mask, chosen.condition
        if width == 16 and build.ops[mask].width == 32:
            flag = self.number(chosen)
            assert isinstance(flag, Num)
            mask, condition = build.vector(flag.id), "greater"
        t, f = self.aligned(width, self.operand(true, width), self.operand(false, width))
        x, y = build.ops[t], build.ops[f]
        error = hull(x.error, y.error)
        if not chosen.exact:
            # The other branch may be taken than in real numbers.
            error = hull(error, _gap(x, y), _gap(y, x))
        integer = all(isinstance(v, Const) or v.integer for v in (true, false))
        return Num(build.select(mask, condition, t, f, error), integer)

    def extremum(self, name: str, left: Any, right: Any) -> Value:
        """The greater or the lesser of two numbers."""
        left, right = self.number(left), self.number(right)
        if isinstance(left, Const):
            left, right = right, left
        build = self.builder
        width = self.width(left, right)
        a = self.operand(left, width)
        assert isinstance(a, int)
        integer = isinstance(left, Num) and left.integer
        if isinstance(right, Const):
            value = scalar(right)
            lo, hi = self.bounds(a)
            x = build.ops[a]
            if (
                (value <= lo + min(0, -x.error[1]))
                if name == "max"
                else (value >= hi + max(0, -x.error[0]))
            ):
                return left
            if math.isinf(value):
                return right
            integer = integer and value == round(value)
            exponent = max(x.exponent, tight_exponent(value, value, width))
            if exponent > 15:
                raise RangeError(f"the constant {value:.4g}")
            a = build.at(a, exponent)
            b = build.constant(value, width, exponent)
        else:
            integer = integer and right.integer
            a, b = self.aligned(width, a, self.operand(right, width))
        mask = a if build.ops[b].lo == build.ops[b].hi == 0 else build.sub(a, b)
        true, false = (a, b) if name == "max" else (b, a)
        made = self.extremum_of(mask, a, b, true, false, name)
        self.extrema[made] = (name, left, right)
        return Num(made, integer)

    def extremum_of(self, mask, a, b, true, false, name) -> int:
        """`vector_if` of a maximum or minimum, with the interval and error of that."""
        build = self.builder
        x, y = build.ops[a], build.ops[b]
        pick = max if name == "max" else min
        lo, hi = pick(x.lo, y.lo), pick(x.hi, y.hi)
        place = x.place.join(y.place)
        return build.op(
            "sel", (mask, true, false), ("greater",), place, "F", x.width, x.exponent, lo, hi,
            hull(x.error, y.error),
        )  # fmt: skip


class Refusal(Exception):
    """Why a handler of the table refuses."""

    def __init__(self, reason: str, hint: str):
        super().__init__(reason)
        self.reason, self.hint = reason, hint


def scalar(value: Const) -> float:
    """The number that a constant is; NaN is refused."""
    if value.value.size != 1:
        raise Refusal(f"it reads a constant of shape {value.value.shape}", "index it first")
    number = float(np.asarray(value.value).reshape(()))
    if math.isnan(number):
        raise Refusal("a constant is NaN", "check the parameters of the rule")
    return number


def finite(value: Const) -> float:
    """The same, and infinity is refused."""
    number = scalar(value)
    if math.isinf(number):
        raise Refusal("a constant is infinite", "use a finite one")
    return number


def _decided(name: str, lo: float, hi: float, value: float) -> bool | None:
    """What a comparison with a constant is for all values in [lo, hi], or None."""
    facts: dict[str, tuple[Any, Any]] = {
        "gt": (lo > value, hi <= value),
        "ge": (lo >= value, hi < value),
        "lt": (hi < value, lo >= value),
        "le": (hi <= value, lo > value),
        "eq": (lo == hi == value, value < lo or value > hi),
        "ne": (value < lo or value > hi, lo == hi == value),
    }
    always, never = facts[name]
    return True if always else False if never else None


def _gap(taken, meant) -> tuple[float, float]:
    """Error bounds if one branch is taken and the other one was meant."""
    lo = taken.lo * taken.ulp - (meant.hi * meant.ulp - meant.error[0])
    hi = taken.hi * taken.ulp - (meant.lo * meant.ulp - meant.error[1])
    return lo, hi
