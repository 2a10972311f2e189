import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasticjax.energy import (
    BayesianNeuronEnergy,
    ConstantDrive,
    EquilibriumPropagationEnergy,
    ForceField,
    HopfieldEnergy,
    MismatchEnergy,
    ModernHopfieldEnergy,
    PredictiveCodingEnergy,
    RecurrentWeights,
    Stimulus,
    equilibrium,
    feed_forward,
    force,
    gradient_flow,
    linear,
    log_cosh,
    logistic,
    param_rule,
    tanh,
    voltage_cost,
    zero_divergence_rule,
)
from tests.energy.layered import random_layers


def predictive(sizes=(4, 5, 6, 3)):
    theta = random_layers(sizes, jax.random.key(3))
    x = Stimulus(jnp.linspace(-1, 1, 4), jnp.asarray([0.2, -0.4, 0.9]), jnp.zeros(()))
    return theta, x


def test_predictive_coding_is_a_precision_weighted_sum(x64):
    theta, x = predictive((4, 5, 3))
    a = jax.random.normal(jax.random.key(0), (3, 3))
    precision = (jnp.arange(1.0, 6.0), a @ a.T)
    energy = PredictiveCodingEnergy(tanh, precision)
    s = (0.1 * jnp.arange(5.0),)
    e1 = s[0] - theta[0](x.input)
    e2 = x.target - theta[1](jnp.tanh(s[0]))
    expected = 0.5 * (jnp.sum(precision[0] * e1**2) + e2 @ precision[1] @ e2)
    np.testing.assert_allclose(energy(s, theta, x), expected, rtol=1e-14)
    for ours, hand in zip(energy.errors(s, theta, x), (e1, e2), strict=True):
        np.testing.assert_allclose(ours, hand, atol=1e-15)


def test_predictive_coding_is_the_limit_of_strong_nudging(x64):
    theta, x = predictive()
    clamped = PredictiveCodingEnergy(tanh)
    goal = equilibrium(clamped)(clamped.predictions(theta, x), theta, x)
    gaps = []
    for beta in (1e3, 1e4):
        nudged = MismatchEnergy((tanh, tanh, linear), feed_forward, voltage_cost)
        strong = eqx.tree_at(lambda x: x.beta, x, jnp.asarray(beta))
        s = equilibrium(nudged)((*goal, x.target), theta, strong)
        gaps.append(max(np.max(np.abs(a - b)) for a, b in zip(s[:-1], goal, strict=True)))
    assert 9 < gaps[0] / gaps[1] < 11


def test_zero_divergence_equals_backpropagation_to_round_off(x64):
    theta, x = predictive()
    energy = PredictiveCodingEnergy(logistic)

    def cost(theta):
        rate = x.input
        for layer in theta[:-1]:
            rate = logistic(layer(rate))
        return 0.5 * jnp.sum((x.target - theta[-1](rate)) ** 2)

    gradient = eqx.filter_grad(cost)(theta)
    change = zero_divergence_rule(energy)(theta, x)
    for ours, theirs in zip(jax.tree.leaves(change), jax.tree.leaves(gradient), strict=True):
        np.testing.assert_allclose(ours, -theirs, atol=1e-15)
    relaxed = param_rule(energy)(energy.predictions(theta, x), theta, x)
    assert np.max(np.abs(relaxed[0].weight)) == 0


def test_predictive_coding_counts_its_layers():
    theta, x = predictive()
    with pytest.raises(ValueError, match="theta must have one layer more than the 1 hidden"):
        PredictiveCodingEnergy(tanh)((jnp.zeros(5),), theta, x)


def memory(units=6):
    a, b = jax.random.split(jax.random.key(7))
    weight = jax.random.normal(a, (units, units))
    theta = RecurrentWeights(
        weight + weight.T, jnp.zeros((units, 0)), jax.random.normal(b, (units,))
    )
    return theta, Stimulus(jnp.zeros(0), jnp.zeros(0), jnp.zeros(()))


def test_hopfield_energy_is_the_published_one(x64):
    theta, x = memory()
    s = jnp.linspace(-2, 2, 6)
    r = jnp.tanh(s)
    integral = jnp.sum(r * jnp.arctanh(r) + 0.5 * jnp.log(1 - r**2))
    expected = -0.5 * r @ theta.weight @ r - theta.bias @ r + integral
    np.testing.assert_allclose(HopfieldEnergy()(s, theta, x), expected, rtol=1e-13)


def test_hopfield_flow_is_the_published_equation_and_its_energy_never_rises(x64):
    theta, x = memory()
    energy = HopfieldEnergy()
    field = gradient_flow(ForceField(energy.rate_force), tau=2.0)
    args = (theta, ConstantDrive(x))
    s = jnp.linspace(-1, 1, 6)
    np.testing.assert_allclose(
        field(0.0, s, args), (-s + theta.weight @ jnp.tanh(s) + theta.bias) / 2, atol=1e-14
    )
    by_metric = gradient_flow(energy, 2.0, metric=lambda s, f: f / tanh.slope(s))(0.0, s, args)
    np.testing.assert_allclose(by_metric, field(0.0, s, args), atol=1e-12)
    path = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5(),
        0.0,
        20.0,
        0.01,
        s,
        args,
        saveat=diffrax.SaveAt(ts=jnp.linspace(0, 20, 400)),
        stepsize_controller=diffrax.PIDController(rtol=1e-10, atol=1e-12),
        max_steps=None,
    ).ys
    energies = jax.vmap(lambda s: energy(s, theta, x))(path)
    assert np.max(np.diff(energies)) < 1e-10
    assert energies[0] - energies[-1] > 0.1


def test_hopfield_stays_finite_where_rates_saturate():
    theta, x = memory()
    s = jnp.full(6, 60.0)
    assert np.all(np.isfinite(HopfieldEnergy().rate_force(s, theta, x)))
    assert np.isfinite(HopfieldEnergy()(s, theta, x))
    np.testing.assert_allclose(log_cosh(jnp.asarray([0.0, 60.0])), [0, 60 - np.log(2)], atol=1e-6)


def test_hopfield_recalls_a_stored_pattern():
    patterns = np.sign(np.random.default_rng(0).normal(size=(3, 64)))
    theta = RecurrentWeights(
        jnp.asarray(4 * patterns.T @ patterns / 64), jnp.zeros((64, 0)), jnp.zeros(64)
    )
    x = Stimulus(jnp.zeros(0), jnp.zeros(0), jnp.zeros(()))
    noisy = patterns[0] * np.where(np.arange(64) < 10, -1, 1)
    field = gradient_flow(ForceField(HopfieldEnergy().rate_force), tau=1.0)
    s = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5(),
        0.0,
        15.0,
        0.1,
        jnp.asarray(noisy),
        (theta, ConstantDrive(x)),
    ).ys[0]
    np.testing.assert_array_equal(np.sign(s), patterns[0])


@given(k=st.floats(0.1, 20.0), seed=st.integers(0, 100))
def test_modern_hopfield_unit_step_is_attention(k, seed, x64):
    a, b = jax.random.split(jax.random.key(seed))
    patterns, s = jax.random.normal(a, (5, 4)), jax.random.normal(b, (4,))
    energy = ModernHopfieldEnergy(k)
    step = s + gradient_flow(energy, 1.0)(0.0, s, (patterns, ConstantDrive(None)))
    np.testing.assert_allclose(step, jax.nn.softmax(k * patterns @ s) @ patterns, atol=1e-13)


def bayesian():
    energy = BayesianNeuronEnergy(jnp.asarray([-70.0, 0.0, -85.0]), 2.5)
    theta = jnp.asarray([[1.0, 0.0, 0.0], [0.0, 0.4, 0.1], [0.0, 0.2, 0.6]])
    return energy, theta, Stimulus(jnp.asarray([1.0, 2.0, 0.5]), jnp.zeros(0), jnp.zeros(()))


def test_bayesian_neuron_is_a_normal_density_and_its_flow_the_membrane_equation(x64):
    energy, theta, x = bayesian()
    total, mean = energy.belief(theta, x)
    u = jnp.linspace(mean - 40, mean + 40, 4001)
    density = jnp.exp(-jax.vmap(lambda u: energy(u, theta, x))(u))
    weight = u[1] - u[0]
    np.testing.assert_allclose(jnp.sum(density) * weight, 1, atol=1e-9)
    np.testing.assert_allclose(jnp.sum(u * density) * weight, mean, rtol=1e-9)
    np.testing.assert_allclose(jnp.sum((u - mean) ** 2 * density) * weight, 2.5 / total, rtol=1e-8)
    capacitance = 20.0
    flow = gradient_flow(energy, capacitance / 2.5)
    got = flow(0.0, jnp.asarray(-50.0), (theta, ConstantDrive(x)))
    conductances = theta @ x.input
    current = jnp.sum(conductances * (energy.reversals + 50.0))
    np.testing.assert_allclose(got, current / capacitance, rtol=1e-13)


def test_bayesian_rule_is_the_published_one(x64):
    energy, theta, x = bayesian()
    total, mean = energy.belief(theta, x)
    u = jnp.asarray(-40.0)
    by_conductance = (u - mean) * (energy.reversals - mean) / 2.5 + 0.5 * (
        1 / total - (u - mean) ** 2 / 2.5
    )
    np.testing.assert_allclose(
        param_rule(energy)(u, theta, x), jnp.outer(by_conductance, x.input), rtol=1e-12
    )


def test_bayesian_langevin_dynamics_sample_the_belief(x64):
    energy, theta, x = bayesian()
    capacitance, lam, dt = 10.0, 2.5, 0.05
    total, mean = energy.belief(theta, x)
    flow = gradient_flow(energy, capacitance / lam)

    def step(u, key):
        kick = jnp.sqrt(2 * lam * capacitance * dt) * jax.random.normal(key) / capacitance
        u = u + dt * flow(0.0, u, (theta, ConstantDrive(x))) + kick
        return u, u

    keys = jax.random.split(jax.random.key(0), (200, 2000))
    _, paths = jax.vmap(lambda keys: jax.lax.scan(step, mean, keys))(keys)
    late = paths[:, 500:]
    np.testing.assert_allclose(jnp.mean(late), mean, atol=0.06)
    np.testing.assert_allclose(jnp.var(late), lam / total, rtol=0.05)


def test_equilibrium_propagation_uses_symmetric_weights_only(x64):
    energy = EquilibriumPropagationEnergy(logistic, voltage_cost)
    a, b = jax.random.split(jax.random.key(0))
    weight = jax.random.normal(a, (4, 4))
    theta = RecurrentWeights(weight, jax.random.normal(b, (4, 2)), jnp.ones(4))
    x = Stimulus(jnp.ones(2), jnp.zeros(4), jnp.zeros(()))
    s = jnp.linspace(-1, 1, 4)
    r = logistic(s)
    symmetric = np.array((weight + weight.T) / 2)
    np.fill_diagonal(symmetric, 0)
    hand = s - logistic.slope(s) * (symmetric @ r + theta.input_weight @ x.input + theta.bias)
    np.testing.assert_allclose(force(energy)(s, theta, x), hand, atol=1e-14)
