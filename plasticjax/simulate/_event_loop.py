"""The event loop of a recurrent circuit: which neuron fires when. No derivatives."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ._arrival_order import earliest, next_arrival
from ._circuit import Problem
from ._membrane import faded, flow
from ._next_crossing import wait_for_crossing


class Loop(NamedTuple):
    """State of the loop. Each neuron has its own clock, the time of its last event."""

    clock: Float[Array, " post"]
    voltage: Float[Array, " post"]  # above rest, at the clock
    current: Float[Array, " post"]  # over the capacitance, at the clock
    release: Float[Array, " post"]  # end of the last clamp
    arrivals: Float[Array, "rows columns"]  # of the spikes that are known, `inf` for the others
    last_time: Float[Array, " rows"]  # the last arrival that was taken, and its column
    last_column: Int[Array, " rows"]
    times: Float[Array, " spikes"]
    sources: Int[Array, " spikes"]
    count: Int[Array, ""]
    overflow: Bool[Array, ""]
    done: Bool[Array, ""]


def find_spikes(problem: Problem, input_sources, *, recurrent: bool, t_end: float, max_spikes: int):
    """Times and sources of all spikes until `t_end` in the order of their times, and whether there
    were more than `max_spikes`.

    Each turn of the loop finds the next crossing and the next arrival of each neuron, records the
    earliest spike of all, and takes arrivals. At equal times spikes come first, the neuron with the
    lowest index before others; then arrivals in the order of their inputs, those of spikes last.
    If all targets of a source share its delay, all neurons take an arrival in the same turn, and a
    spike without delay arrives in the turn that finds it if nothing else happens at its time.
    Otherwise each takes its own, also ahead of the others, as long as no spike that is yet to come
    can arrive before: the least delay bounds how far.
    """
    membrane, weights, delays, input_times = problem
    incoming = weights.T
    post, pre = weights.shape
    rows, given = delays.shape[0], input_times.shape[0]
    shared = rows == 1
    neurons, slots = jnp.arange(post), jnp.arange(max_spikes)
    inputs = pre - post if recurrent else pre
    # Columns are input spikes, then the spikes of the neurons in the order in which they come.
    column = jnp.arange(given + (max_spikes if recurrent else 0))
    if recurrent and not shared:
        used = weights[:, inputs:] != 0
        least = jnp.min(jnp.where(used, delays[:, inputs:], jnp.inf))
    else:
        least = 0 if shared else jnp.inf

    def turn(loop: Loop) -> Loop:
        arrival, following = next_arrival(loop.arrivals, loop.last_time, loop.last_column)

        until = jnp.minimum(arrival, t_end)
        start = jnp.maximum(loop.clock, loop.release)
        free = start <= until
        gap = jnp.where(free, until - start, 0)
        current = loop.current * faded(membrane, start - loop.clock)
        wait = wait_for_crossing(membrane, loop.voltage, current, gap)
        crosses = free & jnp.isfinite(wait)
        crossing = jnp.where(crosses, jnp.minimum(start + wait, until), jnp.inf)
        spike, winner = earliest(crossing)
        emits = jnp.isfinite(spike) & (spike <= jnp.min(until))
        fires = emits & (neurons == winner)

        ahead = jnp.minimum(spike, jnp.min(until)) + least
        before = arrival < (spike if shared else crossing)
        takes = (arrival <= t_end) & (arrival <= ahead) & before
        room = loop.count < max_spikes
        records = emits & (slots == loop.count)
        arrivals = loop.arrivals
        if recurrent:
            sources = jnp.concatenate([input_sources, inputs + loop.sources])
            enters = emits & (column == given + loop.count)
            own = spike + delays[:, inputs + winner]
            arrivals = jnp.where(enters, own[:, None], arrivals)
        else:
            sources = input_sources
        source = sources[following]
        if recurrent and shared:
            alone = jnp.sum(crossing <= spike) == 1
            at_once = emits & room & alone & (own == spike) & (spike < arrival)
            arrival = jnp.where(at_once, spike, arrival)
            following = jnp.where(at_once, given + loop.count, following)
            source = jnp.where(at_once, inputs + winner, source)
            takes |= at_once
        weight = incoming[source[0]] if shared else weights[neurons, source]
        jump = jnp.where(takes, weight, 0)

        to = jnp.where(fires, spike, jnp.where(takes, arrival, loop.clock))
        moved, _ = flow(membrane, loop.voltage, current, jnp.maximum(to - start, 0))
        return Loop(
            to,
            jnp.where(fires, membrane.reset, moved),
            loop.current * faded(membrane, to - loop.clock) + jump,
            jnp.where(fires, spike + membrane.refractory, loop.release),
            arrivals,
            jnp.where(takes, arrival, loop.last_time),
            jnp.where(takes, following, loop.last_column),
            jnp.where(records, spike, loop.times),
            jnp.where(records, winner, loop.sources),
            loop.count + (emits & room),
            loop.overflow | (emits & ~room),
            jnp.where(emits, ~room, ~jnp.any(takes)),
        )

    dtype = weights.dtype
    known = input_times + delays[:, input_sources]
    later = jnp.full((rows, column.size - given), jnp.inf, dtype)
    begin = Loop(
        jnp.zeros(post, dtype),
        membrane.voltage,
        membrane.current,
        jnp.zeros(post, dtype),
        jnp.concatenate([known, later], axis=1),
        jnp.full(rows, -1, dtype),
        jnp.full(rows, -1, jnp.int32),
        jnp.full(max_spikes, jnp.inf, dtype),
        jnp.full(max_spikes, -1, jnp.int32),
        jnp.zeros((), jnp.int32),
        jnp.zeros((), bool),
        jnp.zeros((), bool),
    )
    end = jax.lax.while_loop(lambda loop: ~loop.done, turn, begin)
    times = jnp.where(jnp.any(jnp.isnan(input_times)), jnp.nan, end.times)
    return times, end.sources, end.overflow
