"""When plasticity runs: earliest deadline first, never interrupted, missed slots skipped."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
from jaxtyping import Array, Bool, Int, Key, PyTree

from ._readout import ColumnView, RowRule

SLOTS = 32


class Plasticity(eqx.Module):
    """A rule, and when the plasticity processors run it.

    The rule is a function of one row: `rule(view: RowView, key) -> RowWrite`. It sees the integers
    that the chip reads and returns those it writes, [column] each, so an integer program fits in
    through a few lines that rename the fields. Both hemispheres are served at the same time.

    Row k is read at `start + k row_us` after the beginning of the call and written `row_us` later.

    Attributes:
        rule: what happens to a row.
        start_us: first call (us).
        period_us: time between calls (us).
        calls: number of calls.
        rows: rows that the rule serves, in this order; None: all.
        row_us: time per row (us).
        call_us: additional time per call, for which no other rule runs (us).
        correlation: whether the sensors are read.
        reset_correlation: whether the sensors of a row are reset after they are read.
        reset_rates: whether the rate counters are reset after they are read.
        atomic: whether all rows are read at the beginning of the call.
        prepare: `(columns: ColumnView, symbols, key) -> symbols`, run once per call before the
            rows, for what is common to all of them (a reward, a mean); or None.
        inject: `(columns: ColumnView, symbols, key) -> words`, run once per call after `prepare`:
            words [event] of events that the processors send to the drivers, see `event_word`; -1:
            none. They leave one after the other, with the latency of the chip; or None.
        symbols: what the host tells the rule; any pytree of arrays.
        state: what the rule keeps per synapse, leaves [hemisphere, column, row] of integers.
        columns: where the rule writes, [hemisphere, column]; None: everywhere.
        signed: whether each served row is excitatory and the one after it its inhibitory partner;
            the rule then sees and writes their difference, -63 to 63.
    """

    rule: RowRule
    start_us: float = eqx.field(static=True)
    period_us: float = eqx.field(static=True)
    calls: int = eqx.field(static=True)
    rows: tuple[int, ...] | None = eqx.field(static=True, default=None)
    row_us: float = eqx.field(static=True, default=25.0)
    call_us: float = eqx.field(static=True, default=20.0)
    correlation: bool = eqx.field(static=True, default=False)
    reset_correlation: bool = eqx.field(static=True, default=True)
    reset_rates: bool = eqx.field(static=True, default=True)
    atomic: bool = eqx.field(static=True, default=False)
    prepare: Callable[[ColumnView, PyTree, Key[Array, ""]], PyTree] | None = None
    inject: Callable[[ColumnView, PyTree, Key[Array, ""]], Int[Array, " event"]] | None = None
    symbols: PyTree = None
    state: PyTree = None
    columns: Bool[Array, "hemisphere column"] | None = None
    signed: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        _check(self)
        if getattr(self.rule, "signed", self.signed) != self.signed:
            raise ValueError(
                f"signed={self.signed} must be {not self.signed}, as the weight of the rule is"
            )
        if self.row_us <= 0:
            raise ValueError(f"row_us={self.row_us} must be positive")

    def served(self, rows: int) -> tuple[int, ...]:
        """The rows that the rule serves.

        Args:
            rows: rows of the region.

        Returns:
            Their numbers.

        Raises:
            ValueError: if the rule serves a row, or the partner of one, outside the region.
        """
        every = tuple(range(0, rows, 1 + self.signed))
        served = every if self.rows is None else self.rows
        if self.signed and any(row == rows - 1 for row in served):
            raise ValueError(f"rows={served} must leave room for the inhibitory row after each")
        if any(not 0 <= row < rows for row in served):
            raise ValueError(f"rows={served} must lie in [0, {rows - 1}]")
        return served


class Call(NamedTuple):
    """One call of a rule.

    Attributes:
        start_us: when it begins (us).
        rule: which rule.
        slot: which of its slots.
    """

    start_us: float
    rule: int
    slot: int


class Timetable(NamedTuple):
    """All calls of a run.

    Attributes:
        calls: in the order of time.
        skipped: slots that were missed, because calls took too long.
    """

    calls: tuple[Call, ...]
    skipped: int


def timetable(
    rules: Sequence[Any], execution_us: Sequence[float], until_us: float, from_us: float = 0.0
) -> Timetable:
    """The calls of a run, as the scheduler on the chip would make them.

    Each rule has one pending slot. The one with the earliest deadline runs when it is due and the
    processor is free; of equal deadlines the first rule. After a call, slots of its rule that were
    due before its end are skipped, as are calls that would not end before the run does.

    Args:
        rules: have `start_us`, `period_us` and `calls`, such as `Plasticity`; at most 32.
        execution_us: how long a call of each takes (us).
        until_us: end of the run (us).
        from_us: begin of the run; earlier slots do not count (us).

    Returns:
        The timetable.

    Raises:
        ValueError: for more than 32 rules, or a timer that is not positive.
    """
    if len(rules) > SLOTS:
        raise ValueError(f"{len(rules)} rules; the scheduler has {SLOTS} slots")
    for rule in rules:
        _check(rule)
    due = lambda rule, slot: rules[rule].start_us + slot * rules[rule].period_us  # noqa: E731
    exists = lambda rule, slot: slot < rules[rule].calls and due(rule, slot) < until_us  # noqa: E731

    def following(rule, slot, time):
        """The first slot from `slot` on that is not due before `time`, and how many are."""
        first = slot
        while exists(rule, slot) and due(rule, slot) < time - 1e-9:
            slot += 1
        return slot, slot - first

    pending = [following(rule, 0, from_us)[0] for rule in range(len(rules))]
    calls, skipped, now = [], 0, from_us
    while waiting := [(due(r, s), r) for r, s in enumerate(pending) if exists(r, s)]:
        deadline, rule = min(waiting)
        begin = max(now, deadline)
        end = begin + execution_us[rule]
        if end > until_us + 1e-9:
            skipped += 1
            pending[rule] += 1
            continue
        calls.append(Call(begin, rule, pending[rule]))
        pending[rule], missed = following(rule, pending[rule] + 1, end)
        skipped, now = skipped + missed, end
    return Timetable(tuple(calls), skipped)


def _check(rule: Any) -> None:
    if rule.period_us <= 0:
        raise ValueError(f"period_us={rule.period_us} must be positive")
    if rule.start_us < 0 or rule.calls < 0:
        raise ValueError(f"start_us={rule.start_us} and calls={rule.calls} must not be negative")
