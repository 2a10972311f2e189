"""Prints an integer program as a C++ kernel for the plasticity processor."""

from ._cpp_text import HEADERS, JOIN, LOOK_UP, RANDOM, RECORDING_HEADERS, SCALARS, SUM_COLUMNS
from ._passes import passes
from ._program import IntegerProgram, Op

ROW_TYPES = {
    ("F", 8): "VectorRowFracSat8",
    ("F", 16): "VectorRowFracSat16",
    ("U", 8): "VectorRowMod8",
    ("U", 16): "VectorRowMod16",
    ("F", 32): "int32_t",
}
ELEMENTS = {("F", 8): "int8_t", ("F", 16): "int16_t", ("U", 8): "uint8_t", ("U", 16): "uint16_t"}
CASTS = ("widenf", "narrowf", "widenm", "narrowm", "to_fractional", "to_modulo")
BINARY = {"addf": "+", "subf": "-", "mulf": "*", "addm": "+", "subm": "-", "mulm": "*"}
SHIFTS = {"shlf": "<<", "shrf": ">>", "shlm": "<<", "shrm": ">>"}
COMPARISONS = {
    "greater": ">",
    "lesser": "<",
    "equal": "==",
    "greater_equal": ">=",
    "lesser_equal": "<=",
    "unequal": "!=",
}


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
        _globals(program),
        *([SCALARS] if any(op.width == 32 or op.code == "splat" for op in program.ops) else []),
        *([RANDOM.format(discards=rng_discards)] if "tape" in kinds else []),
        *([JOIN] if looked_up or "column_table" in kinds else []),
        *([LOOK_UP] if looked_up else []),
        *([SUM_COLUMNS] if any(op.code == "sum_post" for op in program.ops) else []),
        *([_measure(kinds, target)] if "baseline" in kinds else []),
        _kernel(program, kinds, target, record),
    ]
    return "\n".join(parts)


def _globals(program: IntegerProgram) -> str:
    lines = ["// What the host reads and writes, and what lasts between calls."]
    for raw in program.inputs:
        name = raw.symbol
        lines += {
            "symbol": [f"volatile int32_t {name} = 0;"],
            "time_index": [f"volatile int32_t {name} = 0;"],
            "row_table": [f"volatile int32_t {name}[256] = {{}};"],
            "column_table": [f"VectorRowMod8 {name}_high(0), {name}_low(0);"],
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
    pair = 2 if "signed_weight" in kinds else 1
    body = _body(program, kinds, pair)
    reads_neurons = bool(kinds & {"rate", "membrane"})
    if target == "libnux":
        head = ["void plasticity_kernel(Synapses& synapse, Neurons& neuron) {"]
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
    if record:
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
        f"    auto const update = [&](auto& synapse{', auto& recorded_w' if record else ''}) {{",
    ]
    call = (
        "    hate::for_each(update, synapses, recording.w);"
        if record
        else "    for (auto& synapse : synapses) update(synapse);"
    )
    lines = [*head, *(f"        {line}" for line in inside), "    };", call, "}"]
    return "\n".join(lines) + "\n"


def _body(program: IntegerProgram, kinds: set[str], pair: int) -> list[str]:
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
        body += [_statement(program, n, pair) for n in visit.once]
        body += [f"{_type(program.ops[n])} v{n}{_zero(program.ops[n])};" for n in visit.sums]
        per_row = [_statement(program, n, pair) for n in visit.rows]
        per_row += [_added(program.ops[n], n) for n in visit.sums]
        if _reads_sensors(program, visit.rows):
            row = "2 * r" if pair == 2 else "r"
            per_row.insert(0, f"auto const correlation = synapse.get_correlation({row}, true);")
        if number == len(visits) - 1:
            per_row += [_store(output, pair) for output in program.outputs]
            if "time_index" in kinds:
                body.append("time_index = time_index < 32767 ? time_index + 1 : 32767;")
        body.append(f"for (size_t r = 0; r < n_rows / {pair}; ++r) {{")
        body += [*(f"    {line}" for line in per_row), "}"]
    return body


def _reads_sensors(program: IntegerProgram, numbers: tuple[int, ...]) -> bool:
    loads = [program.ops[n].imm[0] for n in numbers if program.ops[n].code == "ld"]
    return any(program.inputs[slot].kind in ("causal", "anticausal") for slot in loads)


def _zero(op: Op) -> str:
    return " = 0" if op.width == 32 else f"({ELEMENTS[op.kind, op.width]}(0))"


def _added(op: Op, number: int) -> str:
    """One row more in a sum."""
    if op.width == 32:
        return f"v{number} = scalar_cut(int64_t{{v{number}}} + v{op.args[0]});"
    return f"v{number} = v{number} + v{op.args[0]};"


def _statement(program: IntegerProgram, number: int, pair: int) -> str:
    op = program.ops[number]
    return f"{_type(op)} const v{number} = {_expression(program, op, pair)};"


def _type(op: Op) -> str:
    return ROW_TYPES[op.kind, op.width]


def _expression(program: IntegerProgram, op: Op, pair: int) -> str:
    args = [f"v{arg}" for arg in op.args]
    kind = ROW_TYPES[op.kind, op.width]
    scalar = op.width == 32
    code = op.code
    if code == "ld":
        return _load(program, op, pair)
    if code == "const":
        value = "INT32_MIN" if scalar and op.imm[0] == -(2**31) else str(op.imm[0])
        return value if scalar else f"{kind}({ELEMENTS[op.kind, op.width]}({value}))"
    if code == "rescale":
        return args[0]
    if code == "splat":
        return f"{kind}(scalar_splat{'8' if op.width == 8 else ''}({args[0]}))"
    if code == "lookup" and scalar:
        table, start, n = op.imm
        return f"table_{table}[scalar_cell({args[0]}, {start}, {n})]"
    if code == "rest":
        return f"scalar_rest({args[0]}, {op.imm[0]}, {op.imm[1]})"
    if code == "lookup":
        return f"look_up(table_{op.imm[0]}, {args[0]})"
    if code == "satw":
        source = program.ops[op.args[0]]
        byte = args[0] if source.kind == "U" else f"static_cast<VectorRowMod8>({args[0]})"
        return f"saturate_weight({byte})"
    if code in CASTS:
        return f"static_cast<{kind}>({args[0]})"
    if code in ("contiguous_to_fractional", "contiguous_to_modulo"):
        return f"{args[0]}.convert_contiguous()"
    if code == "sum_post":
        return f"scalar_shl(sum_columns({args[0]}, synapse.column_mask), {op.imm[0]})"
    if scalar:
        return _scalar(op, args)
    if code in BINARY:
        return f"{args[0]} {BINARY[code]} {args[1]}"
    if code in SHIFTS:
        return f"{args[0]} {SHIFTS[code]} {op.imm[0]}"
    if code in ("negf", "negm"):
        return f"-{args[0]}"
    if code == "sel":
        mask, true, false = args
        return f"vector_if({mask}, VectorIfCondition::{op.imm[0]}, {true}, {false})"
    raise ValueError(f"no C++ for {code}")


def _scalar(op: Op, args: list[str]) -> str:
    if op.code == "sel":
        mask, true, false = args
        return f"{mask} {COMPARISONS[op.imm[0]]} 0 ? {true} : {false}"
    if op.code in ("addf", "subf"):
        return f"scalar_cut(int64_t{{{args[0]}}} {BINARY[op.code]} {args[1]})"
    if op.code == "negf":
        return f"scalar_cut(-int64_t{{{args[0]}}})"
    if op.code == "mulf":
        return f"scalar_mul({args[0]}, {args[1]})"
    if op.code == "shlf":
        return f"scalar_shl({args[0]}, {op.imm[0]})" if op.imm[0] < 32 else "0"
    if op.code == "shrf":
        n = op.imm[0]
        return f"static_cast<int32_t>(scalar_floor({args[0]}, {n}))" if n < 32 else "0"
    if op.code == "recip":
        return f"scalar_recip({args[0]}, {op.imm[0]})"
    raise ValueError(f"no C++ for {op.code}")


def _load(program: IntegerProgram, op: Op, pair: int) -> str:
    raw = program.inputs[op.imm[0]]
    row = "2 * r" if pair == 2 else "r"
    signed = "static_cast<VectorRowFracSat8>"
    return {
        "weight": f"{signed}(synapse.get_weights({row}))",
        "signed_weight": f"{signed}(synapse.get_weights(2 * r)) - "
        f"{signed}(synapse.get_weights(2 * r + 1))",
        "label": f"{signed}(synapse.get_labels({row}))",
        "causal": "correlation.causal",
        "anticausal": "correlation.acausal",
        "rate": "neuron.get_rate_counters(true)",
        "membrane": "neuron.get_analog_readouts()",
        "baseline": raw.symbol,
        "symbol": raw.symbol,
        "time_index": raw.symbol,
        "row_table": f"{raw.symbol}[r]",
        "column_table": f"join_bytes({raw.symbol}_high, {raw.symbol}_low)",
        "state": f"{raw.symbol}[r]",
        "tape": "draw_row()",
    }[raw.kind]


def _store(output, pair: int) -> str:
    value = f"v{output.value}"
    if output.kind == "signed_weight":
        zero = "VectorRowFracSat8(int8_t(0))"
        positive = f"vector_if({value}, VectorIfCondition::greater, {value}, {zero})"
        negative = f"vector_if({value}, VectorIfCondition::lesser, -{value}, {zero})"
        return (
            f"synapse.set_weights(static_cast<VectorRowMod8>({positive}), 2 * r); "
            f"synapse.set_weights(static_cast<VectorRowMod8>({negative}), 2 * r + 1);"
        )
    if output.kind == "state":
        return f"{output.symbol}[r] = {value};"
    method = "set_weights" if output.kind == "weight" else "set_labels"
    row = "2 * r" if pair == 2 else "r"
    source = value if output.kind == "weight" else f"static_cast<VectorRowMod8>({value})"
    return f"synapse.{method}({source}, {row});"
