from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasticjax.plasticity import (
    EdgeList,
    Hebb,
    Update,
    increment,
    over_synapses,
    sum_post,
    sum_pre,
)
from plasticjax.plasticity._over_synapses import _check_edges


class Synapse(NamedTuple):
    w: jax.Array
    tag: jax.Array


class Seen(NamedTuple):
    rate: jax.Array
    trace: jax.Array


def ratio(syn, pre, post, third, obs=None):
    """Reads every argument, and is infinite where the postsynaptic rate is zero."""
    change = third * pre.rate * post.trace / post.rate - syn.w * obs
    return Synapse(change, pre.trace - syn.tag)


def drawn(seed, posts=3, pres=4):
    names = ["w", "tag", "obs", "x", "x_trace", "y", "y_trace"]
    shapes = [(posts, pres)] * 3 + [(pres,)] * 2 + [(posts,)] * 2
    keys = jax.random.split(jax.random.key(seed), len(names))
    v = {
        n: jax.random.uniform(k, s, minval=0.5, maxval=2.0)
        for n, k, s in zip(names, keys, shapes, strict=True)
    }
    syn, pre = Synapse(v["w"], v["tag"]), Seen(v["x"], v["x_trace"])
    return syn, pre, Seen(v["y"], v["y_trace"]), jnp.asarray(0.7), v["obs"]


def test_every_synapse_gets_its_own_arguments():
    syn, pre, post, third, obs = drawn(0)
    change = over_synapses(ratio)(syn, pre, post, third, obs)
    for i in range(3):
        for j in range(4):
            one = ratio(
                Synapse(syn.w[i, j], syn.tag[i, j]),
                Seen(pre.rate[j], pre.trace[j]),
                Seen(post.rate[i], post.trace[i]),
                third,
                obs[i, j],
            )
            np.testing.assert_allclose(change.w[i, j], one.w, rtol=1e-6)
            np.testing.assert_allclose(change.tag[i, j], one.tag, rtol=1e-6)


@eqx.filter_jit
def _spread(rule, mask, *signals):
    return over_synapses(rule, mask=mask)(*signals)


@settings(max_examples=15)
@given(
    st.integers(0, 1000),
    st.lists(st.booleans(), min_size=12, max_size=12).filter(any),
    st.booleans(),
)
def test_masked_and_edge_list_are_the_dense_result_where_there_are_synapses(seed, flags, update):
    mask = np.array(flags).reshape(3, 4)
    syn, pre, post, third, obs = drawn(seed)
    rule = increment(ratio) if update else ratio
    dense = _spread(rule, None, syn, pre, post, third, obs)
    masked = _spread(rule, mask, syn, pre, post, third, obs)
    edges, kept = EdgeList.from_mask(mask), Synapse(syn.w[mask], syn.tag[mask])
    listed = over_synapses(rule, edges=edges)(kept, pre, post, third, obs[mask])
    absent = syn if update else Synapse(jnp.zeros((3, 4)), jnp.zeros((3, 4)))
    for full, part, short, old in zip(dense, masked, listed, absent, strict=True):
        np.testing.assert_allclose(part, np.where(mask, full, old), atol=1e-6)
        np.testing.assert_allclose(short, full[mask], atol=1e-6)


def test_edges_come_in_the_order_of_boolean_indexing():
    edges = EdgeList.from_mask(np.array([[False, True], [True, True]]))
    np.testing.assert_array_equal(edges.post, [0, 1, 1])
    np.testing.assert_array_equal(edges.pre, [1, 0, 1])


class Divided(eqx.Module):
    gain: jax.Array

    def __call__(self, syn, pre, post, third, obs=None):
        return third * (self.gain * pre / post + obs * syn)


def test_derivatives_are_finite_and_right_where_absent_synapses_divide_by_zero():
    mask = jnp.array([[True, False], [False, False]])
    post = jnp.array([2.0, 0.0])
    w, obs = jnp.ones((2, 2)).at[1, 0].set(jnp.nan), jnp.full((2, 2), 3.0)

    def total(gain, w, pre, post, third, obs):
        rule = over_synapses(Divided(gain), mask=mask)
        return rule(w, pre, post, third, obs).sum()

    arguments = (jnp.asarray(2.0), w, jnp.ones(2), post, jnp.asarray(5.0), obs)
    value, grads = jax.value_and_grad(total, argnums=tuple(range(6)))(*arguments)
    assert value == 5 * (2 * 1 / 2 + 3)
    expected = [2.5, [[15, 0], [0, 0]], [5, 0], [-2.5, 0], 4, [[5, 0], [0, 0]]]
    for got, want in zip(grads, expected, strict=True):
        np.testing.assert_array_equal(got, want)
    tangent = jax.jvp(lambda gain: total(gain, *arguments[1:]), arguments[:1], (jnp.asarray(1.0),))[
        1
    ]
    assert tangent == 2.5


def test_a_masked_update_keeps_what_is_not_there():
    pruned = Update(lambda w, pre, post, third, obs: jnp.where(w < 0.5, 0.0, w))
    w = jnp.array([[0.1, 0.2], [0.9, 0.3]])
    mask = jnp.array([[True, False], [True, True]])
    kept = over_synapses(pruned, mask=mask)(w, None, None, None)
    np.testing.assert_allclose(kept, [[0.0, 0.2], [0.9, 0.0]])


def test_rules_differ_across_a_vmapped_population():
    etas = jnp.array([0.1, 0.2])
    x, y = jnp.array([1.0, 2.0]), jnp.array([3.0])
    spread = lambda eta: over_synapses(Hebb(eta))(jnp.zeros((1, 2)), x, y, None)  # noqa: E731
    np.testing.assert_allclose(
        jax.jit(jax.vmap(spread))(etas), etas[:, None, None] * jnp.array([[3.0, 6.0]]), rtol=1e-6
    )


def test_the_parameters_of_a_rule_have_derivatives_through_the_spread_module():
    spread = over_synapses(Hebb(jnp.asarray(0.1)))
    loss = lambda rule: rule(jnp.zeros((1, 2)), jnp.ones(2), jnp.ones(1), None).sum()  # noqa: E731
    assert eqx.filter_grad(loss)(spread).rule.eta == 2
    assert spread.per == "sample"


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.float32])
def test_the_dtype_follows_the_inputs(dtype):
    w = jnp.zeros((1, 2), dtype)
    update = over_synapses(increment(Hebb()))
    assert update(w, jnp.ones(2, dtype), jnp.ones(1, dtype), None).dtype == dtype


def test_a_result_of_another_shape_or_structure_is_refused():
    w, x, y = jnp.zeros((2, 3)), jnp.ones(3), jnp.ones(2)
    with pytest.raises(ValueError, match=r"rule at syn must have shape \(\), got \(4,\)"):
        over_synapses(lambda w, x, y, third, obs: jnp.ones(4))(w, x, y, None)
    with pytest.raises(ValueError, match="rule must return the structure of syn"):
        over_synapses(lambda w, x, y, third, obs: (w, w))(w, x, y, None)
    with pytest.raises(ValueError, match=r"syn\.w must be of dtype int32 as syn is, got float32"):
        labelled = Synapse(w.astype(jnp.int32), w)
        over_synapses(lambda s, x, y, third, obs: Synapse(x, y))(labelled, x, y, None)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (((2, 3), (2,), (2,), ()), r"pre must have shape \[pre\] = \(3,\), got \(2,\)"),
        (((2, 3), (3,), (3,), ()), r"post must have shape \[post\] = \(2,\), got \(3,\)"),
        (((2, 3), (3,), (2,), (2,)), r"third must have shape \(\) \(one value for all"),
        (((3,), (3,), (2,), ()), r"syn must have leaves of one shape \[post, pre\], got shapes"),
    ],
)
def test_arguments_of_another_shape_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        over_synapses(Hebb())(*(jnp.ones(shape) for shape in arguments))


def test_masks_and_edges_are_checked():
    w, x, y = jnp.zeros((2, 3)), jnp.ones(3), jnp.ones(2)
    mask = np.ones((2, 3), bool)
    with pytest.raises(ValueError, match="give one of them"):
        over_synapses(Hebb(), mask=mask, edges=EdgeList.from_mask(mask))
    with pytest.raises(ValueError, match=r"syn must have shape \[post, pre\] = \(2, 4\), got"):
        over_synapses(Hebb(), mask=np.ones((2, 4), bool))(w, x, y, None)
    with pytest.raises(ValueError, match=r"one shape \[edges\], got \(2,\) and \(3,\)"):
        _check_edges(EdgeList(np.arange(2), np.arange(3)))
    with pytest.raises(ValueError, match=r"edges.post must not be negative, got -1"):
        _check_edges(EdgeList(np.arange(2), np.array([0, -1])))
    with pytest.raises(ValueError, match=r"edges.pre must be integers, got float32"):
        _check_edges(EdgeList(np.ones(2, np.float32), np.arange(2)))
    with pytest.raises(ValueError, match=r"edges.pre goes up to 7, and pre has only 3 neurons"):
        edges = EdgeList(np.array([7]), np.array([0]))
        over_synapses(Hebb(), edges=edges)(jnp.zeros(1), x, y, None)


def share(syn, pre, post, third, obs=None):
    """Synapses of a neuron share their sum, neurons their activity."""
    return third - sum_pre(syn * pre) + syn * sum_post(post)


def test_rules_may_sum_over_neurons():
    weights, pre, post = jnp.arange(6.0).reshape(2, 3), jnp.array([1.0, 0.5, 2.0]), jnp.ones(2) * 3
    change = jax.jit(over_synapses(share))(weights, pre, post, jnp.asarray(0.7))
    expected = 0.7 - (weights @ pre)[:, None] + weights * 6.0
    np.testing.assert_allclose(change, np.broadcast_to(expected, (2, 3)), rtol=1e-6)
    gradient = jax.grad(lambda w: jnp.sum(over_synapses(share)(w, pre, post, jnp.asarray(0.7))))
    np.testing.assert_allclose(gradient(weights), np.tile(6.0 - 3 * pre, (2, 1)), rtol=1e-6)
    many = jax.vmap(lambda w: over_synapses(share)(w, pre, post, jnp.asarray(0.7)))
    np.testing.assert_allclose(many(jnp.stack([weights, weights]))[1], change)


@pytest.mark.parametrize(
    "where, shape",
    [
        ({"mask": np.ones((2, 3), bool)}, (2, 3)),
        ({"edges": EdgeList(np.array([0, 1]), np.array([0, 1]))}, (2,)),
    ],
)
def test_sums_need_all_synapses(where, shape):
    with pytest.raises(ValueError, match="without mask or edges"):
        over_synapses(share, **where)(jnp.ones(shape), jnp.ones(3), jnp.ones(2), jnp.asarray(0.7))


def test_constants_are_not_summed():
    with pytest.raises(ValueError, match=r"got the constant 3\.0"):
        over_synapses(lambda w, *_: sum_pre(3.0) * w)(jnp.ones((2, 2)), None, None, None)
