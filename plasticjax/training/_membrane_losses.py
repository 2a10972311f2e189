"""Classifiers that read the potentials of neurons which never fire."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int


def max_over_time(readout: Float[Array, "steps classes"]) -> Float[Array, " classes"]:
    """The highest potential of each neuron. Its gradient belongs to the first step that has it.

    Args:
        readout: potentials, [steps, classes] (dimensionless).

    Returns:
        The maxima, [classes] (dimensionless).
    """
    steps = jnp.arange(len(readout))[:, None]
    # Two plain reductions, which are faster than an argmax on a CPU.
    highest = readout == jnp.max(readout, axis=0)
    when = jnp.min(jnp.where(highest, steps, len(readout)), axis=0)
    return jnp.take_along_axis(readout, when[None], axis=0)[0]


def membrane_loss(
    readout: Float[Array, "steps classes"], label: Int[Array, ""]
) -> Float[Array, ""]:
    r"""Cross-entropy of the highest potentials, $-\ln \mathrm{softmax}(\max_t V_k(t))_y$.

    Args:
        readout: potentials, [steps, classes] (dimensionless).
        label: the true class, scalar.

    Returns:
        The loss, scalar (nats).

    Source: Zenke & Vogels (2021), Neural Comput. 33, 899.
    """
    return optax.softmax_cross_entropy_with_integer_labels(max_over_time(readout), label)
