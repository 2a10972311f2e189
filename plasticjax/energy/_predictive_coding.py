"""Predictive coding, and the schedule that makes it equal to backpropagation."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ._activations import Activation
from ._networks import Layers
from ._operators import force, param_rule


class PredictiveCodingEnergy(eqx.Module):
    """Precision-weighted prediction errors of a layered network with both ends clamped.

    `1/2 sum_l (s_l - mu_l)^T P_l (s_l - mu_l)` with `mu_l` the current that layer `l` receives from
    the rates below, the input below the first layer and the target as the last (Whittington and
    Bogacz 2017, eq. 2.5). The state holds the hidden layers only.

    Attributes:
        activation: transfer function of the hidden layers.
        precision: precision of every layer's error: one number for all, or one entry a layer, the
            output included: a number, a vector [neurons] or a matrix [neurons, neurons]
            (dimensionless).
    """

    activation: Activation = eqx.field(static=True)
    precision: PyTree[Float[Array, "..."] | float] = 1.0

    def __call__(
        self, s: tuple[Float[Array, "..."], ...], theta: Layers, x: Any
    ) -> Float[Array, ""]:
        """The energy.

        Args:
            s: voltages of the hidden layers, a tuple of [neurons] (dimensionless).
            theta: one callable a layer, the output layer included.
            x: drive with `input` and `target`, such as a `Stimulus`.

        Returns:
            Scalar (dimensionless).

        Raises:
            ValueError: if there is not one layer more than entries of the state.
        """
        mismatches = self.errors(s, theta, x)
        weighted = zip(self._precisions(len(theta)), mismatches, strict=True)
        return jnp.asarray(sum(0.5 * jnp.sum(e * _weigh(p, e)) for p, e in weighted))

    def errors(
        self, s: tuple[Float[Array, "..."], ...], theta: Layers, x: Any
    ) -> tuple[Float[Array, "..."], ...]:
        """Prediction errors `s_l - mu_l` of every layer, the output included.

        Args:
            s: voltages of the hidden layers, a tuple of [neurons] (dimensionless).
            theta: one callable a layer, the output layer included.
            x: drive with `input` and `target`, such as a `Stimulus`.

        Returns:
            One array a layer (dimensionless).

        Raises:
            ValueError: if there is not one layer more than entries of the state.
        """
        if len(theta) != len(s) + 1:
            raise ValueError(
                f"theta must have one layer more than the {len(s)} hidden layers of the state, got "
                f"{len(theta)}"
            )
        below = (x.input, *(self.activation(each) for each in s))
        return tuple(
            node - layer(rate)
            for node, layer, rate in zip((*s, x.target), theta, below, strict=True)
        )

    def predictions(self, theta: Layers, x: Any) -> tuple[Float[Array, "..."], ...]:
        """The forward pass: hidden voltages without prediction errors.

        Args:
            theta: one callable a layer, the output layer included.
            x: drive with `input`, the rates below the first layer [inputs] (dimensionless).

        Returns:
            Voltages of the hidden layers, a tuple (dimensionless).
        """
        state, rate = [], x.input
        for layer in theta[:-1]:
            state.append(layer(rate))
            rate = self.activation(state[-1])
        return tuple(state)

    def _precisions(self, layers: int) -> list:
        if isinstance(self.precision, tuple | list):
            return list(self.precision)
        return [self.precision] * layers


def _weigh(precision, error):
    return precision @ error if jnp.ndim(precision) == 2 else precision * error


def zero_divergence_rule(
    energy: PredictiveCodingEnergy,
) -> Callable[[Layers, Any], PyTree]:
    """Predictive coding on the schedule that equals backpropagation exactly (Song et al. 2020).

    From the forward pass, inference takes Euler steps of exactly one, and layer `l` of `L` changes
    at inference step `L - l`, when its error has just arrived.

    Args:
        energy: a predictive-coding energy of unit precision.

    Returns:
        `(theta, x) -> change`: minus the gradient of `1/2 |target - output|^2`, structured as the
        parameters (dimensionless).
    """
    pull, rule = force(energy), param_rule(energy)

    def change(theta: Layers, x: Any) -> PyTree:
        s = energy.predictions(theta, x)
        layers: list = []
        for index in reversed(range(len(theta))):
            layers.insert(0, rule(s, theta, x)[index])
            s = jax.tree.map(jnp.subtract, s, pull(s, theta, x))
        return type(theta)(layers) if isinstance(theta, list) else tuple(layers)

    return change
