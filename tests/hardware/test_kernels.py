"""Emitted kernels, compiled against the software model, do what the emulation does, bit for bit."""

import numpy as np
import pytest

from plasticjax.hardware import (
    HostRun,
    emulate,
    homeostasis_8bit,
    pong_8bit,
    random_inputs,
    run_on_host,
    shipped_rules,
)
from plasticjax.hardware._catalogue import _cases
from tests.hardware.kernels import check, needs_compiler
from tests.hardware.random_rules import evolved_programs, quietly, random_programs

ROUNDINGS = ("stochastic", "nearest", "floor", "toward_zero")


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
