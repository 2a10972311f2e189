"""Sums over rows make a kernel visit the rows again: which operations belong to which visit."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ._program import IntegerProgram, Op, RawInput
from ._signals import Place

IN_ROWS = (Place.PRE, Place.SYN)


class Pass(NamedTuple):
    """One visit of all rows.

    Attributes:
        once: operations before the visit, by number.
        rows: operations of each row, by number; earlier visits may compute them too.
        sums: sums over rows that the visit makes, by number.
    """

    once: tuple[int, ...]
    rows: tuple[int, ...]
    sums: tuple[int, ...]


def passes(program: IntegerProgram) -> tuple[Pass, ...]:
    """The visits of a program; one, if it has no sums over rows."""
    ops = program.ops
    stage: list[int] = []
    for op in ops:
        stage.append(max((stage[arg] for arg in op.args), default=0) + (op.code == "sum_pre"))
    last = max((stage[output.value] for output in program.outputs), default=0)
    found = []
    for number in range(last + 1):
        once = [
            n
            for n, op in enumerate(ops)
            if stage[n] == number and op.place not in IN_ROWS and op.code != "sum_pre"
        ]
        sums = [n for n, op in enumerate(ops) if op.code == "sum_pre" and stage[n] == number + 1]
        wanted = [arg for n in sums for arg in ops[n].args]
        if number == last:
            wanted += [output.value for output in program.outputs]
        found.append(Pass(tuple(once), _of_rows(ops, wanted), tuple(sums)))
    return tuple(found)


def read_again(program: IntegerProgram) -> RawInput | None:
    """An input that several visits need, though the chip gives it once: a sensor, a random word."""
    seen: dict[str, int] = {}
    for number, visit in enumerate(passes(program)):
        for n in visit.rows:
            op = program.ops[n]
            raw = program.inputs[op.imm[0]] if op.code == "ld" else None
            if raw is None or raw.kind not in ("causal", "anticausal", "tape"):
                continue
            # One conversion reads both sensors.
            name = raw.name if raw.kind == "tape" else "sensors"
            if seen.setdefault(name, number) != number:
                return raw
    return None


def _of_rows(ops: Sequence[Op], wanted: Iterable[int]) -> tuple[int, ...]:
    needed: set[int] = set()
    stack = [n for n in wanted if ops[n].place in IN_ROWS]
    while stack:
        number = stack.pop()
        if number not in needed:
            needed.add(number)
            stack.extend(arg for arg in ops[number].args if ops[arg].place in IN_ROWS)
    return tuple(sorted(needed))
