"""Between the logical network and what PyNN takes and returns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import _pynn_calls as calls
from ._backend import Membranes, Scheduled, Spikes
from ._backend_rule import host_values
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
SHARED = ("gain_code", "dac_code")
CONDUCTANCES = ("reversal_exc", "reversal_inh")


def symbols_of(placement, plasticity, targets) -> dict[str, int]:
    """Symbols by their names in the kernels, which are linked into one program."""
    found: dict[str, int] = {}
    globals_of: dict[str, str] = {}
    for scheduled in plasticity:
        program = scheduled.rule.program
        values = host_values(program, scheduled.values, placement, targets[scheduled.name])
        for raw in program.inputs:
            if not raw.symbol:
                continue
            if raw.symbol in globals_of:
                raise ValueError(
                    f"the rules {globals_of[raw.symbol]!r} and {scheduled.name!r} both define "
                    f"{raw.symbol} on the chip; give their symbols different names, or run them "
                    "one after the other"
                )
            globals_of[raw.symbol] = scheduled.name
            if raw.kind == "symbol":
                found[raw.symbol] = int(values[raw.name])
    return found


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
