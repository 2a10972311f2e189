"""What led to each spike of a circuit, given the times of all spikes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ._circuit import Problem
from ._membrane import Membrane, Response, respond


class History(NamedTuple):
    """Padded spikes count as spikes of neuron 0 at time zero that are not `real`."""

    real: Bool[Array, " spikes"]
    times: Float[Array, " spikes"]
    sources: Int[Array, " spikes"]
    previous: Int[Array, " spikes"]  # the spike before of the same neuron, -1 for none


def look_back(problem: Problem, times, sources) -> History:
    """The history of spikes in the order of their times, in memory linear in their number."""
    real = sources >= 0
    neuron = jnp.where(real, sources, 0)

    def visit(last, spike):
        index, own, counts = spike
        return last.at[own].set(jnp.where(counts, index, last[own])), last[own]

    nobody = jnp.full(problem.weights.shape[0], -1, jnp.int32)
    visits = jnp.arange(times.size, dtype=jnp.int32), neuron, real
    _, previous = jax.lax.scan(visit, nobody, visits)
    return History(real, jnp.where(real, times, 0), neuron, jnp.where(real, previous, -1))


def select(membrane: Membrane, neuron) -> Membrane:
    return jax.tree.map(lambda leaf: leaf[neuron], membrane)


def release_of(membrane: Membrane, history: History, spike):
    """End of the clamp before a spike, and whether there was one."""
    previous = history.previous[spike]
    clamped = previous >= 0
    refractory = membrane.refractory[history.sources[spike]]
    return jnp.where(clamped, history.times[previous] + refractory, 0), clamped


def arrivals_at(problem: Problem, input_sources, history: History, neuron, inputs):
    """Arrivals at one neuron, first of the input, then of the spikes of the circuit unless `inputs`
    is None (a layer), with their weights."""
    delays = problem.delays[jnp.where(problem.delays.shape[0] == 1, 0, neuron)]
    weights = problem.weights[neuron]
    arrivals, strengths = problem.times + delays[input_sources], weights[input_sources]
    if inputs is None:
        return arrivals, strengths
    column = inputs + history.sources
    between = jnp.where(history.real, history.times + delays[column], jnp.inf)
    return jnp.concatenate([arrivals, between]), jnp.concatenate([strengths, weights[column]])


def response_at(problem: Problem, input_sources, history: History, spike, inputs) -> Response:
    """State of the neuron that fired a spike, right before it."""
    neuron = history.sources[spike]
    release, clamped = release_of(problem.membrane, history, spike)
    arrivals, weights = arrivals_at(problem, input_sources, history, neuron, inputs)
    own = select(problem.membrane, neuron)
    return respond(own, history.times[spike], release, clamped, arrivals, weights)
