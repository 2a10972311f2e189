"""A rule applied once: the change is added, and never multiplied by a time step."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import PyTree

from ._bounds import AbstractBound
from ._rule import AbstractUpdate, as_leaf_of, require_rule, require_structure


def increment(rule: Any, *, bound: AbstractBound | None = None) -> AbstractUpdate:
    """The synapse update that applies a rule once, per sample, period or spike.

    Args:
        rule: `(syn, pre, post, third, obs) -> change of syn`, per sample or spike, or a plain
            function; scalar leaves, or any after `over_synapses`.
        bound: how weight and change become the new weight, such as `HardBound(0.0, 1.0)`; None:
            their sum. It acts on `syn` if that is a bare weight, else on the field `syn.w`;
            other leaves are added.

    Returns:
        `(syn, pre, post, third, obs) -> syn`, in the unit and dtype of `syn`.

    Raises:
        ValueError: if `rule` is an update, or a change per unit of time.
    """
    require_rule(rule, ("sample", "pre_spike", "post_spike"), "increment")
    return _Increment(rule, bound)


class _Increment(AbstractUpdate):
    rule: Any
    bound: AbstractBound | None

    def __call__(self, syn, pre, post, third, obs=None):
        change = self.rule(syn, pre, post, third, obs)
        require_structure(change, syn, "rule")
        return add_change(syn, change, self.bound, obs)


def add_change(syn: PyTree, change: PyTree, bound: AbstractBound | None, obs: PyTree) -> PyTree:
    """`syn + change`, with the weight bounded."""
    total = jax.tree.map(lambda old, more: as_leaf_of(old + more, old), syn, change)
    if bound is None:
        return total
    if jax.tree_util.treedef_is_leaf(jax.tree.structure(syn)):
        return as_leaf_of(bound(syn, change, obs), syn)
    if not hasattr(syn, "w"):
        raise ValueError(
            f"bound acts on the field w of syn, and {type(syn).__name__} has none; leave bound "
            "out, or name the weight w"
        )
    return eqx.tree_at(lambda s: s.w, total, as_leaf_of(bound(syn.w, change.w, obs), syn.w))
