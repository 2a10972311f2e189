"""What goes into a dendritic microcircuit, what it carries and what it shows."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Scalar = float | int | Float[Array, ""]


class MicrocircuitWeights(NamedTuple):
    """Synaptic weights of layers 1 to L (dimensionless); hidden layers are 1 to L - 1.

    Attributes:
        up: from the layer below to the basal dendrites, one array [post, pre] per layer.
        down: from the layer above to the apical dendrites, one [post, pre] per hidden layer.
        ip: from pyramidal cells to the interneurons beside them, one [above, own] per hidden layer.
        pi: from these interneurons to the apical dendrites, one [own, above] per hidden layer.
    """

    up: tuple[Float[Array, "_post _pre"], ...]
    down: tuple[Float[Array, "_own _above"], ...]
    ip: tuple[Float[Array, "_above _own"], ...]
    pi: tuple[Float[Array, "_own _above"], ...]


class MicrocircuitLearningRates(eqx.Module):
    """Learning rates (1/ms); the weights from the top down are fixed.

    Attributes:
        up: one scalar per layer.
        ip: one scalar per hidden layer; None if these weights do not learn.
        pi: one scalar per hidden layer; None if these weights do not learn.
    """

    up: tuple[Scalar, ...]
    ip: tuple[Scalar, ...] | None = None
    pi: tuple[Scalar, ...] | None = None


class MicrocircuitVoltages(NamedTuple):
    """Potentials of the neurons of a population (dimensionless).

    Attributes:
        soma: somatic potential, [neurons].
        shown: the potential from which the others see the neuron: prospective with latent
            equilibrium, somatic without, [neurons].
    """

    soma: Float[Array, " neurons"]
    shown: Float[Array, " neurons"]


class MicrocircuitCarry(NamedTuple):
    """What a `DendriticMicrocircuit` carries from step to step.

    Attributes:
        weights: the synaptic weights.
        pyramids: potentials of the pyramidal cells, leaves [neurons], one entry per layer.
        interneurons: potentials of the interneurons, one entry per hidden layer.
        target: target of the step before, [outputs] (potential, dimensionless).
        nudged: whether the step before was nudged, scalar.
    """

    weights: MicrocircuitWeights
    pyramids: tuple[MicrocircuitVoltages, ...]
    interneurons: tuple[MicrocircuitVoltages, ...]
    target: Float[Array, " outputs"]
    nudged: Bool[Array, ""]


class MicrocircuitInputs(NamedTuple):
    """What drives a `DendriticMicrocircuit` in one step.

    Attributes:
        rates: input rates, [inputs] (dimensionless).
        target: target potentials of the output cells, [outputs] (dimensionless).
        nudged: whether the target acts on the output cells, scalar.
    """

    rates: Float[Array, " inputs"]
    target: Float[Array, " outputs"]
    nudged: bool | Bool[Array, ""]


class MicrocircuitOutputs(NamedTuple):
    """What a step of a `DendriticMicrocircuit` shows (potentials, dimensionless).

    Attributes:
        pyramids: shown potentials at the end of the step, one array [neurons] per layer.
        interneurons: the same of the interneurons, one array per hidden layer.
        apical: potentials of the apical dendrites in the step, one array per hidden layer.
    """

    pyramids: tuple[Float[Array, "_neurons"], ...]
    interneurons: tuple[Float[Array, "_neurons"], ...]
    apical: tuple[Float[Array, "_neurons"], ...]


def softplus_rate(voltage: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Rate log(1 + exp(u)), as in the reference: 0 below -15, u above 15.

    Args:
        voltage: potentials, [...] (dimensionless).

    Returns:
        Rates, same shape (dimensionless).
    """
    soft = jax.nn.softplus(voltage)
    return jnp.where(voltage > 15, voltage, jnp.where(voltage < -15, 0, soft))
