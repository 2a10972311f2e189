"""The training that the experiments on latent equilibrium share."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments._contract import NullJob
from experiments._latent_equilibrium import (
    Protocol,
    Task,
    _Run,
    one_hot_split,
    train,
)
from experiments._presentation import (
    _present,
    _step,
    energy_of,
    equalise_once,
    hits,
    learn,
    rates_of,
)
from plasticjax.energy import (
    Stimulus,
    at_rest,
    latent_equilibrium_step,
    learner,
    local_rates,
    resting_state,
)
from plasticjax.models import PooledConvolution, convolutional_layers, dense_layers
from plasticjax.simulate import scan_steps

KEY = jax.random.key(3)
KEYS = jax.random.split(KEY, 2)
SHORT = Protocol(steps=6, batch=8, factors=(1.0, 0.5), learning_rate=4.0)


def layers(key):
    return dense_layers((6, 5, 3), width=0.5, key=key)


@pytest.fixture(scope="module")
def task():
    inputs = jax.random.uniform(KEY, (40, 6))
    split = one_hot_split(inputs, jnp.argmax(inputs[:, :3], axis=1), 3, "float32")
    part = jax.tree.map(lambda leaf: leaf[:16], split)
    return Task(split, part, part)


class Kept(NullJob):
    """Keeps every checkpoint, and resumes from one."""

    def __init__(self, checkpoint=None):
        self.checkpoint, self.kept = checkpoint, []

    def save(self, step, state):
        self.kept.append((step, jax.tree.map(np.array, state)))

    def restore(self, like):
        return self.checkpoint


def trained(task, job, protocols=(SHORT,), epochs=3, **options):
    return train(
        protocols,
        layers,
        task,
        epochs=epochs,
        keys=KEYS,
        job=job,
        description="a test",
        **options,
    )


def test_the_bias_of_a_convolution_learns_with_the_mean_over_positions():
    first, *rest = convolutional_layers((2, 9, 8), (3,), (4,), kernel=3, width=0.3, key=KEY)
    inputs = jax.random.uniform(KEY, (5, 2, 9, 8))
    targets = jnp.ones((5, 4))
    s = jax.tree.map(
        lambda leaf: jnp.zeros((5, *leaf.shape), leaf.dtype),
        resting_state((first, *rest), inputs[0]),
    )
    optimiser = local_rates(
        tuple(rates_of(layer, 0.25, one) for layer, one in zip((first, *rest), s, strict=True))
    )
    step = latent_equilibrium_step(
        energy_of((first, *rest)), tau_m=10.0, dt=1.0, optimiser=optimiser
    )
    carry = learner(at_rest(s), (first, *rest), optimiser)
    x = Stimulus(inputs, targets, jnp.asarray(0.5))
    before, _ = scan_steps(step, carry, jax.tree.map(lambda leaf: jnp.stack([leaf] * 6), x))
    after, _ = step(before, x)
    error = np.asarray(after.neurons.error[0])  # [samples, features, below, across]
    assert np.abs(error).max() > 1e-3
    bias = after.theta[0].convolution.bias - before.theta[0].convolution.bias
    np.testing.assert_allclose(np.ravel(bias), 0.25 * error.mean((0, 2, 3)), rtol=1e-3, atol=1e-7)
    kernel = after.theta[0].convolution.weight - before.theta[0].convolution.weight
    patches = np.lib.stride_tricks.sliding_window_view(np.asarray(inputs), (3, 3), axis=(2, 3))
    expected = 0.25 * np.einsum("bfyx,bcyxij->fcij", error, patches) / 5
    np.testing.assert_allclose(kernel, expected, rtol=1e-3, atol=1e-6)
    assert isinstance(first, PooledConvolution)


def test_a_dense_layer_has_one_rate():
    (layer, _) = layers(KEY)
    assert rates_of(layer, 0.25, jnp.zeros((4, 5))) == 0.25


def test_membrane_time_constants_learn_to_equal_the_prospective_ones(task):
    """Sheet of latent equilibrium, invariant 8: the difference falls in every neuron."""
    run = _Run(dataclasses.replace(SHORT, tau_width=0.2), layers, task)
    begin = run._begin(KEY)
    drawn, fixed, *_ = begin.numbers
    learnt, same, *_ = equalise_once(run.kind, begin, task.train, 10.0).numbers
    for before, after, aim, still in zip(drawn, learnt, fixed, same, strict=True):
        np.testing.assert_array_equal(aim, still)
        assert np.all(np.abs(after - aim) < np.abs(before - aim))
        assert np.all((after - aim) * (before - aim) > 0)


@pytest.mark.parametrize("errors_from", ["membrane", "prospective"])
def test_homeostasis_ends_at_equal_time_constants(task, errors_from):
    wide = dataclasses.replace(
        SHORT,
        tau_width=0.2,
        homeostasis=True,
        learning_rate=50.0,
        dt=1.0,
        errors_from=errors_from,
    )
    tau_m, tau_r, *_ = _Run(wide, layers, task)._begin(KEY).numbers
    for slow, fast in zip(tau_m, tau_r, strict=True):
        np.testing.assert_allclose(slow, fast, rtol=1e-3)


def test_the_target_arrives_behind_a_low_pass_as_slow_as_all_layers(task):
    filtered = dataclasses.replace(SHORT, synaptic_tau=0.04, steps=7)
    run = _Run(filtered, layers, task)
    network = run._begin(KEY)
    x = Stimulus(*(leaf[:8] for leaf in task.train[:2]), jnp.asarray(0.1))
    step = _step(run.kind, network, plastic=False)
    silent = jnp.zeros_like(x.target)
    _, arrived = _present(run.kind, network.numbers, step, network.learner, silent, x, KEY)
    share = 1 - (1 - 0.01 / (2 * 0.04)) ** 7
    np.testing.assert_allclose(arrived, share * x.target, rtol=1e-5)
    plain = network.numbers._replace(synaptic_tau=None)
    _, arrived = _present(run.kind, plain, step, network.learner, silent, x, KEY)
    np.testing.assert_array_equal(arrived, x.target)


def test_protocols_that_differ_in_numbers_share_a_program(task):
    some = dataclasses.replace(SHORT, dt=0.3, steps=4, tau_m=7.0, learning_rate=2.0)
    others = dataclasses.replace(some, beta=0.2)
    programs = learn._cache_size()
    trained(task, NullJob(), (some, dataclasses.replace(some, dt=0.1, steps=5, tau_m=9.0)))
    shared = learn._cache_size()
    assert shared - programs <= 1
    trained(task, NullJob(), (others,))
    assert learn._cache_size() == shared + 1


def test_time_constants_are_drawn_apart_for_membranes_and_rates(task):
    wide = dataclasses.replace(SHORT, tau_width=0.2)
    big = _Run(wide, lambda key: dense_layers((6, 4000, 3), key=key), task)._begin(KEY).numbers
    slow, fast = (np.asarray(tau[0]) for tau in big[:2])
    for tau in (slow, fast):
        assert abs(tau.mean() / 20 - 1) < 0.015
        assert abs(tau.std() / 4 - 1) < 0.05
    assert abs(np.corrcoef(slow, fast)[0, 1]) < 0.06


def test_a_resumed_training_ends_like_one_without_interruption(task):
    protocols = (SHORT, dataclasses.replace(SHORT, rate_noise=0.05, shuffle=True))
    whole = Kept()
    one = trained(task, whole, protocols)
    assert [step for step, _ in whole.kept] == list(range(1, 9))
    for kept in (whole.kept[1], whole.kept[5]):
        other = trained(task, Kept(kept), protocols)
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_array_equal(a, b)


def test_training_lowers_the_error_and_seeds_differ(task):
    (result,) = trained(task, NullJob(), epochs=30)
    assert result.test.shape == (2,)
    assert result.validation.shape == (2, 31)
    assert np.all(result.test > result.validation[:, 0])
    assert result.test.mean() > 0.6
    assert np.any(result.validation[0] != result.validation[1])


def test_a_single_output_decides_at_one_half():
    outputs = jnp.array([[0.6], [0.4], [0.5], [0.7]])
    np.testing.assert_array_equal(
        hits(outputs, jnp.array([1, 0, 1, 0])), [True, True, False, False]
    )


def test_several_outputs_decide_by_the_largest():
    outputs = jnp.array([[0.1, 0.3, 0.2], [0.9, 0.3, 0.2]])
    np.testing.assert_array_equal(hits(outputs, jnp.array([1, 2])), [True, False])


def test_protocols_that_do_not_fit_are_errors(task):
    large = dataclasses.replace(SHORT, batch=17)
    with pytest.raises(ValueError, match="batch=17 must not exceed the 16 samples of the valid"):
        trained(task, NullJob(), (large,))
    short = dataclasses.replace(SHORT, factors=(1.0,))
    with pytest.raises(ValueError, match=r"factors=\(1.0,\) must have one entry for each of 2"):
        trained(task, NullJob(), (short,))


def test_a_diverging_training_names_the_seed_and_the_epoch(task):
    wild = dataclasses.replace(SHORT, learning_rate=1e30, name="wild")
    with pytest.raises(FloatingPointError, match="of seed 0 of 'wild' are not finite in epoch"):
        trained(task, NullJob(), (wild,))
    tolerated, other = trained(task, NullJob(), (wild, SHORT), may_diverge=True)
    assert np.all(np.isnan(tolerated.test)) and np.all(np.isfinite(other.test))
