"""SuperSpike: layers that learn to fire target trains, forwards in time."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from plasticjax.neurons import AbstractSurrogate
from plasticjax.simulate import double_exponential

from ._surrogate_network import SurrogateLayer


def superspike_gradient(
    layers: Sequence[SurrogateLayer],
    spikes: Float[Array, "steps pre"],
    targets: Float[Array, "steps outputs"],
    *,
    rise: float = 5.0,
    decay: float = 10.0,
    surrogate: AbstractSurrogate | None = None,
    feedback: Sequence[Float[Array, "_ outputs"]] | None = None,
    gated: bool = True,
) -> tuple[SurrogateLayer, ...]:
    r"""A gradient of the van Rossum distance to target trains, in one pass forwards in time.

    $$\Delta w_{jl} \propto \int e_j(t)\; \alpha * \big(\sigma'(u_j) (\epsilon * S_l)\big)(t)\, dt$$

    with errors $e_k = \alpha * (\hat S_k - S_k)$

    for the last layer; others get the errors by feedback weights. With one layer without
    recurrence, detached reset and `gated`, this is the gradient of backpropagation through time of
    $\frac12 \sum_t dt\, e_k(t)^2$.

    Args:
        layers: feed-forward layers, the last one is the output; resets are taken as detached.
        spikes: input of one sample, [steps, pre] (dimensionless).
        targets: target trains, 1 for a spike, [steps, outputs] of the last layer (dimensionless).
        rise: time constant of the rise of $\alpha$ (ms).
        decay: time constant of its decay (ms).
        surrogate: what takes the place of $\sigma'$; `None`: the surrogate of each layer.
        feedback: weights of the errors for each layer but the last, [post, outputs] each: random
            ones, or uniform ones for errors that are the same everywhere; `None`: symmetric, the
            product of the weights above.
        gated: whether a reset erases the eligibility.

    Returns:
        What to subtract, in the place of the weights of each layer; `None` for the rest.

    Raises:
        ValueError: if a layer is recurrent, or `targets` or `feedback` do not fit.

    Source: Zenke & Ganguli (2018), Neural Comput. 30, 1514.
    """
    if any(layer.recurrent is not None for layer in layers):
        raise ValueError("layers has a recurrent layer; all must be feed-forward")
    traces, seen = [], spikes
    for layer in layers:
        traces.append(layer(seen))
        seen = traces[-1].spikes
    if targets.shape != seen.shape:
        raise ValueError(f"targets has shape {targets.shape}; expected {seen.shape}")
    outputs = targets.shape[1]
    feedback = _symmetric(layers) if feedback is None else list(feedback)
    shapes = [(len(layer.weights), outputs) for layer in layers[:-1]]
    if [weights.shape for weights in feedback] != shapes:
        raise ValueError(
            f"feedback has shapes {[weights.shape for weights in feedback]}; expected one matrix "
            f"[post, outputs] for each layer but the last: {shapes}"
        )
    dt = layers[-1].dt

    def smooth(trains):
        return double_exponential(trains, rise=rise, decay=decay, dt=dt)

    error = smooth(targets - seen)
    # Errors and eligibilities are both filtered; filtering the errors back saves the second filter.
    back = dt * smooth(error[::-1])[::-1]
    found = []
    inputs = [spikes, *(trace.spikes for trace in traces[:-1])]
    for layer, trace, seen, weights in zip(
        layers, traces, inputs, [*feedback, jnp.eye(outputs, dtype=error.dtype)], strict=True
    ):
        slope = (layer.surrogate if surrogate is None else surrogate)(trace.voltage - 1)
        signal = (back @ weights.T) * slope
        gradient = -_correlate(layer, signal, trace.spikes, seen, gated)
        nothing = jax.tree.map(lambda leaf: None, layer)
        found.append(
            eqx.tree_at(lambda x: x.weights, nothing, gradient, is_leaf=lambda leaf: leaf is None)
        )
    return tuple(found)


def _correlate(layer: SurrogateLayer, signal, fired, seen, gated):
    """Sum over time of the signal of each neuron times how its potential depends on its weights."""
    alpha, beta = (jnp.broadcast_to(decay, fired.shape[1:]) for decay in layer.decays)
    gain = 1 - beta if layer.normalised else jnp.ones_like(beta)
    keeps = 1 - fired if gated else jnp.ones_like(fired)

    def step(carry, at):
        traces, eligibility, total = carry
        signal, keep, seen = at
        total += signal[:, None] * eligibility
        eligibility = (beta[:, None] * eligibility + gain[:, None] * traces) * keep[:, None]
        return (alpha[:, None] * traces + seen, eligibility, total), None

    zero = jnp.zeros((fired.shape[1], seen.shape[1]), fired.dtype)
    (*_, total), _ = jax.lax.scan(step, (zero, zero, zero), (signal, keeps, seen))
    return total


def _symmetric(layers):
    """For each layer but the last the product of all weights above it, transposed."""
    found = [jnp.eye(len(layers[-1].weights), dtype=layers[-1].weights.dtype)]
    for layer in layers[:0:-1]:
        found.insert(0, layer.weights.T @ found[0])
    return found[:-1]
