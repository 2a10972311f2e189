"""Compiles emitted kernels against a software model of the chip and runs them."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ._emit_cpp import emit_cpp
from ._host_driver import DRIVER, driver
from ._passes import passes
from ._program import IntegerProgram
from ._signals import Place

COLUMNS = 256
HEADERS = (
    "grenade/vx/ppu/neuron_view_handle.h",
    "grenade/vx/ppu/synapse_array_view_handle.h",
    "grenade/vx/ppu/time.h",
    "hate/tuple.h",
    "libnux/vx/dls.h",
    "libnux/vx/parallel_rng.h",
    "libnux/vx/vector.h",
    "libnux/vx/vector_if.h",
    "libnux/vx/vector_row.h",
    "libnux/vx/vector_row_math.h",
)
FLAGS = ("-std=c++17", "-Wall", "-Wextra", "-Werror", "-fno-exceptions", "-fno-rtti")
SANITIZERS = ("-fsanitize=undefined,address", "-fno-sanitize-recover=all")


@dataclass(frozen=True)
class HostRun:
    """One call of a kernel in the software model.

    Attributes:
        inputs: for each hemisphere in use the integers that the program reads, by name, as
            `emulate` takes them with 256 postsynaptic columns.
        column_mask: columns that the handles have [256]; None: all.
    """

    inputs: tuple[Mapping[str, Any], ...]
    column_mask: Any = None


def host_compiler() -> str | None:
    """The C++ compiler for host checks.

    Returns:
        Path of g++, or None if there is none.
    """
    return shutil.which("g++")


def run_on_host(
    programs: Sequence[IntegerProgram],
    runs: Sequence[HostRun],
    *,
    target: str = "pynn",
    rng_discards: int = 16,
    sanitize: bool = False,
    optimize: str = "-O1",
) -> list[list[dict[str, np.ndarray]]]:
    """Emits programs, compiles them in one file, and runs each kernel once.

    Args:
        programs: what to run.
        runs: the inputs of each.
        target: of `emit_cpp`.
        rng_discards: of `emit_cpp`.
        sanitize: whether to check for undefined behaviour and wrong memory accesses.
        optimize: option of the compiler.

    Returns:
        For each program and hemisphere the integers that were stored, [post, pre] by name, as
        `emulate` returns them; columns that the handles do not have keep what they had.

    Raises:
        RuntimeError: if there is no compiler, or the kernels do not compile or run.
        ValueError: if the array has no room for so many rows.
    """
    compiler = host_compiler()
    if compiler is None:
        raise RuntimeError("g++ is not installed, so kernels cannot be checked on the host")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _write_headers(work)
        source = work / "kernels.cpp"
        source.write_text(_source(programs, target, rng_discards))
        binary = work / "kernels"
        options = [*FLAGS, optimize, *(SANITIZERS if sanitize else ()), f"-I{work}"]
        _call([compiler, *options, str(source), "-o", str(binary)])
        words = [_pack(p, run) for p, run in zip(programs, runs, strict=True)]
        np.concatenate(words).astype("<i4").tofile(work / "in")
        _call([str(binary), str(work / "in"), str(work / "out")])
        return _unpack(np.fromfile(work / "out", "<i4"), programs, runs)


def _write_headers(work: Path) -> None:
    model = Path(__file__).with_name("ppu_host.hpp")
    for name in HEADERS:
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#pragma once\n#include "{model}"\n')


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed:\n{done.stderr[:4000]}")


def _source(programs, target, rng_discards) -> str:
    parts = [f'#include "{HEADERS[0]}"', "volatile libnux::vx::PPUOnDLS ppu;", DRIVER]
    for index, program in enumerate(programs):
        text = emit_cpp(program, target, rng_discards=rng_discards)
        feed = driver(program, target, rng_discards)
        parts.append(f"namespace rule_{index} {{\n{text}\n{feed}\n}}")
    parts.append("int main(int, char** argv) {\n    open_files(argv[1], argv[2]);")
    parts += [f"    rule_{index}::run();" for index in range(len(programs))]
    parts.append("    return close_files();\n}\n")
    return "\n".join(parts)


def _rows(program: IntegerProgram, inputs: Mapping[str, Any]) -> int:
    for raw in program.inputs:
        if raw.place is Place.SYN and np.ndim(inputs[raw.name]) == 2:
            rows = np.shape(inputs[raw.name])[1]
            most = 128 if any(r.kind == "signed_weight" for r in program.inputs) else 256
            if rows > most:
                raise ValueError(f"inputs have {rows} rows, and the array has room for {most}")
            return rows
    raise ValueError("inputs need an array [256, pre] of place SYN")


def _pack(program: IntegerProgram, run: HostRun) -> np.ndarray:
    """All inputs of a run as one list of words, in the order in which the driver reads them."""
    mask = np.ones(COLUMNS, int) if run.column_mask is None else np.asarray(run.column_mask)
    words = [np.array([len(run.inputs)]), mask]
    words += [np.array([_rows(program, inputs)]) for inputs in run.inputs]
    for inputs in run.inputs:
        rows = _rows(program, inputs)
        shapes = {
            Place.SYN: (COLUMNS, rows),
            Place.POST: (COLUMNS,),
            Place.PRE: (rows,),
            Place.GLOBAL: (),
        }
        draws = {}
        for slot, raw in enumerate(program.inputs):
            value = np.broadcast_to(np.asarray(inputs[raw.name]), shapes[raw.place])
            if raw.kind == "tape":
                draws[slot] = value >> 8 if _part(program, slot) == "high" else value & 255
            else:
                words.append(value.T.ravel())
        # The kernel draws row by row, and in each row in the order of the program.
        for visit in passes(program):
            slots = [program.ops[n].imm[0] for n in visit.rows if program.ops[n].code == "ld"]
            own = [draws[slot] for slot in dict.fromkeys(slots) if slot in draws]
            if own:
                words.append(np.stack(own).transpose(2, 0, 1).ravel())
    return np.concatenate(words)


def _part(program: IntegerProgram, slot: int) -> str:
    return next(op.imm[1] for op in program.ops if op.code == "ld" and op.imm[0] == slot)


def _unpack(words: np.ndarray, programs, runs) -> list[list[dict[str, np.ndarray]]]:
    found, position = [], 0
    for program, run in zip(programs, runs, strict=True):
        halves = []
        for inputs in run.inputs:
            rows = _rows(program, inputs)
            stored = {}
            for output in program.outputs:
                size = rows * COLUMNS
                stored[output.name] = words[position : position + size].reshape(rows, COLUMNS).T
                position += size
            halves.append(stored)
        found.append(halves)
    return found
