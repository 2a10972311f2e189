"""Prints the operations of an integer program as statements in C++."""

from ._program import IntegerProgram, Op, Output, RawInput

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


def zero(op: Op, number: int) -> str:
    """The start of a sum."""
    value = " = 0" if op.width == 32 else f"({ELEMENTS[op.kind, op.width]}(0))"
    return f"{_type(op)} v{number}{value};"


def added(op: Op, number: int) -> str:
    """One row more in a sum."""
    if op.width == 32:
        return f"v{number} = scalar_cut(int64_t{{v{number}}} + v{op.args[0]});"
    return f"v{number} = v{number} + v{op.args[0]};"


def statement(program: IntegerProgram, number: int, target: str) -> str:
    """A value: one statement for each."""
    op = program.ops[number]
    return f"{_type(op)} const v{number} = {_expression(program, op, target)};"


def _type(op: Op) -> str:
    return ROW_TYPES[op.kind, op.width]


def _expression(program: IntegerProgram, op: Op, target: str) -> str:
    args = [f"v{arg}" for arg in op.args]
    kind = ROW_TYPES[op.kind, op.width]
    scalar = op.width == 32
    code = op.code
    if code == "ld":
        return _load(program.inputs[op.imm[0]], target)
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


def _load(raw: RawInput, target: str) -> str:
    signed = "static_cast<VectorRowFracSat8>"
    # Rows of the handles are numbers in the array, as tables of the host count them.
    row = "synapse.rows[r]" if target == "pynn" else "r"
    return {
        "weight": f"{signed}(synapse.get_weights(r))",
        "signed_weight": f"{signed}(synapse.get_weights(r)) - "
        f"{signed}(inhibitory.get_weights(partner))",
        "label": f"{signed}(synapse.get_labels(r))",
        "causal": "correlation.causal",
        "anticausal": "correlation.acausal",
        "rate": "neuron.get_rate_counters(true)",
        "membrane": "neuron.get_analog_readouts()",
        "baseline": raw.symbol,
        "symbol": raw.symbol,
        "time_index": raw.symbol,
        "row_table": f"{raw.symbol}[{row}]",
        "column_table": f"fill_columns({raw.symbol})",
        "state": f"{raw.symbol}[r]",
        "tape": "draw_row()",
    }[raw.kind]


def stored(output: Output) -> str:
    """What writes an output."""
    value = f"v{output.value}"
    if output.kind == "signed_weight":
        nothing = "VectorRowFracSat8(int8_t(0))"
        positive = f"vector_if({value}, VectorIfCondition::greater, {value}, {nothing})"
        negative = f"vector_if({value}, VectorIfCondition::lesser, -{value}, {nothing})"
        return (
            f"synapse.set_weights(static_cast<VectorRowMod8>({positive}), r); "
            f"inhibitory.set_weights(static_cast<VectorRowMod8>({negative}), partner);"
        )
    if output.kind == "state":
        return f"{output.symbol}[r] = {value};"
    method = "set_weights" if output.kind == "weight" else "set_labels"
    source = value if output.kind == "weight" else f"static_cast<VectorRowMod8>({value})"
    return f"synapse.{method}({source}, r);"
