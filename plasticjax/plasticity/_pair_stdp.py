"""Spike-timing dependent plasticity of pairs of spikes."""

from typing import ClassVar

from ._rule import AbstractRule, Parameter, Per
from ._timing_rule import TimingRule
from ._traces import Interaction, Trace


class PairPotentiation(AbstractRule):
    """Change `a_plus * pre.trace` at a postsynaptic spike.

    Source: Morrison, Diesmann & Gerstner (2008), Biol. Cybern. 98, 459, Sec. 4.1.

    Attributes:
        a_plus: change for a postsynaptic spike right after a presynaptic one, scalar (unit of the
            weight).
    """

    a_plus: Parameter = 0.005
    per: ClassVar[Per] = "post_spike"

    def __call__(self, syn, pre, post, third=None, obs=None):
        return self.a_plus * pre.trace


class PairDepression(AbstractRule):
    """Change `-a_minus * post.trace` at a presynaptic spike.

    Source: Morrison, Diesmann & Gerstner (2008), Biol. Cybern. 98, 459, Sec. 4.1.

    Attributes:
        a_minus: loss for a presynaptic spike right after a postsynaptic one, scalar (unit of the
            weight).
    """

    a_minus: Parameter = 0.00525
    per: ClassVar[Per] = "pre_spike"

    def __call__(self, syn, pre, post, third=None, obs=None):
        return -self.a_minus * post.trace


def pair_stdp(
    a_plus: Parameter = 0.005,
    a_minus: Parameter = 0.00525,
    tau_plus: Parameter = 20.0,
    tau_minus: Parameter = 20.0,
    interaction: Interaction = "all",
) -> TimingRule:
    r"""Spike-timing dependent plasticity of pairs, with exponential windows.

    A pair with $\Delta t = t_\text{post} - t_\text{pre}$ changes the weight by
    $A_+ e^{-\Delta t / \tau_+}$ if $\Delta t > 0$, by $-A_- e^{\Delta t / \tau_-}$ if
    $\Delta t < 0$, and not at all at equal times. Which spikes form pairs is said by
    `interaction`. Weight dependence is a matter of bounds: `pair_stdp().update(HardBound(0, 1))`
    is the additive rule, and with `SoftBound` it is that of Gütig or van Rossum. Source: Song,
    Miller & Abbott (2000), Nat. Neurosci. 3, 919, with its parameters, in units of the
    largest weight.

    Args:
        a_plus: amplitude of potentiation, scalar (unit of the weight).
        a_minus: amplitude of depression, scalar (unit of the weight).
        tau_plus: width of the potentiation window, scalar (ms).
        tau_minus: width of the depression window, scalar (ms).
        interaction: "all": every earlier spike forms a pair; "nearest": only the last one does.

    Returns:
        The rule.
    """
    return TimingRule(
        PairDepression(a_minus),
        PairPotentiation(a_plus),
        (Trace(tau_plus, interaction),),
        (Trace(tau_minus, interaction),),
    )
