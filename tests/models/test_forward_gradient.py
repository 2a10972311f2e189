"""Forward-mode gradients against backpropagation through time."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.models import (
    first_maximum_errors,
    forward_gradient,
    stepwise_errors,
    surrogate_network,
)
from plasticjax.neurons import FastSigmoidSurrogate, OwnSpikeSurrogate, TriangleSurrogate
from plasticjax.training import max_over_time, membrane_loss

KEY = jax.random.key(1)
LABEL = jnp.asarray(2)


def case(sizes=(15, 20, 4), **options):
    keys = jax.random.split(KEY)
    network = surrogate_network(sizes, key=keys[0], scale=2.0, dtype="float64", **options)
    spikes = jax.random.bernoulli(keys[1], 0.05, (80, sizes[0])).astype(float)
    assert all(trace.spikes.sum() > 10 for trace in network(spikes).hidden)
    return network, spikes


def bptt(network, spikes, loss=membrane_loss):
    return eqx.filter_grad(lambda network: loss(network(spikes).readout, LABEL))(network)


def cosine(one, other):
    one, other = (
        jnp.concatenate([x.ravel() for x in jax.tree.leaves(tree.hidden)]) for tree in (one, other)
    )
    return float(one @ other / jnp.linalg.norm(one) / jnp.linalg.norm(other))


def assert_equal(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert float(jnp.abs(b).max()) > 0
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(
    "surrogate", [FastSigmoidSurrogate(10.0), TriangleSurrogate(), OwnSpikeSurrogate(0.5)]
)
def test_one_hidden_layer_has_the_gradient_of_backpropagation(x64, surrogate):
    network, spikes = case(surrogate=surrogate)
    assert_equal(forward_gradient(network, spikes, LABEL), bptt(network, spikes))


def test_errors_at_every_step_are_those_of_the_mean_cross_entropy(x64):
    network, spikes = case(surrogate=FastSigmoidSurrogate(10.0))

    def loss(readout, label):
        return -jnp.mean(jax.nn.log_softmax(readout)[:, label])

    found = forward_gradient(network, spikes, LABEL, errors=stepwise_errors)
    assert_equal(found, bptt(network, spikes, loss))


def test_different_time_constants_and_steps(x64):
    network, spikes = case(surrogate=FastSigmoidSurrogate(10.0), tau_mem=20.0, tau_syn=8.0, dt=0.5)
    assert_equal(forward_gradient(network, spikes, LABEL), bptt(network, spikes))


def test_recurrence_and_depth_make_it_an_approximation_in_the_right_direction(x64):
    for options in ({"recurrent": True}, {"sizes": (15, 20, 20, 4)}):
        network, spikes = case(surrogate=FastSigmoidSurrogate(10.0), **options)
        found, exact = forward_gradient(network, spikes, LABEL), bptt(network, spikes)
        assert jax.tree.structure(found) == jax.tree.structure(exact)
        assert 0.1 < cosine(found, exact) < 0.9999
        np.testing.assert_allclose(found.readout.weights, exact.readout.weights, rtol=1e-11)


def test_the_factor_of_own_spikes_and_other_feedback_change_the_hidden_layer_only(x64):
    network, spikes = case(surrogate=FastSigmoidSurrogate(10.0))
    exact = bptt(network, spikes)
    feedback = [jax.random.normal(KEY, (20, 4))]
    for options in (
        {"surrogate": OwnSpikeSurrogate(0.5)},
        {"feedback": feedback},
        {"gated": False},
    ):
        found = forward_gradient(network, spikes, LABEL, **options)
        assert np.all(np.isfinite(found.hidden[0].weights))
        assert not np.allclose(found.hidden[0].weights, exact.hidden[0].weights)
        np.testing.assert_allclose(found.readout.weights, exact.readout.weights, rtol=1e-11)
    half, one = (
        forward_gradient(network, spikes, LABEL, surrogate=OwnSpikeSurrogate(width))
        .hidden[0]
        .weights
        for width in (0.5, 1.0)
    )
    np.testing.assert_allclose(half, 2 * one)


def test_errors_sum_to_zero_and_are_the_derivative_of_the_loss(x64):
    readout = jax.random.normal(KEY, (30, 5))
    errors = first_maximum_errors(readout, LABEL)
    np.testing.assert_allclose(errors.sum(), 0, atol=1e-15)
    np.testing.assert_allclose(errors, jax.grad(membrane_loss)(readout, LABEL), atol=1e-15)


def test_of_equal_maxima_the_first_gets_the_gradient():
    gradient = jax.grad(lambda readout: max_over_time(readout)[0])(jnp.zeros((7, 1)))
    np.testing.assert_array_equal(gradient[:, 0], [1, 0, 0, 0, 0, 0, 0])


def test_a_maximum_over_what_is_not_a_number_is_none():
    readout = jnp.zeros((7, 2)).at[3, 0].set(jnp.nan).at[4, 1].set(2.0)
    np.testing.assert_array_equal(max_over_time(readout), [np.nan, 2.0])


def test_it_is_vmap_and_jit_safe(x64):
    network, spikes = case()
    batch = jnp.stack([spikes, spikes[::-1]])
    labels = jnp.array([2, 0])
    together = jax.jit(jax.vmap(forward_gradient, (None, 0, 0)))(network, batch, labels)
    for number in range(2):
        alone = forward_gradient(network, batch[number], labels[number])
        np.testing.assert_allclose(
            together.hidden[0].weights[number], alone.hidden[0].weights, atol=1e-13
        )


def test_feedback_of_another_shape_is_refused():
    network = surrogate_network((5, 6, 3), key=KEY)
    with pytest.raises(ValueError, match=r"expected one matrix \[post, classes\]"):
        forward_gradient(network, jnp.zeros((10, 5)), LABEL, feedback=[jnp.zeros((3, 6))])


@pytest.mark.parametrize("name", ["tau_mem", "tau_syn"])
def test_readouts_with_several_time_constants_are_refused(name):
    network = surrogate_network((5, 6, 3), key=KEY)
    several = eqx.tree_at(lambda n: getattr(n.readout, name), network, jnp.array([5.0, 8.0, 9.0]))
    with pytest.raises(ValueError, match=rf"readout.{name} has shape \(3,\); it must be scalar"):
        forward_gradient(several, jnp.zeros((10, 5)), LABEL)


def test_the_options_make_eprop(x64):
    """Bellec et al. (2020) written out for a recurrent layer, in NumPy."""
    network, spikes = case(recurrent=True, surrogate=TriangleSurrogate())
    (layer,), readout = network.hidden, network.readout
    feedback = np.asarray(jax.random.normal(KEY, (20, 4)))
    trace = network(spikes)
    steps = len(spikes)
    lag = np.arange(steps)[:, None] - np.arange(steps)
    alpha, beta = np.exp(-1 / 5), np.exp(-1 / 10)
    rise = np.where(lag > 1, (beta ** (lag - 1.0) - alpha ** (lag - 1.0)) / (beta - alpha), 0)
    voltage = np.asarray(trace.hidden[0].voltage)
    slope = 0.3 * np.maximum(0, 1 - np.abs(voltage - 1))
    earlier = np.concatenate([np.zeros((1, 20)), np.asarray(trace.hidden[0].spikes)[:-1]])
    target = np.eye(4)[int(LABEL)]
    learning = (np.asarray(jax.nn.softmax(trace.readout)) - target)[:steps] @ feedback.T
    last = (np.asarray(jax.nn.softmax(trace.readout)) - target)[steps] @ feedback.T
    found = forward_gradient(
        network,
        spikes,
        LABEL,
        errors=stepwise_errors,
        feedback=[jnp.asarray(feedback)],
        gated=False,
    )
    for seen, gradient in (
        (np.asarray(spikes), found.hidden[0].weights),
        (earlier, found.hidden[0].recurrent),
    ):
        eligible = slope[:, :, None] * (rise @ seen)[:, None, :]
        filtered = np.einsum("ts,sjl->tjl", rise, eligible)
        ahead = np.where(steps - np.arange(steps) > 1, 1.0, 0)
        ages = steps - 1.0 - np.arange(steps)
        ending = np.einsum(
            "s,sjl->jl", ahead * (beta**ages - alpha**ages) / (beta - alpha), eligible
        )
        expected = np.einsum("tj,tjl->jl", learning, filtered) + last[:, None] * ending
        np.testing.assert_allclose(gradient, expected / (steps + 1), rtol=1e-9, atol=1e-13)
    assert layer.recurrent is not None and readout.weights.shape == (4, 20)
