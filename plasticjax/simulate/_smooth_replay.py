"""Derivatives of the spike times of a circuit of smooth neurons."""

import math
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp

from ._integrator import Integrator
from ._smooth_circuit import SmoothProblem
from ._smooth_flow import advance, field, slope
from ._smooth_loop import Record


@eqx.filter_custom_jvp
def replayed_times(
    problem: SmoothProblem,
    times,
    record: Record,
    steps,
    input_sources,
    *,
    integrator: Integrator,
    recurrent: bool,
):
    """`times`, differentiable once with respect to the problem."""
    return times


@replayed_times.def_jvp
def _replayed_times_jvp(primals, tangents, *, integrator, recurrent):
    problem, times, record, steps, input_sources = primals
    times = replayed_times(
        problem,
        times,
        record,
        steps,
        input_sources,
        integrator=integrator,
        recurrent=recurrent,
    )
    again = partial(_replay, times, record, steps, input_sources, integrator, recurrent)
    _, change = eqx.filter_jvp(again, (problem,), (tangents[0],))
    return times, change


def _replay(times, record, steps, input_sources, integrator, recurrent, problem: SmoothProblem):
    r"""The spike times once more, as a differentiable function of the problem.

    All accepted steps are repeated with the lengths they had, so the state is always known at a
    time that is fixed. An event that happens a little later, by $\delta$, is taken there along the
    field before it and back along the field after it:
    $y^+ = J(y + f(y)\,\delta) - f(J)\,\delta$. At a spike, $\delta$ is what keeps the margin m at
    zero, $\delta = -(m - m_*) / \dot m$; it passes on to the end of the clamp and to the arrivals.
    """
    solver = integrator.solver
    neuron, drive = problem.neuron, problem.drive
    post = problem.refractory.shape[0]
    inputs = problem.delays.shape[1] - post if recurrent else problem.delays.shape[1]
    rows = jnp.arange(post) % problem.delays.shape[0]
    neurons, fixed = jnp.arange(post), jax.lax.stop_gradient
    spike_sources = jnp.where(record.fired >= 0, record.fired, 0)
    order = jnp.argsort(record.fired < 0, stable=True)  # the steps that end in a spike come first
    sources = spike_sources[order][: times.size] if recurrent else jnp.zeros(0, jnp.int32)
    sources = jnp.concatenate([input_sources, inputs + sources])

    def shifted(jump, neuron, t, y, drive, before, after, shift):
        """What an event does to one neuron if it happens later by `shift`, which is zero."""
        moved = jax.tree.map(lambda y, f: y + f * shift, y, field(neuron, t, y, drive, before))
        new = jump(moved)
        back = field(neuron, t, new, drive, after)
        return jax.tree.map(lambda y, f: y - f * shift, new, back)

    def at_the_end(neuron, refractory, drive, y, release, event):
        t, held, fires, takes, arrival, jump = event
        margin, rate = slope(neuron, t, y, drive)
        rises = fires & (rate > 0)
        late = jnp.where(rises, -(margin - fixed(margin)) / jnp.where(rises, fixed(rate), 1), 0)
        clamps = t + fixed(refractory) > t
        reset = shifted(neuron.reset, neuron, t, y, drive, False, clamps, late)
        longer = jnp.where(clamps, 0, refractory - fixed(refractory))
        reset = shifted(lambda y: y, neuron, t, reset, drive, True, clamps, longer)
        released = held & (fixed(release) == t)
        shift = jnp.where(released, release - fixed(release), 0)
        free = shifted(lambda y: y, neuron, t, y, drive, held, held & ~released, shift)
        held = held & ~released
        shift = jnp.where(takes, arrival - fixed(arrival), 0)
        received = shifted(
            lambda y: neuron.receive(y, jump), neuron, t, free, drive, held, held, shift
        )
        y = jax.tree.map(
            lambda *leaves: jnp.where(fires, leaves[0], jnp.where(takes, leaves[1], leaves[2])),
            reset,
            received,
            free,
        )
        return y, jnp.where(fires, t + late + refractory, release), late

    def step(carry, entry: Record):
        y, times, release, count = carry
        held = fixed(release) > entry.start
        step = jax.vmap(partial(advance, solver), (0, None, 0, 0, 0, None))(
            neuron, entry.start, y, drive, held, entry.length
        )
        takes = entry.taken >= 0
        column = jnp.where(takes, entry.taken, 0)
        sent = jnp.concatenate([problem.times, times]) if recurrent else problem.times
        arrival = jnp.where(takes, sent[column], 0) + problem.delays[rows, sources[column]]
        jump = jax.tree.map(lambda w: w[neurons, sources[column]], problem.weights)
        fires = neurons == entry.fired
        event = (jnp.broadcast_to(entry.end, (post,)), held, fires, takes, arrival, jump)
        y, release, late = jax.vmap(at_the_end)(
            neuron, problem.refractory, drive, step.state, release, event
        )
        spikes = entry.fired >= 0
        slot = jnp.where(spikes, count, times.size)
        times = times.at[slot].set(entry.end + jnp.sum(late), mode="drop")
        return y, times, release, count + spikes

    def turn(carry, entry):
        index, entry = entry
        return jax.lax.cond(index < steps, step, lambda carry, _: carry, carry, entry), None

    @jax.checkpoint
    def block(carry, entries):
        """Blocks without steps are left out; the backward pass computes the others again."""
        index, _ = entries
        through = lambda carry, entries: jax.lax.scan(turn, carry, entries)[0]  # noqa: E731
        return jax.lax.cond(index[0] < steps, through, lambda carry, _: carry, carry, entries), None

    known = jnp.where(jnp.isfinite(times), times, 0)
    begin = (problem.initial, known, jnp.zeros_like(problem.refractory), jnp.zeros((), jnp.int32))
    size = math.isqrt(integrator.max_steps)
    count = -(-integrator.max_steps // size)
    filled = count * size - integrator.max_steps

    def cut(leaf):
        padding = ((0, filled), *((0, 0),) * (leaf.ndim - 1))
        return jnp.pad(leaf, padding).reshape(count, size, *leaf.shape[1:])

    entries = jnp.arange(count * size).reshape(count, size), jax.tree.map(cut, record)
    (_, found, _, _), _ = jax.lax.scan(block, begin, entries)
    return jnp.where(jnp.isfinite(times), found, times)
