"""The text of emitted kernels: names that cannot break out, and what the toolchain wants."""

import re

import jax.numpy as jnp
import pytest

from plasticjax.hardware import (
    HostRun,
    causal,
    emit_cpp,
    homeostasis_8bit,
    lower,
    random_inputs,
    rate,
    row_table,
    run_on_host,
    shipped_rules,
    state,
    symbol,
    weight,
)
from plasticjax.hardware._host_check import HEADERS
from plasticjax.plasticity import EligibleSynapse, Hebb, increment
from tests.hardware.kernels import check, needs_compiler

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
