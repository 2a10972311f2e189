"""Error-correcting plasticity along the Euclidean and along the natural gradient."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
from jaxtyping import ArrayLike, Float

from ._poisson_fisher import UspKernel, over_rate
from ._rule import AbstractRule, Parameter, Per


class PoissonInput(NamedTuple):
    """What a presynaptic neuron shows to the gradient rules.

    Attributes:
        usp: synaptic potential at unit weight, $x$, scalar or [pre] (mV).
        rate: scalar or [pre] (Hz); 0 for an unused synapse.
    """

    usp: Float[ArrayLike, "*shape"]
    rate: Float[ArrayLike, "*shape"]


class PoissonOutput(NamedTuple):
    r"""What a postsynaptic neuron shows to the gradient rules.

    The last three are what the natural gradient adds. They are sums over all inputs of the neuron:
    `inverse_fisher` and its `heterosynaptic`, or `approximate_heterosynaptic`.

    Attributes:
        error: $Y^* - \phi(V)\, dt$ with the teacher's spike, 0 or 1 in a step, scalar or [post]
            (dimensionless).
        log_slope: $\phi' / \phi$ at V, scalar or [post] (1/mV).
        gamma_s: global gain, scalar or [post] (mV² s).
        gamma_u: uniform heterosynaptic term, scalar or [post] (1/mV).
        gamma_w: heterosynaptic term in proportion to the weight, scalar or [post] (1/mV).
    """

    error: Float[ArrayLike, "*shape"]
    log_slope: Float[ArrayLike, "*shape"]
    gamma_s: Float[ArrayLike, "*shape"]
    gamma_u: Float[ArrayLike, "*shape"]
    gamma_w: Float[ArrayLike, "*shape"]


class SomaticWeight(eqx.Module):
    """The weight is the somatic one."""

    def __call__(
        self, w: Float[ArrayLike, "*shape"], obs: Any = None
    ) -> Float[ArrayLike, "*shape"]:
        """The somatic weight.

        Args:
            w: scalar or any shape (dimensionless).
            obs: not used.

        Returns:
            `w`, same shape (dimensionless).
        """
        return w


class AttenuatedWeight(eqx.Module):
    r"""The weight sits on a dendrite that attenuates it to $\alpha w$; `obs` is $\alpha$.

    A synapse at distance d on a cable of length constant $\lambda$ has $\alpha = e^{-d/\lambda}$.
    """

    def __call__(
        self, w: Float[ArrayLike, "*shape"], obs: Any = None
    ) -> Float[ArrayLike, "*shape"]:
        r"""The somatic weight.

        Args:
            w: dendritic weight, scalar or any shape (dimensionless).
            obs: $\alpha$, same shape (dimensionless).

        Returns:
            The attenuated weight, same shape (dimensionless).

        Raises:
            ValueError: if there is no `obs`.
        """
        if obs is None:
            raise ValueError("obs must be the attenuation of the synapse, a scalar, got None")
        return obs * w


class EuclideanGradient(AbstractRule):
    r"""Change $\eta\, (Y^* - \phi\, dt)\, \frac{\phi'}{\phi}\, x\, f'(w)$, the classical
    error-correcting rule.

    It descends the divergence of the neuron from its teacher, and so depends on how synapses are
    parametrised. It reads `pre` as a `PoissonInput` and `post` as a `PoissonOutput`, scalars, and
    changes the bare weight. Source: Pfister et al. (2006), Neural Comput. 18, 1318; Kreutzer,
    Senn & Petrovici (2022), eLife 11, e66526, Eq. 10.

    Attributes:
        eta: learning rate, scalar (dimensionless).
        somatic: `(w, obs) -> somatic weight`, smooth, scalar; the parametrisation f.
    """

    eta: Parameter = 1.5e-6
    somatic: Callable[..., Any] = eqx.field(default_factory=SomaticWeight)
    per: ClassVar[Per] = "sample"

    def __call__(self, syn, pre, post, third=None, obs=None):
        slope = jax.grad(self.somatic)(syn, obs)
        return self.eta * post.error * post.log_slope * pre.usp * slope


class NaturalGradient(AbstractRule):
    r"""Change $\eta\, \gamma_s\, (Y^* - \phi\, dt)\, \frac{\phi'}{\phi}\, \frac{1}{f'(w)}
    \left[ c_\epsilon \frac{x}{r} - \gamma_u + \gamma_w f(w) \right]$.

    The neuron descends the divergence from its teacher along the steepest direction in the space
    of its input-output distributions. The change of the somatic weight does not depend on how
    synapses are parametrised. An unused synapse, of rate 0, has no homosynaptic term $x/r$. It
    reads `pre` as a `PoissonInput` and `post` as a `PoissonOutput`, scalars, and changes the bare
    weight. Source: Kreutzer, Senn & Petrovici (2022), eLife 11, e66526, Eqs. 13 and 17; the
    default learning rate is that of its Fig. 3 in these units.

    Attributes:
        eta: learning rate, scalar (1/s).
        kernel: of the inputs.
        somatic: `(w, obs) -> somatic weight`, smooth, scalar; the parametrisation f.
    """

    eta: Parameter = 2e-3
    kernel: UspKernel = eqx.field(default_factory=UspKernel)
    somatic: Callable[..., Any] = eqx.field(default_factory=SomaticWeight)
    per: ClassVar[Per] = "sample"

    def __call__(self, syn, pre, post, third=None, obs=None):
        weight, slope = jax.value_and_grad(self.somatic)(syn, obs)
        homosynaptic = self.kernel.c_eps * over_rate(pre.usp, pre.rate)
        bracket = homosynaptic - post.gamma_u + post.gamma_w * weight
        return self.eta * post.gamma_s * post.error * post.log_slope / slope * bracket
