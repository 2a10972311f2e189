"""Event-driven solution of circuits of spiking neurons, with exact derivatives."""

import jax
import numpy as np
from jax.core import Tracer

from ._adjoints import AbstractSpikeAdjoint, ImplicitAdjoint
from ._circuit import InputSpikes, SpikingCircuit, pose
from ._event_loop import find_spikes
from ._integrator import Integrator
from ._smooth_circuit import SmoothCircuit, pose_smooth
from ._smooth_loop import find_smooth_spikes
from ._smooth_replay import replayed_times
from ._spike_trains import SpikeTrains


def solve_events(
    circuit: SpikingCircuit | SmoothCircuit,
    inputs: InputSpikes,
    *,
    t_end: float,
    max_spikes: int,
    adjoint: AbstractSpikeAdjoint | None = None,
    integrator: Integrator | None = None,
) -> SpikeTrains:
    r"""All spikes of a circuit until `t_end`, event by event.

    In a `SpikingCircuit` the state is propagated in closed form between events, for every ratio of
    time constants. Since a potential has at most one extremum between two events, no crossing can
    be missed; its time is found to machine precision, without a search. This is fastest if
    `tau_mem` is twice `tau_syn` and both are known when the function is traced (Python numbers,
    NumPy arrays or closed-over JAX arrays). In a `SmoothCircuit` of any other neurons a
    Runge-Kutta method of adaptive step goes from event to event; spike times are as accurate as its
    tolerance, and a crossing is found if the interpolation shows it (see `Integrator`).

    Events at the same time: spikes first, the neuron with the lower
    index before the other; then arrivals in the order of the input spikes, those of spikes of the
    circuit last. A spike at `t_end` still counts.

    The spike times are differentiable with respect to every array of `circuit` and to the times of
    `inputs`: weights, delays, time constants, thresholds, reset potentials, bias, refractory times
    and the initial state. For a `SmoothCircuit` these are first derivatives, in either mode. They
    hold as long as number and order of the spikes stay. They are exactly zero for what arrives at
    or after a spike, and for a spike that grazes the threshold so closely that its slope rounds to
    zero. Where a spike appears or vanishes, times jump and no derivative knows.

    Source: Wunderlich & Pehle (2021), Sci. Rep. 11, 12829.

    Args:
        circuit: neurons and synapses, recurrent or a layer. For a layer of many neurons
            `solve_layer` is faster.
        inputs: input spikes, times [spikes] in any order, `inf` for none (unit of the time
            constants).
        t_end: end of the simulation, positive and finite (same unit).
        max_spikes: most spikes of all neurons together. If there are more, the earliest are
            returned and `overflow` is set.
        adjoint: how derivatives of a `SpikingCircuit` are computed, `ImplicitAdjoint()` (default)
            or `EventPropAdjoint()`.
        integrator: how a `SmoothCircuit` is integrated; `None`: `Integrator()`. If its steps do
            not suffice, `overflow` is set.

    Returns:
        The spike trains, [max_spikes].

    Raises:
        ValueError: shapes that do not fit, or concrete values outside their range: negative or NaN
            times or delays, weights that are not finite; an argument of the other kind of circuit.
            Inside of `jit` such values make all
            spike times NaN.
    """
    check_size(t_end, max_spikes)
    if isinstance(circuit, SmoothCircuit):
        if adjoint is not None:
            raise ValueError(f"adjoint={adjoint} must be None for a SmoothCircuit")
        return _solve_smooth(circuit, inputs, t_end, max_spikes, integrator or Integrator())
    if integrator is not None:
        raise ValueError(f"integrator={integrator} must be None for a SpikingCircuit")
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


def _solve_smooth(circuit, inputs, t_end, max_spikes, integrator) -> SpikeTrains:
    problem, sources = pose_smooth(circuit, inputs)
    options = {"integrator": integrator, "recurrent": circuit.recurrent is not None}
    times, neurons, overflow, record, steps = find_smooth_spikes(
        jax.lax.stop_gradient(problem), sources, t_end=t_end, max_spikes=max_spikes, **options
    )
    times = replayed_times(problem, times, record, steps, sources, **options)
    return SpikeTrains(times, neurons, overflow)


def check_size(t_end, max_spikes):
    """Refuses ends and budgets that make no sense."""
    if not isinstance(t_end, Tracer) and not 0 < t_end < np.inf:
        raise ValueError(f"t_end={t_end} must be positive and finite")
    if max_spikes < 1:
        raise ValueError(f"max_spikes={max_spikes} must be at least 1")
