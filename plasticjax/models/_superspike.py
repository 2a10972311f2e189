"""SuperSpike: layers that learn to fire target trains, forwards in time."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from plasticjax.neurons import AbstractSurrogate
from plasticjax.simulate import double_exponential

from ._propagated_gradient import eligibility_rule, propagated_gradient
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

    for the last layer; others get the errors by feedback weights. Synapses follow the rule
    `plasticity.EProp`. With one layer without
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

    error = double_exponential(targets - seen, rise=rise, decay=decay, dt=dt)
    # Eligibilities go through the same filter, in the form of a readout that is one step behind.
    fast, slow = (jnp.exp(-dt / jnp.asarray(tau, error.dtype)) for tau in (rise, decay))
    late = jnp.concatenate([jnp.zeros_like(error[:1]), error])
    late *= dt * (slow - fast) / (decay - rise)
    found = []
    inputs = [spikes, *(trace.spikes for trace in traces[:-1])]
    for layer, trace, seen, weights in zip(
        layers, traces, inputs, [*feedback, jnp.eye(outputs, dtype=error.dtype)], strict=True
    ):
        slope = (layer.surrogate if surrogate is None else surrogate)(trace.voltage - 1)
        rule = eligibility_rule(layer, fast, slow)
        reset = trace.spikes if gated else jnp.zeros_like(trace.spikes)
        gradient = -propagated_gradient(rule, seen, slope, reset, late @ weights.T)
        nothing = jax.tree.map(lambda leaf: None, layer)
        found.append(
            eqx.tree_at(lambda x: x.weights, nothing, gradient, is_leaf=lambda leaf: leaf is None)
        )
    return tuple(found)


def _symmetric(layers):
    """For each layer but the last the product of all weights above it, transposed."""
    found = [jnp.eye(len(layers[-1].weights), dtype=layers[-1].weights.dtype)]
    for layer in layers[:0:-1]:
        found.insert(0, layer.weights.T @ found[0])
    return found[:-1]
