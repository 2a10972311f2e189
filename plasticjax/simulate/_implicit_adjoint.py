"""Derivatives of the spike times of a circuit by the implicit function theorem."""

import equinox as eqx
import jax
import jax.numpy as jnp

from ._circuit import Problem
from ._event_history import arrivals_at, look_back, release_of, response_at, select
from ._membrane import faded, kernel, leaked


@eqx.filter_custom_jvp
def implicit_times(problem: Problem, times, sources, input_sources, *, inputs: int | None):
    """`times`, differentiable with respect to the problem. `inputs`: number of inputs of a
    recurrent circuit, None for a layer."""
    return times


@implicit_times.def_jvp
def _implicit_times_jvp(primals, tangents, *, inputs):
    r"""At each spike $V(t_k; t_1 \ldots t_{k-1}, \theta) = \vartheta$. Hence $A\,dt =
    -\partial_\theta V d\theta$, with a lower triangular matrix: slopes on the diagonal, below them
    what earlier spikes do by their arrival and, for the same neuron, by the end of the clamp."""
    problem, times, sources, input_sources = primals
    times = implicit_times(problem, times, sources, input_sources, inputs=inputs)
    history = look_back(problem, times, sources)
    spikes = jnp.arange(times.size)

    def excess(problem, spike):
        response = response_at(problem, input_sources, history, spike, inputs)
        return response.potential - problem.membrane.threshold[history.sources[spike]]

    def row(spike):
        neuron, time = history.sources[spike], history.times[spike]
        membrane = select(problem.membrane, neuron)
        release, clamped = release_of(problem.membrane, history, spike)
        arrivals, weights = arrivals_at(problem, input_sources, history, neuron, inputs)
        response = response_at(problem, input_sources, history, spike, inputs)
        slope = response.current - membrane.threshold / membrane.tau_mem
        by_release = membrane.reset / membrane.tau_mem - response.current_at_release
        by_release *= leaked(membrane, time - release)
        previous = clamped & (spikes == history.previous[spike])
        entries = jnp.where(previous, by_release, 0)
        if inputs is not None:
            own = slice(problem.times.size, None)
            entries += _by_arrival(membrane, time, release, arrivals[own], weights[own])
        return slope, entries

    slopes, matrix = jax.vmap(row)(spikes)
    usable = history.real & (slopes > 0)
    scale = jnp.where(usable, 1 / jnp.where(usable, slopes, 1), 0)
    moves = jax.tree.map(lambda dx: dx is not None, tangents[0], is_leaf=lambda dx: dx is None)
    moving, fixed = eqx.partition(problem, moves)

    def excesses(moving):
        return jax.vmap(lambda spike: excess(eqx.combine(moving, fixed), spike))(spikes)

    _, at_rest = jax.jvp(excesses, (moving,), (tangents[0],))
    lower = scale[:, None] * jnp.where(history.real[:, None], matrix, 0)
    change = jax.scipy.linalg.solve_triangular(
        lower, -scale * at_rest, lower=True, unit_diagonal=True
    )
    return times, change


def _by_arrival(membrane, t, release, arrivals, weights):
    """Derivative of the potential by the time of each arrival."""
    causal = arrivals < t
    before = arrivals < release
    start = jnp.where(causal & ~before, arrivals, release)
    elapsed = jnp.where(causal, t - start, 0)
    response = kernel(membrane, elapsed)
    slope = faded(membrane, elapsed) - response / membrane.tau_mem
    inherited = faded(membrane, jnp.where(causal & before, release - arrivals, 0))
    change = jnp.where(before, inherited * response / membrane.tau_syn, -slope)
    return jnp.where(causal, weights * change, 0)


def fill_tangents(primals, tangents):
    """Tangents with zeros instead of None."""
    return jax.tree.map(
        lambda x, dx: jnp.zeros_like(x) if dx is None else dx,
        primals,
        tangents,
        is_leaf=lambda x: x is None,
    )
