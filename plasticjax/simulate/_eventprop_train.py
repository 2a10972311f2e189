"""Derivatives of the spike times of one neuron of a layer by the adjoint equations of EventProp.

As in `_eventprop_adjoint`, two co-states per spike hold everything. Each arrival concerns the first
spike after it and no other, so time and memory grow with spikes plus arrivals.
"""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ._eventprop_adjoint import flow_back
from ._if_any import if_any
from ._membrane import Membrane, faded, respond


@jax.custom_vjp
def eventprop_train(membrane: Membrane, arrivals, weights, times, currents):
    """`times` of one neuron, differentiable (reverse mode) with respect to membrane, arrivals and
    weights. `currents`: its synaptic current at these times."""
    return times


def _forward(membrane, arrivals, weights, times, currents):
    return times, (membrane, arrivals, weights, times, currents)


class Concern(NamedTuple):
    """The first spike after each arrival, and how the arrival takes effect on it."""

    exists: Bool[Array, " arrivals"]
    spike: Int[Array, " arrivals"]
    held: Float[Array, " arrivals"]  # how long it waits for the end of a clamp
    gap: Float[Array, " arrivals"]  # from then to the spike


class Visit(NamedTuple):
    """What is known of each spike."""

    time: Float[Array, " spikes"]
    slope: Float[Array, " spikes"]  # of the potential, 0 for padding
    slope_at_release: Float[Array, " spikes"]  # after the clamp that precedes the spike
    by_time: Float[Array, " spikes"]


def _backward(saved, by_time):
    membrane, arrivals, weights, times, currents = saved
    real = jnp.isfinite(times)
    at = jnp.where(real, times, 0)
    release = jnp.append(0, at[:-1] + membrane.refractory)
    concern = _concern(arrivals, times, at, release)
    slope = currents - membrane.threshold / membrane.tau_mem
    slope_at_release = _slope_at_release(membrane, concern, weights, currents)
    visits = Visit(at, jnp.where(real, slope, 0), slope_at_release, jnp.where(real, by_time, 0))

    def back(later, visit):
        following, voltage, current, by_release = later
        gap = jnp.maximum(following - visit.time - membrane.refractory, 0)
        voltage, current = flow_back(membrane, voltage, current, gap)
        by_release = voltage * by_release
        usable = visit.slope > 0
        # The end of the clamp moves with the spike, and what it delays is lost.
        effect = visit.by_time - by_release
        before = jnp.where(usable, -effect / jnp.where(usable, visit.slope, 1), 0)
        current = current * faded(membrane, membrane.refractory)
        carry = visit.time, before, current, visit.slope_at_release
        return carry, (before, current, voltage, by_release)

    nothing = jnp.zeros_like(at[0])
    begin = (nothing,) * 4
    _, (voltage, current, at_release, by_release) = jax.lax.scan(back, begin, visits, reverse=True)

    v, i = flow_back(membrane, voltage[concern.spike], current[concern.spike], concern.gap)
    v, i = jnp.where(concern.held > 0, 0, v), i * faded(membrane, concern.held)
    v, i = jnp.where(concern.exists, v, 0), jnp.where(concern.exists, i, 0)
    first = flow_back(membrane, voltage[0], current[0], at[0])
    zeros = jax.tree.map(jnp.zeros_like, membrane)
    if membrane.ratio is None:
        zeros = _time_constants(membrane, arrivals, weights, at, release, voltage, zeros)
    by_membrane = replace(
        zeros,
        threshold=-jnp.sum(voltage),
        reset=jnp.sum(at_release),
        refractory=-jnp.sum(by_release),
        voltage=first[0],
        current=first[1],
    )
    zeros = jnp.zeros_like(times)
    return by_membrane, weights * (i / membrane.tau_syn - v), i, zeros, zeros


eventprop_train.defvjp(_forward, _backward)


def _concern(arrivals, times, at, release) -> Concern:
    count = jnp.sum(jnp.isfinite(times), dtype=jnp.int32)

    def pass_spike(carry):
        spike, passed = carry
        return spike + 1, passed + (times[spike] <= arrivals)

    # Faster than a binary search: one pass over the arrivals for each spike, without a gather.
    begin = jnp.zeros((), jnp.int32), jnp.zeros(arrivals.shape, jnp.int32)
    _, passed = jax.lax.while_loop(lambda carry: carry[0] < count, pass_spike, begin)
    passed = passed.astype(jnp.int32)
    exists = passed < count
    spike = jnp.where(exists, passed, 0)
    start = jnp.maximum(arrivals, release[spike])
    held = jnp.where(exists, start - arrivals, 0)
    return Concern(exists, spike, held, jnp.where(exists, at[spike] - start, 0))


def _slope_at_release(membrane: Membrane, concern: Concern, weights, currents):
    """Slope of the potential after the clamp before each spike."""

    def arrived(held):
        weight = jnp.where(held > 0, weights * faded(membrane, held), 0)
        return jnp.zeros_like(currents).at[concern.spike].add(weight)

    nothing = jnp.zeros_like(currents)
    meanwhile = if_any(jnp.any(concern.held > 0), arrived, nothing, (concern.held,))
    left = currents[:-1] * faded(membrane, membrane.refractory)
    return jnp.append(membrane.current, left) + meanwhile - membrane.reset / membrane.tau_mem


def _time_constants(membrane: Membrane, arrivals, weights, at, release, voltage, zeros):
    """The co-state of the potential is what a change of the potential at the spike costs."""
    fired = jnp.arange(at.size) > 0

    def potential(taus, at, release, fired):
        changed = replace(membrane, tau_mem=taus[0], tau_syn=taus[1])
        return respond(changed, at, release, fired, arrivals, weights).potential

    def visit(sums, entry):
        cost, *spike = entry
        change = jax.grad(potential)((membrane.tau_mem, membrane.tau_syn), *spike)
        return jax.tree.map(lambda total, x: total + cost * x, sums, change), None

    (tau_mem, tau_syn), _ = jax.lax.scan(
        visit, (zeros.tau_mem, zeros.tau_syn), (voltage, at, release, fired)
    )
    return replace(zeros, tau_mem=tau_mem, tau_syn=tau_syn)
