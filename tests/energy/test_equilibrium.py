import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest

from plasticjax.energy import (
    ConstantDrive,
    EquilibriumPropagationEnergy,
    FunctionDrive,
    MismatchEnergy,
    RecurrentWeights,
    Stimulus,
    contrastive_gradient,
    equilibrium,
    force,
    forward_pass,
    linear,
    logistic,
    param_rule,
    prospective_state,
    recurrent,
    voltage_cost,
)
from tests.energy.layered import random_layers

SWEEPS = optx.FixedPointIteration(rtol=1e-12, atol=1e-12)


def problem(beta):
    theta = random_layers((4, 5, 3), jax.random.key(1))
    x = Stimulus(jnp.linspace(-1, 1, 4), jnp.asarray([0.2, -0.4, 0.9]), jnp.asarray(beta))
    return (jnp.zeros(5), jnp.zeros(3)), theta, x


def backprop(layered, theta, x):
    """Gradient of the cost of the forward pass, structured as the parameters."""

    def cost(theta):
        output = forward_pass(layered, theta, x)[-1]
        return 0.5 * jnp.sum((x.target - output) ** 2)

    return eqx.filter_grad(cost)(theta)


@pytest.mark.parametrize("method", [None, SWEEPS])
def test_finds_the_zero_of_the_force(layered, method, x64):
    s0, theta, x = problem(0.1)
    s = equilibrium(layered, method)(s0, theta, x)
    for leaf in force(layered)(s, theta, x):
        assert np.max(np.abs(leaf)) < 1e-10


def test_free_equilibrium_is_the_forward_pass_after_one_sweep_a_layer(layered, x64):
    s0, theta, x = problem(0.0)
    goal = forward_pass(layered, theta, x)
    s = s0
    for _ in range(2):
        s = jax.tree.map(lambda s, f: s - f, s, force(layered)(s, theta, x))
        s = (s[0], s[1])
    # errors of the first sweep have not died: only the voltages of the first layer are exact
    solved = equilibrium(layered, SWEEPS)(s0, theta, x)
    for a, b in zip(solved, goal, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11)


def test_derivatives_come_from_the_implicit_function_theorem(layered, x64):
    s0, theta, x = problem(0.3)
    solve = equilibrium(layered)
    readout = lambda x: jnp.sum(jnp.sin(solve(s0, theta, x)[0]))  # noqa: E731
    slope = jax.grad(readout)(x).input
    h = 1e-6
    for index in range(4):
        step = eqx.tree_at(lambda x: x.input, x, x.input.at[index].add(h))
        back = eqx.tree_at(lambda x: x.input, x, x.input.at[index].add(-h))
        assert abs((readout(step) - readout(back)) / (2 * h) - slope[index]) < 1e-8


def test_a_diverging_sweep_names_the_remedy(x64):
    energy = MismatchEnergy(linear, lambda r, theta, x: theta * r, voltage_cost)
    x = Stimulus(jnp.zeros(0), jnp.ones(2), jnp.ones(()))
    with pytest.raises(eqx.EquinoxRuntimeError, match=r"optimistix.Newton.*if sweeps diverge"):
        equilibrium(energy, SWEEPS)(jnp.ones(2), jnp.asarray(3.0), x)


def test_wrong_pytrees_are_refused(layered):
    _, theta, x = problem(0.3)
    with pytest.raises((ValueError, TypeError)):
        equilibrium(layered)([jnp.zeros(5)], theta, x)


def test_single_precision_converges(layered):
    theta = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), problem(0.1)[1])
    s0, _, x = problem(0.1)
    s = equilibrium(layered)(s0, theta, x)
    assert s[0].dtype == jnp.float32
    assert np.max(np.abs(force(layered)(s, theta, x)[0])) < 1e-5


def test_prospective_state_is_independent_of_tau_and_low_pass_filters_it(layered, x64):
    s0, theta, x = problem(0.1)
    drive = FunctionDrive(lambda t: eqx.tree_at(lambda x: x.input, x, x.input * jnp.cos(t)))
    goal = equilibrium(layered)(s0, theta, drive(0.7))
    for tau in (1.0, 200.0):
        velocity = prospective_state(layered, tau)(0.7, s0, (theta, drive))
        for s, ds, ahead in zip(s0, velocity, goal, strict=True):
            np.testing.assert_allclose(s + tau * ds, ahead, atol=1e-10)
    at_goal = prospective_state(layered, 5.0, SWEEPS)(0.7, goal, (theta, drive))
    assert max(np.max(np.abs(leaf)) for leaf in at_goal) < 1e-11


@pytest.mark.parametrize("beta", [0.1, 0.01, 0.001])
def test_weak_nudging_equals_backpropagation_to_first_order(layered, beta, x64):
    s0, theta, x = problem(beta)
    s = equilibrium(layered)(s0, theta, x)
    rule, gradient = param_rule(layered)(s, theta, x), backprop(layered, theta, x)
    for ours, theirs in zip(rule, gradient, strict=True):
        error = jnp.linalg.norm(ours.weight / beta + theirs.weight) / jnp.linalg.norm(theirs.weight)
        assert 0.3 * beta < error < 1.6 * beta
        cosine = -jnp.vdot(ours.weight, theirs.weight) / (
            jnp.linalg.norm(ours.weight) * jnp.linalg.norm(theirs.weight)
        )
        assert cosine > 1 - 0.1 * beta**2 - 1e-9


def test_strong_nudging_clamps_the_output(layered, x64):
    misses = []
    for beta in (1e2, 1e3):
        s0, theta, x = problem(beta)
        output = equilibrium(layered)(s0, theta, x)[-1]
        misses.append(np.max(np.abs(output - x.target)))
    assert 9 < misses[0] / misses[1] < 11


def propagation():
    a, b, c = jax.random.split(jax.random.key(2), 3)
    mask = np.zeros((8, 8))
    mask[5:, :5] = mask[:5, 5:] = 1
    weight = 0.5 * jax.random.normal(a, (8, 8), float) * mask
    inputs = jax.random.normal(b, (8, 4), float) * (np.arange(8) < 5)[:, None]
    theta = RecurrentWeights(weight + weight.T, inputs, 0.1 * jnp.arange(8.0))
    energy = EquilibriumPropagationEnergy(logistic, voltage_cost)
    target = jnp.zeros(8).at[5:].set(jnp.asarray([0.1, 0.8, 0.4]))
    return energy, theta, Stimulus(jax.random.uniform(c, (4,)), target, jnp.zeros(8))


def nudge_outputs(x, beta):
    return eqx.tree_at(lambda x: x.beta, x, jnp.where(jnp.arange(8) < 5, 0.0, beta))


def exact_gradient(energy, theta, x):
    def cost(theta):
        s = equilibrium(energy)(jnp.zeros(8), theta, x)
        return 0.5 * jnp.sum((x.target[5:] - s[5:]) ** 2)

    return jax.grad(cost)(theta)


@pytest.mark.parametrize(("two_sided", "order"), [(False, 1), (True, 2)])
def test_contrast_converges_to_the_gradient_with_its_order(two_sided, order, x64):
    energy, theta, x = propagation()
    truth = exact_gradient(energy, theta, x).weight
    errors = []
    for beta in (0.1, 0.01):
        ours = contrastive_gradient(energy, beta, two_sided, nudged=nudge_outputs)(
            jnp.zeros(8), theta, x
        ).weight
        errors.append(jnp.linalg.norm(ours - truth) / jnp.linalg.norm(truth))
    assert errors[0] < 0.2 * 0.1 ** (order - 1)
    assert abs(np.log10(errors[0] / errors[1]) - order) < 0.1


def test_contrast_of_a_symmetric_pair_is_the_difference_of_rate_products(x64):
    energy, theta, x = propagation()
    beta = 0.01
    solve = equilibrium(energy)
    free = logistic(solve(jnp.zeros(8), theta, x))
    nudged = logistic(solve(jnp.zeros(8), theta, nudge_outputs(x, beta)))
    hebb = (jnp.outer(nudged, nudged) - jnp.outer(free, free)) / beta
    ours = contrastive_gradient(energy, beta, two_sided=False, nudged=nudge_outputs)(
        jnp.zeros(8), theta, x
    ).weight
    pair = ours + ours.T
    off = ~np.eye(8, dtype=bool)
    np.testing.assert_allclose(pair[off], -hebb[off], atol=1e-9)


def test_contrast_without_nudging_is_refused(layered):
    with pytest.raises(ValueError, match="beta must not be 0"):
        contrastive_gradient(layered, 0.0)


def test_learning_through_an_equilibrium_has_a_meta_gradient(x64):
    energy = MismatchEnergy(logistic, recurrent, voltage_cost)
    theta = RecurrentWeights(0.3 * jnp.eye(3)[::-1], jnp.ones((3, 1)), jnp.zeros(3))
    x = Stimulus(jnp.ones(1), jnp.asarray([0.0, 0.0, 1.0]), jnp.asarray([0.0, 0.0, 0.5]))
    solve = equilibrium(energy)

    def after_learning(rate):
        rule = param_rule(energy)(solve(jnp.zeros(3), theta, x), theta, x)
        moved = jax.tree.map(lambda leaf, change: leaf + rate * change, theta, rule)
        return energy(solve(jnp.zeros(3), moved, x), moved, x)

    h = 1e-5
    slope = jax.grad(after_learning)(0.2)
    assert slope < 0
    np.testing.assert_allclose(
        slope, (after_learning(0.2 + h) - after_learning(0.2 - h)) / (2 * h), rtol=1e-7
    )


def test_constant_drives_hold_their_value():
    x = Stimulus(jnp.ones(1), jnp.ones(1), jnp.ones(()))
    assert ConstantDrive(x)(3.0) is x
