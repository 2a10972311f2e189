"""The integer program that a rule becomes: straight-line operations with formats and bounds."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ._signals import Place

Kind = Literal["F", "U"]
ROUNDINGS = ("stochastic", "nearest", "floor", "toward_zero")


@dataclass(frozen=True)
class Op:
    """One operation; its number in the program is the number of the value that it makes.

    A fractional value of `width` bits stands for `q 2^(exponent - width + 1)`.

    Attributes:
        code: what is done, a name of `_integer_ops` or `ld`, `const`, `rescale`, `lookup`,
            `sum_pre`, `sum_post`.
        args: numbers of the values that are read.
        imm: integers that belong to the operation, such as the count of a shift.
        place: what the value belongs to: GLOBAL (one per call), PRE (row), POST (column) or SYN.
        kind: "F" for fractional and signed, "U" for modulo and unsigned.
        width: bits.
        exponent: of fractional values.
        lo: least integer that the value can be.
        hi: greatest integer that the value can be.
        error: bounds of what it can differ by from the rule in real numbers (dimensionless).
        line: line of the rule that asked for it.
        zeros: how many of the lowest bits are always 0.
    """

    code: str
    args: tuple[int, ...]
    imm: tuple[Any, ...]
    place: Place
    kind: Kind
    width: int
    exponent: int
    lo: int
    hi: int
    error: tuple[float, float]
    line: str = ""
    zeros: int = 0

    @property
    def ulp(self) -> float:
        """What the least significant bit stands for (dimensionless)."""
        return 2.0 ** (self.exponent - self.width + 1) if self.kind == "F" else 1.0

    @property
    def format(self) -> str:
        """The format, such as `F16(7)`: kind, width and exponent."""
        return f"{self.kind}{self.width}" + (f"({self.exponent})" if self.kind == "F" else "")


@dataclass(frozen=True)
class RawInput:
    """Integers that a program loads.

    Attributes:
        name: key in the dictionary that the emulation takes.
        kind: what is loaded: the source of a signal, or "baseline" or "tape".
        place: what it belongs to.
        lo: least integer.
        hi: greatest integer.
        symbol: name in the emitted code; empty if the chip provides the value.
    """

    name: str
    kind: str
    place: Place
    lo: int
    hi: int
    symbol: str = ""


@dataclass(frozen=True)
class Output:
    """A leaf of the synapse that a program writes.

    Attributes:
        name: key in the dictionary that the emulation returns, a path such as `syn.w`.
        kind: "weight", "signed_weight", "state" or "label".
        value: number of the value that is written.
        bound: number of the value before clamping and rounding.
        symbol: name in the emitted code; empty if the chip stores the value.
    """

    name: str
    kind: str
    value: int
    bound: int
    symbol: str = ""


@dataclass(frozen=True)
class IntegerProgram:
    """A synapse update in the integers of the plasticity processor; `print` shows a listing.

    Attributes:
        name: of the rule, any text.
        ops: operations in order.
        inputs: what it loads.
        outputs: what it stores.
        signals: the declared arguments (syn, pre, post, third, obs).
        loaded: path of each argument's leaf -> number of its value.
        rounding: how the weight is rounded.
        tables: entries of the lookup tables [256], integers.
        warnings: what the lowering had to say.
    """

    name: str
    ops: tuple[Op, ...]
    inputs: tuple[RawInput, ...]
    outputs: tuple[Output, ...]
    signals: tuple[Any, ...]
    loaded: dict[str, int]
    rounding: str
    tables: tuple[tuple[int, ...], ...] = ()
    warnings: tuple[str, ...] = field(default=())

    def output(self, kind: str = "weight") -> Output:
        """The output of a kind.

        Args:
            kind: "weight" (signed or not), "state" or "label".

        Returns:
            The first such output.

        Raises:
            ValueError: if there is none.
        """
        for output in self.outputs:
            if output.kind in (kind, f"signed_{kind}"):
                return output
        raise ValueError(f"the program writes no {kind}, only {[o.name for o in self.outputs]}")

    @property
    def error(self) -> tuple[float, float]:
        """Bounds of the difference to the real-valued rule before rounding, in its unit of weight.

        Returns:
            Least and greatest difference (dimensionless), clamping to the weights' range included.
        """
        return self.ops[self.output().bound].error

    @property
    def dead_zone(self) -> tuple[float, float]:
        """Changes of the weight between these (LSB) leave it as it is; (0, 0) if stochastic."""
        zones = {"stochastic": (0, 0), "nearest": (-0.5, 0.5), "floor": (0, 1)}
        return zones.get(self.rounding, (-1, 1))

    @property
    def most_rows(self) -> int | None:
        """The most rows that may be summed, None if there are no sums over rows."""
        return min((op.imm[0] for op in self.ops if op.code == "sum_pre"), default=None)

    @property
    def sums(self) -> bool:
        """Whether values of several neurons are summed."""
        return any(op.code in ("sum_pre", "sum_post") for op in self.ops)

    def values(self, place: str) -> int:
        """How many values are computed for a place, constants and loads not counted.

        Args:
            place: "GLOBAL", "PRE", "POST" or "SYN".

        Returns:
            The number of operations.
        """
        free = ("const", "ld", "rescale")
        return sum(op.place.name == place and op.code not in free for op in self.ops)

    def __str__(self) -> str:
        rows = [("value", "place", "operation", "format", "interval", "error")]
        for number, op in enumerate(self.ops):
            rows.append(
                (
                    f"v{number}",
                    op.place.name,
                    _operation(op, self.inputs),
                    op.format,
                    f"[{op.lo * op.ulp:.6g}, {op.hi * op.ulp:.6g}]",
                    "exact"
                    if op.error == (0.0, 0.0)
                    else f"({op.error[0]:.2g}, {op.error[1]:.2g})",
                )
            )
        widths = [max(len(row[column]) for row in rows) for column in range(6)]
        lines = [
            "  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        stores = [f"{output.name!r} <- v{output.value}" for output in self.outputs]
        title = f"{self.name!r}, rounding {self.rounding}"
        return "\n".join([title, *lines, *stores, *(f"warning: {w}" for w in self.warnings)])


def _operation(op: Op, inputs: tuple[RawInput, ...]) -> str:
    args = [f"v{arg}" for arg in op.args]
    if op.code == "ld":
        raw = inputs[op.imm[0]]
        part = {"low": " low byte", "high": " high byte"}.get(op.imm[1], "") if op.imm[1:] else ""
        return f"ld {raw.name!r}{part}"
    if op.code == "sel":
        mask, true, false = args
        return f"sel {mask} {op.imm[0]} 0 ? {true} : {false}"
    return " ".join([op.code, *args, *(str(number) for number in op.imm)])


def leaf_paths(signals: tuple[Any, ...]) -> list[tuple[str, Any]]:
    """Paths and signals of all leaves of the five arguments, such as ("post.rate", ...)."""
    import jax

    found = []
    for argument, tree in zip(("syn", "pre", "post", "third", "obs"), signals, strict=True):
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            parts = "".join(f".{_key(key)}" for key in path)
            found.append((argument + parts, leaf))
    return found


def _key(key: Any) -> str:
    for attribute in ("name", "key", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)


def as_array(table: tuple[int, ...]) -> np.ndarray:
    """Entries of a lookup table as an array."""
    return np.asarray(table, np.int32)
