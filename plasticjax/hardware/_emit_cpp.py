"""Prints an integer program as a C++ kernel for the plasticity processor."""

from ._program import IntegerProgram, Op
from ._signals import Place

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
SCALARS = """\
// Scalar code: fractional integers of 32 bits that saturate, as the vector unit does with 8 and 16.
static inline int32_t scalar_cut(int64_t a) {
	return a > INT32_MAX ? INT32_MAX : a < INT32_MIN ? INT32_MIN : static_cast<int32_t>(a);
}
static inline int64_t scalar_floor(int64_t a, int n) {
	int64_t const unit = int64_t{1} << n;
	return a / unit - (a % unit < 0 ? 1 : 0);
}
static inline int32_t scalar_mul(int32_t a, int32_t b) {
	return scalar_cut(scalar_floor(int64_t{a} * b, 31));
}
static inline int32_t scalar_shl(int32_t a, int n) {
	int64_t const below = (int64_t{a} * (int64_t{1} << n)) & INT32_MAX;
	return static_cast<int32_t>((a < 0 ? int64_t{INT32_MIN} : 0) + below);
}
static inline int16_t scalar_splat(int32_t a) {
	int64_t const rounded = scalar_floor(int64_t{a} + 32768, 16);
	return static_cast<int16_t>(rounded > 32767 ? 32767 : rounded);
}
static inline int8_t scalar_splat8(int32_t a) {
	int64_t const rounded = scalar_floor(int64_t{a} + 8388608, 24);
	return static_cast<int8_t>(rounded > 127 ? 127 : rounded);
}
static inline int32_t scalar_recip(int32_t a, int k) {
	uint32_t const divisor = static_cast<uint32_t>(a < 0 ? -int64_t{a} : int64_t{a});
	uint32_t rest = 0, quotient = 0;
	bool full = divisor == 0;
	for (int i = 0; i <= k; ++i) {
		rest = 2 * rest + (i == 0 ? 1 : 0);
		full = full || quotient >= (uint32_t{1} << 30);
		quotient = 2 * quotient;
		if (divisor != 0 && rest >= divisor) {
			rest -= divisor;
			quotient += 1;
		}
	}
	int32_t const size = full ? INT32_MAX : static_cast<int32_t>(quotient);
	return a < 0 ? -size : size;
}
"""
RANDOM = """\
// One random byte per column. Successive draws are shifted copies, so {discards} are thrown away.
static inline VectorRowMod8::HalfRow draw_half(size_t generator) {{
	for (int i = 0; i < {discards}; ++i)
		static_cast<void>(parallel_rng_rand<VectorRowMod8::HalfRow>(generator));
	return parallel_rng_rand<VectorRowMod8::HalfRow>(generator);
}}
static inline VectorRowMod8 draw_row() {{
	VectorRowMod8::HalfRow const even = draw_half(0);
	VectorRowMod8::HalfRow const odd = draw_half(1);
	return VectorRowMod8(even, odd);
}}
"""
JOIN = """\
// Lanes of 16-bit rows are permuted, so they are filled as two rows of bytes.
static inline VectorRowFracSat16 join_bytes(VectorRowMod8 const& high, VectorRowMod8 const& low) {
	return static_cast<VectorRowFracSat16>(
	    (static_cast<VectorRowMod16>(high) << 8) + static_cast<VectorRowMod16>(low));
}
"""
LOOK_UP = """\
static inline VectorRowFracSat16 look_up(int16_t const* table, VectorRowMod8 const& index) {
	VectorRowMod8 high(0), low(0);
	for (size_t i = 0; i < VectorRowMod8::size; ++i) {
		uint16_t const entry = static_cast<uint16_t>(table[index[i]]);
		high[i] = static_cast<uint8_t>(entry / 256);
		low[i] = static_cast<uint8_t>(entry % 256);
	}
	return join_bytes(high, low);
}
"""


def emit_cpp(
    program: IntegerProgram, target: str = "pynn", *, rng_discards: int = 16
) -> str:
    """Prints an integer program as a C++ kernel for the plasticity processor.

    No text of the user enters the code other than as letters and digits of an identifier.

    Args:
        program: what to print.
        target: "pynn", for the handles of the PyNN plasticity interface; "libnux", stand-alone,
            which can also write labels and leaves reading of sensors to functions of the caller.
        rng_discards: draws that are thrown away between used ones, 0 to 255; fewer than 8 leave
            random numbers of neighbouring calls and columns correlated.

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
    parts = [
        _HEADERS[target],
        _globals(program),
        *([SCALARS] if any(op.width == 32 or op.code == "splat" for op in program.ops) else []),
        *([RANDOM.format(discards=rng_discards)] if "tape" in kinds else []),
        *([JOIN] if program.tables or "column_table" in kinds else []),
        *([LOOK_UP] if program.tables else []),
        *([_measure(kinds, target)] if "baseline" in kinds else []),
        _kernel(program, kinds, target),
    ]
    return "\n".join(parts)


_HEADERS = {
    "pynn": """\
#include <array>
#include <cstddef>
#include <cstdint>
#include "grenade/vx/ppu/neuron_view_handle.h"
#include "grenade/vx/ppu/synapse_array_view_handle.h"
#include "libnux/vx/parallel_rng.h"
#include "libnux/vx/vector_if.h"
#include "libnux/vx/vector_row.h"
#include "libnux/vx/vector_row_math.h"

using namespace grenade::vx::ppu;
using namespace libnux::vx;
extern volatile PPUOnDLS ppu;

#ifndef PPU_EXTERNAL
#define PPU_EXTERNAL __attribute__((section("ext.data")))
#endif
""",
    "libnux": """\
#include <array>
#include <cstddef>
#include <cstdint>
#include "libnux/vx/dls.h"
#include "libnux/vx/parallel_rng.h"
#include "libnux/vx/vector.h"
#include "libnux/vx/vector_if.h"
#include "libnux/vx/vector_row.h"
#include "libnux/vx/vector_row_math.h"

using namespace libnux::vx;

#ifndef PPU_EXTERNAL
#define PPU_EXTERNAL __attribute__((section("ext.data")))
#endif

// The program that links this kernel reads the sensors of its half.
struct CorrelationRow {
	VectorRowMod8 causal, acausal;
};
CorrelationRow read_correlation(size_t row, bool reset);
VectorRowMod8 read_rate_counters(bool reset);
VectorRowMod8 read_membranes();

struct Synapses {
	size_t const* numbers;
	size_t count;
	VectorRowMod8 column_mask;
	VectorRowMod8 get_weights(size_t r) const {
		return get_row_via_vector(numbers[r], dls_weight_base);
	}
	void set_weights(VectorRowMod8 const& value, size_t r) const {
		set_row_via_vector_masked(value, column_mask, numbers[r], dls_weight_base);
	}
	VectorRowMod8 get_labels(size_t r) const {
		return get_row_via_vector(numbers[r], dls_decoder_base);
	}
	void set_labels(VectorRowMod8 const& value, size_t r) const {
		set_row_via_vector_masked(value, column_mask, numbers[r], dls_decoder_base);
	}
	CorrelationRow get_correlation(size_t r, bool reset) const {
		return read_correlation(numbers[r], reset);
	}
};
struct Neurons {
	VectorRowMod8 get_rate_counters(bool reset) const { return read_rate_counters(reset); }
	VectorRowMod8 get_analog_readouts() const { return read_membranes(); }
};
""",
}


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
    for number, table in enumerate(program.tables):
        entries = ", ".join(str(entry) for entry in table)
        lines.append(f"static int16_t const table_{number}[256] = {{{entries}}};")
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
        f"\t\tsum_{s} = sum_{s} + static_cast<VectorRowMod16>(now_read.{fields[s]});\n"
        for s in sensors
    )
    starts = "".join(f"\tVectorRowMod16 sum_{s}(0);\n" for s in sensors)
    ends = "".join(
        f"\tbaseline_{s} = static_cast<VectorRowMod8>(sum_{s} >> 8);\n" for s in sensors
    )
    return (
        "// Baselines of the sensors: the mean of 256 readings directly after a reset.\n"
        "template <typename Handle>\n"
        "static void measure_baselines(Handle& handle, size_t rows) {\n"
        f"\tfor (size_t r = 0; r < rows; ++r) {reset};\n"
        f"{starts}"
        "\tfor (size_t i = 0; i < 256; ++i) {\n"
        "\t\tauto const now_read = handle.get_correlation(i % rows, true);\n"
        f"{sums}\t}}\n{ends}"
        "\tbaseline_is_known = true;\n}\n"
    )


def _kernel(program: IntegerProgram, kinds: set[str], target: str) -> str:
    reads_neurons = bool(kinds & {"rate", "membrane"})
    pair = 2 if "signed_weight" in kinds else 1
    once, per_row = [], []
    for number, op in enumerate(program.ops):
        code = _statement(program, number, op, pair)
        (per_row if op.place in (Place.PRE, Place.SYN) else once).append(code)
    correlation = kinds & {"causal", "anticausal"}
    if correlation:
        row = "2 * r" if pair == 2 else "r"
        per_row.insert(0, f"auto const correlation = synapse.get_correlation({row}, true);")
    per_row += [_store(output, pair) for output in program.outputs]
    body = []
    if "baseline" in kinds:
        body += [
            "if (!baseline_is_known) {",
            "\tif (n_rows > 0) measure_baselines(synapse, n_rows);",
            "\treturn;",
            "}",
        ]
    body += once
    body.append(f"for (size_t r = 0; r < n_rows / {pair}; ++r) {{")
    body += [f"\t{line}" for line in per_row]
    body.append("}")
    if "time_index" in kinds:
        body.append("time_index = time_index < 32767 ? time_index + 1 : 32767;")
    if target == "libnux":
        head = ["void plasticity_kernel(Synapses& synapse, Neurons& neuron) {"]
        head += ["\tstatic_cast<void>(neuron);"] if not reads_neurons else []
        head += ["\tsize_t const n_rows = synapse.count;"]
        return "\n".join([*head, *(f"\t{line}" for line in body), "}"]) + "\n"
    head = [
        "template <size_t N, size_t M>",
        "void PLASTICITY_RULE_KERNEL(",
        "    std::array<SynapseArrayViewHandle, N>& synapses,",
        "    std::array<NeuronViewHandle, M>& neurons) {",
        "\tstatic_cast<void>(neurons);",
        "\tfor (size_t k = 0; k < N; ++k) {",
        "\t\tauto& synapse = synapses[k];",
        "\t\tif (synapse.hemisphere != ppu) continue;",
    ]
    if reads_neurons:
        head += [
            "\t\tsize_t own = 0;",
            "\t\twhile (own < M && neurons[own].hemisphere != ppu) ++own;",
            "\t\tif (own == M) continue;",
            "\t\tauto& neuron = neurons[own];",
        ]
    head += ["\t\tsize_t const n_rows = synapse.rows.size();"]
    return "\n".join([*head, *(f"\t\t{line}" for line in body), "\t}", "}"]) + "\n"


def _statement(program: IntegerProgram, number: int, op: Op, pair: int) -> str:
    kind = ROW_TYPES[op.kind, op.width]
    return f"{kind} const v{number} = {_expression(program, op, pair)};"


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
