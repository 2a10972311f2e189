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
from ._program import IntegerProgram, RawInput
from ._signals import Place

COLUMNS = 256
HEADERS = (
    "grenade/vx/ppu/neuron_view_handle.h",
    "grenade/vx/ppu/synapse_array_view_handle.h",
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
    parts = [f'#include "{HEADERS[0]}"', "volatile libnux::vx::PPUOnDLS ppu;", _DRIVER]
    for index, program in enumerate(programs):
        text = emit_cpp(program, target, rng_discards=rng_discards)
        driver = _driver(program, target, rng_discards)
        parts.append(f"namespace rule_{index} {{\n{text}\n{driver}\n}}")
    parts.append("int main(int, char** argv) {\n\topen_files(argv[1], argv[2]);")
    parts += [f"\trule_{index}::run();" for index in range(len(programs))]
    parts.append("\treturn close_files();\n}\n")
    return "\n".join(parts)


_DRIVER = """\
static FILE *in_file, *out_file;
static void open_files(char const* in, char const* out) {
	in_file = std::fopen(in, "rb");
	out_file = std::fopen(out, "wb");
	if (!in_file || !out_file) ppu_host::fail("cannot open files");
}
static int close_files() { return std::fclose(in_file) + std::fclose(out_file); }
static int32_t get() {
	int32_t word = 0;
	if (std::fread(&word, 4, 1, in_file) != 1) ppu_host::fail("too little input");
	return word;
}
static void put(int32_t word) { std::fwrite(&word, 4, 1, out_file); }
template <typename Row>
static Row get_row() {
	Row row;
	for (size_t i = 0; i < Row::size; ++i) row[i] = static_cast<typename Row::Element>(get());
	return row;
}
template <typename Row>
static void put_row(Row const& row) {
	for (size_t i = 0; i < Row::size; ++i) put(row[i]);
}
"""


def _driver(program: IntegerProgram, target: str, rng_discards: int) -> str:
    """C++ that reads the inputs of one kernel, calls it, and writes what it stored."""
    pair = 2 if any(raw.kind == "signed_weight" for raw in program.inputs) else 1
    bytes_ = "libnux::vx::VectorRowMod8"
    lines = [
        *(["volatile libnux::vx::PPUOnDLS ppu;"] if target == "pynn" else []),
        *(_SENSORS if target == "libnux" else []),
        "static void run() {",
        "\tint32_t const n_handles = get();",
        f"\tauto const mask = get_row<{bytes_}>();",
        "\tstd::vector<grenade::vx::ppu::SynapseArrayViewHandle> synapses;",
        "\tstd::vector<grenade::vx::ppu::NeuronViewHandle> neurons;",
        "\tfor (int32_t h = 0; h < n_handles; ++h) {",
        "\t\tgrenade::vx::ppu::SynapseArrayViewHandle handle;",
        "\t\thandle.hemisphere = static_cast<libnux::vx::PPUOnDLS>(h);",
        "\t\thandle.column_mask = mask;",
        "\t\tint32_t const n = get();",
        f"\t\tfor (int32_t r = 0; r < {pair} * n; ++r)",
        "\t\t\thandle.rows.values.push_back(static_cast<size_t>(r));",
        "\t\tsynapses.push_back(handle);",
        "\t\tgrenade::vx::ppu::NeuronViewHandle neuron;",
        "\t\tneuron.hemisphere = handle.hemisphere;",
        "\t\tneurons.push_back(neuron);",
        "\t}",
        "\tfor (int32_t h = 0; h < n_handles; ++h) {",
        "\t\t::ppu = static_cast<libnux::vx::PPUOnDLS>(h);",
        *(["\t\tppu = static_cast<libnux::vx::PPUOnDLS>(h);"] if target == "pynn" else []),
        "\t\tauto& half = ppu_host::chip[static_cast<size_t>(h)];",
        "\t\tauto const& handle = synapses[static_cast<size_t>(h)];",
        f"\t\tsize_t const n = handle.rows.size() / {pair};",
        "\t\tstatic_cast<void>(half);",
        "\t\tlibnux::vx::host_random = {};",
        f"\t\tlibnux::vx::host_random.discards = {rng_discards};",
    ]
    lines += [f"\t\t{line}" for raw in program.inputs for line in _reading(raw, program)]
    draws = sum(raw.kind == "tape" for raw in program.inputs)
    lines += [
        f"\t\tfor (size_t i = 0; i < n * {draws}; ++i) {{" if draws else "\t\t{",
        *(
            [
                "\t\t\tstd::array<uint8_t, 256> row;",
                "\t\t\tfor (auto& byte : row) byte = static_cast<uint8_t>(get());",
                "\t\t\tlibnux::vx::host_random.tape.push_back(row);",
            ]
            if draws
            else []
        ),
        "\t\t}",
        *(
            ["\t\tbaseline_is_known = true;"]
            if any(raw.kind == "baseline" for raw in program.inputs)
            else []
        ),
        *(f"\t\t{line}" for line in _CALLS[target]),
    ]
    lines += [f"\t\t{line}" for output in program.outputs for line in _writing(output)]
    return "\n".join([*lines, "\t}", "}"])


_SENSORS = (
    "CorrelationRow read_correlation(size_t row, bool) {",
    "\tauto& half = ppu_host::chip[static_cast<size_t>(::ppu)];",
    "\treturn {half.causal[row], half.acausal[row]};",
    "}",
    "VectorRowMod8 read_rate_counters(bool) {",
    "\treturn ppu_host::chip[static_cast<size_t>(::ppu)].rates;",
    "}",
    "VectorRowMod8 read_membranes() {",
    "\treturn ppu_host::chip[static_cast<size_t>(::ppu)].membranes;",
    "}",
)
_CALLS = {
    "pynn": (
        "if (n_handles == 1) {",
        "\tstd::array<grenade::vx::ppu::SynapseArrayViewHandle, 1> s{synapses[0]};",
        "\tstd::array<grenade::vx::ppu::NeuronViewHandle, 1> m{neurons[0]};",
        "\tPLASTICITY_RULE_KERNEL(s, m);",
        "} else {",
        "\tstd::array<grenade::vx::ppu::SynapseArrayViewHandle, 2> s{synapses[0], synapses[1]};",
        "\tstd::array<grenade::vx::ppu::NeuronViewHandle, 2> m{neurons[0], neurons[1]};",
        "\tPLASTICITY_RULE_KERNEL(s, m);",
        "}",
    ),
    "libnux": (
        "Synapses synapse{handle.rows.values.data(), handle.rows.size(), handle.column_mask};",
        "Neurons neuron;",
        "plasticity_kernel(synapse, neuron);",
    ),
}


def _reading(raw: RawInput, program: IntegerProgram) -> list[str]:
    bytes_, words = "libnux::vx::VectorRowMod8", "libnux::vx::VectorRowFracSat16"
    each = "for (size_t r = 0; r < n; ++r)"
    if raw.kind == "signed_weight":
        return [
            f"{each} {{",
            f"\t{bytes_} exc(0), inh(0);",
            "\tfor (size_t i = 0; i < 256; ++i) {",
            "\t\tint32_t const w = get();",
            "\t\t(w < 0 ? inh : exc)[i] = static_cast<uint8_t>(w < 0 ? -w : w);",
            "\t}",
            "\thalf.weights[2 * r] = exc;",
            "\thalf.weights[2 * r + 1] = inh;",
            "}",
        ]
    twice = any(other.kind == "signed_weight" for other in program.inputs)
    row = "2 * r" if twice else "r"
    rows = {
        "weight": "half.weights",
        "label": "half.labels",
        "causal": "half.causal",
        "anticausal": "half.acausal",
    }
    if raw.kind in rows:
        return [f"{each} {rows[raw.kind]}[{row}] = get_row<{bytes_}>();"]
    return {
        "rate": [f"half.rates = get_row<{bytes_}>();"],
        "membrane": [f"half.membranes = get_row<{bytes_}>();"],
        "baseline": [f"{raw.symbol} = get_row<{bytes_}>();"],
        "symbol": [f"{raw.symbol} = get();"],
        "time_index": [f"{raw.symbol} = get();"],
        "row_table": [f"{each} {raw.symbol}[r] = get();"],
        "state": [f"{each} {raw.symbol}[r] = get_row<{words}>();"],
        "column_table": [
            "for (size_t i = 0; i < 256; ++i) {",
            "\tuint16_t const word = static_cast<uint16_t>(get());",
            f"\t{raw.symbol}_high[i] = static_cast<uint8_t>(word / 256);",
            f"\t{raw.symbol}_low[i] = static_cast<uint8_t>(word % 256);",
            "}",
        ],
    }.get(raw.kind, [])


def _writing(output) -> list[str]:
    each = "for (size_t r = 0; r < n; ++r)"
    if output.kind == "signed_weight":
        return [
            f"{each} for (size_t i = 0; i < 256; ++i)",
            "\tput(half.weights[2 * r][i] - half.weights[2 * r + 1][i]);",
        ]
    name = {"weight": "half.weights", "label": "half.labels"}.get(output.kind, output.symbol)
    return [f"{each} put_row({name}[r]);"]


def _rows(program: IntegerProgram, inputs: Mapping[str, Any]) -> int:
    for raw in program.inputs:
        if raw.place is Place.SYN and np.ndim(inputs[raw.name]) == 2:
            return np.shape(inputs[raw.name])[1]
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
        draws = []
        for raw in program.inputs:
            value = np.broadcast_to(np.asarray(inputs[raw.name]), shapes[raw.place])
            if raw.kind == "tape":
                draws.append(value >> 8 if _part(program, raw) == "high" else value & 255)
            else:
                words.append(value.T.ravel())
        # The kernel draws row by row, and in each row in the order of the program.
        if draws:
            words.append(np.stack(draws).transpose(2, 0, 1).ravel())
    return np.concatenate(words)


def _part(program: IntegerProgram, raw: RawInput) -> str:
    slot = program.inputs.index(raw)
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
