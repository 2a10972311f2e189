"""Derivatives of the spike times of a circuit by the adjoint equations of EventProp.

The co-states are the sensitivities of the loss to the potential and to the current (over the
capacitance) of a neuron. In the terms of the paper they are $-\\tau_m \\lambda_V$ and
$-\\tau_m \\tau_s \\lambda_I$. Both flow backwards in time without jumps at arrivals, so two numbers
per spike hold everything. Source: Wunderlich & Pehle (2021), Sci. Rep. 11, 12829.
"""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._circuit import Problem
from ._event_history import History, look_back, release_of, response_at, select
from ._membrane import Membrane, faded, kernel, leaked


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def eventprop_times(problem: Problem, times, sources, input_sources, inputs: int | None):
    """`times`, differentiable (reverse mode) with respect to the problem. `inputs`: number of
    inputs of a recurrent circuit, None for a layer."""
    return times


def _forward(problem, times, sources, input_sources, inputs):
    return times, (problem, times, sources, input_sources)


class Costate(NamedTuple):
    """Sensitivity to the state of its neuron right before each spike."""

    voltage: Float[Array, " spikes"]
    current: Float[Array, " spikes"]


def _backward(inputs, saved, by_time):
    problem, times, sources, input_sources = saved
    history = look_back(problem, times, sources)
    spikes = jnp.arange(times.size)
    zeros = jnp.zeros_like(history.times)
    gradient = jax.tree.map(jnp.zeros_like, problem)
    visit = partial(_spike, problem, input_sources, history, inputs)
    (costate, gradient), _ = jax.lax.scan(
        visit, (Costate(zeros, zeros), gradient), (spikes, by_time), reverse=True
    )
    gradient = _initial(problem, history, costate, gradient)

    def receive(gradient, arrival):
        time, source = arrival
        by_arrival, gradient = _arrive(problem, history, costate, time, source, gradient)
        return gradient, by_arrival

    gradient, by_input = jax.lax.scan(receive, gradient, (problem.times, input_sources))
    if problem.membrane.ratio is None:
        gradient = _time_constants(problem, input_sources, history, costate, inputs, gradient)
    gradient = gradient._replace(times=by_input)
    none = (np.zeros(x.shape, jax.dtypes.float0) for x in (sources, input_sources))
    return gradient, jnp.zeros_like(times), *none


eventprop_times.defvjp(_forward, _backward)


def _spike(problem, input_sources, history: History, inputs, carry, visit):
    """One spike, after all later ones: its co-state, and what it adds to the gradient."""
    costate, gradient = carry
    spike, by_time = visit
    neuron, time, real = history.sources[spike], history.times[spike], history.real[spike]
    own = select(problem.membrane, neuron)

    # Back from the next spike of the same neuron to the end of the clamp.
    is_next = history.previous == spike
    following = jnp.argmax(is_next)
    released = time + own.refractory
    gap = jnp.where(jnp.any(is_next), history.times[following] - released, 0)
    v, i = (jnp.where(jnp.any(is_next), leaf[following], 0) for leaf in costate)
    v, i = flow_back(own, v, i, jnp.maximum(gap, 0))
    at_next = response_at(problem, input_sources, history, following, inputs)
    by_release = v * (at_next.current_at_release - own.reset / own.tau_mem)
    # The end of the clamp moves with the spike, and what it delays is lost.
    effect = by_time - by_release
    if inputs is not None:
        source = inputs + neuron
        when = jnp.where(real, time, jnp.inf)
        arriving, gradient = _arrive(problem, history, costate, when, source, gradient)
        effect += arriving

    response = response_at(problem, input_sources, history, spike, inputs)
    slope = response.current - own.threshold / own.tau_mem
    usable = real & (slope > 0)
    voltage = jnp.where(usable, -effect / jnp.where(usable, slope, 1), 0)
    current = i * faded(own, own.refractory)
    costate = Costate(
        costate.voltage.at[spike].set(voltage),
        costate.current.at[spike].set(jnp.where(real, current, 0)),
    )
    membrane = gradient.membrane
    membrane = replace(
        membrane,
        threshold=membrane.threshold.at[neuron].add(-voltage),
        reset=membrane.reset.at[neuron].add(v),
        refractory=membrane.refractory.at[neuron].add(-by_release),
    )
    return (costate, gradient._replace(membrane=membrane)), None


def _arrive(problem: Problem, history: History, costate: Costate, time, source, gradient: Problem):
    """What the spike of a source does at all its targets: the sensitivity to its time, and its part
    of the gradient of weights and delays.

    At each target it concerns the first spike after the arrival.
    """
    target = history.sources
    membrane = select(problem.membrane, target)
    row = jnp.where(problem.delays.shape[0] == 1, 0, target)
    arrival = time + problem.delays[row, source]
    spikes = jnp.arange(target.size)
    release, clamped = jax.vmap(lambda k: release_of(problem.membrane, history, k))(spikes)
    previous = jnp.where(clamped, history.times[history.previous], -jnp.inf)
    concerns = history.real & (arrival < history.times) & (previous <= arrival)
    start = jnp.where(concerns & (arrival > release), arrival, release)
    v, i = flow_back(membrane, *costate, jnp.where(concerns, history.times - start, 0))
    held = jnp.where(concerns & (arrival < release), release - arrival, 0)
    v, i = jnp.where(held > 0, 0, v), i * faded(membrane, held)
    by_weight = jnp.where(concerns, i, 0)
    by_time = problem.weights[target, source] * (by_weight / membrane.tau_syn)
    by_time -= jnp.where(concerns, problem.weights[target, source] * v, 0)
    gradient = gradient._replace(
        weights=gradient.weights.at[target, source].add(by_weight),
        delays=gradient.delays.at[row, source].add(by_time),
    )
    return jnp.sum(by_time), gradient


def _initial(problem: Problem, history: History, costate: Costate, gradient: Problem):
    """The initial state concerns the first spike of each neuron."""
    membrane = select(problem.membrane, history.sources)
    v, i = flow_back(membrane, *costate, history.times)
    first = history.real & (history.previous < 0)
    own = gradient.membrane
    own = replace(
        own,
        voltage=own.voltage.at[history.sources].add(jnp.where(first, v, 0)),
        current=own.current.at[history.sources].add(jnp.where(first, i, 0)),
    )
    return gradient._replace(membrane=own)


def _time_constants(problem: Problem, input_sources, history, costate, inputs, gradient: Problem):
    """The co-state of the potential is what a change of the potential at the spike costs; how the
    potential changes with the time constants follows by differentiation, one spike at a time."""

    def potential(taus, spike):
        membrane = replace(problem.membrane, tau_mem=taus[0], tau_syn=taus[1])
        changed = problem._replace(membrane=membrane)
        return response_at(changed, input_sources, history, spike, inputs).potential

    def visit(sums, visited):
        spike, cost = visited
        change = jax.grad(potential)((problem.membrane.tau_mem, problem.membrane.tau_syn), spike)
        cost = jnp.where(history.real[spike], cost, 0)
        return jax.tree.map(lambda total, x: total + cost * x, sums, change), None

    zeros = (gradient.membrane.tau_mem, gradient.membrane.tau_syn)
    visits = jnp.arange(history.times.size), costate.voltage
    (tau_mem, tau_syn), _ = jax.lax.scan(visit, zeros, visits)
    membrane = replace(gradient.membrane, tau_mem=tau_mem, tau_syn=tau_syn)
    return gradient._replace(membrane=membrane)


def flow_back(membrane: Membrane, voltage, current, elapsed):
    """Co-states a time `elapsed` earlier, without events."""
    current = current * faded(membrane, elapsed) + voltage * kernel(membrane, elapsed)
    return voltage * leaked(membrane, elapsed), current
