"""Transfer functions of a Poisson neuron, and the Fisher information that its rate carries."""

import abc
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from ._rule import Parameter

REACH = 7.0  # standard deviations that the quadrature covers to each side


class Information(NamedTuple):
    r"""$h = \phi'^2 / \phi$ and its first two derivatives, or their means over the potential.

    Attributes:
        value: $h$ or $c_1$, scalar or [potentials] (Hz/mV²).
        slope: $h'$ or $c_2$, same shape (Hz/mV³).
        curvature: $h''$ or $c_3$, same shape (Hz/mV⁴).
    """

    value: Float[ArrayLike, "*shape"]
    slope: Float[ArrayLike, "*shape"]
    curvature: Float[ArrayLike, "*shape"]


class AbstractTransfer(eqx.Module):
    """The rate of a neuron as a function of its somatic potential above rest."""

    @abc.abstractmethod
    def rate(self, potential: Float[ArrayLike, "*shape"]) -> Float[ArrayLike, "*shape"]:
        r"""The rate $\phi$.

        Args:
            potential: scalar or [potentials] (mV above rest).

        Returns:
            The rate, shaped as the potential (Hz).
        """

    @abc.abstractmethod
    def log_slope(self, potential: Float[ArrayLike, "*shape"]) -> Float[ArrayLike, "*shape"]:
        r"""The slope of the logarithm of the rate, $\phi' / \phi$; 0 where the rate is 0.

        Args:
            potential: scalar or [potentials] (mV above rest).

        Returns:
            The slope, shaped as the potential (1/mV).
        """

    @abc.abstractmethod
    def information(self, potential: Float[ArrayLike, "*shape"]) -> Information:
        r"""The Fisher information $h = \phi'^2 / \phi$ about the potential, and two derivatives.

        Args:
            potential: scalar or [potentials] (mV above rest).

        Returns:
            $h$, $h'$ and $h''$, shaped as the potential (Hz/mV² and per mV, mV²).
        """

    @abc.abstractmethod
    def mean_information(
        self, mean: Float[ArrayLike, ""], variance: Float[ArrayLike, ""]
    ) -> Information:
        r"""The coefficients $c_1 = E[h]$, $c_2 = E[h']$, $c_3 = E[h'']$ of the Fisher matrix.

        Args:
            mean: of the Gaussian potential, scalar (mV above rest).
            variance: of the Gaussian potential, scalar, not negative (mV²).

        Returns:
            The coefficients, scalars (Hz/mV² and per mV, mV²).
        """


class SigmoidTransfer(AbstractTransfer):
    r"""$\phi(V) = \phi_\text{max} / (1 + e^{-\beta (V - \theta)})$.

    Source: Kreutzer, Senn & Petrovici (2022), eLife 11, e66526, with its parameters.

    Attributes:
        phi_max: largest rate, scalar (Hz).
        beta: scalar (1/mV).
        theta: potential of half the largest rate, scalar (mV above rest).
        nodes: static; points at which the means over the potential are taken, over 7 standard
            deviations to each side. If their distance is below 0.56 / beta, 1.9 mV by default, the
            error is below 1e-6: 65 nodes serve standard deviations up to 8.5 mV, and 449 up to
            60 mV. At one and a half times the distance $c_3$ is wrong by 2e-4.
    """

    phi_max: Parameter = 100.0
    beta: Parameter = 0.3
    theta: Parameter = 10.0
    nodes: int = eqx.field(default=65, static=True)

    def __check_init__(self):
        """Refuses too few nodes.

        Raises:
            ValueError: if `nodes < 3`.
        """
        _require_nodes(self.nodes)

    def rate(self, potential):
        return self.phi_max * self._active(potential)[0]

    def log_slope(self, potential):
        return self.beta * self._active(potential)[1]

    def information(self, potential):
        p, rest = self._active(potential)
        h = self.phi_max * self.beta**2 * p * rest**2
        return Information(
            h,
            self.beta * h * (1.0 - 3.0 * p),
            self.beta**2 * h * (1.0 - 9.0 * p + 12.0 * p**2),
        )

    def mean_information(self, mean, variance):
        return gaussian_mean(self.information, mean, variance, self.nodes)

    def _active(self, potential):
        # The exponential is at most 1, so it does not overflow, and 1 - p keeps its digits.
        z = jnp.asarray(self.beta * (potential - self.theta))
        tail = jnp.exp(jnp.where(z >= 0, -z, z))
        large, small = 1.0 / (1.0 + tail), tail / (1.0 + tail)
        return jnp.where(z >= 0, large, small), jnp.where(z >= 0, small, large)


class QuadraticTransfer(AbstractTransfer):
    r"""$\phi(V) = \frac14 (V - \theta)^2$ above $\theta$, else 0, for which $h = 1$.

    The mean information is that of a potential that stays above $\theta$. Then the Fisher matrix
    does not depend on the weights. Source: Kreutzer, Senn & Petrovici (2022), eLife 11, e66526.

    Attributes:
        theta: potential of rate zero, scalar, well below the mean potential (mV above rest).
    """

    theta: Parameter = 0.0

    def rate(self, potential):
        return 0.25 * jnp.maximum(potential - self.theta, 0.0) ** 2

    def log_slope(self, potential):
        above = jnp.asarray(potential - self.theta)
        return jnp.where(above > 0, 2.0 / jnp.where(above > 0, above, 1.0), 0.0)

    def information(self, potential):
        above = jnp.asarray(potential - self.theta)
        above = jnp.where(above > 0, 1.0, jnp.zeros_like(above))
        return Information(above, jnp.zeros_like(above), jnp.zeros_like(above))

    def mean_information(self, mean, variance):
        one = jnp.ones_like(mean + variance)
        return Information(one, jnp.zeros_like(one), jnp.zeros_like(one))


class ExponentialTransfer(AbstractTransfer):
    r"""$\phi(V) = \phi_0\, e^{\beta (V - \theta)}$, for which $h' = \beta h$ and means are exact.

    Attributes:
        phi_0: rate at `theta`, scalar (Hz).
        beta: scalar (1/mV).
        theta: scalar (mV above rest).
    """

    phi_0: Parameter = 1.0
    beta: Parameter = 0.3
    theta: Parameter = 0.0

    def rate(self, potential):
        return self.phi_0 * jnp.exp(self.beta * (potential - self.theta))

    def log_slope(self, potential):
        return self.beta * jnp.ones_like(potential)

    def information(self, potential):
        h = self.beta**2 * self.rate(potential)
        return Information(h, self.beta * h, self.beta**2 * h)

    def mean_information(self, mean, variance):
        return self.information(mean + 0.5 * self.beta * variance)


class AutodiffTransfer(AbstractTransfer):
    """Any smooth transfer function, differentiated automatically.

    Attributes:
        function: potential (scalar, mV above rest) -> rate (scalar, Hz, not negative).
        nodes: static; points at which the means over the potential are taken, over 7 standard
            deviations to each side. Their distance must resolve the function.
    """

    function: Callable[[Array], Array]
    nodes: int = eqx.field(default=65, static=True)

    def __check_init__(self):
        """Refuses too few nodes.

        Raises:
            ValueError: if `nodes < 3`.
        """
        _require_nodes(self.nodes)

    def rate(self, potential):
        return jnp.vectorize(self.function)(potential)

    def log_slope(self, potential):
        return jnp.vectorize(lambda v: self._over_rate(v, 1))(jnp.asarray(potential, float))

    def information(self, potential):
        h = lambda v: self._over_rate(v, 2)  # noqa: E731
        derivatives = (h, jax.grad(h), jax.grad(jax.grad(h)))
        potential = jnp.asarray(potential, float)
        return Information(*(jnp.vectorize(each)(potential) for each in derivatives))

    def mean_information(self, mean, variance):
        return gaussian_mean(self.information, mean, variance, self.nodes)

    def _over_rate(self, potential, power):
        rate, slope = jax.value_and_grad(self.function)(potential)
        return jnp.where(rate > 0, slope**power / jnp.where(rate > 0, rate, 1.0), 0.0)


def gaussian_mean(
    function: Callable[[Array], Information],
    mean: Float[ArrayLike, ""],
    variance: Float[ArrayLike, ""],
    nodes: int,
) -> Information:
    """Means over a Gaussian potential by the trapezoid rule.

    Gauss-Hermite quadrature would need far more points: the functions are narrow bumps.
    """
    # At variance 0 all weights are 0, and so is the derivative of the variance by them; only the
    # root's must be kept finite.
    mean, variance = jnp.asarray(mean), jnp.asarray(variance)
    spread = variance > 0
    deviation = jnp.where(spread, jnp.sqrt(jnp.where(spread, variance, 1.0)), 0.0)
    z = np.linspace(-REACH, REACH, nodes)
    density = np.exp(-0.5 * z**2)
    dtype = jnp.result_type(mean, deviation)
    at = mean + deviation * jnp.asarray(z, dtype)
    weights = jnp.asarray(density / density.sum(), dtype)
    return Information(*(jnp.sum(weights * each) for each in function(at)))


def _require_nodes(nodes: int) -> None:
    if nodes < 3:
        raise ValueError(f"nodes={nodes} must be at least 3")
