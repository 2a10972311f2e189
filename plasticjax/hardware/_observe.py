"""Between the integers that a program reads and the numbers that its rule sees."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ._evaluate_ops import depends_on, run_ops
from ._loader import loader_of
from ._loads import declared_exponent
from ._program import IntegerProgram, leaf_paths
from ._signals import Place, Signal


def observed(program: IntegerProgram, raw: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the rule in real numbers sees when a program reads these integers.

    Args:
        program: whose signals are meant.
        raw: integers as `emulate` takes them.

    Returns:
        The arguments (syn, pre, post, third, obs) of the update, structured as declared: float64
        leaves in the units of the signals, [post, pre], [pre], [post] and scalars. For a signal
        that the program does not read, the value next to 0 in its range.
    """
    loader = loader_of(program)
    arrays: list[Any] = []
    for wanted in loader.inputs:
        value = np.asarray(raw.get(wanted.name, 0))
        arrays.append(value[:, None] if wanted.place is Place.POST and value.ndim else value)
    leaves = []
    for path, leaf in leaf_paths(program.signals):
        if not isinstance(leaf, Signal):
            leaves.append(leaf)
            continue
        number = loader.loaded[path]
        names = {
            loader.inputs[loader.ops[n].imm[0]].name
            for n in depends_on(loader.ops, [number])
            if loader.ops[n].code == "ld"
        }
        if not names <= raw.keys():
            leaves.append(np.float64(min(max(leaf.lo, 0.0), leaf.hi)))
            continue
        value = run_ops(loader.ops, [number], arrays, ())[number]
        real = np.asarray(value, np.float64) * loader.ops[number].ulp
        leaves.append(real[:, 0] if leaf.place is Place.POST and real.ndim == 2 else real)
    return jax.tree.unflatten(jax.tree.structure(program.signals), leaves)


def encode(signal: Signal, value: Any) -> np.ndarray:
    """The integers that the host writes for a symbol, table or state.

    Args:
        signal: what it was declared as.
        value: numbers, any shape, in the unit of the signal (dimensionless).

    Returns:
        Integers, same shape; values outside of the declared range are cut off.

    Raises:
        ValueError: if the host does not write such a signal, or a value is not finite.
    """
    widths = {"symbol": 32, "row_table": 32, "column_table": 16, "state": 16}
    if signal.source not in widths:
        raise ValueError(f"the host does not write {signal.source}, only {', '.join(widths)}")
    number = np.asarray(value, np.float64)
    if not np.all(np.isfinite(number)):
        raise ValueError(f"value of {signal.name!r} must be finite, got {value}")
    width = widths[signal.source]
    cut = np.clip(number, signal.lo, signal.hi)
    q = np.rint(cut * 2.0 ** (width - 1 - declared_exponent(signal)))
    q = np.clip(q, -(2.0 ** (width - 1)), 2.0 ** (width - 1) - 1)
    return np.asarray(q, np.int32)


def decode(signal: Signal, integers: Any) -> np.ndarray | np.floating:
    """What stored integers of a synapse stand for.

    Args:
        signal: what the leaf of the synapse was declared as.
        integers: as `emulate` returns them, any shape.

    Returns:
        Numbers, same shape, float64, in the unit of the signal (dimensionless).

    Raises:
        ValueError: if a program does not store such a signal.
    """
    q = np.asarray(integers, np.float64)
    if signal.source in ("weight", "signed_weight"):
        return q * signal.scale
    if signal.source == "label":
        return q
    if signal.source == "state":
        return q * 2.0 ** (declared_exponent(signal) - 15)
    raise ValueError(f"a program does not store {signal.source}")
