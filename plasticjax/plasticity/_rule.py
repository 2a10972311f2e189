"""What a plasticity rule and a synapse update are, and what is required of their results."""

import abc
from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

Per = Literal["time", "sample", "pre_spike", "post_spike"]
Parameter = float | int | Float[Array, "..."] | Float[np.ndarray, "..."]


class AbstractRule(eqx.Module):
    """A plasticity rule: the change of one synapse, from what that synapse can see.

    A rule is called as `rule(syn, pre, post, third, obs=None)`. All leaves are scalar, and the
    result has the structure of `syn`. Whoever applies the rule says what the change is of, and
    `per` says what it is per. Any plain function of this signature is a rule too; it carries no
    `per`, and every transformation trusts it.

    Attributes:
        per: static; one of "time" (the change is per unit of time, see `flow`), "sample",
            "pre_spike" and "post_spike" (applied once, see `increment` and `event_rule`). None
            where a rule is made of plain functions. A field or a class variable of the rule.
    """

    @property
    @abc.abstractmethod
    def per(self) -> Per | None: ...

    def __check_init__(self):
        """Refuses an unknown `per`.

        Raises:
            ValueError: if `per` is none of the four.
        """
        if self.per is not None and self.per not in get_args(Per):
            raise ValueError(f"per={self.per!r} must be one of {', '.join(get_args(Per))}")

    @abc.abstractmethod
    def __call__(
        self, syn: PyTree, pre: PyTree, post: PyTree, third: PyTree, obs: PyTree = None
    ) -> PyTree:
        """The change of one synapse.

        Args:
            syn: plastic state of the synapse, a weight or a pytree of scalars.
            pre: what the presynaptic neuron shows, scalar leaves.
            post: what the postsynaptic neuron shows, scalar leaves.
            third: one value for all synapses, such as a reward, scalar leaves.
            obs: read-only values of this synapse, such as noise, scalar leaves.

        Returns:
            The change, structured as `syn`, in its unit per `per`.
        """


class AbstractUpdate(eqx.Module):
    """A synapse update: the new state of one synapse, from what that synapse can see.

    It is called as `update(syn, pre, post, third, obs=None)`, all leaves scalar, and returns the
    new `syn`. `increment` and `event_rule` make updates of rules.
    """

    @abc.abstractmethod
    def __call__(
        self, syn: PyTree, pre: PyTree, post: PyTree, third: PyTree, obs: PyTree = None
    ) -> PyTree:
        """The new state of one synapse.

        Args:
            syn: plastic state of the synapse, a weight or a pytree of scalars.
            pre: what the presynaptic neuron shows, scalar leaves.
            post: what the postsynaptic neuron shows, scalar leaves.
            third: one value for all synapses, such as a reward, scalar leaves.
            obs: read-only values of this synapse, such as noise, scalar leaves.

        Returns:
            The new state, structured as `syn` and in its unit.
        """


class Update(AbstractUpdate):
    """A plain function as synapse update, such as one that prunes weak synapses.

    `over_synapses` takes a plain function for a rule, which changes nothing if it returns 0.
    Wrapped in `Update` it changes nothing if it returns `syn`.

    Attributes:
        function: `(syn, pre, post, third, obs) -> syn`, all leaves scalar.
    """

    function: Any

    def __call__(self, syn, pre, post, third, obs=None):
        return self.function(syn, pre, post, third, obs)


def require_rule(rule: Any, allowed: tuple[Per, ...], taker: str, name: str = "rule") -> None:
    """Refuses updates, and rules whose `per` does not suit the transformation `taker`."""
    if isinstance(rule, AbstractUpdate):
        raise ValueError(
            f"{name} must return a change, got the update {type(rule).__name__}; {taker} takes "
            "the rule itself"
        )
    per = getattr(rule, "per", None)
    if per is not None and per not in allowed:
        raise ValueError(
            f"{name} is a change per {per}, and {taker} takes changes per {' or '.join(allowed)}; "
            "a change per time belongs to flow, one per sample to increment, one per spike to "
            "event_rule"
        )


def require_structure(result: PyTree, syn: PyTree, name: str) -> None:
    """Refuses a result that is not structured and shaped as `syn`."""
    told, have = jax.tree.structure(result), jax.tree.structure(syn)
    if told != have:
        raise ValueError(f"{name} must return the structure of syn, {have}, got {told}")
    for (path, leaf), old in zip(
        jax.tree_util.tree_leaves_with_path(result), jax.tree.leaves(syn), strict=True
    ):
        where = f"{name} at syn{jax.tree_util.keystr(path)}"
        if jnp.shape(leaf) != jnp.shape(old):
            raise ValueError(
                f"{where} must have shape {jnp.shape(old)}, got {jnp.shape(leaf)}; a rule sees "
                "one synapse, and over_synapses spreads it"
            )
        kinds = jnp.result_type(leaf), jnp.result_type(old)
        if not jnp.issubdtype(kinds[1], jnp.inexact) and jnp.issubdtype(kinds[0], jnp.inexact):
            raise ValueError(f"{where} must be of dtype {kinds[1]} as syn is, got {kinds[0]}")


def as_leaf_of(value: Any, old: Any) -> Array:
    """`value` in the dtype of the leaf that it replaces, so that a scan can carry it."""
    return jnp.asarray(value, jnp.result_type(old))
