"""Event-driven solution of circuits of current-based neurons, with exact derivatives."""

import jax
import numpy as np

from ._circuit import InputSpikes, SpikingCircuit, pose
from ._event_loop import find_spikes
from ._implicit_adjoint import implicit_times
from ._spike_trains import SpikeTrains


def solve_events(
    circuit: SpikingCircuit, inputs: InputSpikes, *, t_end: float, max_spikes: int
) -> SpikeTrains:
    problem, sources = pose(circuit, inputs)
    recurrent = circuit.recurrent is not None
    times, neurons, overflow = find_spikes(
        jax.lax.stop_gradient(problem),
        sources,
        recurrent=recurrent,
        t_end=t_end,
        max_spikes=max_spikes,
    )
    count = circuit.weights.shape[1] if recurrent else None
    times = implicit_times(problem, times, neurons, sources, inputs=count)
    return SpikeTrains(times, neurons, overflow)
