"""Dendrites that learn to predict their soma (Urbanczik & Senn 2014)."""

from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import ArrayLike, Float

from ._rule import AbstractRule, Parameter, Per


class SomaDendrite(NamedTuple):
    """What a neuron with a dendrite shows to `UrbanczikSenn`.

    Attributes:
        output: what the soma does: its spike train as a density, or its rate, scalar or [post]
            (kHz).
        prediction: somatic potential that the dendrite alone would cause, $V_w^*$, scalar or
            [post] (dimensionless).
    """

    output: Float[ArrayLike, "*shape"]
    prediction: Float[ArrayLike, "*shape"]


class UrbanczikSenn(AbstractRule):
    r"""Change $\eta\,(S - \phi(V^*))\, h(V^*)\, \mathrm{PSP}$ per ms: the dendrite learns to
    predict the soma.

    Here $\phi(u) = \phi_\text{max} / (1 + k e^{\beta (\theta - u)})$ is the rate and
    $h = \phi' / \phi = \beta\,(1 - \phi / \phi_\text{max})$. The potential $V^*$ is the dendritic
    one times $g_D / (g_L + g_D)$. It reads `pre`, the postsynaptic potential of a unit weight
    (scalar), and `post` as a `SomaDendrite`; it changes the bare weight. The published rule
    low-passes the change, as `Filtered(UrbanczikSenn())` does. Source: Urbanczik & Senn (2014),
    Neuron 81, 521, with its parameters (dimensionless potentials); the learning
    rate is ours.

    Attributes:
        eta: learning rate, scalar (unit of the weight).
        phi_max: largest rate, scalar (kHz).
        k: scalar (dimensionless).
        beta: slope, scalar (dimensionless).
        theta: potential of the threshold, scalar (dimensionless).
    """

    eta: Parameter = 1.0
    phi_max: Parameter = 0.15
    k: Parameter = 0.5
    beta: Parameter = 5.0
    theta: Parameter = 1.0
    per: ClassVar[Per] = "time"

    def __call__(self, syn, pre, post, third=None, obs=None):
        active = self._active(post.prediction)
        error = post.output - self.phi_max * active
        return self.eta * error * self.beta * (1.0 - active) * pre

    def rate(self, potential: Float[ArrayLike, "*shape"]) -> Float[ArrayLike, "*shape"]:
        """The rate of the neuron at a potential.

        Args:
            potential: somatic potential, scalar or [post] (dimensionless).

        Returns:
            The rate, shaped as the potential (kHz).
        """
        return self.phi_max * self._active(potential)

    def _active(self, u):
        # Either exponential is at most 1, so neither the value nor its slope overflows.
        x = self.beta * (u - self.theta)
        up = jnp.exp(jnp.where(x >= 0, -x, x))
        return jnp.where(x >= 0, 1.0 / (1.0 + self.k * up), up / (up + self.k))
