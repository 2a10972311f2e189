"""Exact first-spike times of current-based LIF neurons, with exact derivatives."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from plasticjax.neurons import CurrentLIF

from ._arrival_order import arrival_order
from ._crossing import (
    AbstractFlow,
    AnyRatio,
    DoubleTimeConstant,
    EqualTimeConstants,
    NonLeaky,
    known_ratio,
)


def first_spike_times(
    neuron: CurrentLIF,
    weights: Float[Array, "post pre"],
    times: Float[Array, " pre"],
) -> Float[Array, " post"]:
    """Time at which each neuron first crosses its threshold from below.

    The inputs are visited in the order of their times, carrying two numbers per neuron, so a
    sample costs O(pre log pre + pre post) time and O(post) memory beside its inputs. Whether the
    threshold is reached before the next input is decided without solving for the time; the
    crossing is solved once. Closed forms serve `tau_mem / tau_syn` equal to 1 (Lambert W), 2
    (quadratic) and infinity, if both are known when the function is traced (Python numbers, NumPy
    arrays or closed-over JAX arrays); Newton's method serves every other ratio and traced time
    constants. Results agree to rounding error.

    Derivatives of any order exist with respect to weights, times and every parameter of the
    neuron: $dT = -dV(T) / \\dot V(T)$ at fixed T. They are exactly zero for inputs that arrive at
    or after the spike, for silent inputs and for silent neurons, and for a spike that grazes the
    threshold so closely that its slope rounds to zero.

    Source: Göltz, Kriener et al. (2021), Nat. Mach. Intell. 3, 823, Eqs. 3-8.

    Args:
        neuron: the neurons; each parameter is a scalar or [post].
        weights: synaptic weights, [post, pre], in the convention of `neuron`.
        times: input spike times, [pre], any order and sign, `inf` for a silent input (unit of the
            time constants).

    Returns:
        First spike times, [post]; `inf` for a neuron that stays silent.

    Raises:
        ValueError: shapes that do not fit; outside of `jit`, weights that are not finite, or times
            that are NaN or `-inf`. Inside of `jit` NaN in weights or times makes spike times NaN.
    """
    weights, times = jnp.asarray(weights), jnp.asarray(times)
    _check_shapes(neuron, weights, times)
    _check_values(weights, times)
    dtype = jnp.result_type(weights, times)
    if not jnp.issubdtype(dtype, jnp.floating):
        dtype = jnp.result_type(float)
    flow = _choose_flow(neuron)
    neuron = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), neuron)
    return _first_spike_times(neuron, weights.astype(dtype), times.astype(dtype), flow=flow)


@eqx.filter_custom_jvp
def _first_spike_times(neuron, weights, times, *, flow):
    order = arrival_order(times)
    incoming = weights.T
    times = jnp.take(times, order)
    silent = jnp.isinf(times)
    following = jnp.append(times[1:], jnp.inf)
    gaps = jnp.where(silent, 0, following - jnp.where(silent, 0, times))

    flow = flow.of(neuron)
    ahead = flow.interval(gaps[:, None])
    behind = flow.interval(jnp.append(0, gaps[:-1])[:, None])

    def visit(carry, arrival):
        # A neuron that has fired keeps the state [x, y] after the last input before its spike. Only
        # the start in the carry selects: XLA may compute a comparison once per use, and near
        # equality the copies round to different sides.
        x, y, start = carry
        index, muted, time, passed, coming = arrival
        dx, dy = flow.jump(jnp.where(muted, 0, incoming[index]))
        x_here, y_here = flow.advance(x, y, passed)
        waiting = jnp.isinf(start)
        x = jnp.where(waiting, x_here + dx, x)
        y = jnp.where(waiting, y_here + dy, y)
        fires = waiting & ~muted & flow.crosses(x, y, coming)
        return (x, y, jnp.where(fires, time, start)), None

    rest = jnp.zeros(weights.shape[:1], weights.dtype)
    carry = rest, rest, jnp.full_like(rest, jnp.inf)
    (x, y, start), _ = jax.lax.scan(visit, carry, (order, silent, times, behind, ahead))
    fired = jnp.isfinite(start)
    invalid = jnp.isnan(x + y) | jnp.any(jnp.isnan(times))
    # Silent neurons solve a harmless crossing whose result is discarded.
    dx, dy = flow.jump(jnp.ones_like(x))
    unit = 8 * (jnp.abs(flow.threshold) + 1)
    x, y = jnp.where(fired, x, dx * unit), jnp.where(fired, y, dy * unit)
    spikes = jnp.where(fired, start + flow.crossing(x, y), jnp.inf)
    return jnp.where(invalid, jnp.nan, spikes)


@_first_spike_times.def_jvp
def _first_spike_times_jvp(primals, tangents, *, flow):
    neuron, weights, times = primals
    spikes = _first_spike_times(neuron, weights, times, flow=flow)
    potential, current = _responses(neuron, times, spikes, flow)
    # The potential at a spike is the threshold, so the slope follows from the current alone.
    leaking = (neuron.threshold - neuron.leak) / neuron.tau_mem
    slope = jnp.sum(weights * current, axis=1) - leaking
    partials = _partial_derivatives(neuron, weights, spikes, potential, current, slope)
    return spikes, _spike_change(neuron, weights, times, spikes, partials, tangents)


def measured_spike_times(
    neuron: CurrentLIF,
    weights: Float[Array, "post pre"],
    times: Float[Array, " pre"],
    measured: Float[Array, " post"],
) -> Float[Array, " post"]:
    r"""Spike times measured elsewhere, with the derivatives of the ideal model.

    The value is `measured`, as it comes from a chip or from a simulation with imperfections. The
    derivative is that of the nominal `neuron` for the inputs that arrive before the measured time:
    $\partial T / \partial w_i = -\kappa(T - t_i) / \dot V$, with the measured $T$ in the kernel
    and the slope $\dot V > 0$ that the ideal model has where it crosses the threshold given these
    inputs (for other time-constant ratios than 1, 2 and infinity: its slope at $T$). It is zero
    where the ideal model does not cross. At $T$ of the ideal model this is the derivative of
    `first_spike_times`. Source: Göltz, Kriener et al. (2021), Nat. Mach. Intell. 3, 823, Methods.

    Args:
        neuron: the nominal neurons; each parameter is a scalar or [post].
        weights: synaptic weights the derivative refers to, [post, pre].
        times: (measured) input spike times, [pre], `inf` for silent (unit of the time constants).
        measured: measured first spike times, [post], `inf` for silent (same unit).

    Returns:
        `measured`, [post], differentiable with respect to `weights`, `times` and `neuron`.

    Raises:
        ValueError: as `first_spike_times`, or if `measured` is not of shape [post].
    """
    weights, times, measured = jnp.asarray(weights), jnp.asarray(times), jnp.asarray(measured)
    _check_shapes(neuron, weights, times)
    if measured.shape != weights.shape[:1]:
        raise ValueError(
            f"measured has shape {measured.shape}; expected [post] = {weights.shape[:1]}"
        )
    flow = _choose_flow(neuron)
    neuron = jax.tree.map(lambda leaf: jnp.asarray(leaf, measured.dtype), neuron)
    return _measured_spike_times(neuron, weights, times, jax.lax.stop_gradient(measured), flow=flow)


@eqx.filter_custom_jvp
def _measured_spike_times(neuron, weights, times, measured, *, flow):
    return measured


@_measured_spike_times.def_jvp
def _measured_spike_times_jvp(primals, tangents, *, flow):
    neuron, weights, times, spikes = primals
    potential, current = _responses(neuron, times, spikes, flow)
    slope = flow.of(neuron).slope(
        jnp.sum(weights * potential, axis=1), jnp.sum(weights * current, axis=1)
    )
    partials = _partial_derivatives(neuron, weights, spikes, potential, current, slope)
    return spikes, _spike_change(neuron, weights, times, spikes, partials, tangents[:3])


def _responses(neuron, times, spikes, flow):
    """What a unit weight of each input has done to the potential and the current (over the
    capacitance) of each neuron by its spike, [post, pre]; zero where it arrives later."""
    fired = jnp.isfinite(spikes)
    causal = times < jnp.where(fired, spikes, -jnp.inf)[:, None]
    elapsed = jnp.where(fired, spikes, 0)[:, None] - jnp.where(causal, times, 0)
    per_synapse = jax.tree.map(lambda leaf: jnp.asarray(leaf)[..., None], flow.of(neuron))
    responses = per_synapse.response(jnp.where(causal, elapsed, 0))
    return tuple(jnp.where(causal, response, 0) for response in responses)


def _partial_derivatives(neuron, weights, spikes, potential, current, slope):
    r"""With the post-synaptic potential $\kappa$, $\partial T / \partial w_i =
    -\kappa(T - t_i) / \dot V(T)$, $\partial T / \partial t_i = w_i \dot\kappa(T - t_i) /
    \dot V(T)$, and a rise of the whole potential shifts the spike by $-1 / \dot V(T)$."""
    usable = jnp.isfinite(spikes) & (slope > 0)
    by_potential = jnp.where(usable, -1 / jnp.where(usable, slope, 1), 0)
    by_weight = by_potential[:, None] * potential
    decline = potential / jnp.asarray(neuron.tau_mem)[..., None] - current
    by_time = by_potential[:, None] * weights * decline
    return by_potential, by_weight, by_time


def _spike_change(neuron, weights, times, spikes, partials, tangents):
    by_potential, by_weight, by_time = partials
    d_neuron, d_weights, d_times = tangents
    change = jnp.zeros_like(spikes)
    if d_weights is not None:
        change += jnp.sum(by_weight * d_weights, axis=1)
    if d_times is not None:
        change += jnp.sum(by_time * d_times, axis=1)
    if jax.tree.leaves(d_neuron):
        at = jnp.where(jnp.isfinite(spikes), spikes, 0)

        def excess(neuron):
            return neuron.membrane(at, weights, times) - neuron.threshold

        change += by_potential * eqx.filter_jvp(excess, (neuron,), (d_neuron,))[1]
    return change


def _choose_flow(neuron: CurrentLIF) -> type[AbstractFlow]:
    closed = {1: EqualTimeConstants, 2: DoubleTimeConstant, np.inf: NonLeaky}
    return closed.get(known_ratio(neuron), AnyRatio)


def _check_shapes(neuron, weights, times):
    if weights.ndim != 2:
        raise ValueError(
            f"weights has shape {weights.shape}; expected [post, pre]. Use jax.vmap for batches"
        )
    if times.shape != weights.shape[1:]:
        raise ValueError(
            f"times has shape {times.shape}; weights of shape {weights.shape} expect "
            f"[pre] = {weights.shape[1:]}. Use jax.vmap for batches"
        )
    for name in ("tau_mem", "tau_syn", "threshold", "leak", "g_leak"):
        shape = np.shape(getattr(neuron, name)) if getattr(neuron, name) is not None else ()
        if shape not in ((), weights.shape[:1]):
            raise ValueError(
                f"neuron.{name} has shape {shape}; expected a scalar or [post] = "
                f"{weights.shape[:1]}"
            )


def _check_values(weights, times):
    """Refuses concrete values; traced ones propagate NaN instead, since a check at run time would
    cost as much as a small layer."""
    if not isinstance(weights, Tracer) and not np.all(np.isfinite(weights)):
        raise ValueError("weights must be finite; found NaN or infinite entries")
    if not isinstance(times, Tracer) and not np.all(np.asarray(times) > -np.inf):
        raise ValueError("times must be numbers or +inf (silent); found NaN or -inf entries")
