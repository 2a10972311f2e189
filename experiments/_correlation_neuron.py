"""The neuron that detects a frozen pattern by spike timing, from event to event.

Jordan et al. (2021), eLife 10:e66273: one leaky integrate-and-fire neuron with delta synapses. A
depression rule acts at presynaptic spikes and a facilitation rule at postsynaptic ones. With delta
synapses the threshold is crossed only where a spike arrives, so the simulation goes from event to
event, on the grid of 0.1 ms of the publication.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import sequential_vmap
from jaxtyping import Array, Float, Int

STEP = 0.1  # ms
DELAY = 10  # steps, from a spike to the synapse (post) and from the synapse to the neuron (pre)
REFRACTORY = 20  # steps
TAU_MEMBRANE = 18.0  # ms
TAU_TRACE = 20.0  # ms
LEARNING_RATE = 0.01
NEVER = np.iinfo(np.int32).max - DELAY


class Task(NamedTuple):
    """Presynaptic spikes [events] in order of time, and where weights and potential start.

    `steps` are the times at the synapses, `NEVER` after the last one; `synapses` says which.
    """

    steps: Int[Array, " events"]
    synapses: Int[Array, " events"]
    weight: Float[Array, ""]
    voltage: Float[Array, ""]  # mV


class Learned(NamedTuple):
    """Final weights [synapses], those last sent, post spikes, and the weight of each pre spike.

    A published synapse works off postsynaptic spikes only when its next presynaptic spike comes, so
    `frozen` [synapses], what it last sent, is what a reader finds there. `spikes` are steps,
    `NEVER` after the last one; `sent` [events] is 0 where nothing was sent.
    """

    weights: Float[Array, " synapses"]
    frozen: Float[Array, " synapses"]
    spikes: Int[Array, " spikes"]
    sent: Float[Array, " events"]


class _State(NamedTuple):
    event: Int[Array, ""]  # the next one
    weights: Float[Array, " synapses"]
    frozen: Float[Array, " synapses"]  # as last sent
    traces: Float[Array, " synapses"]  # of pre spikes, each at its last spike
    last: Int[Array, " synapses"]  # step of the last pre spike
    voltage: Float[Array, ""]  # mV, at the last arrival
    arrived: Int[Array, ""]  # step of the last arrival
    deaf: Int[Array, ""]  # last refractory step
    pending: Int[Array, ""]  # step at which the last post spike reaches the synapses
    reached: Int[Array, ""]  # step at which the one before did
    before: Float[Array, ""]  # trace of post spikes at that step, without and with it
    after: Float[Array, ""]
    count: Int[Array, ""]  # of post spikes
    spikes: Int[Array, " spikes"]
    sent: Float[Array, " events"]


def learn(
    rules,
    task: Task,
    *,
    synapses: int,
    steps: int,
    threshold: float,
    lowest: float | Float[Array, ""] = -np.inf,
) -> Learned:
    """Runs the plastic neuron for `steps` steps.

    `rules` are depression and facilitation, each a function of `[..., (w, K)]` that gives
    `[..., 1]`. At a presynaptic spike `w` loses the rate times depression and becomes 0 where it is
    not above 0 (NaN included). When a postsynaptic spike reaches the synapses, `w` gains the rate
    times facilitation and becomes 1 where it is not below 1; `lowest` bounds it from below there.
    At equal times the postsynaptic spike goes first and the presynaptic one does not see it.
    `threshold` is in mV. Batches run one after another, so that each keeps its own event loop.
    """
    arrays, static = eqx.partition((rules, task, lowest), eqx.is_array)

    @sequential_vmap
    def run(arrays):
        rules, task, lowest = eqx.combine(arrays, static)
        return _learn(rules, task, synapses, steps, threshold, lowest)

    return run(arrays)


def _learn(rules, task, synapses, steps, threshold, lowest):
    depression, facilitation = rules
    dtype = task.weight.dtype
    times = jnp.append(task.steps, NEVER)

    def decay(duration, tau):
        return jnp.exp(duration * jnp.asarray(-STEP / tau, dtype))

    def pre_spike(state: _State) -> _State:
        now, synapse = times[state.event], task.synapses[state.event]
        weight = state.weights[synapse]
        post_trace = jnp.where(now > state.reached, state.after, state.before)
        post_trace *= decay(now - state.reached, TAU_TRACE)
        weight -= LEARNING_RATE * depression(jnp.stack([weight, post_trace]))[0]
        weight = jnp.where(weight > 0, weight, 0)
        trace = state.traces[synapse] * decay(now - state.last[synapse], TAU_TRACE) + 1
        arrival = now + DELAY
        voltage = state.voltage * decay(arrival - state.arrived, TAU_MEMBRANE) + weight
        voltage = jnp.where(arrival > state.deaf, voltage, 0)
        complete = times[state.event + 1] != now
        fires = complete & (voltage >= threshold) & (arrival <= steps)
        return state._replace(
            event=state.event + 1,
            weights=state.weights.at[synapse].set(weight),
            frozen=state.frozen.at[synapse].set(weight),
            traces=state.traces.at[synapse].set(trace),
            last=state.last.at[synapse].set(now),
            voltage=jnp.where(fires, 0, voltage),
            arrived=arrival,
            deaf=jnp.where(fires, arrival + REFRACTORY, state.deaf),
            pending=jnp.where(fires, arrival + DELAY, state.pending),
            count=state.count + fires,
            spikes=state.spikes.at[jnp.where(fires, state.count, len(state.spikes))].set(
                arrival, mode="drop"
            ),
            sent=state.sent.at[state.event].set(weight),
        )

    def post_spike(state: _State) -> _State:
        now = state.pending
        traces = state.traces * decay(now - state.last, TAU_TRACE)
        change = facilitation(jnp.stack([state.weights, traces], -1))[:, 0]
        weights = state.weights + LEARNING_RATE * change
        weights = jnp.where(weights < 1, weights, 1)
        earlier = state.after * decay(now - state.reached, TAU_TRACE)
        return state._replace(
            weights=jnp.maximum(weights, lowest),
            pending=jnp.full_like(now, NEVER),
            reached=now,
            before=earlier,
            after=earlier + 1,
        )

    def until_post_spike(state: _State) -> _State:
        state = jax.lax.while_loop(
            lambda state: times[state.event] <= jnp.minimum(steps, state.pending - 1),
            pre_spike,
            state,
        )
        return jax.lax.cond(state.pending <= steps, post_spike, lambda state: state, state)

    def more(state: _State):
        return (times[state.event] <= steps) | (state.pending <= steps)

    state = jax.lax.while_loop(more, until_post_spike, _start(task, synapses, steps, threshold))
    return Learned(state.weights, state.frozen, state.spikes, state.sent)


def _start(task, synapses, steps, threshold) -> _State:
    dtype = task.weight.dtype
    step = jnp.zeros((), jnp.int32)
    # The potential may start above threshold: then the neuron fires in the first step.
    fires = task.voltage * np.exp(-STEP / TAU_MEMBRANE) >= threshold
    spikes = jnp.full(steps // (REFRACTORY + 1) + 2, NEVER, jnp.int32)
    return _State(
        event=step,
        weights=jnp.full(synapses, task.weight),
        frozen=jnp.full(synapses, task.weight),
        traces=jnp.zeros(synapses, dtype),
        last=jnp.zeros(synapses, jnp.int32),
        voltage=jnp.where(fires, 0, task.voltage),
        arrived=step,
        deaf=jnp.where(fires, 1 + REFRACTORY, 0).astype(jnp.int32),
        pending=jnp.where(fires, 1 + DELAY, NEVER).astype(jnp.int32),
        reached=step,
        before=jnp.zeros((), dtype),
        after=jnp.zeros((), dtype),
        count=fires.astype(jnp.int32),
        spikes=spikes.at[0].set(jnp.where(fires, 1, NEVER)),
        sent=jnp.zeros(len(task.steps), dtype),
    )


def free_potential(
    weights: Float[Array, " synapses"], task: Task, *, steps: int
) -> Float[Array, " steps"]:
    """Potential (mV) at the steps 1, 2, ... of frozen weights without threshold, from rest."""
    sent = weights[task.synapses]
    arriving = jnp.zeros(steps, weights.dtype).at[task.steps + DELAY - 1].add(sent, mode="drop")
    decay = jnp.exp(jnp.asarray(-STEP / TAU_MEMBRANE, weights.dtype))

    def step(voltage, jump):
        voltage = voltage * decay + jump
        return voltage, voltage

    return jax.lax.scan(step, jnp.zeros((), weights.dtype), arriving)[1]
