"""How long a program takes on the chip, and what memory it needs."""

import math
from collections import Counter
from dataclasses import dataclass

from ._passes import passes
from ._program import IntegerProgram, Op
from ._signals import Place

# Cycles of 4 ns. Measured by others: half-row access, CADC conversion, resets, memory; sheet of the
# bridge. Assumed: issue of vector instructions, scalar code, start of a call.
CYCLES_PER_US = 250
HALF_ROW = 20
CONVERSION = 410
CORRELATION_RESET = 203
MEMORY = 48
EXTERNAL_LOAD, EXTERNAL_STORE = 344, 38
VECTOR_INSTRUCTION = 8
SCALAR_INSTRUCTION = 4
CALL_US = 20.0
REGISTERS_PER_HALF = 28
# 16 KiB less the mailbox, for code as well; block memory of the FPGA.
INTERNAL_BYTES, EXTERNAL_BYTES = 12 * 1024, 128 * 1024
INSTRUCTIONS = {"sel": 2, "satw": 4, "rescale": 0, "const": 0, "to_fractional": 0}


@dataclass(frozen=True)
class Cost:
    """An estimate of time and memory on the chip.

    Attributes:
        microseconds: duration of one call (us).
        row_cycles: cycles of one row.
        call_cycles: cycles of what is computed once.
        sram_bytes: vectors and tables in the internal memory (bytes).
        external_bytes: states of synapses per hemisphere (bytes).
        registers: vectors per half row that live at once; beyond 28 they are spilled.
    """

    microseconds: float
    row_cycles: int
    call_cycles: int
    sram_bytes: int
    external_bytes: int
    registers: int


def cost(program: IntegerProgram, rows: int = 256, rng_discards: int = 16) -> Cost:
    """Estimates what a call of a program costs on the chip.

    Args:
        program: what is called.
        rows: rows that it serves.
        rng_discards: draws that are thrown away between used ones.

    Returns:
        The estimate, from a table of measured and assumed cycles.
    """
    row, call, sram, external = 0, 0, 0, 0
    loaded: set[str] = set()
    visits = Counter(n for visit in passes(program) for n in visit.rows)
    for number, op in enumerate(program.ops):
        if op.code == "ld":
            raw = program.inputs[op.imm[0]]
            if raw.name in loaded and raw.kind != "tape":
                continue
            cycles = _load_cycles(raw.kind, rng_discards, "causal" in "".join(loaded))
            loaded.add(raw.name if raw.kind not in ("causal", "anticausal") else "causal")
            if raw.place is Place.SYN:
                row += cycles * visits[number]
            else:
                call += cycles
            sram += {"baseline": 256, "column_table": 1024, "row_table": 1024}.get(raw.kind, 0)
            external += rows * 512 if raw.kind == "state" else 0
            continue
        cycles = _cycles(op)
        if op.place in (Place.SYN, Place.PRE):
            row += cycles * visits[number]
        elif op.code == "sum_pre":
            row += cycles
        else:
            call += cycles
        if op.place is Place.POST:
            sram += 32 * op.width
    for output in program.outputs:
        row += {"state": 4 * EXTERNAL_STORE, "signed_weight": 4 * HALF_ROW}.get(
            output.kind, 2 * HALF_ROW
        )
    sram += sum(
        len(program.tables[op.imm[0]]) * op.width // 8 for op in program.ops if op.code == "lookup"
    )
    live = _most_live(program)
    if live > REGISTERS_PER_HALF:
        row += (live - REGISTERS_PER_HALF) * 4 * 2 * MEMORY
    microseconds = CALL_US + (call + row * rows) / CYCLES_PER_US
    return Cost(microseconds, row, call, sram, external, live)


def _load_cycles(kind: str, rng_discards: int, converted: bool) -> int:
    if kind in ("causal", "anticausal"):
        return 2 * HALF_ROW if converted else CONVERSION + CORRELATION_RESET + HALF_ROW
    return {
        "weight": 2 * HALF_ROW,
        "signed_weight": 4 * HALF_ROW,
        "label": 2 * HALF_ROW,
        "rate": 256 * SCALAR_INSTRUCTION,
        "membrane": CONVERSION,
        "tape": 2 * (rng_discards + 1) * HALF_ROW,
        "state": 4 * EXTERNAL_LOAD,
        "baseline": 2 * MEMORY,
        "column_table": 256 * 4 * SCALAR_INSTRUCTION,
    }.get(kind, SCALAR_INSTRUCTION)


def _cycles(op: Op) -> int:
    if op.code == "sum_post":
        return 256 * 2 * SCALAR_INSTRUCTION
    if op.width == 32:
        return 126 * SCALAR_INSTRUCTION if op.code == "recip" else 3 * SCALAR_INSTRUCTION
    if op.code == "lookup":
        return 256 * 4 * SCALAR_INSTRUCTION
    vectors = 2 if op.width == 8 else 4
    memory = 2 * vectors * MEMORY // 2 if op.place is Place.POST else 0
    return INSTRUCTIONS.get(op.code, 1) * vectors * VECTOR_INSTRUCTION + memory


def _most_live(program: IntegerProgram) -> int:
    """The most vectors of 16 bit that wait to be read at once, counted per half row."""
    last = {arg: number for number, op in enumerate(program.ops) for arg in op.args}
    last.update({output.value: len(program.ops) for output in program.outputs})
    vectors = [n for n, op in enumerate(program.ops) if op.width < 32 and op.place is Place.SYN]
    most = max(
        (
            sum(program.ops[n].width // 8 for n in vectors if n <= now < last.get(n, n))
            for now in range(len(program.ops))
        ),
        default=0,
    )
    return math.ceil(most)
