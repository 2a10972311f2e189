"""The part of a program that loads its signals, as a program of its own."""

from ._loads import load, random_byte
from ._lowering import Lowering
from ._program import IntegerProgram, Output, leaf_paths
from ._rounding import ROUNDING_TAPE
from ._signals import Signal


def loader_of(program: IntegerProgram) -> IntegerProgram:
    """A program that loads all signals of another one; random bytes for rounding come last."""
    ctx = Lowering()
    loaded = {
        path: load(ctx, path, signal).id
        for path, signal in leaf_paths(program.signals)
        if isinstance(signal, Signal)
    }
    if program.rounding == "stochastic":
        output = program.output()
        exponent = program.ops[output.bound].exponent
        name = f"{ROUNDING_TAPE}.{output.name}"
        loaded[name] = random_byte(ctx, name, exponent)
    outputs = tuple(Output(path, "register", n, n) for path, n in loaded.items())
    ops, inputs = tuple(ctx.builder.ops), tuple(ctx.builder.inputs)
    return IntegerProgram("loader", ops, inputs, outputs, program.signals, loaded, program.rounding)
