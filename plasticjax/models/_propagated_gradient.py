"""The gradient of a layer by its weights that one pass of `EProp` finds."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from plasticjax.plasticity import EProp, EPropNeuron, EPropSynapse, increment

from ._surrogate_network import SurrogateLayer


def eligibility_rule(layer: SurrogateLayer, readout_synaptic, readout_membrane) -> EProp:
    """`EProp` for the neurons of a layer, leaves [post], before a readout with these decays."""
    synaptic, membrane = layer.decays
    gain = 1 - membrane if layer.normalised else 1.0
    parameters = (synaptic, membrane, gain, readout_synaptic, readout_membrane)
    return EProp(
        *(
            jnp.broadcast_to(jnp.asarray(p, layer.weights.dtype), (len(layer.weights),))
            for p in parameters
        ),
        eta=jnp.ones(len(layer.weights), layer.weights.dtype),
    )


def propagated_gradient(
    rule: EProp,
    spikes: Float[Array, "steps pre"],
    slope: Float[Array, "steps post"],
    reset: Float[Array, "steps post"],
    error: Float[Array, "steps_and_one post"],
) -> Float[Array, "post pre"]:
    """Sum over time of the error of each neuron times the eligibility of its synapses.

    The weights stay as they are meanwhile. The last error meets what the last step leaves.
    """

    def update(rule, synapses, pre, neuron):
        return jax.vmap(increment(rule), (0, 0, None, None))(synapses, pre, neuron, None)

    update_all = jax.vmap(update, (0, 0, None, 0))

    def step(synapses, entry):
        pre, neurons = entry
        return update_all(rule, synapses, pre, neurons), None

    zero = jnp.zeros((slope.shape[1], spikes.shape[1]), slope.dtype)
    begin = EPropSynapse(*(zero for _ in EPropSynapse._fields))
    neurons = EPropNeuron(error[:-1], slope, reset)
    end, _ = jax.lax.scan(step, begin, (spikes, neurons))
    return error[-1][:, None] * end.potential - end.w
