"""Event-driven solution of a feed-forward layer: every neuron on its own, all in parallel."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ._adjoints import AbstractSpikeAdjoint, ImplicitAdjoint
from ._arrival_order import arrival_order
from ._circuit import InputSpikes, SpikingCircuit, pose
from ._membrane import Membrane, crossing_time, faded, rise_within
from ._solve_events import check_size
from ._spike_trains import LayerSpikes


def solve_layer(
    circuit: SpikingCircuit,
    inputs: InputSpikes,
    *,
    t_end: float,
    max_spikes: int,
    until_full: bool = False,
    adjoint: AbstractSpikeAdjoint | None = None,
) -> LayerSpikes:
    r"""All spikes of each neuron of a layer until `t_end`.

    The same solution as `solve_events` for a circuit without recurrence, but the neurons do not
    wait for each other: each visits its arrivals in their order, and a crossing is solved for once
    per spike. Derivatives are exact, neuron by neuron, as those of `solve_events`. Networks of
    layers pass `LayerSpikes.as_input()` on.

    Source: Wunderlich & Pehle (2021), Sci. Rep. 11, 12829; Lee, Haghighatshoar & Karbasi (2023),
    AISTATS.

    Args:
        circuit: neurons and input synapses; `recurrent` must be `None`.
        inputs: input spikes, times [spikes] in any order, `inf` for none (unit of the time
            constants).
        t_end: end of the simulation, positive and finite (same unit).
        max_spikes: most spikes of each neuron. If there are more, the earliest are returned and
            `overflow` is set for the neuron.
        until_full: stop each neuron after `max_spikes` spikes, without asking whether there are
            more: for losses that read first spikes only. No overflow is reported.
        adjoint: how derivatives are computed, `ImplicitAdjoint()` (default; forward and reverse
            mode, any order) or `EventPropAdjoint()` (reverse mode; faster and in less memory the
            more arrivals and spikes a neuron has).

    Returns:
        The spikes of each neuron, [post, max_spikes].

    Raises:
        ValueError: as `solve_events`, or if the circuit is recurrent.
    """
    check_size(t_end, max_spikes)
    if circuit.recurrent is not None:
        raise ValueError("circuit.recurrent must be None for a layer; use solve_events")
    problem, sources = pose(circuit, inputs)
    arrivals = problem.times + problem.delays[:, sources]
    weights = problem.weights[:, sources]
    order = jax.vmap(arrival_order)(jax.lax.stop_gradient(arrivals))
    shared = order.shape[0] == 1
    if shared:
        arrivals, order = arrivals[0], order[0]
    given = problem.membrane, arrivals, weights
    axes = (0, None if shared else 0, 0)

    def find(membrane, arrivals, weights, order):
        return _find_train(
            membrane,
            arrivals[order],
            weights[order],
            t_end=t_end,
            max_spikes=max_spikes,
            until_full=until_full,
        )

    found = jax.vmap(find, (*axes, axes[1]))(*jax.lax.stop_gradient(given), order)
    times, currents, overflow = found
    times = jnp.where(jnp.any(jnp.isnan(problem.times)), jnp.nan, times)
    adjoint = ImplicitAdjoint() if adjoint is None else adjoint
    return LayerSpikes(
        jax.vmap(adjoint.attach_train, (*axes, 0, 0))(*given, times, currents), overflow
    )


class Train(NamedTuple):
    """State of one neuron, right after its last event."""

    clock: Float[Array, ""]
    voltage: Float[Array, ""]
    current: Float[Array, ""]
    release: Float[Array, ""]
    taken: Int[Array, ""]
    rises: Bool[Array, ""]  # to threshold, before the next arrival
    ended: Bool[Array, ""]


def _find_train(membrane: Membrane, arrivals, weights, *, t_end, max_spikes, until_full):
    """Spike times of one neuron, given its arrivals in their order, and its current then."""
    dtype = weights.dtype
    arrivals = jnp.append(arrivals, jnp.inf)
    weights = jnp.append(weights, 0)
    zero, no = jnp.zeros((), dtype), jnp.zeros((), bool)

    def interval(train: Train):
        arrival = arrivals[train.taken]
        until = jnp.minimum(arrival, t_end)
        start = jnp.maximum(train.clock, train.release)
        free = start <= until
        current = train.current * faded(membrane, start - train.clock)
        gap = jnp.where(free, until - start, 0)
        rise, end = rise_within(membrane, train.voltage, current, gap)
        return arrival, start, current, free, rise, end

    def visit(train: Train) -> Train:
        arrival, _, _, free, rise, (voltage, current) = interval(train)
        rises = free & (rise.crosses | rise.at_once)
        ended = ~rises & ~(arrival <= t_end)
        moves = ~rises & ~ended
        clamped = train.current * faded(membrane, jnp.where(moves, arrival, 0) - train.clock)
        current = jnp.where(free, current, clamped) + weights[train.taken]
        return Train(
            jnp.where(moves, arrival, train.clock),
            jnp.where(moves & free, voltage, train.voltage),
            jnp.where(moves, current, train.current),
            train.release,
            train.taken + moves,
            rises,
            ended,
        )

    def next_spike(carry):
        train, times, currents, count, overflow = carry
        train = jax.lax.while_loop(lambda train: ~(train.rises | train.ended), visit, train)
        arrival, start, current, _, rise, _ = interval(train)
        wait = crossing_time(membrane, train.voltage, current, rise)
        spike = jnp.minimum(start + wait, jnp.minimum(arrival, t_end))
        fires = train.rises & (count < max_spikes)
        overflow |= train.rises & (count == max_spikes)
        slot = (jnp.arange(max_spikes) == count) & fires
        since = jnp.where(fires, spike - train.clock, 0)
        current = train.current * faded(membrane, since)
        after = Train(
            jnp.where(fires, spike, train.clock),
            jnp.where(fires, membrane.reset, train.voltage),
            current,
            jnp.where(fires, spike + membrane.refractory, train.release),
            train.taken,
            no,
            train.ended | overflow | (until_full & (count + fires == max_spikes)),
        )
        times = jnp.where(slot, spike, times)
        currents = jnp.where(slot, current, currents)
        return after, times, currents, count + fires, overflow

    begin = Train(zero, membrane.voltage, membrane.current, zero, jnp.zeros((), jnp.int32), no, no)
    blank = jnp.full(max_spikes, jnp.inf, dtype), jnp.zeros(max_spikes, dtype)
    carry = begin, *blank, jnp.zeros((), jnp.int32), no
    _, times, currents, _, overflow = jax.lax.while_loop(
        lambda carry: ~carry[0].ended, next_spike, carry
    )
    return times, currents, overflow
