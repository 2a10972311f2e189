"""Spikes on a grid whose derivative is replaced by a smooth one."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class AbstractSurrogate(eqx.Module):
    """A slope that stands in for the derivative of a spike by the potential.

    Source: Neftci, Mostafa & Zenke (2019), IEEE Signal Process. Mag. 36, 51.
    """

    @abstractmethod
    def __call__(self, margin: Float[Array, "..."]) -> Float[Array, "..."]:
        """The slope.

        Args:
            margin: potential minus threshold, in units of the threshold, [...] (dimensionless).

        Returns:
            What takes the place of the derivative, [...] (dimensionless).
        """


class FastSigmoidSurrogate(AbstractSurrogate):
    r"""$1 / (1 + s |u|)^2$ (Zenke & Ganguli 2018, SuperSpike).

    Attributes:
        scale: how narrow it is, scalar (dimensionless).
    """

    scale: float | Float[Array, ""] = 100.0

    def __call__(self, margin):
        return 1 / (1 + self.scale * jnp.abs(margin)) ** 2


class SigmoidSurrogate(AbstractSurrogate):
    r"""$4 \sigma(su)(1 - \sigma(su))$, the slope of a sigmoid with height 1.

    Attributes:
        scale: how narrow it is, scalar (dimensionless).
    """

    scale: float | Float[Array, ""] = 10.0

    def __call__(self, margin):
        value = jax.nn.sigmoid(self.scale * margin)
        return 4 * value * (1 - value)


class TriangleSurrogate(AbstractSurrogate):
    r"""$\gamma \max(0, 1 - s |u|)$ (Bellec et al. 2020, Nat. Commun. 11, 3625).

    Attributes:
        scale: how narrow it is, scalar (dimensionless).
        height: $\gamma$, scalar (dimensionless).
    """

    scale: float | Float[Array, ""] = 1.0
    height: float | Float[Array, ""] = 0.3

    def __call__(self, margin):
        return self.height * jnp.maximum(0, 1 - self.scale * jnp.abs(margin))


class GaussianSurrogate(AbstractSurrogate):
    r"""$e^{-(su)^2 / 2}$.

    Attributes:
        scale: how narrow it is, scalar (dimensionless).
    """

    scale: float | Float[Array, ""] = 10.0

    def __call__(self, margin):
        return jnp.exp(-((self.scale * margin) ** 2) / 2)


class ArctanSurrogate(AbstractSurrogate):
    r"""$1 / (1 + (su)^2)$, the slope of an arc tangent with height 1.

    Attributes:
        scale: how narrow it is, scalar (dimensionless).
    """

    scale: float | Float[Array, ""] = 10.0

    def __call__(self, margin):
        return 1 / (1 + (self.scale * margin) ** 2)


class OwnSpikeSurrogate(AbstractSurrogate):
    r"""$\Theta(u) / \Delta u$: own spikes over the width of an escape noise.

    The derivative of the logarithm of the likelihood of the spikes of a stochastic neuron. Source:
    Gardner & Grüning (2021), Front. Comput. Neurosci. 15, 617862.

    Attributes:
        width: $\Delta u$, scalar, in units of the threshold (dimensionless).
    """

    width: float | Float[Array, ""] = 1.0

    def __call__(self, margin):
        return (margin > 0) / jnp.asarray(self.width, margin.dtype)


def surrogate_spike(
    margin: Float[Array, "..."], surrogate: AbstractSurrogate
) -> Float[Array, "..."]:
    """1 where the potential exceeds the threshold and 0 elsewhere; its derivative is the surrogate.

    The surrogate itself counts as constant: second derivatives are those of no function.

    Args:
        margin: potential minus threshold, in units of the threshold, [...] (dimensionless).
        surrogate: the slope.

    Returns:
        Spikes, [...], in the dtype of `margin` (dimensionless).
    """
    return _step(margin, jax.lax.stop_gradient(surrogate(margin)))


@jax.custom_jvp
def _step(margin, slope):
    return (margin > 0).astype(margin.dtype)


@_step.defjvp
def _step_jvp(primals, tangents):
    margin, slope = primals
    return _step(margin, slope), slope * tangents[0]
