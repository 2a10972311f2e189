"""What the host tells the rules of a back-end, and which projection each rule serves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from ._backend import Scheduled
from ._chip_network import ChipNetwork
from ._observe import encode
from ._placement import Placement
from ._program import IntegerProgram, leaf_paths

HOST = ("symbol", "row_table", "column_table")


def host_values(
    program: IntegerProgram, values: Mapping[str, Any], placement: Placement, projection: str
) -> dict[str, Int[np.ndarray, "..."]]:
    """Integers that the host writes, by path of the signal, on the rows and columns of the chip."""
    net, (hemispheres, columns, rows) = placement.network, placement.shape
    wired = net.projections[projection]
    signals, found = dict(leaf_paths(program.signals)), {}
    for raw in program.inputs:
        if raw.kind not in HOST:
            continue
        signal = signals[raw.name]
        given = encode(signal, values.get(signal.name, min(max(0.0, signal.lo), signal.hi)))
        if raw.kind == "symbol":
            found[raw.name] = _shaped(signal.name, given, ())
        elif raw.kind == "row_table":
            own = _shaped(signal.name, given, (net.size(wired.pre),))
            found[raw.name] = np.zeros(rows, np.int32)
            for of_hemisphere in placement.rows[projection]:
                used = of_hemisphere[:, 0] >= 0
                found[raw.name][of_hemisphere[used, 0]] = own[used]
        else:
            own = _shaped(signal.name, given, (net.size(wired.post),))
            found[raw.name] = np.zeros((hemispheres, columns), np.int32)
            where = (placement.hemispheres[wired.post], placement.columns[wired.post])
            found[raw.name][where] = own
    return found


def _shaped(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    if np.shape(value) not in ((), shape):
        raise ValueError(f"values[{name!r}] has the shape {np.shape(value)}; expected {shape}")
    return np.array(np.broadcast_to(value, shape), np.int32)


def plastic_targets(net: ChipNetwork, plasticity: Sequence[Scheduled]) -> dict[str, str]:
    """The projection of each rule, by the name of the rule."""
    wanted: dict[str, list[str]] = {}
    for name, projection in net.projections.items():
        if projection.plastic is not None:
            wanted.setdefault(projection.plastic, []).append(name)
    found = {}
    for scheduled in plasticity:
        targets = wanted.get(scheduled.name, [])
        if len(targets) != 1 or scheduled.name in found:
            raise ValueError(
                f"the rule {scheduled.name!r} must be scheduled once and be that of one "
                f"projection; projections that name it: {targets}"
            )
        if (receptor := net.projections[targets[0]].receptor) != "excitatory":
            raise ValueError(
                f"{targets[0]!r} is {receptor} and plastic; rules see magnitudes of one row, so "
                "plastic projections must be excitatory"
            )
        found[scheduled.name] = targets[0]
    return found
