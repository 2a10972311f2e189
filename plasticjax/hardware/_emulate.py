"""Runs an integer program in JAX, bit for bit as the plasticity processor would."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ._evaluate_ops import run_ops
from ._program import IntegerProgram, RawInput
from ._signals import Place

Emulation = Callable[[Mapping[str, Any]], dict[str, Any]]


def emulate(program: IntegerProgram, *, debug: bool = False) -> Emulation:
    """The program as a function of the integers that the chip reads.

    The function takes a dictionary with an integer array for each of `program.inputs`: of places
    SYN [post, pre], PRE [pre], POST [post], GLOBAL scalar. It returns what the chip stores: weights
    and labels as bytes, states as 16-bit integers, [post, pre]. It contains no floating-point
    operation, and works under `jit` and `vmap`. Random words are inputs too, see `random_tape`.

    Args:
        program: what to run.
        debug: checks that all integers are in their ranges, with `equinox.error_if`.

    Returns:
        `(integers by name) -> stored integers by name`, all int32 (dimensionless).
    """

    def run(raw: Mapping[str, Any]) -> dict[str, Any]:
        values = [placed(raw, wanted, debug) for wanted in program.inputs]
        shape = _shape(program, values)
        if program.sums:
            values = _spread(program, values, shape)
        wanted = [output.value for output in program.outputs]
        results = run_ops(program.ops, wanted, values, program.tables)
        return {
            output.name: jnp.broadcast_to(results[output.value], shape)
            for output in program.outputs
        }

    return run


def random_tape(program: IntegerProgram, shape: tuple[int, int], *, key: Any) -> dict[str, Any]:
    """Random words for a program, 16 bits each.

    Args:
        program: what reads them.
        shape: numbers of postsynaptic and presynaptic neurons (post, pre).
        key: typed random key.

    Returns:
        One array [post, pre] for each draw of the program, to be merged with its other inputs.
    """
    return random_words(program.inputs, shape, key)


def random_words(inputs: Sequence[RawInput], shape: tuple[int, int], key: Any) -> dict[str, Any]:
    """Random words for those inputs that are random."""
    names = [raw.name for raw in inputs if raw.kind == "tape"]
    return {
        name: jax.random.randint(jax.random.fold_in(key, number), shape, 0, 65536)
        for number, name in enumerate(names)
    }


def placed(raw: Mapping[str, Any], wanted: RawInput, debug: bool) -> Any:
    """An input as an array that broadcasts to [post, pre]."""
    if wanted.name not in raw:
        raise ValueError(f"{wanted.name!r} is missing; the program reads it ({wanted.kind})")
    value = jnp.asarray(raw[wanted.name])
    if not jnp.issubdtype(value.dtype, jnp.integer):
        raise ValueError(f"{wanted.name!r} must be integers, got {value.dtype}")
    dimensions = {Place.SYN: 2, Place.GLOBAL: 0}.get(wanted.place, 1)
    if value.ndim not in (0, dimensions):
        form = {2: "[post, pre]", 0: "a scalar"}.get(dimensions, f"[{wanted.place.name.lower()}]")
        raise ValueError(f"{wanted.name!r} must be {form} or a scalar, got shape {value.shape}")
    value = value.astype(jnp.int32)
    if debug:
        outside = (value < wanted.lo) | (value > wanted.hi)
        value = eqx.error_if(
            value, outside, f"{wanted.name} must lie in [{wanted.lo}, {wanted.hi}]"
        )
    return value[:, None] if wanted.place is Place.POST and value.ndim else value


def _spread(program: IntegerProgram, values: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """Inputs of the sizes that sums are taken over."""
    if len(shape) != 2:
        raise ValueError("the program sums over neurons; inputs of place SYN must be [post, pre]")
    if program.most_rows is not None and shape[1] > program.most_rows:
        raise ValueError(
            f"the program sums over at most {program.most_rows} rows, got {shape[1]}; lower it "
            f"with rows={shape[1]}"
        )
    sizes = {
        Place.SYN: shape,
        Place.POST: (shape[0], 1),
        Place.PRE: (1, shape[1]),
        Place.GLOBAL: (1, 1),
    }
    return [
        jnp.broadcast_to(value, sizes[raw.place])
        for raw, value in zip(program.inputs, values, strict=True)
    ]


def _shape(program: IntegerProgram, values: list[Any]) -> Any:
    shape = jnp.broadcast_shapes(*(value.shape for value in values))
    if len(shape) == 1:
        raise ValueError("inputs of place SYN must be [post, pre], or all inputs scalars")
    return shape
