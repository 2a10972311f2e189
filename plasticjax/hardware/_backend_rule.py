"""A lowered program as a rule of the emulated chip, with what the host tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from ._backend import Scheduled
from ._chip_network import ChipNetwork
from ._emulate import emulate
from ._observe import encode
from ._placement import Placement
from ._program import IntegerProgram, leaf_paths
from ._readout import RowView, RowWrite
from ._signals import Place

HOST = ("symbol", "row_table", "column_table")


@dataclass(frozen=True, eq=False)
class RowProgram:
    """What happens to a row: the integers of the view into the program, and back."""

    program: IntegerProgram
    run: Any = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "run", emulate(self.program))

    def __call__(self, view: RowView, key: Any) -> RowWrite:
        raw = {}
        for number, wanted in enumerate(self.program.inputs):
            own = jax.random.fold_in(key, number)
            value = _seen(view, wanted.name, wanted.kind, own)
            raw[wanted.name] = value[:, None] if wanted.place is Place.SYN else value
        column = (*view.weights.shape, 1)
        stored = {n: jnp.broadcast_to(v, column)[:, 0] for n, v in self.run(raw).items()}
        kinds = {output.kind: output.name for output in self.program.outputs}
        states = {o.name: stored[o.name] for o in self.program.outputs if o.kind == "state"}
        weights = stored[kinds["weight"]] if "weight" in kinds else view.weights
        return RowWrite(weights, state=states or None)


def _seen(view: RowView, name: str, kind: str, key: Any) -> Any:
    if kind == "tape":
        return jax.random.randint(key, view.weights.shape, 0, 65536)
    if kind == "state":
        return view.state[name]
    if kind == "row_table":
        return view.symbols[name][view.row][None]
    if kind == "column_table":
        return view.symbols[name][view.hemisphere]
    return {
        "weight": view.weights,
        "causal": view.causal,
        "anticausal": view.anticausal,
        "baseline": view.baseline_anticausal
        if name.endswith("anticausal")
        else view.baseline_causal,
        "rate": view.rates,
        "membrane": view.membranes,
        "time_index": jnp.minimum(view.call, 32767),
        "symbol": None if view.symbols is None else view.symbols.get(name),
    }[kind]


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
