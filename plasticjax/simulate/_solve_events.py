"""Event-driven solution of circuits of current-based neurons, with exact derivatives."""

import jax
import numpy as np
from jax.core import Tracer

from ._adjoints import AbstractSpikeAdjoint, ImplicitAdjoint
from ._circuit import InputSpikes, SpikingCircuit, pose
from ._event_loop import find_spikes
from ._spike_trains import SpikeTrains


def solve_events(
    circuit: SpikingCircuit,
    inputs: InputSpikes,
    *,
    t_end: float,
    max_spikes: int,
    adjoint: AbstractSpikeAdjoint | None = None,
) -> SpikeTrains:
    r"""All spikes of a circuit until `t_end`, event by event.

    Between events the state is propagated in closed form, for every ratio of time constants. Since
    a potential has at most one extremum between two events, no crossing can be missed; its time is
    found to machine precision. Events at the same time: spikes first, the neuron with the lower
    index before the other; then arrivals in the order of the input spikes, those of spikes of the
    circuit last. A spike at `t_end` still counts.

    The spike times are differentiable with respect to every array of `circuit` and to the times of
    `inputs`: weights, delays, time constants, thresholds, reset potentials, bias, refractory times
    and the initial state. The derivatives hold as long as number and order of the spikes stay.
    They are exactly zero for what arrives at or after a spike, and for a spike that grazes the
    threshold so closely that its slope rounds to zero. Where a spike appears or vanishes, times
    jump and no derivative knows.

    Source: Wunderlich & Pehle (2021), Sci. Rep. 11, 12829.

    Args:
        circuit: neurons and synapses, recurrent or a layer. For a layer of many neurons
            `solve_layer` is faster.
        inputs: input spikes, times [spikes] in any order, `inf` for none (unit of the time
            constants).
        t_end: end of the simulation, positive and finite (same unit).
        max_spikes: most spikes of all neurons together. If there are more, the earliest are
            returned and `overflow` is set.
        adjoint: how derivatives are computed, `ImplicitAdjoint()` (default) or
            `EventPropAdjoint()`.

    Returns:
        The spike trains, [max_spikes].

    Raises:
        ValueError: shapes that do not fit, or concrete values outside their range: negative or NaN
            times or delays, weights that are not finite. Inside of `jit` such values make all
            spike times NaN.
    """
    check_size(t_end, max_spikes)
    adjoint = ImplicitAdjoint() if adjoint is None else adjoint
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
    return SpikeTrains(adjoint.attach(problem, times, neurons, sources, count), neurons, overflow)


def check_size(t_end, max_spikes):
    """Refuses ends and budgets that make no sense."""
    if not isinstance(t_end, Tracer) and not 0 < t_end < np.inf:
        raise ValueError(f"t_end={t_end} must be positive and finite")
    if max_spikes < 1:
        raise ValueError(f"max_spikes={max_spikes} must be at least 1")
