"""Random synapse updates for the chip: expressions of what a synapse can see, and evolved rules."""

import itertools
from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from benchmarks._workers._evolved_rules import evolved_rules, quietly
from plasticjax.hardware import (
    UnsupportedOnPPU,
    anticausal,
    causal,
    column_table,
    membrane,
    noise,
    rate,
    row_table,
    symbol,
    weight,
)
from plasticjax.plasticity import Update


class Post(NamedTuple):
    rate: object
    membrane: object
    target: object


class Obs(NamedTuple):
    causal: object
    anticausal: object
    noise: object


SIGNALS = {
    "syn": weight(),
    "pre": (row_table("x", 0.0, 1.0), row_table("trace", -2.0, 3.0)),
    "post": Post(rate(), membrane(scale=1 / 128), column_table("target", -1.0, 1.5)),
    "third": (symbol("reward", -0.5, 1.0), symbol("temperature", 0.5, 2.0)),
    "obs": Obs(causal(), anticausal(lo=0.0, scale=1 / 16), noise()),
}
_UNARY = (
    lambda x: -x,
    jnp.abs,
    jnp.sign,
    jnp.square,
    lambda x: jnp.maximum(x, 0),
    lambda x: jnp.floor(x * 0.5),
    lambda x: jnp.clip(x, -1.5, 2.0),
    lambda x: 0.3 * x,
    lambda x: -0.25 * x,
    lambda x: x / 7.0,
    lambda x: x + 0.7,
    lambda x: jnp.minimum(x, 3),
)
_BINARY = (
    lambda x, y: x + y,
    lambda x, y: x - y,
    lambda x, y: x * y,
    jnp.maximum,
    jnp.minimum,
    lambda x, y: jnp.where(x > y, 1.0, -0.5),
    lambda x, y: jnp.where((x >= 0.25) & ~(y < 0), x, y),
    lambda x, y: jnp.where((x != 1) | (y <= 0.5), x, 2.0),
)


def random_update(seed):
    """A pure update made of random operations of what the synapse can see."""
    generator = np.random.default_rng(seed)
    count = int(generator.integers(2, 10))
    plan = [
        (generator.random() < 0.5, int(generator.integers(99)), generator.integers(0, 99, 2))
        for _ in range(count)
    ]

    def update(syn, pre, post, third, obs):
        values = [syn, *pre, *post, *third, *obs]
        for unary, which, operands in plan:
            # Late values are read more often, so that expressions grow deep.
            x, y = (
                values[-1 - int(o) // 2 % len(values)] if o % 2 else values[int(o) % len(values)]
                for o in operands
            )
            made = _UNARY[which % len(_UNARY)](x) if unary else _BINARY[which % len(_BINARY)](x, y)
            values.append(jnp.clip(made, -300.0, 300.0) if which % 3 == 0 else made)
        return syn + jnp.clip(values[-1], -20.0, 20.0) / (third[1] if plan[0][1] % 2 else 1.0)

    return Update(update)


def random_programs(count, rounding="stochastic", start=0):
    """Programs of random updates, with the updates; refused ones are left out."""
    found, seed = [], start
    while len(found) < count:
        update = random_update(seed)
        seed += 1
        try:
            found.append((update, quietly(update, rounding, f"rule {seed}", SIGNALS)))
        except UnsupportedOnPPU as refusal:
            assert "exceeds 2^15" in str(refusal) or "can be 0" in str(refusal), refusal
    return found


def evolved_programs(count, rounding="stochastic"):
    """Programs of evolved rules with at least 20 operations, with the updates."""
    found, rules = _evolved(rounding)
    found += itertools.islice(rules, max(count - len(found), 0))
    return found[:count]


@cache
def _evolved(rounding):
    return [], evolved_rules(rounding)
