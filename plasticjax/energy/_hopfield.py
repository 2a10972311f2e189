"""Associative memories: the continuous Hopfield network of 1984 and the modern one of 2020."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._networks import RecurrentWeights


def log_cosh(voltage: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The potential whose derivative is tanh, stable for large voltages.

    Args:
        voltage: [*shape] (dimensionless).

    Returns:
        `log(cosh(voltage))` [*shape] (dimensionless).
    """
    return jnp.logaddexp(voltage, -voltage) - jnp.log(2.0).astype(voltage.dtype)


class HopfieldEnergy(eqx.Module):
    """`-1/2 r^T W r - r^T (W_in x + b) + sum_i int_0^{r_i} rate^{-1}(z) dz` with `r = rate(s)`.

    Hopfield 1984, eq. 7. The integral is the Legendre transform `r s - potential(s)` of a convex
    potential whose derivative is the rate, so it needs no inverse of the rate and no logarithm near
    saturation. Only the symmetric part of the recurrent weights counts.

    Attributes:
        potential: elementwise potential of voltages [units] with `rate = d potential / ds` and
            `potential(0) = 0`, by default `log_cosh`, so that the rate is tanh (dimensionless).
    """

    potential: Callable[[Array], Array] = eqx.field(static=True, default=log_cosh)

    def rates(self, s: Float[Array, " units"]) -> Float[Array, " units"]:
        """Rates of voltages: the derivative of the potential.

        Args:
            s: voltages [units] (dimensionless).

        Returns:
            Rates [units] (dimensionless).
        """
        return jax.grad(lambda s: jnp.sum(self.potential(s)))(s)

    def __call__(
        self, s: Float[Array, " units"], theta: RecurrentWeights, x: Any
    ) -> Float[Array, ""]:
        """The energy.

        Args:
            s: voltages [units] (dimensionless).
            theta: weights.
            x: drive with `input`.

        Returns:
            Scalar (dimensionless).
        """
        rates = self.rates(s)
        return self._interaction(rates, theta, x) + jnp.sum(rates * s - self.potential(s))

    def rate_force(
        self, s: Float[Array, " units"], theta: RecurrentWeights, x: Any
    ) -> Float[Array, " units"]:
        """The derivative of the energy by the rates: the force in Hopfield's own metric.

        `gradient_flow(ForceField(energy.rate_force), tau)` is `tau ds/dt = -s + W r + W_in x + b`,
        along which the energy never rises. It equals `dE/ds` divided by the slope of the rates,
        without dividing.

        Args:
            s: voltages [units] (dimensionless).
            theta: weights.
            x: drive with `input`.

        Returns:
            `s - W r - W_in x - b` [units] (dimensionless).
        """
        return s + jax.grad(self._interaction)(self.rates(s), theta, x)

    def _interaction(self, rates, theta, x):
        weight = 0.5 * (theta.weight + theta.weight.T)
        return -0.5 * rates @ weight @ rates - rates @ (theta.input_weight @ x.input + theta.bias)


class ModernHopfieldEnergy(eqx.Module):
    """`1/2 |s|^2 - log(sum_m exp(k X_m . s)) / k`, a memory of patterns `X_m`.

    Ramsauer et al. 2020, eq. 2 without its constants. One Euler step of length `tau` of its
    gradient flow is softmax attention, `s <- X^T softmax(k X s)`.

    Attributes:
        inverse_temperature: sharpness `k` of the retrieval, scalar, positive (dimensionless).
    """

    inverse_temperature: float | Float[Array, ""] = 1.0

    def __call__(
        self, s: Float[Array, " features"], theta: Float[Array, "patterns features"], x: Any = None
    ) -> Float[Array, ""]:
        """The energy.

        Args:
            s: state [features] (dimensionless).
            theta: stored patterns [patterns, features] (dimensionless).
            x: not used.

        Returns:
            Scalar (dimensionless).
        """
        k = self.inverse_temperature
        return 0.5 * jnp.sum(s**2) - jax.nn.logsumexp(k * (theta @ s)) / k
