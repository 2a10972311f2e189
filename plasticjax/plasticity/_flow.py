"""Rules per unit of time as vector fields of the weights."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from ._rule import require_rule, require_structure


class Signals(NamedTuple):
    """What a rule sees apart from the synapse itself.

    Attributes:
        pre: what presynaptic neurons show, leaves scalar, or [pre] with `over_synapses`.
        post: what postsynaptic neurons show, leaves scalar, or [post] with `over_synapses`.
        third: one value for all synapses, scalar leaves.
        obs: read-only values of synapses, leaves as those of `syn`.
    """

    pre: PyTree
    post: PyTree
    third: PyTree = None
    obs: PyTree = None


def flow(rule: Any) -> Callable[[Any, PyTree, Any], PyTree]:
    """The vector field of the synapses, for diffrax or for a step inside a scan.

    The vector field is `f(t, syn, args) -> dsyn/dt`. `args` are the `Signals`, or a tuple of
    their fields in that order; or a function `(t, syn) -> Signals` where they change with time
    or depend on the weights. As arguments of diffrax such a function should be a Module if it
    contains arrays.

    Args:
        rule: a change per unit of time: a rule with `per="time"`, a plain function, or either
            of them after `over_synapses`.

    Returns:
        `(t, syn, args) -> dsyn/dt`, structured as `syn`, in its unit per unit of time (ms).

    Raises:
        ValueError: if `rule` is an update, or a change per sample or per spike.
    """
    require_rule(rule, ("time",), "flow")
    return _Flow(rule)


class _Flow(eqx.Module):
    rule: Any

    def __call__(self, t, syn, args):
        pre, post, third, obs = Signals(*_signals(t, syn, args))
        change = self.rule(syn, pre, post, third, obs)
        require_structure(change, syn, "rule")
        return jax.tree.map(
            lambda slope, old: jnp.asarray(slope, jnp.result_type(old)), change, syn
        )


def _signals(t: Any, syn: PyTree, args: Any) -> Any:
    return args(t, syn) if callable(args) else args
