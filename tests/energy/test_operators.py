import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.energy import (
    BatchEnergy,
    ConstantDrive,
    ForceField,
    HopfieldEnergy,
    MismatchEnergy,
    RecurrentWeights,
    Stimulus,
    equilibrium,
    errors,
    feed_forward,
    force,
    forward_pass,
    gradient_flow,
    linear,
    logistic,
    param_rule,
    voltage_cost,
)
from tests.energy.layered import random_layers


def problem(beta=0.3):
    theta = random_layers((4, 5, 3), jax.random.key(1))
    x = Stimulus(jnp.linspace(-1, 1, 4), jnp.asarray([0.2, -0.4, 0.9]), jnp.asarray(beta))
    s = (0.3 * jnp.arange(5.0), jnp.asarray([0.1, -0.2, 0.3]))
    return s, theta, x


def test_force_is_the_written_out_derivative(layered, x64):
    s, theta, x = problem()
    hidden, out = s
    r = jax.nn.sigmoid(hidden)
    e1 = hidden - theta[0].weight @ x.input - theta[0].bias
    e2 = out - theta[1].weight @ r - theta[1].bias
    expected = (
        e1 - r * (1 - r) * (theta[1].weight.T @ e2),
        e2 - x.beta * (x.target - out),
    )
    for got, wanted in zip(force(layered)(s, theta, x), expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-15)


def test_force_equals_central_differences(layered, x64):
    s, theta, x = problem()
    flat, unravel = jax.flatten_util.ravel_pytree(s)
    f, _ = jax.flatten_util.ravel_pytree(force(layered)(s, theta, x))
    h = 1e-5
    for index in range(flat.size):
        step = jnp.zeros_like(flat).at[index].set(h)
        slope = (
            layered(unravel(flat + step), theta, x) - layered(unravel(flat - step), theta, x)
        ) / (2 * h)
        assert abs(slope - f[index]) < 1e-8


def test_parameter_rule_is_error_times_rate(layered, x64):
    s, theta, x = problem()
    rule = param_rule(layered)(s, theta, x)
    e = errors(layered)(s, theta, x)
    rates = (x.input, jax.nn.sigmoid(s[0]))
    for layer, error, rate in zip(rule, e, rates, strict=True):
        np.testing.assert_allclose(layer.weight, jnp.outer(error, rate), atol=1e-15)
        np.testing.assert_allclose(layer.bias, error, atol=1e-15)


def test_errors_by_slot_equal_errors_of_a_mismatch_energy(layered, x64):
    s, theta, x = problem()
    by_slot = errors(layered, slot=lambda theta: [layer.bias for layer in theta])(s, theta, x)
    for a, b in zip(by_slot, errors(layered)(s, theta, x), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-15)


def test_errors_of_a_general_energy_need_a_slot():
    with pytest.raises(ValueError, match="slot must say which parameters"):
        errors(HopfieldEnergy())


def test_hessian_is_symmetric(layered, x64):
    s, theta, x = problem()
    flat, unravel = jax.flatten_util.ravel_pytree(s)
    hessian = jax.jacfwd(
        lambda flat: jax.flatten_util.ravel_pytree(force(layered)(unravel(flat), theta, x))[0]
    )(flat)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-15)


def test_forward_pass_is_a_zero_of_energy_and_rule(layered, x64):
    _, theta, x = problem(beta=0.0)
    s = forward_pass(layered, theta, x)
    assert layered(s, theta, x) == 0
    for leaf in jax.tree.leaves(param_rule(layered)(s, theta, x)):
        assert np.all(leaf == 0)


def test_batch_energy_sums_samples_with_shared_parameters(layered, x64):
    s, theta, x = problem()
    many = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf, -leaf]), (s, x.input, x.target))
    states, inputs, targets = many
    batch = BatchEnergy(layered)
    xs = Stimulus(inputs, targets, x.beta)
    one = [
        (jax.tree.map(lambda leaf, k=k: leaf[k], states), Stimulus(inputs[k], targets[k], x.beta))
        for k in range(3)
    ]
    total = sum(layered(state, theta, each) for state, each in one)
    np.testing.assert_allclose(batch(states, theta, xs), total, rtol=1e-14)
    rules = [param_rule(layered)(state, theta, each) for state, each in one]
    summed = jax.tree.map(lambda *leaves: sum(leaves), *rules)
    for a, b in zip(
        jax.tree.leaves(param_rule(batch)(states, theta, xs)), jax.tree.leaves(summed), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-14)


def test_operators_commute_with_permutations_of_units(layered, x64):
    s, theta, x = problem()
    order = jnp.asarray([3, 0, 4, 1, 2])
    moved = (
        eqx.tree_at(
            lambda layer: (layer.weight, layer.bias),
            theta[0],
            (theta[0].weight[order], theta[0].bias[order]),
        ),
        eqx.tree_at(lambda layer: layer.weight, theta[1], theta[1].weight[:, order]),
    )
    straight = force(layered)(s, theta, x)
    permuted = force(layered)((s[0][order], s[1]), moved, x)
    np.testing.assert_allclose(permuted[0], straight[0][order], atol=1e-15)
    np.testing.assert_allclose(permuted[1], straight[1], atol=1e-15)


def test_non_scalar_energies_are_refused():
    with pytest.raises(ValueError, match=r"energy must return a floating-point scalar.*\(3,\)"):
        force(lambda s, theta, x: s**2)(jnp.ones(3), None, None)
    with pytest.raises(ValueError, match="energy must return a floating-point scalar"):
        param_rule(lambda s, theta, x: (jnp.sum(s), jnp.sum(s)))(jnp.ones(3), jnp.ones(3), None)


def test_networks_of_wrong_shape_are_refused():
    energy = MismatchEnergy(linear, lambda rates, theta, x: rates[:2], voltage_cost)
    with pytest.raises(ValueError, match="network must return one current a neuron"):
        energy(jnp.ones(3), None, Stimulus(jnp.ones(0), jnp.ones(3), jnp.ones(())))
    layers = random_layers((2, 2), jax.random.key(0))
    with pytest.raises(ValueError, match="theta must have one layer for each of 2, got 1"):
        feed_forward((jnp.ones(2), jnp.ones(2)), layers, None)


def test_gradient_flow_decays_with_the_curvature_and_its_energy_never_rises(x64):
    weight = jax.random.normal(jax.random.key(3), (6, 6), float)
    energy = MismatchEnergy(linear, lambda r, theta, x: theta @ r, voltage_cost)
    x = Stimulus(jnp.zeros(0), jnp.zeros(6), jnp.zeros(()))
    theta = 0.3 * weight
    field = gradient_flow(energy, tau=5.0)
    s = jnp.arange(6.0)
    j = jnp.eye(6) - theta
    np.testing.assert_allclose(
        field(0.0, s, (theta, ConstantDrive(x))), -(j.T @ j @ s) / 5, rtol=1e-13
    )
    descent = jnp.vdot(force(energy)(s, theta, x), field(0.0, s, (theta, ConstantDrive(x))))
    assert descent < 0


def test_gradient_flow_takes_a_metric_and_time_constants_per_leaf(layered, x64):
    s, theta, x = problem()
    f = force(layered)(s, theta, x)
    flow = gradient_flow(
        layered, tau=(2.0, 4.0), metric=lambda s, f: jax.tree.map(lambda leaf: 3 * leaf, f)
    )(0.0, s, (theta, ConstantDrive(x)))
    np.testing.assert_allclose(flow[0], -3 * f[0] / 2, rtol=1e-14)
    np.testing.assert_allclose(flow[1], -3 * f[1] / 4, rtol=1e-14)
    with pytest.raises(ValueError, match="tau must be a number, an array or a pytree prefix"):
        gradient_flow(layered, tau=(1.0, 2.0, 3.0))(0.0, s, (theta, ConstantDrive(x)))


def test_a_force_field_replaces_the_energy():
    field = ForceField(lambda s, theta, x: 2 * s)
    np.testing.assert_array_equal(force(field)(jnp.ones(2), None, None), [2, 2])
    flow = gradient_flow(field, tau=4.0)(0.0, jnp.ones(2), (None, ConstantDrive(None)))
    np.testing.assert_array_equal(flow, [-0.5, -0.5])


def test_envelope_theorem(layered, x64):
    s, theta, x = problem()
    solve = equilibrium(layered)
    settled = solve(s, theta, x)
    total = jax.grad(lambda theta: layered(solve(s, theta, x), theta, x), allow_int=True)(theta)
    partial = param_rule(layered)(settled, theta, x)
    for a, b in zip(jax.tree.leaves(total), jax.tree.leaves(partial), strict=True):
        np.testing.assert_allclose(a, -b, atol=1e-12)


def test_recurrent_weights_with_masks_of_single_precision_stay_single():
    energy = MismatchEnergy(logistic, lambda r, theta, x: theta.weight @ r, voltage_cost)
    theta = RecurrentWeights(jnp.eye(2), jnp.zeros((2, 0)), jnp.zeros(2))
    x = Stimulus(jnp.zeros(0), jnp.zeros(2), jnp.zeros(()))
    assert force(energy)(jnp.ones(2), theta, x).dtype == jnp.float32
