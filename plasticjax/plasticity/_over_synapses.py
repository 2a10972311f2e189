"""One rule for one synapse, spread over all synapses between two populations."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Int, PyTree

from ._lanes import call_where, select
from ._reductions import POST, PRE
from ._rule import AbstractRule, AbstractUpdate, Per, require_structure


class EdgeList(NamedTuple):
    """The existing synapses between two populations.

    Attributes:
        pre: index of the presynaptic neuron of each synapse [edges].
        post: index of the postsynaptic neuron of each synapse [edges].
    """

    pre: Int[Array, " edges"] | Int[np.ndarray, " edges"]
    post: Int[Array, " edges"] | Int[np.ndarray, " edges"]

    @classmethod
    def from_mask(cls, mask: Bool[Array, "post pre"] | Bool[np.ndarray, "post pre"]) -> "EdgeList":
        """The edges of a mask, ordered by post, then pre; `w[edges.post, edges.pre]` picks theirs.

        Args:
            mask: True where there is a synapse [post, pre]; concrete (dimensionless).

        Returns:
            The edges.
        """
        post, pre = np.nonzero(np.asarray(mask))
        return cls(pre=pre, post=post)


def over_synapses(
    rule: Any,
    *,
    mask: Bool[Array, "post pre"] | Bool[np.ndarray, "post pre"] | None = None,
    edges: EdgeList | None = None,
) -> Any:
    """Spreads a rule or an update over all synapses between two populations.

    The result is called as the rule is, with `syn` and `obs` over both axes [post, pre], `pre`
    over [pre], `post` over [post], and `third` over none, that is scalar. It is a Module, so
    derivatives by the parameters of the rule work, and `flow` and `increment` take it.

    Args:
        rule: `(syn, pre, post, third, obs) -> change of syn`, or an update (`AbstractUpdate`)
            that returns the new `syn`; scalar leaves. A plain function is a rule; wrap it in
            `Update` if it is an update.
        mask: True where there is a synapse [post, pre] (dimensionless). Elsewhere the change is
            zero, or `syn` is kept, and derivatives are zero, whatever the rule makes of the
            values found there.
        edges: the existing synapses; then the leaves of `syn` and `obs` are [edges].

    Returns:
        The same function for all synapses. It raises a ValueError if an argument does not have
        the shape above, or if the rule does not return a scalar for every leaf of `syn`.

    Raises:
        ValueError: if both `mask` and `edges` are given, or one of them is malformed.
    """
    if mask is not None and edges is not None:
        raise ValueError("mask and edges both say where synapses are; give one of them")
    if mask is not None and (jnp.ndim(mask) != 2 or jnp.result_type(mask) != jnp.bool_):
        raise ValueError(
            f"mask must be boolean [post, pre], got {jnp.result_type(mask)} of shape "
            f"{jnp.shape(mask)}"
        )
    if edges is not None:
        _check_edges(edges)
    if isinstance(rule, AbstractUpdate):
        return _UpdateOverSynapses(rule, mask, edges)
    return _RuleOverSynapses(rule, mask, edges)


class _RuleOverSynapses(AbstractRule):
    rule: Any
    mask: Any
    edges: Any

    @property
    def per(self) -> Per | None:
        return getattr(self.rule, "per", None)

    def __call__(self, syn, pre, post, third, obs=None):
        nothing = lambda change, syn: jax.tree.map(jnp.zeros_like, change)  # noqa: E731
        return _spread(self.rule, self.mask, self.edges, nothing, (syn, pre, post, third, obs))


class _UpdateOverSynapses(AbstractUpdate):
    rule: Any
    mask: Any
    edges: Any

    def __call__(self, syn, pre, post, third, obs=None):
        kept = lambda new, syn: syn  # noqa: E731
        return _spread(self.rule, self.mask, self.edges, kept, (syn, pre, post, third, obs))


def _spread(rule, mask, edges, absent, signals):
    syn, pre, post, third, obs = signals
    _check_shapes("third", third, (), "")

    def one(syn, pre, post, obs):
        result = rule(syn, pre, post, third, obs)
        require_structure(result, syn, "rule")
        return jax.tree.map(jnp.asarray, result)

    if edges is not None:
        _check_shapes("syn", syn, jnp.shape(edges.pre), "edges")
        _check_shapes("obs", obs, jnp.shape(edges.pre), "edges")
        _check_endpoints(edges.pre, pre, "pre")
        _check_endpoints(edges.post, post, "post")
        pre = jax.tree.map(lambda leaf: jnp.asarray(leaf)[edges.pre], pre)
        post = jax.tree.map(lambda leaf: jnp.asarray(leaf)[edges.post], post)
        return jax.vmap(one)(syn, pre, post, obs)

    shape = _dense_shape(syn) if mask is None else jnp.shape(mask)
    _check_shapes("syn", syn, shape, "post, pre")
    _check_shapes("pre", pre, shape[1:], "pre")
    _check_shapes("post", post, shape[:1], "post")
    _check_shapes("obs", obs, shape, "post, pre")
    if mask is None:
        over_pre = jax.vmap(one, (0, 0, None, 0), axis_name=PRE)
        over_both = jax.vmap(over_pre, (0, None, 0, 0), axis_name=POST)
        return over_both(syn, pre, post, obs)

    def masked(on, syn, pre, post, obs):
        result = call_where(on, rule, (syn, pre, post, third, obs))
        require_structure(result, syn, "rule")
        return select(on, result, absent(result, syn))

    over_pre = jax.vmap(masked, (0, 0, 0, None, 0))
    return jax.vmap(over_pre, (0, 0, None, 0, 0))(jnp.asarray(mask), syn, pre, post, obs)


def _dense_shape(syn: PyTree) -> tuple[int, ...]:
    leaves = jax.tree.leaves(syn)
    if not leaves or jnp.ndim(leaves[0]) != 2:
        shapes = [jnp.shape(leaf) for leaf in leaves]
        raise ValueError(f"syn must have leaves of one shape [post, pre], got shapes {shapes}")
    return jnp.shape(leaves[0])


def _check_shapes(name: str, tree: PyTree, shape: tuple[int, ...], axes: str) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if jnp.shape(leaf) != shape:
            form = f"[{axes}] = {shape}" if axes else "() (one value for all synapses)"
            raise ValueError(
                f"{name}{jax.tree_util.keystr(path)} must have shape {form}, got {jnp.shape(leaf)}"
            )


def _check_endpoints(indices: Any, tree: PyTree, name: str) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        where = f"{name}{jax.tree_util.keystr(path)}"
        if jnp.ndim(leaf) != 1:
            raise ValueError(f"{where} must have shape [{name}], got {jnp.shape(leaf)}")
        if not isinstance(indices, Tracer) and np.size(indices):
            highest = int(np.max(np.asarray(indices)))
            if highest >= jnp.shape(leaf)[0]:
                raise ValueError(
                    f"edges.{name} goes up to {highest}, and {where} has only "
                    f"{jnp.shape(leaf)[0]} neurons"
                )


def _check_edges(edges: EdgeList) -> None:
    shapes = jnp.shape(edges.pre), jnp.shape(edges.post)
    if len(shapes[0]) != 1 or shapes[0] != shapes[1]:
        raise ValueError(
            f"edges.pre and edges.post must have one shape [edges], got {shapes[0]} and {shapes[1]}"
        )
    for name, indices in zip(edges._fields, edges, strict=True):
        if not jnp.issubdtype(jnp.result_type(indices), jnp.integer):
            raise ValueError(f"edges.{name} must be integers, got {jnp.result_type(indices)}")
        if not isinstance(indices, Tracer) and np.any(np.asarray(indices) < 0):
            raise ValueError(
                f"edges.{name} must not be negative, got {int(np.min(np.asarray(indices)))}"
            )
