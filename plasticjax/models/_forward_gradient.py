"""Gradients of spiking networks that are computed forwards in time, from what a synapse can see."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from plasticjax.neurons import AbstractSurrogate

from ._propagated_gradient import eligibility_rule, propagated_gradient
from ._surrogate_network import SurrogateNetwork


def first_maximum_errors(
    readout: Float[Array, "steps classes"], label: Int[Array, ""]
) -> Float[Array, "steps classes"]:
    r"""The derivative of `membrane_loss` by the potentials: $\mathrm{softmax}_k - y_k$ at the first
    maximum of each, 0 elsewhere.

    Args:
        readout: potentials, [steps, classes] (dimensionless).
        label: the true class, scalar.

    Returns:
        Errors, [steps, classes] (dimensionless).
    """
    when = jnp.argmax(readout, axis=0)
    error = jax.nn.softmax(jnp.max(readout, axis=0)) - jax.nn.one_hot(label, readout.shape[1])
    return jnp.where(jnp.arange(len(readout))[:, None] == when, error.astype(readout.dtype), 0)


def stepwise_errors(
    readout: Float[Array, "steps classes"], label: Int[Array, ""]
) -> Float[Array, "steps classes"]:
    r"""The derivative of the cross-entropy at each step, mean over steps, by the potentials.

    Args:
        readout: potentials, [steps, classes] (dimensionless).
        label: the true class, scalar.

    Returns:
        Errors, [steps, classes] (dimensionless).

    Source: Bellec et al. (2020), Nat. Commun. 11, 3625 (e-prop).
    """
    target = jax.nn.one_hot(label, readout.shape[1], dtype=readout.dtype)
    return (jax.nn.softmax(readout) - target) / len(readout)


def forward_gradient(
    network: SurrogateNetwork,
    spikes: Float[Array, "steps pre"],
    label: Int[Array, ""],
    *,
    errors: Callable = first_maximum_errors,
    surrogate: AbstractSurrogate | None = None,
    feedback: Sequence[Float[Array, "post classes"]] | None = None,
    gated: bool = True,
) -> SurrogateNetwork:
    r"""A gradient of the loss by all weights, in one pass forwards in time.

    Each synapse follows the rule `plasticity.EProp`: its eligibility is how the potential of its
    neuron depends on it, times a factor of that neuron, filtered as the readout filters spikes.
    Errors of the readout reach the neuron by feedback weights. For one hidden layer without
    recurrence, with the defaults and a detached reset, this is the gradient of backpropagation
    through time. Everything else approximates it:

    - `errors=stepwise_errors`, `TriangleSurrogate` and recurrent layers: e-prop (Bellec et al.
      2020), which leaves out how neurons act on each other;
    - `surrogate=OwnSpikeSurrogate()`: the factor of Gardner & Grüning (2021);
    - `feedback` of random numbers: broadcast alignment;
    - several hidden layers: errors pass by the product of the weights above, at once;
    - `gated=False`: the eligibility ignores resets. It is then an outer product.

    Args:
        network: the network; resets are taken as detached.
        spikes: input of one sample, [steps, pre] (dimensionless).
        label: the true class, scalar.
        errors: `(readout, label) -> errors` by step and class.
        surrogate: what takes the place of the derivative of a spike by the potential; `None`: the
            surrogate of each layer.
        feedback: weights of the errors for each hidden layer, [post, classes] each; `None`: the
            product of the weights above.
        gated: whether a reset erases the eligibility.

    Returns:
        The gradient, in the place of the weights of the network; `None` for the rest.

    Raises:
        ValueError: if `feedback` does not fit, or the time constants of the readout are not scalar:
            an eligibility is filtered once, for all classes.
    """
    for name in ("tau_mem", "tau_syn"):
        shape = jnp.shape(getattr(network.readout, name))
        if shape != ():
            raise ValueError(f"network.readout.{name} has shape {shape}; it must be scalar")
    trace = network(spikes)
    error = errors(trace.readout, label)
    feedback = _symmetric(network) if feedback is None else list(feedback)
    shapes = [(len(layer.weights), error.shape[1]) for layer in network.hidden]
    if [weights.shape for weights in feedback] != shapes:
        raise ValueError(
            f"feedback has shapes {[weights.shape for weights in feedback]}; expected one matrix "
            f"[post, classes] for each hidden layer: {shapes}"
        )
    below = [spikes, *(layer.spikes for layer in trace.hidden)]
    found = []
    for layer, own, seen, weights in zip(
        network.hidden, trace.hidden, below[:-1], feedback, strict=True
    ):
        slope = (layer.surrogate if surrogate is None else surrogate)(own.voltage - 1)
        rule = eligibility_rule(layer, *network.readout.decays)
        reset = own.spikes if gated else jnp.zeros_like(own.spikes)
        signal = error @ weights.T
        found.append(propagated_gradient(rule, seen, slope, reset, signal))
        if layer.recurrent is not None:
            earlier = jnp.concatenate([jnp.zeros_like(own.spikes[:1]), own.spikes[:-1]])
            found.append(propagated_gradient(rule, earlier, slope, reset, signal))
    found.append(error.T @ network.readout.filter(below[-1]))
    nothing = jax.tree.map(lambda leaf: None, network)
    return eqx.tree_at(_plastic(network), nothing, found, is_leaf=lambda leaf: leaf is None)


def _plastic(network: SurrogateNetwork):
    """Where the weights are, from the input to the readout."""

    def places(tree):
        found = []
        for layer, own in zip(tree.hidden, network.hidden, strict=True):
            found.append(layer.weights)
            if own.recurrent is not None:
                found.append(layer.recurrent)
        return [*found, tree.readout.weights]

    return places


def _symmetric(network: SurrogateNetwork):
    """For each hidden layer the product of all weights above it, transposed."""
    found = [network.readout.weights.T]
    for layer in network.hidden[:0:-1]:
        found.insert(0, layer.weights.T @ found[0])
    return found
