"""Events on the buses of the chip, in steps of 8 ns, and the generators of background spikes."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float, Int, Key

TICKS_PER_US = 125
BUSES = 8
NEVER = -(2**30)
LONGEST_US = 2**30 / TICKS_PER_US


class ChipEvents(NamedTuple):
    """Events that enter the chip, in the order of time.

    Attributes:
        ticks: time of each event, [event], in units of 8 ns.
        words: its 14-bit word, [event] (dimensionless): bits 0 to 5 the label, 6 to 10 the address
            that drivers compare, 11 to 13 the bus; see `event_word`.
    """

    ticks: Int[Array, " event"]
    words: Int[Array, " event"]


def event_word(row: Any, label: Any = 0, hemisphere: Any = 0) -> Any:
    """The word that reaches the driver of a row, with the default addresses of the drivers.

    Driver d serves the rows 2d and 2d + 1, so an event always arrives at both; it is on bus
    d mod 4 of its hemisphere and has the address d div 4.

    Args:
        row: row of the synapse array, 0 to 255, scalar or array of any shape [...].
        label: label that synapses compare, 0 to 63, scalar or array.
        hemisphere: 0 or 1, scalar or array.

    Returns:
        Words, of the common shape of the arguments.

    Raises:
        ValueError: if an argument is outside its range.
    """
    ranges = {"row": (row, 255), "label": (label, 63), "hemisphere": (hemisphere, 1)}
    for name, (value, most) in ranges.items():
        if np.any(np.asarray(value) < 0) or np.any(np.asarray(value) > most):
            raise ValueError(f"{name}={value} must lie in [0, {most}]")
    driver = np.asarray(row) // 2
    words = label | (driver // 4) << 6 | (driver % 4 + 4 * np.asarray(hemisphere)) << 11
    return words if np.ndim(words) else int(words)


def chip_events(times_us: Sequence[ArrayLike], words: Sequence[int]) -> ChipEvents:
    """Merges spike trains into one stream of events, rounded to 8 ns.

    Args:
        times_us: spike times of each source, [spike] (us).
        words: the word of each source.

    Returns:
        The events, sorted by time.

    Raises:
        ValueError: if the numbers of trains and words differ, or a time is negative or too large.
    """
    if len(times_us) != len(words):
        raise ValueError(f"times_us has {len(times_us)} trains, words has {len(words)}")
    times = np.concatenate([np.zeros(0), *(np.asarray(t, np.float64) for t in times_us)])
    if np.any(~(times >= 0)) or np.any(times > LONGEST_US):
        raise ValueError(f"times_us must lie in [0, {LONGEST_US:g}]")
    ticks = np.round(times * TICKS_PER_US).astype(np.int32)
    repeated = np.repeat(np.asarray(words, np.int32), [np.size(t) for t in times_us])
    order = np.argsort(ticks, kind="stable")
    return ChipEvents(jnp.asarray(ticks[order]), jnp.asarray(repeated[order]))


def merge_events(streams: Sequence[ChipEvents]) -> ChipEvents:
    """Merges streams of events.

    Args:
        streams: events, [event] each, sorted (8 ns).

    Returns:
        All of them, sorted by time.
    """
    ticks = np.concatenate([np.asarray(stream.ticks) for stream in streams])
    words = np.concatenate([np.asarray(stream.words) for stream in streams])
    order = np.argsort(ticks, kind="stable")
    return ChipEvents(jnp.asarray(ticks[order]), jnp.asarray(words[order]))


@dataclass(frozen=True)
class BackgroundGenerator:
    """One of the eight generators of the chip, regular or Poisson.

    Each period, of a number of 4 ns cycles, it emits one event; if Poisson with the probability
    `(rate + 1) / 256`. The lowest bits of the label are random under a mask.

    Attributes:
        word: the word of its events.
        period: cycles per period, 1 to 65536 (4 ns).
        rate: 0 to 255; None: regular (dimensionless).
        mask: which of the 6 bits of the label are random.
    """

    word: int
    period: int
    rate: int | None = None
    mask: int = 0

    def __post_init__(self):
        ranges = (
            ("word", self.word, (0, 2**14 - 1)),
            ("period", self.period, (1, 65536)),
            ("rate", 0 if self.rate is None else self.rate, (0, 255)),
            ("mask", self.mask, (0, 63)),
        )
        for name, value, (low, high) in ranges:
            if not low <= value <= high:
                raise ValueError(f"{name}={value} must lie in [{low}, {high}]")

    @classmethod
    def poisson(cls, word: int, rate_khz: float, mask: int = 0) -> "BackgroundGenerator":
        """The generator whose rate is nearest, with at most 4 % of the periods used.

        Args:
            word: the word of its events.
            rate_khz: wanted total rate, positive (kHz).
            mask: random bits of the label.

        Returns:
            The generator.

        Raises:
            ValueError: if no period gives about that rate.
        """
        if not 0.15 <= rate_khz <= 2500:
            raise ValueError(f"rate_khz={rate_khz} must lie in [0.15, 2500]")
        choices = [(rate, round(250e3 * (rate + 1) / 256 / rate_khz)) for rate in range(10)]
        valid = [(rate, period) for rate, period in choices if 1 <= period <= 65536]
        error = lambda c: abs(250e3 * (c[0] + 1) / 256 / c[1] / rate_khz - 1)  # noqa: E731
        rate, period = min(valid, key=error)
        return cls(word, period, rate, mask)

    @property
    def rate_khz(self) -> float:
        """The mean rate of all its events (kHz)."""
        used = 1.0 if self.rate is None else (self.rate + 1) / 256
        return 250e3 * used / self.period

    def events(self, duration_us: float, *, key: Key[Array, ""]) -> ChipEvents:
        """Its events from the time zero on.

        Args:
            duration_us: until when (us).
            key: scalar key of the random numbers.

        Returns:
            The events, [event], in units of 8 ns.
        """
        cycles = np.arange(self.period, int(duration_us * 250) + 1, self.period, dtype=np.int64)
        fire, bits = jax.random.split(key)
        if self.rate is not None:
            drawn = jax.random.bits(fire, (len(cycles),), np.uint8)
            cycles = cycles[np.asarray(drawn) <= self.rate]
        random = np.asarray(jax.random.bits(bits, (len(cycles),), np.uint8)) & self.mask
        words = (self.word & ~self.mask) | random
        ticks = (cycles // 2).astype(np.int32)
        return ChipEvents(jnp.asarray(ticks), jnp.asarray(words.astype(np.int32)))


def check_events(events: ChipEvents, steps_of: "TimeGrid", per_step: int) -> None:
    """Refuses events that are not sorted, not valid, or more per step than there is room for.

    Events under a transformation are not looked at.
    """
    if any(isinstance(leaf, Tracer) for leaf in events):
        return
    ticks, words = np.asarray(events.ticks), np.asarray(events.words)
    if ticks.shape != words.shape or ticks.ndim != 1:
        raise ValueError(f"events has ticks {ticks.shape} and words {words.shape}; expected [n]")
    if np.any(np.diff(ticks) < 0):
        raise ValueError("events.ticks must be sorted by time; chip_events sorts them")
    if np.any(words < 0) or np.any(words >= 2**14):
        raise ValueError("events.words must lie in [0, 16383]; event_word makes them")
    if len(ticks):
        steps = np.asarray(steps_of.step(ticks.astype(np.int64)))
        most = int(np.max(np.unique(steps, return_counts=True)[1]))
        if most > per_step:
            raise ValueError(
                f"events has {most} events in one step of {steps_of.dt_us:g} us; events_per_step="
                f"{per_step} must be at least that"
            )


@dataclass(frozen=True)
class TimeGrid:
    """Steps of the emulator and ticks of 8 ns: step k covers the time (k dt, (k + 1) dt].

    Integer arithmetic without overflow, for any dt that is a fraction of ticks.

    Attributes:
        dt_us: length of a step (us).
    """

    dt_us: float

    def __post_init__(self):
        if not 0.008 <= self.dt_us <= 10:
            raise ValueError(f"dt_us={self.dt_us} must lie in [0.008, 10]")

    @property
    def _ratio(self) -> tuple[int, int]:
        ratio = Fraction(self.dt_us * TICKS_PER_US).limit_denominator(1000)
        return ratio.numerator, ratio.denominator

    def end_tick(self, step):
        """The last tick of a step, scalar or array (8 ns)."""
        p, q = self._ratio
        following = step + 1
        return following // q * p + following % q * p // q

    def step(self, tick):
        """The step of a tick, scalar or array; tick 0 is in step 0."""
        p, q = self._ratio
        following = tick // p * q + -(-(tick % p * q) // p)
        return following - 1 + (following == 0)

    def steps(self, duration_us: float, name: str = "duration_us") -> int:
        """The number of steps of a duration (us); it must be a multiple of the step."""
        steps = round(duration_us / self.dt_us)
        if abs(steps * self.dt_us - duration_us) > 1e-6 * max(self.dt_us, duration_us):
            raise ValueError(f"{name}={duration_us} must be a multiple of dt_us={self.dt_us}")
        return steps


def ticks_to_us(ticks) -> Float[np.ndarray, "..."]:
    """Times in microseconds, in double precision.

    Args:
        ticks: times, any shape [...], in units of 8 ns.

    Returns:
        Times, [...] (us).
    """
    return np.asarray(ticks, np.float64) / TICKS_PER_US
