"""The latency classifier: its rule against derivatives of likelihoods, expectations and losses."""

from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.models import (
    EscapeNoiseLayer,
    crossing_steps,
    latency_gradient,
    latency_network,
)
from plasticjax.training import latency_loss, synaptic_scaling

KEY = jax.random.key(3)
LABEL = jnp.asarray(1)


def small_layer(rate, reset=-2.0):
    """One neuron with three inputs for which all its trains of eight steps can be listed."""
    weights = jnp.array([[1.5, 2.5, 1.0]])
    layer = EscapeNoiseLayer(weights, threshold=2.0, reset=reset, rate=rate)
    spikes = jnp.zeros((8, 3)).at[jnp.array([0, 1, 3]), jnp.arange(3)].set(1.0)
    trains = jnp.array(list(product([0.0, 1.0], repeat=8)))[:, :, None]
    return layer, spikes, trains


def chances(layer, spikes, trains):
    return jnp.exp(jax.vmap(lambda train: layer.log_likelihood(spikes, train))(trains))


def test_responses_are_the_kernel_with_a_peak_of_one_millivolt(x64):
    layer = EscapeNoiseLayer(jnp.ones((1, 1)), dt=0.01)
    found = layer.responses(jnp.zeros((4000, 1)).at[0].set(1.0))[:, 0]
    s = 0.01 * np.arange(4000)
    np.testing.assert_allclose(found, 4 * (np.exp(-s / 10) - np.exp(-s / 5)), atol=1e-12)
    np.testing.assert_allclose(found.max(), 1, atol=1e-6)


def test_the_likelihoods_of_all_trains_sum_to_one(x64):
    np.testing.assert_allclose(chances(*small_layer(0.3)).sum(), 1, rtol=1e-12)


def test_spikes_are_drawn_with_their_likelihood():
    layer, spikes, trains = small_layer(0.3)
    keys = jax.random.split(KEY, 20_000)
    found = jax.jit(jax.vmap(lambda key: layer(spikes, key=key).spikes))(keys)
    expected = jnp.einsum("n,nti->t", chances(layer, spikes, trains), trains)
    np.testing.assert_allclose(found.mean(axis=(0, 2)), expected, atol=0.015)


def test_the_score_gives_derivatives_of_expectations(x64):
    layer, spikes, trains = small_layer(0.3)
    value = trains[:, :, 0] @ jnp.linspace(1, 2, 8)

    def expectation(weights):
        return chances(eqx.tree_at(lambda x: x.weights, layer, weights), spikes, trains) @ value

    def log(weights, train):
        moved = eqx.tree_at(lambda x: x.weights, layer, weights)
        return moved.log_likelihood(spikes, train)

    scores = jax.vmap(jax.grad(log), (None, 0))(layer.weights, trains)
    by_score = jnp.einsum("n,n,nij->ij", chances(layer, spikes, trains), value, scores)
    step = 1e-6
    for pre in range(3):
        ahead, behind = (expectation(layer.weights.at[0, pre].add(sign * step)) for sign in (1, -1))
        np.testing.assert_allclose(by_score[0, pre], (ahead - behind) / (2 * step), rtol=1e-7)


def test_own_spikes_times_responses_are_the_derivative_of_the_expected_spikes(x64):
    """Exact up to the chance of a spike in a step, if neurons do not reset themselves."""

    def worst(rate):
        layer, spikes, trains = small_layer(rate, reset=0.0)
        share = jnp.linspace(1, 2, 8)

        def expectation(weights):
            moved = eqx.tree_at(lambda x: x.weights, layer, weights)
            return chances(moved, spikes, trains) @ (trains[:, :, 0] @ share)

        exact = jax.grad(expectation)(layer.weights)
        eligibility = trains * layer.responses(spikes) / layer.width  # [trains, steps, pre]
        rule = jnp.einsum("n,t,ntl->l", chances(layer, spikes, trains), share, eligibility)
        return float(jnp.max(jnp.abs(rule / exact[0] - 1)))

    assert worst(1e-3) < 1e-2
    assert worst(1e-4) < 0.2 * worst(1e-3)


def busy_network():
    network = latency_network(
        (12, 15, 3), key=KEY, hidden_mean=6.0, readout_mean=1.5, dtype="float64"
    )
    spikes = jax.random.bernoulli(jax.random.fold_in(KEY, 1), 0.1, (60, 12)).astype(float)
    return network, spikes


def test_the_readout_learns_along_the_derivative_of_the_loss(x64):
    network, spikes = busy_network()
    trace = network(spikes, key=KEY)
    crossing = crossing_steps(trace.potential, 15.0)
    assert bool(jnp.all(jnp.isfinite(crossing)))

    def loss(readout):
        return latency_loss(crossing_steps(trace.responses @ readout.T, 15.0), LABEL, nu=2.0)

    exact = jax.grad(loss)(network.readout)
    found = latency_gradient(network, spikes, LABEL, key=KEY, nu=2.0).readout
    steps = jnp.floor(crossing).astype(int)
    classes = jnp.arange(3)
    slope = trace.potential[steps + 1, classes] - trace.potential[steps, classes]
    np.testing.assert_allclose(exact, found / (2.0 * slope[:, None]), rtol=1e-10, atol=1e-14)


def test_the_hidden_rule_is_the_formula(x64):
    network, spikes = busy_network()
    trace = network(spikes, key=KEY)
    crossing = np.asarray(crossing_steps(trace.potential, 15.0))
    shares = np.exp(-crossing / 2)
    error = np.eye(3)[1] - shares / shares.sum()
    hidden = trace.hidden
    product = np.asarray(hidden.spikes)[:, :, None] * np.asarray(hidden.responses)[:, None, :]
    lag = np.arange(60)[:, None] - np.arange(60)
    kernel = np.where(lag > 0, 4 * (np.exp(-lag / 10) - np.exp(-lag / 5)), 0)
    filtered = np.einsum("ts,sjl->tjl", kernel, product)
    low = np.floor(crossing).astype(int)
    part = (crossing - low)[:, None, None]
    read = (1 - part) * filtered[low] + part * filtered[low + 1]
    expected = -np.einsum("k,kj,kjl->jl", error, network.readout, read)
    found = latency_gradient(network, spikes, LABEL, key=KEY, nu=2.0).hidden.weights
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


def test_a_silent_label_neuron_is_pushed_up(x64):
    network, spikes = busy_network()
    mute = eqx.tree_at(lambda n: n.readout, network, network.readout.at[1].multiply(0.01))
    change = -latency_gradient(mute, spikes, LABEL, key=KEY).readout
    assert bool(jnp.all(change[1] >= 0)) and float(change[1].max()) > 0
    assert bool(jnp.all(change[jnp.array([0, 2])] <= 0))


def test_the_rule_learns_to_tell_two_patterns_apart(x64):
    """Fifty presentations: the right neuron comes to fire first."""
    network, _ = busy_network()
    network = eqx.tree_at(lambda n: n.readout, network, network.readout[:2])
    patterns = jax.random.bernoulli(jax.random.fold_in(KEY, 2), 0.1, (2, 60, 12)).astype(float)

    @jax.jit
    def present(network, entry):
        label, key = entry
        found = latency_gradient(network, patterns[label], label, key=key)
        return eqx.apply_updates(network, jax.tree.map(lambda g: -0.02 * g, found)), None

    def share_right(network):
        keys = jax.random.split(jax.random.fold_in(KEY, 4), 50)
        first = jax.vmap(
            lambda pattern: jax.vmap(
                lambda key: jnp.argmin(crossing_steps(network(pattern, key=key).potential, 15.0))
            )(keys)
        )(patterns)
        return float(jnp.mean(first == jnp.arange(2)[:, None]))

    labels = jnp.tile(jnp.arange(2), 100)
    trained, _ = jax.lax.scan(present, network, (labels, jax.random.split(KEY, 200)))
    assert share_right(trained) > max(0.9, share_right(network))


def test_the_loss_knows_only_differences_of_times(x64):
    times = jnp.array([3.0, 5.0, jnp.inf])
    early, late = (latency_loss(times + shift, LABEL, nu=2.0) for shift in (0.0, 7.0))
    np.testing.assert_allclose(early, late, rtol=1e-12)
    slope = jax.grad(lambda t: latency_loss(t, LABEL, nu=2.0, silent=30.0))(times)
    shares = np.exp(-np.array([3.0, 5.0, 30.0]) / 2)
    expected = (np.eye(3)[1] - shares / shares.sum()) / 2
    np.testing.assert_allclose(slope, np.where(np.isfinite(times), expected, 0), atol=1e-12)
    assert float(latency_loss(times, jnp.asarray(2), nu=2.0)) == np.inf


def test_crossings_are_interpolated_and_absent_ones_infinite():
    potential = jnp.array([[0.0, 2.0, 0.0], [1.0, 3.0, 0.1], [3.0, 0.0, 0.2]])
    np.testing.assert_allclose(crossing_steps(potential, 2.0), [1.5, 0.0, np.inf])


def test_scaling_acts_outside_of_the_bounds_only():
    weights = jnp.array([[1.0, -2.0], [1.0, -2.0], [1.0, -2.0]])
    counts = jnp.array([0.0, 3.0, 9.0])
    found = synaptic_scaling(weights, counts, lower=1.0, upper=5.0, rate=0.1)
    np.testing.assert_allclose(found, [[0.1, 0.2], [0, 0], [-0.1, -0.2]], rtol=1e-6)


def test_sizes_that_are_refused():
    with pytest.raises(ValueError, match=r"sizes is \(3, 2\)"):
        latency_network((3, 2), key=KEY)


def test_a_known_trace_is_not_run_again(x64):
    network = latency_network((4, 5, 3), key=KEY, hidden_mean=8.0, dtype="float64")
    spikes = (jax.random.uniform(KEY, (30, 4)) < 0.3).astype(float)
    known = network(spikes, key=KEY)
    found = latency_gradient(network, spikes, LABEL, key=jax.random.key(9), trace=known)
    again = latency_gradient(network, spikes, LABEL, key=KEY)
    np.testing.assert_array_equal(found.hidden.weights, again.hidden.weights)
    np.testing.assert_array_equal(found.readout, again.readout)
    assert np.abs(again.hidden.weights).max() > 0
