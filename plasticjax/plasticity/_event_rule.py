"""Rules that act at spikes, in lanes that are idle most of the time."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import PyTree

from ._bounds import AbstractBound
from ._increment import add_change
from ._lanes import call_where, select
from ._rule import AbstractUpdate, require_rule, require_structure


def event_rule(
    on_pre: Any = None,
    on_post: Any = None,
    bounds: AbstractBound | None = None,
    *,
    post_first: bool = True,
) -> AbstractUpdate:
    """The synapse update that applies rules at spikes and else keeps the synapse.

    `pre` and `post` must have a field `spike`, true or 1 at a spike. Their traces are those just
    before it, so that spikes at equal times do not see each other. The second rule sees the
    synapse as the first one left it. Where there is no spike, the rule sees neutral inputs and
    its result is dropped: values and derivatives are those of the synapses that act.

    Args:
        on_pre: rule applied at a presynaptic spike (`per="pre_spike"`, or a plain function).
        on_post: rule applied at a postsynaptic spike (`per="post_spike"`, or a plain function).
        bounds: how weight and change become the new weight, as in `increment`; None: their sum.
        post_first: at equal times the rule of the postsynaptic spike goes first.

    Returns:
        `(syn, pre, post, third, obs) -> syn`, all leaves scalar, in the unit of `syn`.

    Raises:
        ValueError: if there is no rule, or a rule is an update or per something else.
    """
    if on_pre is None and on_post is None:
        raise ValueError("on_pre and on_post are both None; give at least one rule")
    if on_pre is not None:
        require_rule(on_pre, ("pre_spike",), "event_rule", "on_pre")
    if on_post is not None:
        require_rule(on_post, ("post_spike",), "event_rule", "on_post")
    return _EventRule(on_pre, on_post, bounds, post_first)


class _EventRule(AbstractUpdate):
    on_pre: Any
    on_post: Any
    bounds: AbstractBound | None
    post_first: bool = eqx.field(static=True)

    def __call__(self, syn, pre, post, third, obs=None):
        events = (("post", post, self.on_post), ("pre", pre, self.on_pre))
        for name, side, rule in events if self.post_first else reversed(events):
            if rule is not None:
                update = _Bounded(rule, self.bounds, f"on_{name}")
                on = _spiked(side, name)
                new = call_where(on, update, (syn, pre, post, third, obs))
                syn = select(on, new, syn)
        return syn


class _Bounded(eqx.Module):
    rule: Any
    bounds: AbstractBound | None
    name: str = eqx.field(static=True)

    def __call__(self, syn, pre, post, third, obs):
        change = self.rule(syn, pre, post, third, obs)
        require_structure(change, syn, self.name)
        return add_change(syn, change, self.bounds, obs)


def _spiked(side: PyTree, name: str) -> Any:
    if not hasattr(side, "spike"):
        raise ValueError(
            f"{name} must have a field spike that says whether it fires, as Spiking has; got "
            f"{type(side).__name__}"
        )
    return jnp.asarray(side.spike) != 0
