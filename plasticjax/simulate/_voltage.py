"""Potentials, currents and integrals of the potential, given the spikes."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from plasticjax.neurons import CurrentLIFState

from ._circuit import InputSpikes, SpikingCircuit, pose, resting
from ._event_history import History, arrivals_at, select
from ._membrane import respond
from ._spike_trains import LayerSpikes, SpikeTrains


def membrane_state(
    circuit: SpikingCircuit,
    inputs: InputSpikes,
    spikes: SpikeTrains | LayerSpikes,
    t: Float[Array, ""] | float,
) -> CurrentLIFState:
    """Potential and current of each neuron at a time, as an explicit function of all spikes.

    Differentiable with respect to the circuit, the input times, the spike times and `t`; with the
    derivatives of the spike times this is the exact total derivative. At the time of an event the
    state before it. What `spikes` lacks because of overflow is missing here too.

    Args:
        circuit: neurons and synapses.
        inputs: input spikes, times [spikes] (unit of the time constants).
        spikes: what `solve_events` or `solve_layer` returned for them.
        t: the time, scalar, not negative (same unit); `jax.vmap` over several.

    Returns:
        The state, leaves [post] (units of the neuron).
    """
    gathered = _gather(circuit, inputs, spikes)
    neurons = jnp.arange(circuit.weights.shape[0])
    potential, current = jax.vmap(lambda n: _state(gathered, n, jnp.asarray(t)))(neurons)
    return CurrentLIFState(potential + resting(circuit), current * circuit.neuron.capacitance)


def voltage_integral(
    circuit: SpikingCircuit,
    inputs: InputSpikes,
    spikes: SpikeTrains | LayerSpikes,
    integrand: Callable = lambda voltage, t: voltage,
    *,
    t_end: float,
    points: int = 16,
) -> Float[Array, " post"]:
    r"""Integral $\int_0^T f(V_i(t), t)\,dt$ for each neuron, for losses on the potential.

    Gauss-Legendre quadrature between any two events of the neuron, where its potential is smooth.
    Differentiable as `membrane_state`. Time grows with the square of the number of events, for
    each neuron.

    Args:
        circuit: neurons and synapses.
        inputs: input spikes, times [spikes] (unit of the time constants).
        spikes: what `solve_events` or `solve_layer` returned for them.
        integrand: `f(V, t)` of two scalars, smooth in both; the default is the potential itself.
        t_end: upper end T, positive (same unit).
        points: nodes of the quadrature per interval, at least 1 (dimensionless).

    Returns:
        The integrals, [post], in the unit of `f` times that of time.

    Raises:
        ValueError: `points` below 1.
    """
    if points < 1:
        raise ValueError(f"points={points} must be at least 1")
    gathered = problem, input_sources, history, inputs_count = _gather(circuit, inputs, spikes)
    dtype = problem.weights.dtype
    nodes, shares = np.polynomial.legendre.leggauss(points)
    nodes, shares = jnp.asarray((nodes + 1) / 2, dtype), jnp.asarray(shares / 2, dtype)
    post = circuit.weights.shape[0]
    rest = jnp.broadcast_to(resting(circuit), (post,))

    def integrate(neuron):
        arrivals, _ = arrivals_at(problem, input_sources, history, neuron, inputs_count)
        fires = history.real & (history.sources == neuron)
        own = jnp.where(fires, history.times, jnp.inf)
        released = own + problem.membrane.refractory[neuron]
        events = jnp.concatenate([arrivals, own, released])
        ends = jnp.sort(jnp.where(events < t_end, events, t_end))
        starts = jnp.append(jnp.zeros(1, dtype), ends[:-1])

        def piece(start, end):
            at = start + (end - start) * nodes
            potential, _ = jax.vmap(lambda t: _state(gathered, neuron, t))(at)
            return (end - start) * shares @ jax.vmap(integrand)(potential + rest[neuron], at)

        return jnp.sum(jax.vmap(piece)(starts, ends)) + piece(ends[-1], jnp.asarray(t_end, dtype))

    return jax.vmap(integrate)(jnp.arange(post))


def _gather(circuit, inputs, spikes):
    """The problem and its spikes in any order."""
    problem, input_sources = pose(circuit, inputs)
    if isinstance(spikes, LayerSpikes):
        post, room = spikes.times.shape
        times, neurons = spikes.times.reshape(-1), jnp.repeat(jnp.arange(post), room)
        real = jnp.isfinite(times)
    else:
        times, neurons = spikes.times, spikes.sources
        real = neurons >= 0
    times, neurons = jnp.where(real, times, 0), jnp.where(real, neurons, 0)
    history = History(real, times, neurons, jnp.full_like(neurons, -1))
    count = None if circuit.recurrent is None else circuit.weights.shape[1]
    return problem, input_sources, history, count


def _state(gathered, neuron, t):
    problem, input_sources, history, inputs = gathered
    membrane = select(problem.membrane, neuron)
    own = history.real & (history.sources == neuron) & (history.times < t)
    last = jnp.argmax(jnp.where(own, history.times, -jnp.inf))
    fired = jnp.any(own)
    release = jnp.where(fired, history.times[last] + membrane.refractory, 0)
    arrivals, weights = arrivals_at(problem, input_sources, history, neuron, inputs)
    response = respond(membrane, t, release, fired, arrivals, weights)
    return response.potential, response.current
