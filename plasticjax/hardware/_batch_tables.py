"""Integer programs as tables of numbers, so that one interpreter runs thousands of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._integer_ops import CONDITIONS
from ._loader import loader_of
from ._program import IntegerProgram, Op, Output

# A row of a table: operation, three operands, an immediate number, and where the result goes.
FIELDS = 6
_SELECTIONS = tuple(f"sel {condition}" for condition in CONDITIONS)
VECTOR_CODES = (
    "addf16",
    "subf16",
    "mulf16",
    "negf16",
    "shrf16",
    "shlf16",
    *_SELECTIONS,
    "const",
    "splat",
    "narrowf",
    "widenf",
    "satw",
    "addf8",
    "subf8",
    "negf8",
)
SCALAR_CODES = (
    "addf32",
    "subf32",
    "mulf32",
    "negf32",
    "shrf32",
    "shlf32",
    *_SELECTIONS,
    "const",
    "recip",
)
_VECTOR = {code: number for number, code in enumerate(VECTOR_CODES)}
_SCALAR = {code: number for number, code in enumerate(SCALAR_CODES)}


@dataclass(frozen=True)
class BatchTables:
    """Programs of one set of signals as integer tables.

    Attributes:
        loader: a program that loads all signals; its outputs are the first registers.
        outputs: what each program stores.
        scalars: scalar code [rules, operations, 6].
        scalar_counts: operations in use [rules].
        constants: constants of vector code [rules, operations, 6].
        constant_counts: constants in use [rules].
        vectors: vector code [rules, operations, 6].
        vector_counts: operations in use [rules].
        stores: registers that are stored [rules, outputs].
        registers: numbers of vector and of scalar registers.
    """

    loader: IntegerProgram
    outputs: tuple[Output, ...]
    scalars: np.ndarray
    scalar_counts: np.ndarray
    constants: np.ndarray
    constant_counts: np.ndarray
    vectors: np.ndarray
    vector_counts: np.ndarray
    stores: np.ndarray
    registers: tuple[int, int]

    @property
    def rules(self) -> int:
        """How many programs there are."""
        return len(self.vector_counts)


def batch_tables(programs: Sequence[IntegerProgram]) -> BatchTables:
    """Tables of programs that read the same signals, for `emulate_batch`.

    Args:
        programs: lowered with the same signals and the same rounding; no lookup tables.

    Returns:
        The tables, padded to the longest program.

    Raises:
        ValueError: if there are none, they differ in signals, or one has lookup tables.
    """
    if not programs:
        raise ValueError("programs must not be empty")
    first = programs[0]
    loader = loader_of(first)
    known = _Interned()
    registers = {known.of(loader, number): slot for slot, number in _loaded(loader, 16)}
    scalar_registers = {known.of(loader, number): slot for slot, number in _loaded(loader, 32)}
    rows = []
    for program in programs:
        if program.signals != first.signals or program.rounding != first.rounding:
            raise ValueError(
                f"all programs must have the signals and rounding of {first.name!r}; "
                f"{program.name!r} has others"
            )
        if program.tables:
            raise ValueError(f"{program.name!r} has lookup tables; run it with emulate")
        rows.append(_Encoder(program, known, registers, scalar_registers).encode())
    return BatchTables(
        loader,
        first.outputs,
        *_padded([row.scalars for row in rows]),
        *_padded([row.constants for row in rows]),
        *_padded([row.vectors for row in rows]),
        np.array([row.stores for row in rows], np.int32),
        (max(row.vector_registers for row in rows), max(row.scalar_registers for row in rows)),
    )


def _loaded(loader: IntegerProgram, width: int) -> list[tuple[int, int]]:
    """Registers and operations of the loaded values of a width."""
    numbers = [o.value for o in loader.outputs if loader.ops[o.value].width == width]
    return list(enumerate(numbers))


class _Interned:
    """Numbers that equal operations of different programs share."""

    def __init__(self) -> None:
        self._numbers: dict[tuple, int] = {}
        self._of: dict[tuple[int, int], int] = {}

    def of(self, program: IntegerProgram, number: int) -> int:
        key = (id(program), number)
        if key not in self._of:
            op = program.ops[number]
            imm = (program.inputs[op.imm[0]].name, *op.imm[1:]) if op.code == "ld" else op.imm
            args = tuple(self.of(program, arg) for arg in op.args)
            structure = (op.code, args, imm, op.width, op.exponent)
            self._of[key] = self._numbers.setdefault(structure, len(self._numbers))
        return self._of[key]

    def all_of(self, program: IntegerProgram) -> list[int]:
        """The same for all operations of a program, which nothing remembers."""
        found: list[int] = []
        numbers = self._numbers
        for op in program.ops:
            imm = (program.inputs[op.imm[0]].name, *op.imm[1:]) if op.code == "ld" else op.imm
            structure = (op.code, tuple([found[a] for a in op.args]), imm, op.width, op.exponent)
            found.append(numbers.get(structure, -1))
        return found


class _Encoder:
    """Turns one program into rows; registers are used again when nothing reads them any more."""

    def __init__(self, program: IntegerProgram, known, registers, scalar_registers):
        self.program = program
        self.scalars: list[tuple] = []
        self.constants: list[tuple] = []
        self.vectors: list[tuple] = []
        self.stores: list[int] = []
        self.vector_registers = len(registers)
        self.scalar_registers = len(scalar_registers)
        self.place: dict[int, int] = {}
        for number, shared in enumerate(known.all_of(program)):
            if shared in registers:
                self.place[number] = registers[shared]
            elif shared in scalar_registers:
                self.place[number] = scalar_registers[shared]

    def encode(self) -> "_Encoder":
        ops = self.program.ops
        stored = [output.value for output in self.program.outputs]
        needed = self._needed(stored)
        last = {arg: n for n in needed for arg in ops[n].args}
        free: list[int] = []
        alias: dict[int, int] = {}
        for n in needed:
            op = ops[n]
            if op.code == "rescale":
                source: int = op.args[0]
                alias[n] = source = alias.get(source, source)
                last[source] = max(last.get(source, -1), last.get(n, -1))
        keep = {alias.get(n, n) for n in stored}
        for n in needed:
            op = ops[n]
            if op.code == "rescale":
                self.place[n] = self.place[alias[n]]
                continue
            operands = [self.place[arg] for arg in op.args]
            if op.width == 32:
                self._scalar(n, op, operands)
                continue
            if op.code == "const":
                self.place[n] = self.vector_registers
                self.vector_registers += 1
                row = (_VECTOR["const"], 0, 0, 0, op.imm[0], self.place[n])
                self.constants.append(row)
                continue
            for arg in {alias.get(arg, arg) for arg in op.args}:
                mine = arg in needed and ops[arg].width < 32 and ops[arg].code != "const"
                if mine and last[arg] == n and arg not in keep:
                    free.append(self.place[arg])
            self.place[n] = free.pop() if free else self._new()
            self.vectors.append(_vector_row(op, operands, self.place[n], self.program.name))
        self.stores = [self.place[n] for n in stored]
        return self

    def _needed(self, stored: list[int]) -> dict[int, None]:
        """Operations to run, in order: those behind the stores, up to loaded values."""
        wanted: set[int] = set()
        stack = [n for n in stored if n not in self.place]
        while stack:
            n = stack.pop()
            if n not in wanted:
                wanted.add(n)
                stack += [a for a in self.program.ops[n].args if a not in self.place]
        return dict.fromkeys(sorted(wanted))

    def _new(self) -> int:
        self.vector_registers += 1
        return self.vector_registers - 1

    def _scalar(self, n, op, operands):
        self.place[n] = self.scalar_registers
        self.scalar_registers += 1
        code = _name(op, "32")
        if code not in _SCALAR:
            raise ValueError(f"{self.program.name!r} has {op.code}, which tables do not have")
        a, b, c = (*operands, 0, 0, 0)[:3]
        self.scalars.append((_SCALAR[code], a, b, c, _immediate(op), self.place[n]))


def _vector_row(op: Op, operands: list[int], target: int, name: str) -> tuple:
    code = "splat" if op.code == "splat" and op.width == 16 else _name(op, str(op.width))
    if code not in _VECTOR:
        raise ValueError(f"{name!r} has {op.code} of {op.format}, which tables do not have")
    a, b, c = (*operands, 0, 0, 0)[:3]
    if op.code in ("shrf", "shlf") and op.imm[0] >= op.width:
        return (_VECTOR["const"], 0, 0, 0, 0, target)
    return (_VECTOR[code], a, b, c, _immediate(op), target)


def _name(op: Op, width: str) -> str:
    if op.code == "sel":
        return f"sel {op.imm[0]}"
    if op.code in ("addf", "subf", "mulf", "negf", "shrf", "shlf"):
        return op.code + width
    return op.code


def _immediate(op: Op) -> int:
    return op.imm[0] if op.imm and isinstance(op.imm[0], int) else 0


def _padded(tables: list[list[tuple]]) -> tuple[np.ndarray, np.ndarray]:
    counts = np.array([len(table) for table in tables], np.int32)
    padded = np.zeros((len(tables), max(int(counts.max()), 1), FIELDS), np.int32)
    filled = np.arange(padded.shape[1]) < counts[:, None]
    rows = [row for table in tables for row in table]
    if rows:
        padded[filled] = np.array(rows, np.int32)
    return padded, counts
