"""Signals, and the comparison of a program with its rule, that the tests of the lowering share."""

from typing import NamedTuple

import jax
import numpy as np

from plasticjax.hardware import (
    Signal,
    causal,
    column_table,
    lower,
    membrane,
    noise,
    observed,
    random_inputs,
    rate,
    row_table,
    symbol,
    weight,
)
from plasticjax.hardware._evaluate_ops import run_ops
from plasticjax.hardware._signals import Place


class Post(NamedTuple):
    n: Signal
    u: Signal
    t: Signal


class Obs(NamedTuple):
    c: Signal
    xi: Signal


WIDE = {
    "syn": weight(),
    "pre": (row_table("x", -1.5, 1.0), row_table("r", 0.25, 2.0)),
    "post": Post(rate(), membrane(scale=1 / 128), column_table("t", -1.0, 1.0)),
    "third": (symbol("a", -1.0, 1.0), symbol("b", 0.5, 3.0)),
    "obs": Obs(causal(), noise()),
}
SHAPE = (48, 32)


def values_of(program, raw):
    arrays = [np.asarray(raw[wanted.name]) for wanted in program.inputs]
    placed = [
        value[:, None] if wanted.place is Place.POST and value.ndim else value
        for value, wanted in zip(arrays, program.inputs, strict=True)
    ]
    return run_ops(program.ops, range(len(program.ops)), placed, program.tables)


def broadcast(program, raw, shape):
    """What the rule sees, one value for each synapse."""
    seen = list(observed(program, raw))
    seen[2] = jax.tree.map(lambda x: x[:, None] if np.ndim(x) else x, seen[2])
    return [jax.tree.map(lambda x: np.broadcast_to(x, shape), part) for part in seen]


def compare_with_rule(update, program, seed=0, shape=SHAPE, slack=2e-5):
    """Intervals and error bounds hold on random and extreme integers."""
    raw = random_inputs(program, shape, seed=seed)
    values = values_of(program, raw)
    for number, op in enumerate(program.ops):
        value = np.asarray(values[number])
        assert op.lo <= value.min() and value.max() <= op.hi, f"v{number} of\n{program}"
    with jax.enable_x64(True):
        exact = update(*broadcast(program, raw, shape))
    signals = jax.tree.leaves(program.signals[0])
    for output, leaf, signal in zip(program.outputs, jax.tree.leaves(exact), signals, strict=True):
        op = program.ops[output.bound]
        top = (64 - 2**-8) * signal.scale if output.kind.endswith("weight") else signal.hi
        low = {"weight": 0.0, "signed_weight": -top}.get(output.kind, signal.lo)
        got = np.asarray(values[output.bound]) * op.ulp
        difference = got - np.clip(leaf, low, top)
        assert op.error[0] - slack <= difference.min()
        assert difference.max() <= op.error[1] + slack


def lowered(function, **signals):
    signals.setdefault("syn", weight())
    return lower(function, rounding="nearest", **signals)
