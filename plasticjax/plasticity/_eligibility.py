"""Synapses that remember what they would change, until a reward or a filter decides."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import ArrayLike, Float

from ._rule import AbstractRule, Parameter, Per


class EligibleSynapse(NamedTuple):
    """A synapse with an eligibility trace.

    Attributes:
        w: weight, scalar, [post, pre] or [edges].
        eligibility: what the synapse would change, shaped as the weight and in its unit.
    """

    w: Float[ArrayLike, "*shape"]
    eligibility: Float[ArrayLike, "*shape"]


class ToEligibility(AbstractRule):
    """Sends the change of a rule to the eligibility of the synapse and leaves the weight alone.

    The synapse is an `EligibleSynapse`; the rule sees its bare weight. With `RewardModulated` it
    makes R-STDP: `event_rule(ToEligibility(depression), ToEligibility(potentiation))` at spikes,
    and the flow of `RewardModulated` between them.

    Attributes:
        rule: a rule for a bare weight; `per` is its `per`.
    """

    rule: Any

    @property
    def per(self) -> Per | None:
        return getattr(self.rule, "per", None)

    def __call__(self, syn, pre, post, third, obs=None):
        change = self.rule(syn.w, pre, post, third, obs)
        return EligibleSynapse(jnp.zeros_like(syn.w), change)


class RewardModulated(AbstractRule):
    r"""Reward turns eligibility into weight: $\dot w = \eta R e$, $\dot e = -e / \tau_e$.

    `third` is the reward R, or how much it exceeds what was expected, scalar. The synapse is an
    `EligibleSynapse`. Source: Izhikevich (2007), Cereb. Cortex 17, 2443, with its
    time constant; Frémaux & Gerstner (2016), Front. Neural Circuits 9, 85.

    Attributes:
        eta: learning rate, scalar (per unit of reward and ms).
        tau_eligibility: time constant of the eligibility, scalar (ms).
    """

    eta: Parameter = 1.0
    tau_eligibility: Parameter = 1000.0
    per: ClassVar[Per] = "time"

    def __call__(self, syn, pre, post, third, obs=None):
        return EligibleSynapse(
            self.eta * _reward(third) * syn.eligibility, -syn.eligibility / self.tau_eligibility
        )


class EpisodicReward(AbstractRule):
    r"""At the end of an episode: $w \leftarrow w + \eta R e$, and the eligibility starts afresh.

    `third` is the reward R, or how much it exceeds what was expected, scalar. The synapse is an
    `EligibleSynapse`. Source: Williams (1992), Mach. Learn. 8, 229; Frémaux & Gerstner (2016),
    Front. Neural Circuits 9, 85.

    Attributes:
        eta: learning rate, scalar (per unit of reward).
    """

    eta: Parameter = 0.01
    per: ClassVar[Per] = "sample"

    def __call__(self, syn, pre, post, third, obs=None):
        return EligibleSynapse(self.eta * _reward(third) * syn.eligibility, -syn.eligibility)


def _reward(third):
    if third is None:
        raise ValueError("third must be the reward, a scalar, got None")
    return third


class Filtered(AbstractRule):
    r"""Low-passes the change of a rule: $\dot w = \Delta$, $\tau \dot\Delta = f - \Delta$.

    The synapse is an `EligibleSynapse` whose eligibility is $\Delta$, in weight per ms; the rule
    sees its bare weight. Source: Urbanczik & Senn (2014), Neuron 81, 521, Methods, with its time
    constant.

    Attributes:
        rule: a rule for a bare weight, per time.
        tau: time constant, scalar (ms).
    """

    rule: Any
    tau: Parameter = 100.0
    per: ClassVar[Per] = "time"

    def __check_init__(self):
        """Refuses a rule that is not per time.

        Raises:
            ValueError: if the rule is per something else.
        """
        per = getattr(self.rule, "per", None)
        if per not in (None, "time"):
            raise ValueError(f"rule is a change per {per}; Filtered takes changes per time")

    def __call__(self, syn, pre, post, third, obs=None):
        change = self.rule(syn.w, pre, post, third, obs)
        return EligibleSynapse(syn.eligibility, (change - syn.eligibility) / self.tau)
