"""Voltage-based plasticity (Clopath, Büsing, Vasilaki & Gerstner 2010)."""

from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import ArrayLike, Float

from ._rule import AbstractRule, Parameter, Per


class ClopathPre(NamedTuple):
    """What a presynaptic neuron shows to `ClopathSTDP`.

    Attributes:
        train: spike train as a density: spikes per time step on a grid, scalar or [pre] (kHz).
        trace: the train filtered with 15 ms, `LowPass(15.0)`, scalar or [pre] (kHz).
    """

    train: Float[ArrayLike, "*shape"]
    trace: Float[ArrayLike, "*shape"]


class ClopathPost(NamedTuple):
    """What a postsynaptic neuron shows to `ClopathSTDP`.

    Attributes:
        u: membrane potential, scalar or [post] (mV).
        u_minus: potential filtered with 10 ms, `LowPass(10.0)`, scalar or [post] (mV).
        u_plus: potential filtered with 7 ms, `LowPass(7.0)`, scalar or [post] (mV).
        mean_square: what homeostasis compares with `u_ref_squared`: the depolarisation averaged
            over about 1 s, squared, scalar or [post] (mV²); None switches homeostasis off.
    """

    u: Float[ArrayLike, "*shape"]
    u_minus: Float[ArrayLike, "*shape"]
    u_plus: Float[ArrayLike, "*shape"]
    mean_square: Float[ArrayLike, "*shape"] | None = None


class ClopathSTDP(AbstractRule):
    r"""Plasticity that depends on the postsynaptic voltage, not on postsynaptic spike times.

    $$\dot w = -A_\text{LTD} \frac{\bar{\bar u}^2}{u_\text{ref}^2}\, X\, [\bar u_- - \theta_-]_+
    + A_\text{LTP}\, \bar x\, [u - \theta_+]_+\, [\bar u_+ - \theta_-]_+$$

    with the presynaptic spike train X and its trace $\bar x$. It reads `pre` as a `ClopathPre` and
    `post` as a `ClopathPost`, and changes the bare weight. Source: Clopath, Büsing, Vasilaki &
    Gerstner (2010), Nat. Neurosci. 13, 344, with its parameters of visual cortex.

    Attributes:
        a_ltd: amplitude of depression, scalar (1/mV).
        a_ltp: amplitude of potentiation, scalar (1/mV²).
        theta_minus: filtered potential above which anything changes, scalar (mV).
        theta_plus: potential above which there is potentiation, scalar (mV).
        u_ref_squared: mean square at which homeostasis leaves depression alone, scalar (mV²).
    """

    a_ltd: Parameter = 14e-5
    a_ltp: Parameter = 8e-5
    theta_minus: Parameter = -70.6
    theta_plus: Parameter = -45.3
    u_ref_squared: Parameter = 60.0
    per: ClassVar[Per] = "time"

    def __call__(self, syn, pre, post, third=None, obs=None):
        a_ltd = self.a_ltd
        if post.mean_square is not None:
            a_ltd = a_ltd * post.mean_square / self.u_ref_squared
        depression = a_ltd * pre.train * _positive(post.u_minus - self.theta_minus)
        potentiation = (
            self.a_ltp
            * pre.trace
            * _positive(post.u - self.theta_plus)
            * _positive(post.u_plus - self.theta_minus)
        )
        return potentiation - depression


def _positive(x):
    return jnp.where(x > 0, x, 0.0)
