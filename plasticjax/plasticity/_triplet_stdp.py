"""Spike-timing dependent plasticity of triplets of spikes (Pfister & Gerstner 2006)."""

from typing import ClassVar, Literal, NamedTuple

from ._rule import AbstractRule, Parameter, Per
from ._timing_rule import TimingRule
from ._traces import Interaction, Trace


class TripletPotentiation(AbstractRule):
    """Change `pre.trace * (a2_plus + a3_plus * post.slow)` at a postsynaptic spike.

    The slow trace is the one just before the spike. Source: Pfister & Gerstner (2006), J.
    Neurosci. 26, 9673, Eq. 4.

    Attributes:
        a2_plus: amplitude of pairs, scalar (unit of the weight).
        a3_plus: amplitude of triplets post-pre-post, scalar (unit of the weight).
    """

    a2_plus: Parameter = 5e-10
    a3_plus: Parameter = 6.2e-3
    per: ClassVar[Per] = "post_spike"

    def __call__(self, syn, pre, post, third=None, obs=None):
        return pre.trace * (self.a2_plus + self.a3_plus * post.slow)


class TripletDepression(AbstractRule):
    """Change `-post.trace * (a2_minus + a3_minus * pre.slow)` at a presynaptic spike.

    The slow trace is the one just before the spike. Source: Pfister & Gerstner (2006), J.
    Neurosci. 26, 9673, Eq. 3.

    Attributes:
        a2_minus: amplitude of pairs, scalar (unit of the weight).
        a3_minus: amplitude of triplets pre-post-pre, scalar (unit of the weight).
    """

    a2_minus: Parameter = 7e-3
    a3_minus: Parameter = 2.3e-4
    per: ClassVar[Per] = "pre_spike"

    def __call__(self, syn, pre, post, third=None, obs=None):
        return -post.trace * (self.a2_minus + self.a3_minus * pre.slow)


class TripletParameters(NamedTuple):
    """Parameters of the triplet rule; the defaults are the full all-to-all fit to visual cortex.

    Attributes:
        a2_plus: potentiation of pairs, scalar (unit of the weight).
        a3_plus: potentiation of triplets, scalar (unit of the weight).
        a2_minus: depression of pairs, scalar (unit of the weight).
        a3_minus: depression of triplets, scalar (unit of the weight).
        tau_x: slow presynaptic trace, scalar (ms).
        tau_y: slow postsynaptic trace, scalar (ms).
        tau_plus: fast presynaptic trace, scalar (ms).
        tau_minus: fast postsynaptic trace, scalar (ms).
    """

    a2_plus: Parameter = 5e-10
    a3_plus: Parameter = 6.2e-3
    a2_minus: Parameter = 7e-3
    a3_minus: Parameter = 2.3e-4
    tau_x: Parameter = 101.0
    tau_y: Parameter = 125.0
    tau_plus: Parameter = 16.8
    tau_minus: Parameter = 33.7

    @classmethod
    def published(
        cls,
        region: Literal["visual_cortex", "hippocampus"] = "visual_cortex",
        model: Literal["full", "minimal"] = "full",
        interaction: Interaction = "all",
    ) -> "TripletParameters":
        """The fits of Pfister & Gerstner (2006), Tables 3 (visual cortex) and 4 (hippocampus).

        The amplitudes are changes relative to the initial weight.

        Args:
            region: "visual_cortex" or "hippocampus".
            model: "full", or "minimal" with the terms that the fit needs: no pair potentiation in
                visual cortex, and no triplet depression.
            interaction: "all" or "nearest"; give the same to `triplet_stdp`.

        Returns:
            The parameters (dimensionless, ms).

        Raises:
            ValueError: if there is no such fit.
        """
        name = (region, model, interaction)
        if name not in _PUBLISHED:
            raise ValueError(
                f"(region, model, interaction)={name} must be one of "
                f"{', '.join(map(str, _PUBLISHED))}"
            )
        return _PUBLISHED[name]


# Minimal models do not read the slow presynaptic trace; they keep the default of its time constant.
_PUBLISHED = {
    ("visual_cortex", "full", "all"): TripletParameters(),
    ("visual_cortex", "minimal", "all"): TripletParameters(0.0, 6.5e-3, 7.1e-3, 0.0, tau_y=114.0),
    ("visual_cortex", "full", "nearest"): TripletParameters(
        8.8e-11, 5.3e-2, 6.6e-3, 3.1e-3, 714.0, 40.0
    ),
    ("visual_cortex", "minimal", "nearest"): TripletParameters(0.0, 5e-2, 8e-3, 0.0, tau_y=40.0),
    ("hippocampus", "full", "all"): TripletParameters(6.1e-3, 6.7e-3, 1.6e-3, 1.4e-3, 946.0, 27.0),
    ("hippocampus", "minimal", "all"): TripletParameters(5.3e-3, 8e-3, 3.5e-3, 0.0, tau_y=40.0),
    ("hippocampus", "full", "nearest"): TripletParameters(
        4.6e-3, 9.1e-3, 3e-3, 7.5e-9, 575.0, 47.0
    ),
    ("hippocampus", "minimal", "nearest"): TripletParameters(4.6e-3, 9.1e-3, 3e-3, 0.0, tau_y=48.0),
}


def triplet_stdp(
    parameters: TripletParameters | None = None, interaction: Interaction = "all"
) -> TimingRule:
    """The triplet rule of Pfister & Gerstner (2006), J. Neurosci. 26, 9673.

    It has two traces a neuron. Potentiation grows with the rate of the postsynaptic neuron, so
    the frequency of pairings decides about the sign, as in experiments and unlike `pair_stdp`.

    Args:
        parameters: scalars (unit of the weight, ms); None: the full all-to-all fit to visual
            cortex. `TripletParameters.published` has the others.
        interaction: "all": every earlier spike counts; "nearest": only the last one does.

    Returns:
        The rule.
    """
    p = TripletParameters() if parameters is None else parameters
    return TimingRule(
        TripletDepression(p.a2_minus, p.a3_minus),
        TripletPotentiation(p.a2_plus, p.a3_plus),
        (Trace(p.tau_plus, interaction), Trace(p.tau_x, interaction)),
        (Trace(p.tau_minus, interaction), Trace(p.tau_y, interaction)),
    )
