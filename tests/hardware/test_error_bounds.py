"""Programs are as close to their rules as they say."""

import jax
import numpy as np
import pytest

from plasticjax.hardware import (
    emulate,
    random_inputs,
    shipped_rules,
)
from tests.hardware.lowering import SHAPE, broadcast, compare_with_rule
from tests.hardware.random_rules import random_programs


@pytest.mark.parametrize("name", shipped_rules())
def test_shipped_rules_are_as_close_as_they_say(name):
    rule = shipped_rules()[name]
    program = rule.lower()
    compare_with_rule(rule.update, program)
    # Structural plasticity jumps at its threshold, so its bound allows for the other branch.
    assert program.error[1] - program.error[0] < 0.006 or name == "structural"


def test_bounds_hold_for_random_rules():
    for seed, (update, program) in enumerate(random_programs(15, "nearest")):
        compare_with_rule(update, program, seed)


@pytest.mark.slow
def test_bounds_hold_for_many_random_rules():
    for seed, (update, program) in enumerate(random_programs(300, "nearest", start=10_000)):
        compare_with_rule(update, program, seed)


@pytest.mark.parametrize("rounding, spread", [("floor", (-1, 0)), ("nearest", (-0.5, 0.5)),
                                              ("toward_zero", (-1, 1))])  # fmt: skip
def test_stored_weights_are_within_the_bound_and_the_rounding(rounding, spread):
    rule = shipped_rules()["delta"]
    program = rule.lower(rounding)
    raw = random_inputs(program, SHAPE, seed=2)
    with jax.enable_x64(True):
        exact = np.clip(rule.update(*broadcast(program, raw, SHAPE)), -63, 63)
    difference = np.asarray(emulate(program)(raw)["syn"]) - exact
    assert difference.min() >= program.error[0] + spread[0] - 1e-5
    assert difference.max() <= program.error[1] + spread[1] + 1e-5
