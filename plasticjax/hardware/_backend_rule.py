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


def logical_values(
    program: IntegerProgram, values: Mapping[str, Any], net: ChipNetwork, projection: str
) -> dict[str, Int[np.ndarray, "..."]]:
    """Integers that the host writes, by path of the signal: scalars, [pre] and [post]."""
    wired = net.projections[projection]
    shapes = {
        "symbol": (),
        "row_table": (net.size(wired.pre),),
        "column_table": (net.size(wired.post),),
    }
    signals, found = dict(leaf_paths(program.signals)), {}
    for raw in program.inputs:
        if raw.kind in shapes:
            signal = signals[raw.name]
            given = encode(signal, values.get(signal.name, min(max(0.0, signal.lo), signal.hi)))
            found[raw.name] = _shaped(signal.name, given, shapes[raw.kind])
    return found


def host_values(
    program: IntegerProgram, values: Mapping[str, Any], placement: Placement, projection: str
) -> dict[str, Int[np.ndarray, "..."]]:
    """The same on the rows and columns of the chip."""
    hemispheres, columns, rows = placement.shape
    post = placement.network.projections[projection].post
    found = logical_values(program, values, placement.network, projection)
    for raw in program.inputs:
        if raw.kind == "row_table":
            own, found[raw.name] = found[raw.name], np.zeros((hemispheres, rows), np.int32)
            for table, used in zip(found[raw.name], placement.rows[projection], strict=False):
                here = used[:, 0] >= 0
                table[used[here, 0]] = own[here]
        elif raw.kind == "column_table":
            own, found[raw.name] = found[raw.name], np.zeros((hemispheres, columns), np.int32)
            found[raw.name][placement.hemispheres[post], placement.columns[post]] = own
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
        signed = scheduled.rule.program.output().kind == "signed_weight"
        wanted_receptor = "signed" if signed else "excitatory"
        if (receptor := net.projections[targets[0]].receptor) != wanted_receptor:
            raise ValueError(
                f"{targets[0]!r} is {receptor} and plastic; its rule has weights "
                f"{'with' if signed else 'without'} sign, so it must be {wanted_receptor}"
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
