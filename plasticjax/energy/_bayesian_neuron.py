"""A conductance-based neuron whose voltage is a belief."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class BayesianNeuronEnergy(eqx.Module):
    """The negative log density `N(u; mean E_bar, variance lam / g)` of a somatic voltage.

    `g/(2 lam) (u - E_bar)^2 - 1/2 log g + 1/2 log(2 pi lam)` with the conductances `g_k = w_k . r`,
    their sum `g` and their mean reversal potential `E_bar = sum_k g_k E_k / g` (Jordan et al. 2021,
    eq. 3). `C du/dt = -lam dE/du` is the membrane equation: `gradient_flow(energy, tau=C / lam)`.

    Attributes:
        reversals: reversal potential of each channel, leak included [channels] (mV).
        temperature: `lam`, variance times conductance (mV^2 nS).
    """

    reversals: Float[Array, " channels"]
    temperature: float | Float[Array, ""] = 1.0

    def __call__(
        self, s: Float[Array, ""], theta: Float[Array, "channels pre"], x: Any
    ) -> Float[Array, ""]:
        """The energy.

        Args:
            s: somatic voltage, scalar (mV).
            theta: effective weights [channels, pre], not negative; the leak is a channel that an
                input of constant rate drives (nS per unit of rate).
            x: drive whose `input` are the presynaptic rates [pre], not negative (dimensionless).

        Returns:
            Scalar (dimensionless).
        """
        total, mean = self.belief(theta, x)
        lam = self.temperature
        return total / (2 * lam) * (s - mean) ** 2 - 0.5 * jnp.log(total / (2 * jnp.pi * lam))

    def belief(
        self, theta: Float[Array, "channels pre"], x: Any
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Total conductance and mean reversal potential.

        Args:
            theta: effective weights [channels, pre] (nS per unit of rate).
            x: drive whose `input` are the presynaptic rates [pre] (dimensionless).

        Returns:
            `g`, scalar (nS), and `E_bar`, scalar (mV). NaN if no channel conducts.
        """
        conductances = theta @ x.input
        total = jnp.sum(conductances)
        return total, conductances @ self.reversals / total
