"""The event loop of a circuit of smooth neurons: which neuron fires when. No derivatives."""

from functools import partial
from typing import NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from ._arrival_order import earliest, next_arrival
from ._if_any import if_any
from ._integrator import Integrator, controller_of
from ._smooth_circuit import SmoothProblem
from ._smooth_flow import advance, crossing_time, field, find_crossing, slope


class Record(NamedTuple):
    """The accepted steps, one after the other, and what happens at the end of each."""

    start: Float[Array, " steps"]
    end: Float[Array, " steps"]
    length: Float[Array, " steps"]
    fired: Int[Array, " steps"]  # which neuron, -1 for none
    taken: Int[Array, "steps post"]  # which column arrives, -1 for none


class Loop(NamedTuple):
    time: Float[Array, ""]
    state: PyTree
    step: Float[Array, ""]  # that the controller proposes
    control: PyTree
    fresh: Bool[Array, ""]  # whether an event has just happened
    wait: Float[Array, ""]  # until the spike that has been found, `inf` for none
    winner: Int[Array, ""]
    release: Float[Array, " post"]  # end of the last clamp
    arrivals: Float[Array, "rows columns"]  # of the spikes that are known, `inf` for the others
    last_time: Float[Array, " rows"]  # the last arrival that was taken, and its column
    last_column: Int[Array, " rows"]
    times: Float[Array, " spikes"]
    sources: Int[Array, " spikes"]
    record: Record
    spikes: Int[Array, ""]
    steps: Int[Array, ""]  # accepted
    turns: Int[Array, ""]
    overflow: Bool[Array, ""]
    done: Bool[Array, ""]


def find_smooth_spikes(
    problem: SmoothProblem,
    input_sources,
    *,
    integrator: Integrator,
    recurrent: bool,
    t_end: float,
    max_spikes: int,
):
    """Times and sources of all spikes until `t_end`, the accepted steps, and whether there was too
    little room for spikes or steps.

    Each turn of the loop tries one step that ends at the next event at the latest. If a neuron
    crosses its threshold within, the earliest crossing is found, and the next turn makes a step
    that ends there. At equal times spikes come first, the neuron with the lowest index before
    others; then ends of clamps, then arrivals in the order of their inputs, those of spikes last.
    """
    post = problem.refractory.shape[0]
    rows, given = problem.delays.shape[0], problem.times.shape[0]
    pre = problem.delays.shape[1]
    inputs = pre - post if recurrent else pre
    neurons, dtype = jnp.arange(post), problem.times.dtype
    column = jnp.arange(given + (max_spikes if recurrent else 0))
    solver, controller = integrator.solver, controller_of(integrator, dtype)
    order = solver.error_order(diffrax.ODETerm(lambda t, y, args: y))
    assert order is not None, "an explicit method has an order"
    invalid = jnp.any(jnp.isnan(problem.times))
    # Parameters that XLA sees as constants it divides by in two ways, by what surrounds the
    # division, and so by whether there is a batch. Here none is a constant.
    neuron, drive = jax.tree.map(
        lambda leaf: jnp.where(invalid, jnp.nan, leaf) if eqx.is_array(leaf) else leaf,
        (problem.neuron, problem.drive),
    )
    advance_all = jax.vmap(partial(advance, solver), (0, None, 0, 0, 0, None))

    def turn(loop: Loop) -> Loop:
        arrival, following = next_arrival(loop.arrivals, loop.last_time, loop.last_column)
        held = loop.release > loop.time
        ends_of_clamps = jnp.where(held, loop.release, jnp.inf)
        stop = jnp.minimum(jnp.minimum(jnp.min(arrival), jnp.min(ends_of_clamps)), t_end).astype(
            dtype
        )

        emits = jnp.isfinite(loop.wait)
        gap = stop - loop.time
        stops = ~emits & (loop.step >= gap)
        length = jnp.where(emits, loop.wait, jnp.minimum(loop.step, gap))
        step = advance_all(neuron, loop.time, loop.state, drive, held, length)
        # What is not finite is an error too large.
        error = jax.tree.map(lambda e: jnp.where(jnp.isfinite(e), e, jnp.inf), step.error)
        zero = jnp.zeros_like(length)
        good, begins, ends, _, control, _ = controller.adapt_step_size(
            zero, length, loop.state, step.state, None, error, order, loop.control
        )

        margin, rate = jax.vmap(slope, (0, None, 0, 0))(neuron, loop.time, loop.state, drive)
        at_once = loop.fresh & ~held & (margin >= 0) & (rate > 0)
        searches = ~emits & good & ~jnp.any(at_once)
        crossing = jax.vmap(partial(find_crossing, solver), (0, 0, 0, None, 0))(
            neuron, loop.state, step, integrator.parts, searches & ~held
        )
        waits = if_any(
            jnp.any(crossing.exists),
            lambda low, high: jax.vmap(partial(crossing_time, solver), (0, None, 0, 0, 0, None, 0))(
                *(neuron, loop.time, loop.state, drive, step, length),
                crossing._replace(low=low, high=high),
            ),
            jnp.zeros(post, dtype),
            (crossing.low, crossing.high),
        )
        waits = jnp.where(at_once, 0, jnp.where(crossing.exists, waits, jnp.inf))
        waits = jnp.where(emits, jnp.inf, waits)
        wait, winner = earliest(waits)
        found = jnp.isfinite(wait)

        accepted = emits | (good & ~found)
        now = jnp.where(stops, stop, jnp.minimum(loop.time + length, stop))
        fires = emits & (neurons == loop.winner)
        takes = accepted & stops & (arrival == stop)
        takes, following = (jnp.broadcast_to(x, (post,)) for x in (takes, following))
        if recurrent:
            sources = jnp.concatenate([input_sources, inputs + loop.sources])
        else:
            sources = input_sources
        source = sources[following]
        jump = jax.tree.map(lambda w: w[neurons, source], problem.weights)
        state = _choose(fires, jax.vmap(lambda n, y: n.reset(y))(neuron, step.state), step.state)
        state = _choose(
            takes, jax.vmap(lambda n, y, j: n.receive(y, j))(neuron, state, jump), state
        )

        room = loop.spikes < max_spikes
        records = emits & (jnp.arange(max_spikes) == loop.spikes)
        arrivals = loop.arrivals
        if recurrent:
            enters = emits & (column == given + loop.spikes)
            delays = problem.delays[:, inputs + loop.winner]
            arrivals = jnp.where(enters, (now + delays)[:, None], arrivals)
        slot = jnp.where(accepted, loop.steps, integrator.max_steps)
        entry = Record(
            loop.time,
            now,
            length,
            jnp.where(emits, loop.winner, -1),
            jnp.where(takes, following, -1),
        )
        record = jax.tree.map(
            lambda old, new: old.at[slot].set(new, mode="drop"), loop.record, entry
        )
        # A step that was cut short says little about the next one.
        proposed = jnp.where(good & stops, jnp.maximum(ends - begins, loop.step), ends - begins)
        at_row = takes[:rows] if rows == post else takes[:1]
        finished = accepted & stops & (stop == t_end) & ~jnp.any(takes)
        exhausted = loop.turns + 1 >= integrator.max_steps
        return Loop(
            jnp.where(accepted, now, loop.time),
            _choose(accepted, state, loop.state),
            jnp.where(emits | found, loop.step, proposed),
            _choose(emits | found, loop.control, control),
            jnp.where(accepted, emits | stops, loop.fresh),
            jnp.where(found, wait, jnp.inf),
            jnp.where(found, winner, loop.winner),
            jnp.where(fires, now + problem.refractory, loop.release),
            arrivals,
            jnp.where(at_row, arrival, loop.last_time),
            jnp.where(at_row, following[:rows], loop.last_column),
            jnp.where(records, now, loop.times),
            jnp.where(records, loop.winner, loop.sources),
            record,
            loop.spikes + (emits & room),
            loop.steps + accepted,
            loop.turns + 1,
            loop.overflow | (emits & ~room) | (exhausted & ~finished),
            finished | (emits & ~room) | exhausted,
        )

    known = problem.times + problem.delays[:, input_sources]
    later = jnp.full((rows, column.size - given), jnp.inf, dtype)
    free, zero = jnp.zeros(post, bool), jnp.zeros((), dtype)
    term = diffrax.ODETerm(
        lambda t, y, args: jax.vmap(field, (0, None, 0, 0, 0))(neuron, t, y, drive, free)
    )
    first, control = controller.init(
        term, zero, jnp.asarray(t_end, dtype), problem.initial, None, None, solver.func, order
    )
    blank, nothing = jnp.zeros(integrator.max_steps, dtype), jnp.zeros((), jnp.int32)
    begin = Loop(
        zero,
        problem.initial,
        jnp.asarray(first, dtype),
        control,
        jnp.ones((), bool),
        jnp.full((), jnp.inf, dtype),
        nothing,
        jnp.zeros(post, dtype),
        jnp.concatenate([known, later], axis=1),
        jnp.full(rows, -1, dtype),
        jnp.full(rows, -1, jnp.int32),
        jnp.full(max_spikes, jnp.inf, dtype),
        jnp.full(max_spikes, -1, jnp.int32),
        Record(
            blank,
            blank,
            blank,
            jnp.full(integrator.max_steps, -1, jnp.int32),
            jnp.full((integrator.max_steps, post), -1, jnp.int32),
        ),
        nothing,
        nothing,
        nothing,
        jnp.zeros((), bool),
        invalid,
    )
    end = jax.lax.while_loop(lambda loop: ~loop.done, turn, begin)
    times = jnp.where(invalid, jnp.nan, end.times)
    return times, end.sources, end.overflow, end.record, end.steps


def _choose(condition, one, other):
    """Leaf by leaf; a condition [post] chooses for each neuron."""

    def pick(a, b):
        return jnp.where(
            condition.reshape(condition.shape + (1,) * (a.ndim - condition.ndim)), a, b
        )

    return jax.tree.map(pick, one, other)
