"""What the host tells the rules of a back-end, and which projection each rule serves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from ._backend import Scheduled
from ._chip_network import ChipNetwork
from ._lower_sums import COLUMNS
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
        if scheduled.rule.program.sums:
            _check_sums(net, targets[0], scheduled.rule.program)
        found[scheduled.name] = targets[0]
    return found


def _check_sums(net: ChipNetwork, name: str, program: IntegerProgram) -> None:
    """Sums are over all synapses of a half of the chip, and over so many rows as were declared."""
    projection = net.projections[name]
    rows, columns = net.size(projection.pre), net.size(projection.post)
    if projection.connected is not None:
        raise ValueError(f"{name!r} is not dense, and its rule sums over all synapses")
    if program.most_rows is not None and rows > program.most_rows:
        raise ValueError(
            f"{name!r} has {rows} sources, and its rule sums over at most {program.most_rows} "
            f"rows; lower it with rows={rows}"
        )
    neurons = sum(population.size for population in net.populations.values())
    if neurons > COLUMNS and any(op.code == "sum_post" for op in program.ops):
        raise ValueError(
            f"the rule of {name!r} sums over its {columns} neurons, and each half of the chip sums "
            f"its own; use at most {COLUMNS} neurons in the network"
        )
