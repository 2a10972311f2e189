"""What a rule can see on the chip: declarations that stand in for the arguments of the rule."""

import math
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

Number = float | int
Source = Literal[
    "weight",
    "signed_weight",
    "causal",
    "anticausal",
    "rate",
    "membrane",
    "column_table",
    "row_table",
    "symbol",
    "time_index",
    "noise",
    "state",
    "label",
    "random_label",
]


class Place(IntEnum):
    """What a value belongs to: one per call, per presynaptic or postsynaptic neuron, per synapse.

    On the chip PRE is a row, POST a column of the synapse array. Values of GLOBAL and PRE are
    scalar code, those of POST and SYN vector code.
    """

    GLOBAL = 0
    PRE = 1
    POST = 2
    SYN = 3

    def join(self, other: "Place") -> "Place":
        """The place of what is computed from both.

        Args:
            other: the other place.

        Returns:
            The wider one; PRE and POST together are SYN.
        """
        return Place.SYN if {self, other} == {Place.PRE, Place.POST} else max(self, other)


_PLACES: dict[str, Place] = {
    "symbol": Place.GLOBAL,
    "time_index": Place.GLOBAL,
    "row_table": Place.PRE,
    "rate": Place.POST,
    "membrane": Place.POST,
    "column_table": Place.POST,
}
# The rooms of a rule's arguments: what each of them may hold.
ALLOWED: dict[str, tuple[Place, ...]] = {
    "syn": (Place.SYN,),
    "pre": (Place.GLOBAL, Place.PRE),
    "post": (Place.GLOBAL, Place.POST),
    "third": (Place.GLOBAL,),
    "obs": (Place.GLOBAL, Place.PRE, Place.POST, Place.SYN),
}
_RANGES: dict[str, tuple[float, float]] = {
    "weight": (0.0, 63.0),
    "signed_weight": (-63.0, 63.0),
    "causal": (-255.0, 255.0),
    "anticausal": (-255.0, 255.0),
    "rate": (0.0, 255.0),
    "membrane": (0.0, 255.0),
    "time_index": (0.0, 32767.0),
    "noise": (-1.0, 1.0),
    "label": (0.0, 63.0),
    "random_label": (0.0, 63.0),
}


@dataclass(frozen=True)
class Signal:
    """One value that a rule reads on the chip; made by `weight`, `rate`, `symbol` and so on.

    Attributes:
        source: where the value comes from.
        lo: least value (in units of the source times `scale`).
        hi: greatest value (in units of the source times `scale`).
        scale: what the rule sees per unit of the source, a power of two (dimensionless).
        name: of a symbol or table, as the host knows it; any text.
        bits: of a random label.
    """

    source: Source
    lo: Number
    hi: Number
    scale: Number = 1.0
    name: str = ""
    bits: int = 6

    def __post_init__(self):
        """Refuses empty or impossible ranges and scales that are no power of two.

        Raises:
            ValueError: if a range or scale cannot be.
        """
        if self.source == "random_label" and not 1 <= self.bits <= 6:
            raise ValueError(f"bits={self.bits} must be 1 to 6, labels have 6")
        if not (math.isfinite(self.lo) and math.isfinite(self.hi) and self.lo <= self.hi):
            raise ValueError(
                f"range of {self.source} must be finite and ordered, got lo={self.lo}, "
                f"hi={self.hi}; declare what the values can be"
            )
        if self.lo == self.hi == 0.0:
            raise ValueError(f"range of {self.source} must not be only 0")
        if not (self.scale > 0 and math.frexp(self.scale)[0] == 0.5):
            raise ValueError(
                f"scale={self.scale} of {self.source} must be a positive power of two; put other "
                "factors into the rule"
            )
        possible = _RANGES.get(self.source)
        if possible is not None:
            least, most = (bound * self.scale for bound in possible)
            if self.lo < least or self.hi > most:
                raise ValueError(
                    f"range of {self.source} must lie in [{least}, {most}], got lo={self.lo}, "
                    f"hi={self.hi}"
                )
        if max(abs(self.lo), abs(self.hi)) > 2.0**15:
            raise ValueError(
                f"range of {self.source} must lie within 2^15, got lo={self.lo}, hi={self.hi}; "
                "use a smaller unit"
            )

    @property
    def place(self) -> Place:
        """What it belongs to."""
        return _PLACES.get(self.source, Place.SYN)


def weight(*, signed: bool = False, scale: Number = 1.0) -> Any:
    """The weight of a synapse, 6 bits.

    Args:
        signed: the weight is that of an excitatory row less that of an inhibitory one.
        scale: what the rule sees per LSB, scalar, a power of two such as 1/64 (dimensionless).

    Returns:
        A signal for `syn`, 0 to 63 times `scale`, or -63 to 63.
    """
    source = "signed_weight" if signed else "weight"
    return _hardware(source, scale, None, None)


def causal(*, lo: Number | None = None, hi: Number | None = None, scale: Number = 1.0) -> Any:
    """What the causal correlation sensor collected since its reset: baseline less reading.

    Args:
        lo: least value; the chip cuts off below. None: -255 times `scale`. Cutting at 0 makes the
            noise of the reading one-sided, which looks like learning.
        hi: greatest value. None: 255 times `scale`.
        scale: what the rule sees per LSB, scalar, a power of two (dimensionless).

    Returns:
        A signal for `obs` (LSB times `scale`).
    """
    return _hardware("causal", scale, lo, hi)


def anticausal(*, lo: Number | None = None, hi: Number | None = None, scale: Number = 1.0) -> Any:
    """What the anticausal correlation sensor collected since its reset: baseline less reading.

    Args:
        lo: least value; the chip cuts off below. None: -255 times `scale`.
        hi: greatest value. None: 255 times `scale`.
        scale: what the rule sees per LSB, scalar, a power of two (dimensionless).

    Returns:
        A signal for `obs` (LSB times `scale`).
    """
    return _hardware("anticausal", scale, lo, hi)


def rate(*, hi: Number | None = None, scale: Number = 1.0) -> Any:
    """Spikes of the postsynaptic neuron since the last call, 8 bits.

    Args:
        hi: greatest value; the chip cuts off above. None: 255 times `scale`.
        scale: what the rule sees per spike, scalar, a power of two (dimensionless).

    Returns:
        A signal for `post` (spikes times `scale`).
    """
    return _hardware("rate", scale, 0.0, hi)


def membrane(*, scale: Number = 1.0) -> Any:
    """Digitised membrane potential of the postsynaptic neuron, 8 bits.

    Args:
        scale: what the rule sees per LSB, scalar, a power of two (dimensionless).

    Returns:
        A signal for `post` (LSB times `scale`).
    """
    return _hardware("membrane", scale, None, None)


def symbol(name: str, lo: Number, hi: Number) -> Any:
    """One value for all synapses that the host writes between runs, such as a reward.

    Args:
        name: as the host knows it.
        lo: least value (dimensionless); the chip cuts off below.
        hi: greatest value (dimensionless); the chip cuts off above.

    Returns:
        A signal for `third`, `pre` or `post`.
    """
    return Signal("symbol", lo, hi, name=name)


def row_table(name: str, lo: Number, hi: Number) -> Any:
    """One value per presynaptic neuron that the host writes, such as its rate.

    The chip does not count the spikes of external sources.

    Args:
        name: as the host knows it.
        lo: least value (dimensionless); the chip cuts off below.
        hi: greatest value (dimensionless); the chip cuts off above.

    Returns:
        A signal for `pre`.
    """
    return Signal("row_table", lo, hi, name=name)


def column_table(name: str, lo: Number, hi: Number) -> Any:
    """One value per postsynaptic neuron that the host writes, such as its target, 16 bits.

    Args:
        name: as the host knows it.
        lo: least value (dimensionless); the chip cuts off below.
        hi: greatest value (dimensionless); the chip cuts off above.

    Returns:
        A signal for `post`.
    """
    return Signal("column_table", lo, hi, name=name)


def time_index() -> Any:
    """How often the rule was called before, 0 to 32767; then it stays.

    Returns:
        A signal for `third`.
    """
    return _hardware("time_index", 1.0, None, None)


def noise(*, scale: Number = 1.0) -> Any:
    """A random number per synapse and call, uniform on the grid of 1/128 in [-1, 1).

    Args:
        scale: greatest absolute value, scalar, a power of two (dimensionless).

    Returns:
        A signal for `obs`.
    """
    return _hardware("noise", scale, None, None)


def state(lo: Number, hi: Number, *, name: str = "state") -> Any:
    """A value that each synapse keeps between calls, 16 bits in external memory.

    Args:
        lo: least value (dimensionless); updates are cut off below.
        hi: greatest value (dimensionless); updates are cut off above.
        name: as the host knows it.

    Returns:
        A signal for a leaf of `syn`, such as an eligibility.
    """
    return Signal("state", lo, hi, name=name)


def label() -> Any:
    """The label of a synapse, which chooses its source, 0 to 63.

    Returns:
        A signal for a leaf of `syn`.
    """
    return _hardware("label", 1.0, None, None)


def random_label(bits: int = 6) -> Any:
    """A random label per synapse and call, uniform in 0 to 2^bits - 1.

    Args:
        bits: 1 to 6.

    Returns:
        A signal for `obs`.
    """
    return Signal("random_label", 0.0, 2.0**bits - 1, bits=bits)


def c_name(name: str, index: int) -> str:
    """An identifier of C++ for any text: its letters and digits, and a number that is unique."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower().encode("ascii", "ignore").decode())[:32]
    return f"host_{plain.strip('_') or 'value'}_{index}"


def _hardware(source: Source, scale: Number, lo: Number | None, hi: Number | None) -> Signal:
    least, most = _RANGES[source]
    return Signal(
        source,
        least * scale if lo is None else float(lo),
        most * scale if hi is None else float(hi),
        scale,
    )
