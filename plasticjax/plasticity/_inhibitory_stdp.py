"""Plasticity of inhibitory synapses that balances excitation (Vogels et al. 2011)."""

from typing import ClassVar

from ._pair_stdp import PairPotentiation
from ._rule import AbstractRule, Parameter, Per
from ._timing_rule import TimingRule
from ._traces import Trace


class InhibitoryDepression(AbstractRule):
    """Change `eta * (post.trace - alpha)` at a presynaptic spike.

    Source: Vogels, Sprekeler, Zenke, Clopath & Gerstner (2011), Science 334, 1569.

    Attributes:
        eta: learning rate, scalar (unit of the weight).
        alpha: loss at every presynaptic spike, relative to `eta`, scalar (dimensionless).
    """

    eta: Parameter = 0.01
    alpha: Parameter = 0.12
    per: ClassVar[Per] = "pre_spike"

    def __call__(self, syn, pre, post, third=None, obs=None):
        return self.eta * (post.trace - self.alpha)


def inhibitory_stdp(
    eta: Parameter = 0.01, target: Parameter = 0.003, tau: Parameter = 20.0
) -> TimingRule:
    r"""Symmetric rule of inhibitory synapses, which drives the postsynaptic rate to a target.

    Each pair changes the strength by $\eta e^{-|\Delta t| / \tau}$, and each presynaptic spike
    takes $\eta \alpha$ with $\alpha = 2 \rho_0 \tau$. The weight is the strength of an inhibitory
    synapse, so it is positive. Source: Vogels, Sprekeler, Zenke, Clopath & Gerstner (2011),
    Science 334, 1569.

    Args:
        eta: learning rate, scalar (unit of the weight).
        target: rate of the postsynaptic neuron at which the change is zero on average, for
            uncorrelated spikes, scalar (kHz).
        tau: width of the window, scalar (ms).

    Returns:
        The rule.
    """
    return TimingRule(
        InhibitoryDepression(eta, 2 * target * tau),
        PairPotentiation(eta),
        (Trace(tau),),
        (Trace(tau),),
    )
