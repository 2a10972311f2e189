"""A layer of spiking neurons whose weights alone are trained, with a fast reverse mode.

`solve_layer` differentiates everything, and evaluates a kernel for each spike and each input. For
the weights alone the backward pass of EventProp needs no exponential per pair: between two spikes
of a neuron its co-state is a sum of two exponentials, $P_k e^{a / \\tau_s} + Q_k e^{a / \\tau_m}$
at an arrival a, and only as many rounds as the busiest neuron has spikes.
"""

from functools import partial
from typing import cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from plasticjax.neurons import CurrentLIF
from plasticjax.simulate import InputSpikes, LayerSpikes, SpikingCircuit, solve_layer


def layer_of_weights(
    weights: Float[Array, "post spikes"],
    times: Float[Array, " spikes"],
    neuron: CurrentLIF,
    *,
    t_end: float,
    max_spikes: int,
) -> LayerSpikes:
    """`solve_layer` for weights of the input spikes, differentiable with respect to these only, in
    reverse mode.

    `neuron` has scalar parameters, different time constants and a leak of zero; there is no clamp.
    """
    return cast(LayerSpikes, _layer(weights, times, neuron, t_end, max_spikes))


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _layer(weights, times, neuron, t_end, max_spikes):
    return solve_layer(
        SpikingCircuit(neuron, weights), InputSpikes(times), t_end=t_end, max_spikes=max_spikes
    )


def _forward(weights, times, neuron, t_end, max_spikes):
    spikes = cast(LayerSpikes, _layer(weights, times, neuron, t_end, max_spikes))
    return spikes, (weights, times, spikes.times)


def _backward(neuron: CurrentLIF, t_end, max_spikes, saved, by_spikes):
    r"""Right before a spike $\lambda_V^- = -(G - \lambda_V^+ (\dot V^+)) / \dot V^-$, with the
    slopes after and before it; the co-state of the current is continuous."""
    weights, arrivals, times = saved
    by_time = by_spikes.times
    capacitance = neuron.capacitance
    tau_mem, tau_syn = neuron.tau_mem, neuron.tau_syn
    gain = 1 / (1 / tau_syn - 1 / tau_mem)
    reset = 0.0 if neuron.reset_voltage is None else neuron.reset_voltage
    silent = ~jnp.isfinite(arrivals)
    fast, slow = (jnp.where(silent, 0, jnp.exp(arrivals / tau)) for tau in (tau_syn, tau_mem))
    charge = weights * (fast / capacitance)

    def visit(carry):
        k, voltage, current, following, gradient = carry
        real = jnp.isfinite(times[:, k])
        spike = jnp.where(real, times[:, k], 0)
        earlier = jnp.where(k > 0, times[:, jnp.maximum(k - 1, 0)], -jnp.inf)
        gap = jnp.where(jnp.isfinite(following), following - spike, 0)
        leaked, faded = jnp.exp(-gap / tau_mem), jnp.exp(-gap / tau_syn)
        voltage, current = (
            voltage * leaked,
            current * faded + voltage * gain * (leaked - faded),
        )
        before = arrivals < spike[:, None]
        drive = jnp.exp(-spike / tau_syn) * jnp.sum(jnp.where(before, charge, 0), axis=1)
        slope = drive - neuron.threshold / tau_mem
        usable = real & (slope > 0)
        effect = by_time[:, k] - voltage * (drive - reset / tau_mem)
        new = jnp.where(usable, -effect / jnp.where(usable, slope, 1), 0)
        voltage, current = jnp.where(real, new, voltage), jnp.where(real, current, 0)
        scale = jnp.where(real, jnp.exp(-spike / tau_syn), 0)
        by_fast = (current - gain * voltage) * scale
        by_slow = gain * voltage * jnp.where(real, jnp.exp(-spike / tau_mem), 0)
        concerns = before & (arrivals >= earlier[:, None])
        part = by_fast[:, None] * fast + by_slow[:, None] * slow
        gradient += jnp.where(concerns, part, 0)
        return k - 1, voltage, current, times[:, k], gradient

    zeros = jnp.zeros_like(weights[:, 0])
    last = jnp.max(jnp.sum(jnp.isfinite(times), axis=1)) - 1
    begin = last, zeros, zeros, jnp.full_like(zeros, jnp.inf), jnp.zeros_like(weights)
    *_, gradient = jax.lax.while_loop(lambda carry: carry[0] >= 0, visit, begin)
    return gradient / capacitance, jnp.zeros_like(arrivals)


_layer.defvjp(_forward, _backward)
