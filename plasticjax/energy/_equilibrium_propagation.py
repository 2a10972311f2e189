"""The energy of equilibrium propagation: symmetric weights between continuous units."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._activations import Activation
from ._networks import RecurrentWeights


class EquilibriumPropagationEnergy(eqx.Module):
    """`1/2 |s|^2 - 1/2 sum_{i != j} W_ij r_i r_j - r^T (W_in x + b) + cost` with `r = rate(s)`.

    Scellier and Bengio 2017, eq. 3, with inputs clamped. Only the symmetric part of the recurrent
    weights without its diagonal counts. The energy of the free equilibrium does not vanish, so
    gradients come from `contrastive_gradient`.

    Attributes:
        activation: transfer function of the units.
        cost: `(s, rates, x) -> scalar` that contains the nudging strength, such as `voltage_cost`.
    """

    activation: Activation = eqx.field(static=True)
    cost: Callable[[Any, Any, Any], Float[Array, ""]] = eqx.field(static=True)

    def __call__(
        self, s: Float[Array, " units"], theta: RecurrentWeights, x: Any
    ) -> Float[Array, ""]:
        """The energy.

        Args:
            s: state of the units [units] (dimensionless).
            theta: weights.
            x: drive with `input`, and what `cost` reads.

        Returns:
            Scalar (dimensionless).
        """
        rates = self.activation(s)
        weight = symmetric_without_diagonal(theta.weight)
        external = theta.input_weight @ x.input + theta.bias
        internal = 0.5 * jnp.sum(s**2) - 0.5 * rates @ weight @ rates - rates @ external
        return internal + self.cost(s, rates, x)


def symmetric_without_diagonal(weight: Float[Array, "units units"]) -> Float[Array, "units units"]:
    symmetric = 0.5 * (weight + weight.T)
    return symmetric - jnp.diag(jnp.diag(symmetric))
