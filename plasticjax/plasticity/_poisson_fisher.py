"""The Fisher matrix of a Poisson neuron: diagonal plus rank 2, and so is its inverse."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Bool, Float

from ._rule import Parameter
from ._transfer import AbstractTransfer


class UspKernel(eqx.Module):
    r"""The synaptic potential (USP) that one input spike causes at unit weight.

    $\epsilon(t) = \epsilon_0\, (e^{-t/\tau_m} - e^{-t/\tau_s}) / (\tau_m - \tau_s)$ for $t > 0$.
    A Poisson input of rate $r$ has USPs of mean $\epsilon_0 r$ and variance $r / c_\epsilon$.

    Attributes:
        tau_m: time constant of the membrane, scalar, positive (s).
        tau_s: time constant of the synapse, scalar, positive, not `tau_m` (s).
        eps0: area of the kernel, scalar, positive (mV s).
    """

    tau_m: Parameter = 0.010
    tau_s: Parameter = 0.003
    eps0: Parameter = 1.0

    def __check_init__(self):
        """Refuses concrete parameters without a kernel.

        Raises:
            ValueError: unless all are positive, and the time constants differ.
        """
        for name in ("tau_m", "tau_s", "eps0"):
            value = getattr(self, name)
            if not isinstance(value, Tracer) and not np.all(np.asarray(value) > 0):
                raise ValueError(f"{name}={value} must be positive")
        times = self.tau_m, self.tau_s
        if not any(isinstance(time, Tracer) for time in times) and np.any(np.equal(*times)):
            raise ValueError(f"tau_s={self.tau_s} must not equal tau_m={self.tau_m}")

    @property
    def c_eps(self) -> Parameter:
        r"""$c_\epsilon = 2 (\tau_m + \tau_s) / \epsilon_0^2$, scalar (1/(mV² s))."""
        return 2.0 * (self.tau_m + self.tau_s) / self.eps0**2

    def __call__(self, time: Float[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
        """The potential after a spike.

        Args:
            time: since the spike, scalar or [times] (s).

        Returns:
            The potential, shaped as the time (mV); 0 before the spike.
        """
        after = jnp.maximum(time, 0.0)
        decays = jnp.exp(-after / self.tau_m) - jnp.exp(-after / self.tau_s)
        return jnp.asarray(self.eps0 / (self.tau_m - self.tau_s) * decays)


class PotentialStatistics(NamedTuple):
    r"""What the Fisher matrix needs to know about the inputs of a neuron.

    Attributes:
        mean: of the somatic potential, scalar (mV above rest).
        variance: of the somatic potential, scalar (mV²).
        q: $c_\epsilon \epsilon_0^2 \sum_i r_i$, scalar (dimensionless).
    """

    mean: Float[ArrayLike, ""]
    variance: Float[ArrayLike, ""]
    q: Float[ArrayLike, ""]


def potential_statistics(
    kernel: UspKernel, w: Float[ArrayLike, " pre"], rate: Float[ArrayLike, " pre"]
) -> PotentialStatistics:
    """The statistics of a potential that independent Poisson inputs cause.

    Args:
        kernel: of the inputs.
        w: somatic weights of one neuron [pre] (dimensionless).
        rate: of the inputs [pre] (Hz); true rates or running averages.

    Returns:
        Mean, variance and q, scalars.
    """
    w, rate = jnp.asarray(w), jnp.asarray(rate)
    return PotentialStatistics(
        mean=kernel.eps0 * jnp.sum(w * rate),
        variance=jnp.sum(w**2 * rate) / kernel.c_eps,
        q=kernel.c_eps * kernel.eps0**2 * jnp.sum(rate),
    )


class InverseFisher(NamedTuple):
    r"""The inverse Fisher matrix of one neuron, without the parts that are the same for all.

    $G^{-1} = \gamma_s\, (\Sigma^{-1} + [\tilde r, w]\, g\, [\tilde r, w]^\top)$ with
    $\Sigma_{ii} = r_i / c_\epsilon$ and $\tilde r_i = c_\epsilon \epsilon_0$. G is per s.

    Attributes:
        gamma_s: $1 / c_1$, scalar (mV² s).
        g: $[[g_1, g_3], [g_2, g_4]]$, symmetric [2, 2] (dimensionless, 1/mV; 1/mV, 1/mV²).
        clipped: whether `gamma_s` was cut off at its largest allowed value, scalar.
    """

    gamma_s: Float[Array, ""]
    g: Float[Array, "2 2"]
    clipped: Bool[Array, ""]

    def heterosynaptic(
        self,
        kernel: UspKernel,
        usp_sum: Float[ArrayLike, ""],
        potential: Float[ArrayLike, ""],
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        r"""The terms $\gamma_u$ and $\gamma_w$ of the rule.

        Args:
            kernel: of the inputs.
            usp_sum: sum of the USPs of all inputs, scalar (mV).
            potential: somatic potential, scalar (mV above rest).

        Returns:
            $\gamma_u$ and $\gamma_w$, scalars (1/mV, as the homosynaptic term).
        """
        reduced = kernel.c_eps * kernel.eps0
        gamma_u = -reduced * (reduced * self.g[0, 0] * usp_sum + self.g[0, 1] * potential)
        gamma_w = reduced * self.g[1, 0] * usp_sum + self.g[1, 1] * potential
        return jnp.asarray(gamma_u), jnp.asarray(gamma_w)

    def precondition(
        self,
        kernel: UspKernel,
        w: Float[Array, " pre"],
        rate: Float[Array, " pre"],
        change: Float[Array, " pre"],
    ) -> Float[Array, " pre"]:
        """The inverse Fisher matrix times any change of the weights of this neuron.

        Args:
            kernel: of the inputs.
            w: somatic weights [pre] (dimensionless).
            rate: of the inputs [pre] (Hz); an input of rate 0 has no homosynaptic term.
            change: such as a Euclidean gradient [pre].

        Returns:
            The natural change [pre], in the unit of `change` times s.
        """
        spread = jnp.stack([jnp.full_like(w, kernel.c_eps * kernel.eps0), w])
        heterosynaptic = (self.g @ (spread @ change)) @ spread
        return self.gamma_s * (kernel.c_eps * over_rate(change, rate) + heterosynaptic)


def inverse_fisher(
    transfer: AbstractTransfer,
    statistics: PotentialStatistics,
    *,
    gamma_s_max: Float[ArrayLike, ""] | None = None,
) -> InverseFisher:
    r"""Inverts the Fisher matrix of a Poisson neuron.

    With $c_1, c_2, c_3$ the mean information, $K = [[c_1, c_2], [c_2, c_3]] / c_1$ and
    $M = [[q, \mu], [\mu, \sigma^2]]$, the Woodbury identity gives $g = -(1 + K M)^{-1} K$. It
    holds for Gaussian potentials, and for a singular K. Source: Kreutzer, Senn & Petrovici
    (2022), eLife 11, e66526, Eqs. 71 to 105.

    Args:
        transfer: of the neuron.
        statistics: of its potential, from the somatic weights.
        gamma_s_max: largest allowed `gamma_s`, scalar (mV² s); None: no limit. Where the transfer
            function is flat `gamma_s` is very large, and one teacher spike makes a jump.

    Returns:
        The inverse, to be used as `precondition` or `heterosynaptic`.
    """
    mean, variance, q = map(jnp.asarray, statistics)
    c1, c2, c3 = map(jnp.asarray, transfer.mean_information(mean, variance))
    # A sigmoid far from its threshold has no information left in floating point.
    informed = c1 > 0
    safe = jnp.where(informed, c1, 1.0)
    gamma_s = jnp.where(informed, 1.0 / safe, jnp.inf)
    a, b = c2 / safe, c3 / safe
    # K M and then 1 + K M, inverted by hand: a 2 x 2 solver is slow for many small neurons.
    one_q, one_mean = q + a * mean, mean + a * variance
    two_q, two_mean = a * q + b * mean, a * mean + b * variance
    determinant = (1.0 + one_q) * (1.0 + two_mean) - one_mean * two_q
    g1 = (1.0 + two_mean) - one_mean * a
    g3 = (1.0 + two_mean) * a - one_mean * b
    g4 = (1.0 + one_q) * b - two_q * a
    g = -jnp.stack([jnp.stack([g1, g3]), jnp.stack([g3, g4])]) / determinant
    if gamma_s_max is None:
        return InverseFisher(gamma_s, g, jnp.zeros(jnp.shape(gamma_s), bool))
    return InverseFisher(jnp.minimum(gamma_s, gamma_s_max), g, gamma_s > gamma_s_max)


def approximate_heterosynaptic(
    kernel: UspKernel,
    potential: Float[ArrayLike, ""],
    *,
    c_u: Parameter = 0.95,
    c_w: Parameter = 0.05,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    r"""The terms $\gamma_u$ and $\gamma_w$ of the approximated rule.

    They need no statistics of other inputs. Source: Kreutzer, Senn & Petrovici (2022), eLife 11,
    e66526, Eq. 114.

    Args:
        kernel: of the inputs.
        potential: somatic potential, scalar (mV above rest).
        c_u: scalar (mV s).
        c_w: scalar (1/mV²).

    Returns:
        $\gamma_u = c_u c_\epsilon$ and $\gamma_w = c_w V$, scalars (1/mV).
    """
    gamma_u = jnp.asarray(c_u * kernel.c_eps, jnp.result_type(potential, float))
    return gamma_u, jnp.asarray(c_w * potential)


def over_rate(value: Float[ArrayLike, "*shape"], rate: Float[ArrayLike, "*shape"]):
    """`value / rate`, and 0 with finite derivatives for silent inputs."""
    active = jnp.asarray(rate) > 0
    return jnp.where(active, value / jnp.where(active, rate, 1.0), 0.0)
