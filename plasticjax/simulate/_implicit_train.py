"""Derivatives of the spike times of one neuron of a layer by the implicit function theorem."""

import equinox as eqx
import jax
import jax.numpy as jnp

from ._implicit_adjoint import fill_tangents
from ._membrane import Membrane, leaked, respond


@eqx.filter_custom_jvp
def implicit_train(membrane: Membrane, arrivals, weights, times):
    """`times` of one neuron, differentiable with respect to the other arguments, in both modes and
    any order."""
    return times


@implicit_train.def_jvp
def implicit_train_jvp(primals, tangents):
    """Each spike depends on the one before by the end of the clamp, and on nothing else."""
    membrane, arrivals, weights, times = primals
    times = implicit_train(membrane, arrivals, weights, times)
    real = jnp.isfinite(times)
    at = jnp.where(real, times, 0)
    before = jnp.append(0, at[:-1])
    fired = jnp.arange(times.size) > 0

    def excess(membrane, arrivals, weights):
        released = jnp.where(fired, before + membrane.refractory, 0)
        response = jax.vmap(respond, (None, 0, 0, 0, None, None))(
            membrane, at, released, fired, arrivals, weights
        )
        slope = response.current - membrane.threshold / membrane.tau_mem
        by_release = membrane.reset / membrane.tau_mem - response.current_at_release
        by_release *= leaked(membrane, jnp.where(real, at - released, 0))
        return response.potential - membrane.threshold, (slope, by_release)

    given = membrane, arrivals, weights
    given_dot = fill_tangents(given, tuple(tangents[:3]))
    _, change, (slope, by_release) = jax.jvp(excess, given, given_dot, has_aux=True)
    usable = real & (slope > 0)
    scale = jnp.where(usable, -1 / jnp.where(usable, slope, 1), 0)

    def follow(previous, spike):
        change, by_release, scale = spike
        own = scale * (change + by_release * previous)
        return own, own

    links = jnp.where(fired, by_release, 0)
    _, change = jax.lax.scan(follow, jnp.zeros((), times.dtype), (change, links, scale))
    return times, change
