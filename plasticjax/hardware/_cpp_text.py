"""Text that emitted kernels share: headers and helpers in C++."""

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
static inline uint32_t scalar_cell(int32_t a, int64_t start, int n) {
    return static_cast<uint32_t>(int64_t{a} - start) >> n;
}
static inline int32_t scalar_rest(int32_t a, int64_t start, int n) {
    uint32_t const within = static_cast<uint32_t>(int64_t{a} - start) & ((uint32_t{1} << n) - 1);
    return static_cast<int32_t>(within << (31 - n));
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
// One random byte per column. Successive draws are shifted copies, so {discards} are discarded.
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
FILL_COLUMNS = """\
// What the host wrote for each column.
static inline VectorRowFracSat16 fill_columns(int32_t const volatile* table) {
    VectorRowMod8 high(0), low(0);
    for (size_t i = 0; i < VectorRowMod8::size; ++i) {
        uint16_t const entry = static_cast<uint16_t>(table[i]);
        high[i] = static_cast<uint8_t>(entry / 256);
        low[i] = static_cast<uint8_t>(entry % 256);
    }
    return join_bytes(high, low);
}
"""
PARTNERS = "volatile int32_t partner_rows[256] = {};"
PARTNER = {
    "pynn": "find_row(inhibitory.rows, partner_rows[synapse.rows[r]])",
    "libnux": "r",
}
FIND_ROW = """\
// Where a handle has a row of the array; if it has not, an access to the result ends the program.
template <typename Rows>
static inline size_t find_row(Rows const& rows, int32_t wanted) {
    size_t r = 0;
    while (r < rows.size() && static_cast<int32_t>(rows[r]) != wanted) ++r;
    return r;
}
"""
BOTH_SIGNS = (
    "// Of the handles of a half, that of the excitatory projection comes first.",
    "size_t first = 0;",
    "while (first < N && synapses[first].hemisphere != ppu) ++first;",
    "size_t second = first + 1;",
    "while (second < N && synapses[second].hemisphere != ppu) ++second;",
    "if (second < N) update(synapses[first], synapses[second]);",
)
RECORD_SIGNS = (
    "auto const record = [&](auto& synapse, auto& recorded_w) {",
    "    if (synapse.hemisphere != ppu) return;",
    "    for (size_t r = 0; r < synapse.rows.size(); ++r) {",
    "        VectorRowMod8 const row = synapse.get_weights(r);",
    "        for (size_t c = 0; c < synapse.columns.size(); ++c)",
    "            recorded_w[r][c] = row[synapse.columns[c]];",
    "    }",
    "};",
    "hate::for_each(record, synapses, recording.w);",
)
SUM_COLUMNS = """\
// Columns that the handle does not have may hold anything. A sum does not mind permuted lanes.
static inline int32_t sum_columns(VectorRowFracSat16 const& row, VectorRowMod8 const& mask) {
    auto const used = static_cast<VectorRowFracSat16>(static_cast<VectorRowFracSat8>(mask));
    VectorRowFracSat16 const zero(int16_t(0));
    auto const kept = vector_if(used, VectorIfCondition::greater, row, zero);
    int32_t sum = 0;
    for (size_t i = 0; i < VectorRowFracSat16::size; ++i) sum += kept[i];
    return sum;
}
"""
HEADERS = {
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
RECORDING_HEADERS = """\
#include "grenade/vx/ppu/time.h"
#include "hate/tuple.h"
"""
