"""Integers to try programs with: random ones, and extremes."""

from typing import Any

import numpy as np

from ._program import IntegerProgram
from ._signals import Place


def random_inputs(
    program: IntegerProgram, shape: tuple[int, int], *, seed: int, extremes: float = 0.1
) -> dict[str, Any]:
    """Random integers for all inputs of a program, random words included.

    Args:
        program: what reads them.
        shape: numbers of postsynaptic and presynaptic neurons (post, pre).
        seed: of the NumPy generator.
        extremes: fraction of values that are the least or greatest possible (dimensionless).

    Returns:
        One array for each input, as `emulate` takes them.
    """
    generator = np.random.default_rng(seed)
    shapes = {Place.SYN: shape, Place.POST: shape[:1], Place.PRE: shape[1:], Place.GLOBAL: ()}
    drawn = {}
    for raw in program.inputs:
        size = shapes[raw.place]
        values = generator.integers(raw.lo, raw.hi, size, endpoint=True)
        ends = generator.choice([raw.lo, raw.hi, min(max(0, raw.lo), raw.hi)], size)
        take = generator.random(size) < extremes
        drawn[raw.name] = np.asarray(np.where(take, ends, values), np.int32)
    return drawn
