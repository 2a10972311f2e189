"""Calls of emitted kernels: baselines, recordings, rows and pairs of rows."""

import pytest

from plasticjax.hardware import (
    column_table,
    emit_cpp,
    homeostasis_8bit,
    lower,
    row_table,
    shipped_rules,
    weight,
)
from tests.hardware.kernels import compile_and_run, needs_compiler


@needs_compiler
def test_baselines_are_measured_in_the_first_call(tmp_path):
    main = """
int main() {
    auto& half = ppu_host::chip[0];
    std::array<SynapseArrayViewHandle, 1> s;
    std::array<NeuronViewHandle, 0> m;
    s[0].rows.values = {0, 1, 2};
    s[0].column_mask = VectorRowMod8(1);
    for (size_t r = 0; r < 3; ++r) {
        half.weights[r] = VectorRowMod8(20);
        half.causal[r] = VectorRowMod8(static_cast<uint8_t>(180 + r));
        half.acausal[r] = VectorRowMod8(170);
    }
    PLASTICITY_RULE_KERNEL(s, m);
    std::printf("%d %d %d %d ", baseline_causal[7], baseline_anticausal[7], half.weights[1][7],
                static_cast<int>(half.resets[0]));
    host_random.tape.resize(3);
    half.causal[1] = VectorRowMod8(101);
    PLASTICITY_RULE_KERNEL(s, m);
    std::printf("%d %d", half.weights[1][7], half.weights[2][7]);
}
"""
    text = emit_cpp(shipped_rules()["stdp"].lower()) + "\nvolatile PPUOnDLS ppu;\n" + main
    numbers = compile_and_run(tmp_path, text).stdout.split()
    # 86, 85 and 85 readings of 180, 181 and 182; then 79 LSB of correlation times 0.05.
    assert numbers == ["180", "170", "20", "87", "23", "19"]


@needs_compiler
def test_time_and_weights_are_recorded(tmp_path):
    program = homeostasis_8bit(60)
    preamble = """
#include <array>
#include <cstdint>
#include <tuple>
struct Recording {
    uint64_t time;
    std::tuple<std::array<std::array<uint8_t, 2>, 1>, std::array<std::array<uint8_t, 3>, 2>> w;
};
"""
    main = """
volatile PPUOnDLS ppu;
int main() {
    ppu = PPUOnDLS::bottom;
    host_time = 1234;
    std::array<SynapseArrayViewHandle, 2> s;
    std::array<NeuronViewHandle, 2> m;
    s[1].hemisphere = m[1].hemisphere = PPUOnDLS::bottom;
    s[1].rows.values = {4, 9};
    s[1].columns.values = {0, 7, 255};
    s[1].column_mask = VectorRowMod8(1);
    ppu_host::chip[1].rates = VectorRowMod8(61);
    for (size_t i = 0; i < 256; ++i) ppu_host::chip[1].weights[9][i] = i / 8;
    Recording recording{};
    PLASTICITY_RULE_KERNEL(s, m, recording);
    std::printf("%d ", static_cast<int>(recording.time));
    for (auto const& row : std::get<1>(recording.w))
        for (int w : row) std::printf("%d ", w);
}
"""
    text = preamble + emit_cpp(program, record=True) + main
    assert compile_and_run(tmp_path, text).stdout.split() == ["1234", "0", "0", "0", "0", "0", "30"]
    with pytest.raises(ValueError, match="only kernels for PyNN can record"):
        emit_cpp(program, "libnux", record=True)


def pairs(syn, pre, post, third, obs):
    return syn - 4.0 * pre + post


@needs_compiler
def test_pairs_of_rows_are_found_and_recorded(tmp_path):
    """Tables are by numbers of rows and columns; the inhibitory handle is in another order."""
    program = lower(pairs, syn=weight(signed=True), pre=row_table("x", -8.0, 8.0),
                    post=column_table("y", -8.0, 8.0), rounding="floor")  # fmt: skip
    gains, aims = (raw.symbol for raw in program.inputs if raw.symbol)
    preamble = """
#include <array>
#include <cstdint>
#include <tuple>
using Half = std::array<std::array<uint8_t, 2>, 2>;
struct Recording {
    uint64_t time;
    std::tuple<Half, Half, Half> w;
};
"""
    main = f"""
volatile PPUOnDLS ppu;
int main() {{
    ppu = PPUOnDLS::bottom;
    std::array<SynapseArrayViewHandle, 3> s;
    std::array<NeuronViewHandle, 0> m;
    s[1].hemisphere = s[2].hemisphere = PPUOnDLS::bottom;
    s[0].rows.values = s[1].rows.values = {{4, 9}};
    s[2].rows.values = {{11, 200}};
    for (auto& handle : s) {{
        handle.columns.values = {{7, 250}};
        handle.column_mask[7] = handle.column_mask[250] = 1;
    }}
    partner_rows[4] = 200;
    partner_rows[9] = 11;
    {gains}[4] = 3 << 28; // 3
    {gains}[9] = -(2 << 28);
    {aims}[250] = 4096; // 1
    for (size_t r : {{4, 9}}) ppu_host::chip[1].weights[r] = VectorRowMod8(5);
    ppu_host::chip[1].weights[11] = VectorRowMod8(30);
    Recording recording{{}};
    PLASTICITY_RULE_KERNEL(s, m, recording);
    auto const print = [](Half const& half) {{
        for (auto const& row : half)
            for (int w : row) std::printf("%d ", w);
    }};
    print(std::get<0>(recording.w));
    print(std::get<1>(recording.w));
    print(std::get<2>(recording.w));
}}
"""
    text = preamble + emit_cpp(program, record=True) + main
    found = [int(word) for word in compile_and_run(tmp_path, text).stdout.split()]
    # Row 4: 5 - 12 (+ 1); row 9: 5 - 30 + 8 (+ 1). Excitatory rows, then inhibitory ones.
    assert found == [0] * 4 + [0] * 4 + [17, 16, 7, 6]
