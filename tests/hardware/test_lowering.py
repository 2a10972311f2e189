"""Lowering: formats, weights that are kept, states, labels, and where values belong."""

import warnings
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.hardware import (
    Signal,
    causal,
    emulate,
    label,
    lower,
    random_inputs,
    random_label,
    rate,
    row_table,
    state,
    symbol,
    time_index,
    weight,
)
from plasticjax.hardware._evaluate_ops import run_ops
from plasticjax.hardware._signals import Place
from plasticjax.plasticity import EpisodicReward, Update, increment
from tests.hardware.lowering import SHAPE, compare_with_rule, lowered, values_of


def correlate(syn, pre, post, third, obs):
    return syn + third * obs


def worked(rounding):
    third = symbol("f", -1 / 8, 1 / 8)
    return lower(correlate, syn=weight(), third=third, obs=causal(lo=0.0), rounding=rounding)


@pytest.mark.parametrize(
    "rounding, word, up, down",
    [
        ("floor", None, 22, 17),
        ("toward_zero", None, 22, 18),
        ("nearest", None, 23, 17),
        ("stochastic", 105, 23, 17),
        ("stochastic", 104, 22, 17),
        ("stochastic", 152, 23, 18),
        ("stochastic", 151, 23, 17),
    ],
)
def test_the_worked_example(rounding, word, up, down):
    program = worked(rounding)
    raw = {"syn": 20, "obs": 143, "baseline.causal": 180}
    if word is not None:
        raw["rounding.syn"] = word << 8
    for f, q32, expected in ((0.07, 1202590843, up), (-0.07, -1202590843, down)):
        assert round(f * 2**34) == q32
        assert int(emulate(program)({**raw, "third": q32})["syn"]) == expected


def test_the_numbers_inside_the_worked_example():
    program = worked("floor")
    raw = {"syn": 20, "obs": 143, "baseline.causal": 180, "third": 1202590843}
    found = {
        (op.code, op.format): int(value)
        for op, value in zip(program.ops, values_of(program, raw).values(), strict=True)
    }
    assert found["subf", "F16(8)"] == 4736
    assert found["splat", "F16(-3)"] == 18350
    assert found["mulf", "F16(5)"] == 2652
    assert found["shrf", "F16(7)"] == 663
    assert found["addf", "F16(7)"] == 5783
    assert program.error[0] > -0.006 and program.error[1] < 0.001


@pytest.mark.parametrize("rounding", ["stochastic", "nearest", "floor", "toward_zero"])
@pytest.mark.parametrize("signed", [False, True])
def test_keeping_incrementing_and_clearing_weights(rounding, signed):
    byte = np.arange(-63 if signed else 0, 64)[:, None]
    syn = weight(signed=signed)
    for function, expected in (
        (lambda syn, *_: syn, byte),
        (lambda syn, *_: syn + 1, np.minimum(byte + 1, 63)),
        (lambda syn, *_: syn - 200.0, np.full_like(byte, -63 if signed else 0)),
        (lambda syn, *_: syn - syn, 0 * byte),
        (lambda syn, *_: jnp.float32(7), 0 * byte + 7),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = lower(function, syn=syn, rounding=rounding)
        words = np.broadcast_to(np.arange(0, 65536, 1024), (len(byte), 64))
        raw = {"syn": np.broadcast_to(byte, words.shape), "rounding.syn": words}
        got = np.asarray(emulate(program)(raw)["syn"])
        np.testing.assert_array_equal(
            *np.broadcast_arrays(got, np.broadcast_to(expected, words.shape))
        )


def test_states_are_kept_in_16_bits():
    update = increment(EpisodicReward(0.3))
    from plasticjax.plasticity import EligibleSynapse

    syn = EligibleSynapse(weight(), state(-4.0, 4.0))
    program = lower(update, syn=syn, third=symbol("reward", -1.0, 1.0))
    compare_with_rule(update, program)
    raw = random_inputs(program, SHAPE, seed=0)
    assert np.all(np.asarray(emulate(program)(raw)["syn.eligibility"]) == 0)


def test_labels_change_where_the_rule_says():
    class Labelled(NamedTuple):
        w: Signal
        label: Signal

    def update(syn, pre, post, third, obs):
        weak = syn.w < 10
        return Labelled(jnp.where(weak, 20.0, syn.w), jnp.where(weak, obs, syn.label))

    program = lowered(Update(update), syn=Labelled(weight(), label()), obs=random_label(4))
    raw = random_inputs(program, SHAPE, seed=3)
    out = emulate(program)(raw)
    weak = raw["syn.w"] < 10
    drawn = (raw["obs"] & 255) % 16
    np.testing.assert_array_equal(out["syn.label"], np.where(weak, drawn, raw["syn.label"]))
    np.testing.assert_array_equal(out["syn.w"], np.where(weak, 20, raw["syn.w"]))


def test_the_time_index_counts_calls():
    program = lowered(lambda syn, pre, post, third, obs: syn + third / 8, third=time_index())
    for t, expected in ((0, 5), (80, 15), (32767, 63)):
        raw = {"syn": np.full((1, 1), 5), "time_index": t}
        assert int(emulate(program)(raw)["syn"][0, 0]) == expected


def test_constants_may_stand_for_signals():
    program = lowered(lambda syn, pre, post, third, obs: syn + third, third=3)
    assert int(emulate(program)({"syn": np.full((1, 1), 5)})["syn"][0, 0]) == 8


def test_values_are_computed_where_they_belong():
    def update(syn, pre, post, third, obs):
        return syn + (post * post * 0.01) * (pre * third) * obs

    program = lowered(
        update, pre=row_table("x", 0.0, 1.0), post=rate(scale=1 / 256),
        third=symbol("r", -1.0, 1.0), obs=causal(),
    )  # fmt: skip
    products = [op.place for op in program.ops if op.code == "mulf"]
    assert products.count(Place.POST) == 2
    assert products.count(Place.PRE) == 1
    assert products.count(Place.SYN) == 2
    raw = random_inputs(program, SHAPE, seed=5)
    spread = {
        wanted.name: np.broadcast_to(
            raw[wanted.name][:, None] if wanted.place is Place.POST else raw[wanted.name], SHAPE
        )
        for wanted in program.inputs
    }
    arrays = [spread[wanted.name] for wanted in program.inputs]
    flat = run_ops(program.ops, [program.output().value], arrays, ())[program.output().value]
    np.testing.assert_array_equal(flat, emulate(program)(raw)["syn"])


def test_equal_expressions_are_computed_once():
    program = lowered(lambda syn, pre, post, third, obs: syn + obs * obs - (obs * obs) / 2,
                      obs=causal(scale=1 / 64))  # fmt: skip
    assert sum(op.code == "mulf" for op in program.ops) == 1


def test_a_listing_shows_formats_and_errors():
    text = str(worked("stochastic"))
    assert "F16(-3)" in text and "mulf" in text and "(-0.0019, 0.00049)" in text
    assert "'syn' <- v" in text
