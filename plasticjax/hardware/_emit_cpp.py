"""Prints an integer program as a C++ kernel for the plasticity processor."""

from ._cpp_statements import added, statement, stored, zero
from ._cpp_text import (
    BOTH_SIGNS,
    FILL_COLUMNS,
    FIND_ROW,
    HEADERS,
    JOIN,
    LOOK_UP,
    PARTNER,
    PARTNERS,
    RANDOM,
    RECORD_SIGNS,
    RECORDING_HEADERS,
    SCALARS,
    SUM_COLUMNS,
)
from ._passes import passes
from ._program import IntegerProgram


def emit_cpp(
    program: IntegerProgram,
    target: str = "pynn",
    *,
    rng_discards: int = 16,
    record: bool = False,
) -> str:
    """Prints an integer program as a C++ kernel for the plasticity processor.

    No text of the user enters the code other than as letters and digits of an identifier.

    Args:
        program: what to print.
        target: "pynn", for the handles of the PyNN plasticity interface; "libnux", stand-alone,
            which can also write labels and leaves reading of sensors to functions of the caller.
        rng_discards: draws that are thrown away between used ones, 0 to 255; fewer than 8 leave
            random numbers of neighbouring calls and columns correlated.
        record: whether the kernel records the time of each call and the new weights, as the
            observable `w` per synapse of the PyNN interface (8 bits).

    Returns:
        The text of the kernel.

    Raises:
        ValueError: if the target cannot do what the program needs.
    """
    if target not in ("pynn", "libnux"):
        raise ValueError(f"target={target!r} must be 'pynn' or 'libnux'")
    if not 0 <= rng_discards <= 255:
        raise ValueError(f"rng_discards={rng_discards} must be 0 to 255")
    kinds = {raw.kind for raw in program.inputs} | {output.kind for output in program.outputs}
    if target == "pynn" and "label" in kinds:
        raise ValueError("the handles of PyNN have no labels; use target='libnux'")
    if record and target != "pynn":
        raise ValueError("only kernels for PyNN can record; use target='pynn'")
    looked_up = any(op.code == "lookup" and op.width == 16 for op in program.ops)
    parts = [
        *([RECORDING_HEADERS] if record else []),
        HEADERS[target],
        _globals(program, target),
        *([SCALARS] if any(op.width == 32 or op.code == "splat" for op in program.ops) else []),
        *([RANDOM.format(discards=rng_discards)] if "tape" in kinds else []),
        *([JOIN] if looked_up or "column_table" in kinds else []),
        *([LOOK_UP] if looked_up else []),
        *([FILL_COLUMNS] if "column_table" in kinds else []),
        *([FIND_ROW] if "signed_weight" in kinds and target == "pynn" else []),
        *([SUM_COLUMNS] if any(op.code == "sum_post" for op in program.ops) else []),
        *([_measure(kinds, target)] if "baseline" in kinds else []),
        _kernel(program, kinds, target, record),
    ]
    return "\n".join(parts)


def _globals(program: IntegerProgram, target: str) -> str:
    lines = ["// What the host reads and writes, and what lasts between calls."]
    for raw in program.inputs:
        name = raw.symbol
        lines += {
            "symbol": [f"volatile int32_t {name} = 0;"],
            "time_index": [f"volatile int32_t {name} = 0;"],
            "row_table": [f"volatile int32_t {name}[256] = {{}};"],
            "column_table": [f"volatile int32_t {name}[256] = {{}};"],
            "signed_weight": [PARTNERS] if target == "pynn" else [],
            "state": [f"PPU_EXTERNAL VectorRowFracSat16 {name}[256];"],
            "baseline": [f"VectorRowMod8 {name}(0);"],
        }.get(raw.kind, [])
    if any(raw.kind == "baseline" for raw in program.inputs):
        lines.append("bool baseline_is_known = false;")
    widths = {op.imm[0]: op.width for op in program.ops if op.code == "lookup"}
    for number, width in sorted(widths.items()):
        table = program.tables[number]
        entries = ", ".join("INT32_MIN" if q == -(2**31) else str(q) for q in table)
        lines.append(f"static int{width}_t const table_{number}[{len(table)}] = {{{entries}}};")
    return "\n".join(lines) + "\n"


def _measure(kinds: set[str], target: str) -> str:
    sensors = [s for s in ("causal", "anticausal") if s in kinds]
    fields = {"causal": "causal", "anticausal": "acausal"}
    reset = (
        "handle.reset_correlation(r)"
        if target == "pynn"
        else "static_cast<void>(handle.get_correlation(r, true))"
    )
    sums = "".join(
        f"        sum_{s} = sum_{s} + static_cast<VectorRowMod16>(now_read.{fields[s]});\n"
        for s in sensors
    )
    starts = "".join(f"    VectorRowMod16 sum_{s}(0);\n" for s in sensors)
    ends = "".join(
        f"    baseline_{s} = static_cast<VectorRowMod8>(sum_{s} >> 8);\n" for s in sensors
    )
    return (
        "// Baselines of the sensors: the mean of 256 readings directly after a reset.\n"
        "template <typename Handle>\n"
        "static void measure_baselines(Handle& handle, size_t rows) {\n"
        f"    for (size_t r = 0; r < rows; ++r) {reset};\n"
        f"{starts}"
        "    for (size_t i = 0; i < 256; ++i) {\n"
        "        auto const now_read = handle.get_correlation(i % rows, true);\n"
        f"{sums}    }}\n{ends}"
        "    baseline_is_known = true;\n}\n"
    )


def _kernel(program: IntegerProgram, kinds: set[str], target: str, record: bool) -> str:
    body = _body(program, kinds, target)
    reads_neurons = bool(kinds & {"rate", "membrane"})
    signed = "signed_weight" in kinds
    if target == "libnux":
        both = "Synapses& synapse, Synapses& inhibitory" if signed else "Synapses& synapse"
        head = [f"void plasticity_kernel({both}, Neurons& neuron) {{"]
        head += ["    static_cast<void>(neuron);"] if not reads_neurons else []
        head += ["    size_t const n_rows = synapse.count;"]
        return "\n".join([*head, *(f"    {line}" for line in body), "}"]) + "\n"
    inside = ["if (synapse.hemisphere != ppu) return;"]
    if reads_neurons:
        inside += [
            "size_t own = 0;",
            "while (own < M && neurons[own].hemisphere != ppu) ++own;",
            "if (own == M) return;",
            "auto& neuron = neurons[own];",
        ]
    inside += ["size_t const n_rows = synapse.rows.size();", *body]
    if record and not signed:
        number = program.output().value
        inside[-1:] = [
            "    for (size_t c = 0; c < synapse.columns.size(); ++c)",
            f"        recorded_w[r][c] = v{number}[synapse.columns[c]];",
            inside[-1],
        ]
    head = [
        "template <size_t N, size_t M>",
        "void PLASTICITY_RULE_KERNEL(",
        "    std::array<SynapseArrayViewHandle, N>& synapses,",
        f"    std::array<NeuronViewHandle, M>& neurons{',' if record else ') {'}",
        *(["    Recording& recording) {", "    recording.time = now();"] if record else []),
        "    static_cast<void>(neurons);",
    ]
    if signed:
        arguments, call = "auto& synapse, auto& inhibitory", BOTH_SIGNS
        call += RECORD_SIGNS if record else ()
    elif record:
        arguments = "auto& synapse, auto& recorded_w"
        call = ("hate::for_each(update, synapses, recording.w);",)
    else:
        arguments, call = "auto& synapse", ("for (auto& synapse : synapses) update(synapse);",)
    head.append(f"    auto const update = [&]({arguments}) {{")
    lines = [
        *head,
        *(f"        {line}" for line in inside),
        "    };",
        *(f"    {line}" for line in call),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _body(program: IntegerProgram, kinds: set[str], target: str) -> list[str]:
    """What happens once per call, and the loops over rows, the last of which stores."""
    body = []
    if "baseline" in kinds:
        body += [
            "if (!baseline_is_known) {",
            "    if (n_rows > 0) measure_baselines(synapse, n_rows);",
            "    return;",
            "}",
        ]
    visits = passes(program)
    for number, visit in enumerate(visits):
        body += [statement(program, n, target) for n in visit.once]
        body += [zero(program.ops[n], n) for n in visit.sums]
        per_row = [statement(program, n, target) for n in visit.rows]
        per_row += [added(program.ops[n], n) for n in visit.sums]
        last = number == len(visits) - 1
        read = _kinds_read(program, visit.rows)
        if read & {"causal", "anticausal"}:
            per_row.insert(0, "auto const correlation = synapse.get_correlation(r, true);")
        if "signed_weight" in read or (last and "signed_weight" in kinds):
            per_row.insert(0, f"size_t const partner = {PARTNER[target]};")
        if last:
            per_row += [stored(output) for output in program.outputs]
            if "time_index" in kinds:
                body.append("time_index = time_index < 32767 ? time_index + 1 : 32767;")
        body.append("for (size_t r = 0; r < n_rows; ++r) {")
        body += [*(f"    {line}" for line in per_row), "}"]
    return body


def _kinds_read(program: IntegerProgram, numbers: tuple[int, ...]) -> set[str]:
    loads = [program.ops[n].imm[0] for n in numbers if program.ops[n].code == "ld"]
    return {program.inputs[slot].kind for slot in loads}
