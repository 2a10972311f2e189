"""Emitted kernels, compiled against the software model, do what the emulation does, bit for bit."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.hardware import (
    HostRun,
    causal,
    emit_cpp,
    emulate,
    homeostasis_8bit,
    host_compiler,
    lower,
    pong_8bit,
    random_inputs,
    rate,
    row_table,
    run_on_host,
    shipped_rules,
    state,
    symbol,
    weight,
)
from plasticjax.hardware import _integer_ops as ops
from plasticjax.hardware._catalogue import _cases
from plasticjax.hardware._host_check import FLAGS, HEADERS, _call, _write_headers
from plasticjax.plasticity import EligibleSynapse, Hebb, increment
from tests.hardware.random_rules import evolved_programs, quietly, random_programs

needs_compiler = pytest.mark.skipif(
    host_compiler() is None, reason="g++ is not installed: emitted kernels are not compiled"
)
ROUNDINGS = ("stochastic", "nearest", "floor", "toward_zero")


def check(programs, rows=200, handles=2, mask=None, **options):
    """Kernels agree with the emulation on random and extreme integers."""
    runs = [
        HostRun(
            tuple(
                random_inputs(program, (256, rows), seed=31 * index + half)
                for half in range(handles)
            ),
            mask,
        )
        for index, program in enumerate(programs)
    ]
    stored = run_on_host(programs, runs, **options)
    for program, run, halves in zip(programs, runs, stored, strict=True):
        for raw, got in zip(run.inputs, halves, strict=True):
            for name, value in emulate(program)(raw).items():
                expected = np.asarray(value)
                output = next(o for o in program.outputs if o.name == name)
                if mask is not None and output.kind != "state":
                    expected = np.where(mask[:, None] > 0, expected, raw[name])
                assert np.array_equal(got[name], expected), f"{name} of\n{program}"


def shipped(roundings=ROUNDINGS, labels=True):
    found = []
    for name, rule in shipped_rules().items():
        if labels or name != "structural":
            found += [quietly(rule.update, rounding, name, rule.signals) for rounding in roundings]
    return found


@needs_compiler
def test_shipped_rules_on_the_handles():
    rules = shipped(("stochastic", "toward_zero"), labels=False)
    check([*rules, homeostasis_8bit(), homeostasis_8bit(0), pong_8bit()])


@needs_compiler
@pytest.mark.slow
def test_all_roundings_of_shipped_rules():
    check(shipped(labels=False))
    check(shipped(), target="libnux")


@needs_compiler
def test_shipped_rules_stand_alone():
    check([*shipped(("stochastic",)), homeostasis_8bit(), pong_8bit()], target="libnux")


@needs_compiler
def test_the_catalogue():
    programs = [
        quietly(update, "stochastic", name, signals)
        for name, _, update, signals in _cases()
        if isinstance(signals, dict) and "0.5" not in name
    ]
    assert any(program.tables for program in programs)
    check(programs, rows=8, optimize="-O0")


@needs_compiler
def test_evolved_and_random_rules():
    programs = [program for _, program in (*evolved_programs(12), *random_programs(12))]
    check(programs, rows=20, optimize="-O0")


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
def test_many_evolved_and_random_rules(rounding):
    check([program for _, program in evolved_programs(200, rounding)])
    check([program for _, program in random_programs(200, rounding)])


@needs_compiler
def test_nothing_undefined_happens():
    rules = [shipped_rules()[name].lower() for name in ("r_stdp", "delta")]
    check([*rules, pong_8bit()], rows=4, sanitize=True)


@needs_compiler
@pytest.mark.slow
def test_nothing_undefined_happens_in_many_rules():
    programs = [program for _, program in (*evolved_programs(20), *random_programs(40))]
    check([*shipped(labels=False), *programs], rows=4, sanitize=True)


@needs_compiler
def test_masked_columns_one_handle_and_few_discards():
    mask = np.zeros(256, int)
    mask[[0, 1, 2, 100, 255]] = 1
    mask[[3, 4]] = 200  # as a signed byte this is negative
    mine = np.where(mask > 127, 0, mask)
    programs = [shipped_rules()[name].lower() for name in ("stdp", "rate_prop")]
    check(programs, rows=3, handles=1, mask=mine, rng_discards=0, optimize="-O0")
    runs = [HostRun((random_inputs(programs[0], (256, 2), seed=0),), mask)]
    got = run_on_host(programs[:1], runs, optimize="-O0")[0][0]["syn"]
    raw = runs[0].inputs[0]
    expected = np.where(mine[:, None] > 0, emulate(programs[0])(raw)["syn"], raw["syn"])
    np.testing.assert_array_equal(got, expected)


@needs_compiler
def test_homeostasis_on_all_weights_and_counts():
    for program, sign in (
        (shipped_rules()["homeostasis"].lower(), np.sign(60 - np.arange(256))),
        # The demonstration reads counts as signed bytes: 128 and more are below the target.
        (homeostasis_8bit(60), np.where(np.arange(256) > 127, 1, np.sign(60 - np.arange(256)))),
    ):
        raw = {
            "syn": np.broadcast_to(np.arange(64), (256, 64)),
            "post": np.arange(256),
        }
        expected = np.clip(np.arange(64) + sign[:, None], 0, 63)
        np.testing.assert_array_equal(emulate(program)(raw)["syn"], expected)
        stored = run_on_host([program], [HostRun((raw,))], optimize="-O0")[0][0]["syn"]
        np.testing.assert_array_equal(stored, expected)


# -- the software model --------------------------------------------------------------------------

MODEL_TABLES = r"""
#include "ppu_host.hpp"
volatile libnux::vx::PPUOnDLS ppu;
using namespace libnux::vx;
template <typename Row> void put(Row const& row) {
    for (size_t i = 0; i < 256; ++i) std::printf("%d ", static_cast<int>(row[i]));
    std::printf("\n");
}
template <typename Row> void all() {
    Row all;
    for (size_t i = 0; i < 256; ++i) all[i] = static_cast<typename Row::Element>(i);
    for (int i = 0; i < 256; ++i) {
        Row const b(static_cast<typename Row::Element>(i));
        put(all + b);
        put(all - b);
        put(all * b);
    }
    put(-all);
    for (int n = -9; n < 10; ++n) {
        put(all << n);
        put(all >> n);
    }
    for (int c = 0; c < 6; ++c)
        put(vector_if(all, static_cast<VectorIfCondition>(c), Row(1), Row(0)));
    put(saturate_weight(all));
    put(all.convert_contiguous());
    put(pow(all, 3));
}
int main() {
    all<VectorRowFracSat8>();
    all<VectorRowMod8>();
}
"""


def compile_and_run(folder, text, check_fails=False):
    _write_headers(folder)
    (folder / "ppu_host.hpp").write_text('#include "libnux/vx/vector.h"\n')
    (folder / "main.cpp").write_text(text)
    compiler = host_compiler()
    assert compiler
    binary = folder / "main"
    command = [compiler, *FLAGS, "-O0", f"-I{folder}", str(folder / "main.cpp"), "-o", str(binary)]
    _call(command)
    import subprocess

    return subprocess.run([str(binary)], capture_output=True, text=True, check=not check_fails)


@needs_compiler
def test_the_software_model_and_the_emulation_have_one_arithmetic(tmp_path):
    lines = compile_and_run(tmp_path, MODEL_TABLES).stdout.strip().splitlines()
    rows = iter([np.array(line.split(), int) for line in lines])
    u = np.arange(256)
    for lanes, suffix in ((ops.to_fractional(u, 8), "f"), (u, "m")):
        call = lambda name, *args: getattr(ops, name + suffix)(*args, 8)  # noqa: B023, E731
        for scalar in np.asarray(lanes):
            for name in ("add", "sub", "mul"):
                np.testing.assert_array_equal(next(rows), call(name, lanes, scalar))
        np.testing.assert_array_equal(next(rows), call("neg", lanes))
        for n in range(-9, 10):
            for name in ("shl", "shr"):
                np.testing.assert_array_equal(next(rows), call(name, lanes, n), f"{name} {n}")
        for condition in ops.CONDITIONS:
            np.testing.assert_array_equal(next(rows), ops.sel(lanes, condition, 1, 0))
        np.testing.assert_array_equal(next(rows), ops.satw(lanes))
        turned = ops.contiguous_to_modulo if suffix == "f" else ops.contiguous_to_fractional
        np.testing.assert_array_equal(next(rows), turned(lanes, 8))
        np.testing.assert_array_equal(next(rows), call("pow", lanes, 3))
    assert next(rows, None) is None


@needs_compiler
def test_handles_refuse_the_other_half_and_missing_rows(tmp_path):
    text = """
#include "ppu_host.hpp"
volatile libnux::vx::PPUOnDLS ppu = libnux::vx::PPUOnDLS::top;
int main() {
    grenade::vx::ppu::SynapseArrayViewHandle handle;
    handle.rows.values = {4};
    handle.hemisphere = libnux::vx::PPUOnDLS::HALF;
    handle.get_weights(ROW);
}
"""
    for half, row, message in (("bottom", "0", "other hemisphere"), ("top", "1", "does not have")):
        done = compile_and_run(tmp_path, text.replace("HALF", half).replace("ROW", row), True)
        assert done.returncode == 1 and message in done.stderr
    done = compile_and_run(tmp_path, text.replace("HALF", "top").replace("ROW", "0"), True)
    assert done.returncode == 0


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


# -- the text ------------------------------------------------------------------------------------

HOSTILE = (
    "x; } int main() { return 1; } //",
    "*/ #include <nothing> /*",
    "PLASTICITY_RULE_KERNEL",
    "line\n#error break",
    "ends with \\",
    "??/ trigraph",
    "int",
    "v12",
    "3 times",
    "Größe μ 漢字",
    "",
    '"quoted" %s {0}',
)


def hostile_program(first, second):
    def rule(syn, pre, post, third, obs):
        change = obs[first] * pre * third / 64 + 0.5 * syn.eligibility
        return EligibleSynapse(change, -0.25 * syn.eligibility)

    rule.__name__ = first
    return lower(
        increment(rule),
        syn=EligibleSynapse(weight(), state(-2.0, 2.0, name=second)),
        pre=row_table(first, 0.0, 1.0),
        third=symbol(second, -1.0, 1.0),
        obs={first: causal()},
        name=first,
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_out_of_the_text(name):
    plain = emit_cpp(hostile_program("a", "b"))
    text = emit_cpp(hostile_program(name, name))
    identifiers = re.compile(r"host_[a-z0-9_]+")
    assert identifiers.sub("NAME", text) == identifiers.sub("NAME", plain)
    symbols = {raw.symbol for raw in hostile_program(name, name).inputs if raw.symbol}
    assert len(symbols) == 4 and all(re.fullmatch("[a-z][a-z0-9_]*", s) for s in symbols)


@needs_compiler
def test_hostile_names_compile_and_run():
    check([hostile_program(name, name) for name in HOSTILE], rows=2, optimize="-O0")


@pytest.mark.parametrize("name", shipped_rules())
@pytest.mark.parametrize("target", ["pynn", "libnux"])
def test_what_the_toolchain_of_the_chip_wants(name, target):
    program = shipped_rules()[name].lower()
    if target == "pynn" and name == "structural":
        with pytest.raises(ValueError, match="handles of PyNN have no labels"):
            emit_cpp(program, target)
        return
    text = emit_cpp(program, target)
    assert text.count("PLASTICITY_RULE_KERNEL") == (1 if target == "pynn" else 0)
    for word in ("double", "float", "iostream", "throw", "std::vector", "new ", "dynamic_cast"):
        assert word not in text
    assert text.isascii()


def test_each_value_is_one_statement_where_it_belongs():
    program = lower(increment(Hebb()), syn=weight(), pre=row_table("x", 0.0, 1.0), post=rate())
    once, loop = emit_cpp(program).split("for (size_t r = 0; r < n_rows")
    assert "get_rate_counters(true)" in once and "get_weights" in loop
    assert len(re.findall(r" v\d+ = ", once + loop)) == len(program.ops)


def test_bad_options_of_the_printer():
    program = homeostasis_8bit()
    with pytest.raises(ValueError, match="target='fpga' must be"):
        emit_cpp(program, "fpga")
    with pytest.raises(ValueError, match="rng_discards=-1 must be"):
        emit_cpp(program, rng_discards=-1)


@needs_compiler
def test_what_does_not_compile_is_shown(monkeypatch):
    monkeypatch.setattr("plasticjax.hardware._host_driver._SENSORS", ("nonsense",))
    runs = [HostRun((random_inputs(homeostasis_8bit(), (256, 1), seed=0),))]
    with pytest.raises(RuntimeError, match=r"g.* failed:"):
        run_on_host([homeostasis_8bit()], runs, target="libnux")


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setattr("plasticjax.hardware._host_check.host_compiler", lambda: None)
    with pytest.raises(RuntimeError, match=r"g\+\+ is not installed"):
        run_on_host([], [])


def test_scalars_that_nothing_reads_are_dropped():
    program = lower(lambda s, pre, post, third, obs: s + 0 * third + jnp.sign(obs),
                    syn=weight(), third=symbol("unused", -1.0, 1.0), obs=causal())  # fmt: skip
    assert "unused" not in emit_cpp(program)
    assert len(HEADERS) == len(set(HEADERS))
