"""Results of the emulated chip in the logical order of a network."""

import numpy as np

from ._backend import Membranes, RecordSpec, Series, Spikes, Trace
from ._emulator import spike_trains
from ._placement import Placement


def complain(stats) -> None:
    if int(stats.n_lost_spikes):
        raise RuntimeError(f"{int(stats.n_lost_spikes)} spikes had no room; raise max_spikes")
    if int(stats.n_overflow):
        raise RuntimeError(f"{int(stats.n_overflow)} events had no room; raise events_per_step")


def logical(placement: Placement, name: str, weights: np.ndarray) -> np.ndarray:
    """Signed weights [..., post, pre] of weights [..., hemisphere, column, row]."""
    post, pre, hemi, column, exc, inh, _ = placement.physical(name)
    found = np.zeros((*weights.shape[:-3], *placement.network.mask(name).shape), np.int32)
    for row, sign in ((exc, 1), (inh, -1)):
        here = row >= 0
        values = weights[..., hemi[here], column[here], row[here]].astype(np.int32)
        found[..., post[here], pre[here]] += sign * values
    return found


def spikes_of(placement: Placement, done) -> dict[str, Spikes]:
    times, neurons = spike_trains(done)
    columns = placement.shape[1]
    found = {}
    for name, population in placement.network.populations.items():
        own = placement.hemispheres[name] * columns + placement.columns[name]
        ids = np.full(2 * columns, -1)
        ids[own] = np.arange(population.size)
        here = ids[neurons] >= 0
        found[name] = Spikes(times[here], ids[neurons][here])
    return found


def membranes_of(placement: Placement, record: RecordSpec, done) -> dict[str, Membranes]:
    readings, first, found = np.asarray(done.readings, np.float64), 0, {}
    times = record.sample_us * np.arange(1, len(readings) + 1)
    for name, neurons in record.membranes.items():
        own = np.asarray(neurons, int)
        found[name] = Membranes(times, own, readings[:, first : first + len(own)])
        first += len(own)
    return found


def traces_of(record: RecordSpec, done) -> dict[str, dict[int, Trace]]:
    """Conversions go to the neurons in turn."""
    readings, found = np.asarray(done.madc, np.float64), {}
    named = [(name, int(n)) for name, neurons in record.madc.items() for n in neurons]
    for channel, (name, neuron) in enumerate(named):
        conversions = len(named) * np.arange(len(readings)) + channel + 1
        trace = Trace(record.madc_us * conversions, readings[:, channel])
        found.setdefault(name, {})[neuron] = trace
    return found


def series_of(placement, plasticity, targets, record: RecordSpec, done):
    weights, observables = {}, {}
    for number, scheduled in enumerate(plasticity):
        calls = np.flatnonzero(done.call_rules == number)
        times, target = np.asarray(done.call_us)[calls], targets[scheduled.name]
        if record.weights:
            values = logical(placement, target, np.asarray(done.weights)[calls])
            weights[target] = Series(times, values)
        if any(raw.kind == "rate" for raw in scheduled.rule.program.inputs):
            post = placement.network.projections[target].post
            where = (placement.hemispheres[post], placement.columns[post])
            counts = np.asarray(done.rates)[calls][(slice(None), *where)]
            observables[f"{scheduled.name}.rate"] = Series(times, counts.astype(np.int32))
    return weights, observables
