"""Random evolved rules, lowered to the chip; the tests of the kernels take the same ones."""

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import jax

from plasticjax.evolution import (
    ADD,
    IF_ELSE,
    MUL,
    SUB,
    GenomeSpec,
    Program,
    constant,
    parameter,
    random_genome,
)
from plasticjax.hardware import (
    IntegerProgram,
    causal,
    lower,
    rate,
    row_table,
    symbol,
    weight,
)
from plasticjax.plasticity import HardBound, increment

SIGNALS = {
    "syn": weight(scale=1 / 64),
    "pre": row_table("x", -1.0, 1.0),
    "post": rate(scale=1 / 256),
    "third": symbol("reward", -1.0, 1.0),
    "obs": {"causal": causal(scale=1 / 256)},
}
SPEC = GenomeSpec(
    inputs=("syn", "pre", "post", "third", "obs.causal"),
    primitives=(ADD, SUB, MUL, IF_ELSE, constant(0.5), parameter(0.3)),
    columns=40,
    levels_back=5,
)
FEWEST_OPERATIONS = 20


def evolved_rules(rounding: str = "stochastic") -> Iterator[tuple[Any, IntegerProgram]]:
    """Updates and their programs, those of few operations left out; the same at each call."""
    draw = jax.jit(lambda key: random_genome(SPEC, key=key))
    for seed in itertools.count():
        rule = Program(draw(jax.random.key(seed)), SPEC).rule()
        update = increment(rule, bound=HardBound(0.0, 1.0))
        program = quietly(update, rounding, f"genome {seed}", SIGNALS)
        if len(program.ops) >= FEWEST_OPERATIONS:
            yield update, program


def quietly(update: Any, rounding: str, name: str, signals: dict) -> IntegerProgram:
    """Lowers without warnings of small changes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lower(update, rounding=rounding, name=name, **signals)
