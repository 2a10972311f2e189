"""Between the logical network and what PyNN takes and returns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import _pynn_calls as calls
from ._backend import Membranes, Scheduled, Spikes, Trace
from ._backend_rule import logical_values
from ._chip_config import NeuronSettings
from ._chip_network import ChipNetwork

# What the calibration of PyNN can reach (LSB, us, dimensionless), and what all neurons share.
RANGES = {
    "leak": (50, 160),
    "reset": (50, 160),
    "threshold": (50, 220),
    "tau_mem": (0.5, 60),
    "tau_exc": (0.3, 30),
    "tau_inh": (0.3, 30),
    "tau_ref": (0.04, 32),
    "gain_code": (30, 800),
    "dac_code": (30, 1022),
}
# What the kernel of a rule with signed weights calls the rows that belong together.
PARTNERS = "partner_rows"
Words = dict[str, tuple[list[int], list[int]]]
SHARED = ("gain_code", "dac_code")
CONDUCTANCES = ("reversal_exc", "reversal_inh")


def symbols_of(placement, plasticity, targets) -> Words:
    """Symbols by their names in the kernels, which are linked into one program."""
    found: Words = {}
    globals_of: dict[str, str] = {}
    for scheduled in plasticity:
        program = scheduled.rule.program
        net, target = placement.network, targets[scheduled.name]
        values = logical_values(program, scheduled.values, net, target)
        for raw in program.inputs:
            symbol = PARTNERS if raw.kind == "signed_weight" else raw.symbol
            if not symbol:
                continue
            if symbol in globals_of:
                raise ValueError(
                    f"the rules {globals_of[symbol]!r} and {scheduled.name!r} both define "
                    f"{symbol} on the chip; give their symbols different names, or run them "
                    "one after the other"
                )
            globals_of[symbol] = scheduled.name
            if raw.kind == "symbol":
                word = int(values[raw.name])
                found[symbol] = [word], [word]
    return found


def tables_of(net: ChipNetwork, scheduled: Scheduled, name: str, placed: Sequence[Any]) -> Words:
    """Tables by rows and columns of the array, for both processors.

    `placed` has hemisphere, row and column of all synapses, [synapse, 3], of the excitatory
    projection and of the inhibitory one if the weights have signs.
    """
    program = scheduled.rule.program
    values = logical_values(program, scheduled.values, net, name)
    pre, post = np.nonzero(net.mask(name).T)
    places = [np.asarray(own, int).reshape(-1, 3) for own in placed]
    if any(len(own) != len(pre) for own in places):
        raise RuntimeError(f"the chip placed {len(places[0])} synapses of {name!r}, not {len(pre)}")
    hemisphere, row, column = places[0].T
    found = {}
    for raw in program.inputs:
        if raw.kind == "row_table":
            found[raw.symbol] = _table(name, hemisphere, row, values[raw.name][pre])
        elif raw.kind == "column_table":
            found[raw.symbol] = _table(name, hemisphere, column, values[raw.name][post])
        elif raw.kind == "signed_weight":
            if not np.array_equal(places[0][:, ::2], places[1][:, ::2]):
                raise RuntimeError(f"the chip placed the signs of {name!r} in different columns")
            found[PARTNERS] = _table(name, hemisphere, row, places[1][:, 1])
    return {
        symbol: (list(map(int, top)), list(map(int, end))) for symbol, (top, end) in found.items()
    }


def _table(name: str, hemisphere, number, values):
    table = np.zeros((2, 256), int)
    table[hemisphere, number] = values
    if np.any(table[hemisphere, number] != values):
        raise RuntimeError(f"the chip placed two neurons of {name!r} in one row or column")
    return table


def reader_of(name: str, readers: Sequence[Scheduled], rules: Mapping[str, Any]):
    """The rule that reads the neurons of a population, and whether it reads their membranes."""
    kinds = {s.name: {raw.kind for raw in s.rule.program.inputs} for s in readers}
    reading = [s for s, own in kinds.items() if own & {"rate", "membrane"}]
    if len(reading) > 1:
        raise ValueError(f"{reading} all read the neurons of {name!r}; a population has one rule")
    if not reading:
        return None, False
    return rules[reading[0]], "membrane" in kinds[reading[0]]


def synapses_of(net: ChipNetwork, name: str, weights: np.ndarray) -> list[tuple[int, int, int]]:
    pre, post = np.nonzero(net.mask(name).T)
    return [(int(j), int(i), int(weights[i, j])) for j, i in zip(pre, post, strict=True)]


def spikes_of(population: Any) -> Spikes:
    found = calls.spikes_ms(population)
    times = np.concatenate([np.zeros(0), *(1000 * own for _, own in found)])
    ids = np.concatenate([np.zeros(0, int), *(np.full(len(own), n) for n, own in found)])
    order = np.lexsort((ids, times))
    return Spikes(times[order], ids[order])


def membranes_of(population: Any, wanted: Sequence[int]) -> Membranes:
    found = {number: (times, values) for number, times, values in calls.membranes(population)}
    missing = [n for n in wanted if n not in found]
    if missing:
        raise RuntimeError(f"the chip returned no membranes of the neurons {missing}")
    times = found[wanted[0]][0]
    values = [np.interp(times, *found[n]) for n in wanted]
    return Membranes(1000 * times, np.asarray(wanted, int), np.stack(values, 1))


def traces_of(population: Any, wanted: Sequence[int]) -> dict[int, Trace]:
    found = {number: (times, values) for number, times, values in calls.membranes(population)}
    if missing := [n for n in wanted if n not in found]:
        raise RuntimeError(f"the chip returned no samples of the neurons {missing}")
    return {int(n): Trace(1000 * found[n][0], found[n][1]) for n in wanted}


def check_neurons(net: ChipNetwork) -> None:
    """Refuses, before minutes of calibration, what the calibration cannot make."""
    for name, population in net.populations.items():
        own = population.neurons
        if own.exponential or own.adaptation:
            raise ValueError(f"{name!r}: PyNN calibrates no exponential term or adaptation")
        if np.any(np.asarray(own.offset) != 0):
            raise ValueError(f"{name!r}: offset must be 0 on the chip")
        for parameter, (low, high) in RANGES.items():
            value = np.asarray(getattr(own, parameter))
            if np.any(value < low) or np.any(value > high):
                raise ValueError(
                    f"{parameter}={value} of {name!r} must lie in [{low}, {high}], which the "
                    "calibration supports"
                )
            if value.shape not in ((), (population.size,)):
                raise ValueError(
                    f"{parameter} of {name!r} has the shape {value.shape}; expected a scalar or "
                    f"[{population.size}]"
                )
    for parameter in SHARED:
        values = [np.asarray(getattr(p.neurons, parameter)) for p in net.populations.values()]
        if len({float(v) for value in values for v in value.ravel()}) > 1:
            raise ValueError(f"{parameter} must be the same for all neurons of the chip")


def parameters_of(settings: NeuronSettings) -> dict[str, Any]:
    """Numbers or lists by name, as PyNN takes them."""
    names = (*RANGES, *CONDUCTANCES)
    return {name: np.asarray(getattr(settings, name)).tolist() for name in names}
