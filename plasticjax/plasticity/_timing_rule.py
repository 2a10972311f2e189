"""Rules of spike timing: what happens at spikes, and the traces that are read."""

from typing import Any

import equinox as eqx

from ._bounds import AbstractBound
from ._event_rule import event_rule
from ._rule import AbstractUpdate
from ._traces import Trace


class TimingRule(eqx.Module):
    """A rule of spike timing, such as `pair_stdp` returns: two scalar rules, and their traces.

    The rules see `pre` and `post` as `Spiking`, with one trace or two, as listed here.

    Attributes:
        on_pre: rule applied at a presynaptic spike, `per="pre_spike"`; None: nothing happens.
        on_post: rule applied at a postsynaptic spike, `per="post_spike"`; None: nothing happens.
        pre_traces: the `Trace` of the presynaptic neuron, or two, the second being the slow one.
        post_traces: the same for the postsynaptic neuron.
    """

    on_pre: Any
    on_post: Any
    pre_traces: tuple[Trace, ...]
    post_traces: tuple[Trace, ...]

    def update(
        self, bounds: AbstractBound | None = None, *, post_first: bool = True
    ) -> AbstractUpdate:
        """The synapse update, as `event_rule` makes it.

        Args:
            bounds: how weight and change become the new weight; None: their sum.
            post_first: at equal times the rule of the postsynaptic spike goes first.

        Returns:
            `(syn, pre, post, third, obs) -> syn`, all leaves scalar, in the unit of `syn`.
        """
        return event_rule(self.on_pre, self.on_post, bounds, post_first=post_first)
