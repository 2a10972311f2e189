from functools import partial

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest

from plasticjax.energy import (
    FunctionDrive,
    MismatchEnergy,
    Stimulus,
    double_prospective,
    double_prospective_signals,
    feed_forward,
    forward_pass,
    gle_at_rest,
    gle_step,
    learner,
    linear,
    rate_cost,
    tanh,
)
from tests.energy.layered import dense, random_layers

SIZES = (2, 4, 3, 2)
NET = MismatchEnergy((tanh, tanh, linear), feed_forward, rate_cost)
TAU_M = (np.array([0.6, 1.0, 1.5, 2.0]), 1.2, 0.8)
TAU_R = (0.3, np.array([0.2, 0.5, 1.2]), 0.8)
CHAIN = MismatchEnergy(linear, feed_forward, rate_cost)


def moving(beta=0.5):
    return FunctionDrive(
        lambda t: Stimulus(
            jnp.stack([jnp.sin(t), jnp.cos(0.7 * t)]),
            jnp.stack([jnp.sin(0.3 * t), 0.5 * jnp.cos(t)]),
            jnp.asarray(beta),
        )
    )


def zeros(sizes=SIZES[1:]):
    return tuple(jnp.zeros(n) for n in sizes)


def integrate(field, y, theta, drive, times):
    return diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5(),
        0,
        times[-1],
        0.01,
        y,
        args=(theta, drive),
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=diffrax.PIDController(rtol=1e-9, atol=1e-9),
        max_steps=100_000,
    ).ys


def largest(one, other):
    return max(
        float(jnp.abs(a - b).max())
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


@pytest.mark.parametrize("frequency", [0.05, 2.0])
def test_rates_lag_and_errors_lead_as_the_adjoint_does(frequency, x64):
    """Two linear neurons, nudged weakly; one sinusoid drives them, one their output."""
    tau_m, tau_r, weight, beta = (1.5, 0.9), (0.4, 0.2), 0.8, 1e-7
    layers = (dense(np.ones((1, 1)), np.zeros(1)), dense([[weight]], np.zeros(1)))
    drive = FunctionDrive(
        lambda t: Stimulus(
            jnp.sin(frequency * t)[None], jnp.cos(frequency * t)[None], jnp.asarray(beta)
        )
    )
    options = {"tau_m": tau_m, "tau_r": tau_r, "gamma": 0.0}
    times = 40 + jnp.linspace(0, 5, 60)
    y = (zeros((1, 1)),) * 2
    path = integrate(double_prospective(CHAIN, **options), y, layers, drive, times)
    signals = double_prospective_signals(CHAIN, **options)
    seen = jax.vmap(lambda t, y: signals(t, y, (layers, drive)))(times, path)

    imaginary = 1j * frequency
    lag = [(1 + imaginary * r) / (1 + imaginary * m) for m, r in zip(tau_m, tau_r, strict=True)]
    wave = jnp.exp(imaginary * times)
    output = (lag[0] * weight * lag[1] * wave).imag
    np.testing.assert_allclose(seen.rate[-1][:, 0], output, atol=1e-6)

    target = wave - (-1j) * lag[0] * weight * lag[1] * wave  # cos - output, as real parts
    lead = [1 / each for each in lag]
    errors = [weight * lead[1] * lead[0] * beta * target, lead[1] * beta * target]
    for shown, expected in zip(seen.error, errors, strict=True):
        np.testing.assert_allclose(shown[:, 0] / beta, (expected / beta).real, atol=1e-5)

    # The adjoint filters with anticausal kernels: the same phase, the inverse gain.
    adjoint = [np.conj(each) for each in lag]
    for ours, theirs, m, r in zip(lead, adjoint, tau_m, tau_r, strict=True):
        np.testing.assert_allclose(np.angle(ours), np.angle(theirs), atol=1e-14)
        ratio = (1 + (frequency * m) ** 2) / (1 + (frequency * r) ** 2)
        np.testing.assert_allclose(abs(ours / theirs), ratio)


def test_equal_time_constants_give_backpropagation_at_every_instant(x64):
    theta, drive, t = random_layers(SIZES, jax.random.key(0)), moving(), 0.7
    key = jax.random.key(2)
    u = tuple(jax.random.normal(key, (n,)) for n in SIZES[1:])
    x = drive(t)
    free = forward_pass(NET, theta, x)

    def cost(biases):
        layers = tuple(dense(layer.weight, bias) for layer, bias in zip(theta, biases, strict=True))
        state = forward_pass(NET, layers, x)
        return NET.nudging_cost(state, NET.rates(state), x)

    backpropagated = jax.grad(cost)(tuple(layer.bias for layer in theta))
    for tau in (0.3, (1.0, 2.0, 5.0)):
        signals = double_prospective_signals(NET, tau, tau, gamma=0.0)
        seen = signals(t, (u, u), (theta, drive))
        assert largest(seen.sent, free) < 1e-12
        assert largest(seen.error, jax.tree.map(jnp.negative, backpropagated)) < 1e-11


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
def test_the_fixed_step_converges_to_it_with_order_one(gamma, x64):
    # Weak enough a loop through errors and rates that the delays of the steps settle it.
    theta, drive = random_layers(SIZES, jax.random.key(0), width=0.4), moving(0.1)
    field = double_prospective(NET, TAU_M, TAU_R, gamma)
    u, v = jax.tree.map(
        lambda leaf: leaf[-1],
        integrate(field, (zeros(), zeros()), theta, drive, jnp.asarray([1.0, 3.0])),
    )

    def gap(dt):
        step = gle_step(NET, tau_m=TAU_M, tau_r=TAU_R, dt=dt, gamma=gamma)
        times = jnp.arange(round(3 / dt)) * dt
        start = learner(gle_at_rest(zeros()), theta)
        end, _ = jax.lax.scan(lambda carry, t: step(carry, drive(t)), start, times)
        neurons = end.neurons
        return np.array([largest(neurons.membrane, u), largest(neurons.error_membrane, v)])

    coarse, fine = gap(0.01), gap(0.005)
    assert np.all(fine < 0.01)
    np.testing.assert_allclose(coarse / fine, 2, rtol=0.05)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_the_signals_obey_the_equations(gamma, x64):
    theta, drive, t = random_layers(SIZES, jax.random.key(0)), moving(), 1.3
    keys = jax.random.split(jax.random.key(3))
    u, v = (tuple(0.3 * jax.random.normal(k, (n,)) for n in SIZES[1:]) for k in keys)
    seen = double_prospective_signals(NET, TAU_M, TAU_R, gamma)(t, (u, v), (theta, drive))
    du, dv = double_prospective(NET, TAU_M, TAU_R, gamma)(t, (u, v), (theta, drive))
    near = partial(np.testing.assert_allclose, atol=1e-11)
    x = drive(t)
    current = NET.current(seen.rate, theta, x)
    downward = jax.vjp(lambda rates: NET.current(rates, theta, x), seen.rate)[1](seen.error)[0]
    slopes = NET.slopes(seen.sent)
    for k, (m, r) in enumerate(zip(TAU_M, TAU_R, strict=True)):
        near(m * du[k], current[k] - u[k] + gamma * seen.error[k])
        near(seen.sent[k], u[k] + r * du[k])
        received = slopes[k] * downward[k]
        if k == 2:
            received = received + x.beta * (x.target - seen.rate[k])
        near(seen.pull[k], received)
        near(r * dv[k], received - v[k])
        near(seen.error[k], v[k] + m * dv[k])


def test_sweeps_agree_with_newton_and_are_exact_after_twice_the_layers(x64):
    theta, drive, t = random_layers(SIZES, jax.random.key(0)), moving(), 1.3
    y = (tuple(0.1 * jnp.ones(n) for n in SIZES[1:]),) * 2
    sweeps = optx.FixedPointIteration(rtol=1e-12, atol=1e-12)
    newton, swept = (
        double_prospective_signals(NET, TAU_M, TAU_R, 0.0, method)(t, y, (theta, drive))
        for method in (None, sweeps)
    )
    assert largest(newton, swept) < 1e-12


def test_derivatives_batches_and_compilation(x64):
    layers, drive, t = random_layers(SIZES, jax.random.key(0)), moving(), 1.3
    y = (tuple(0.1 * jnp.ones(n) for n in SIZES[1:]),) * 2

    def total(scale, y):
        theta = jax.tree.map(lambda leaf: scale * leaf, layers)
        rates = double_prospective(NET, TAU_M, TAU_R)(t, y, (theta, drive))
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(rates))

    h = 1e-5
    differences = (total(1 + h, y) - total(1 - h, y)) / (2 * h)
    np.testing.assert_allclose(jax.jit(jax.grad(total))(1.0, y), differences, rtol=1e-7)
    many = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), y)
    alone = [total(1.0, jax.tree.map(lambda leaf: k * leaf, y)) for k in (1.0, 2.0)]  # noqa: B023
    np.testing.assert_allclose(jax.vmap(total, in_axes=(None, 0))(1.0, many), alone, rtol=1e-10)


def test_single_precision_stays_single():
    theta, y = random_layers(SIZES, jax.random.key(0)), (zeros(), zeros())
    rates = double_prospective(NET, 1.0, 0.5)(0.3, y, (theta, moving()))
    assert {leaf.dtype for leaf in jax.tree.leaves(rates)} == {jnp.dtype("float32")}


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"tau_r must be positive times in ms, got 0"):
        double_prospective(NET, 1.0, 0.0)
    with pytest.raises(ValueError, match=r"tau_m must be positive times in ms, got -1"):
        double_prospective_signals(NET, (1.0, -1.0, 1.0), 1.0)
    theta, y = random_layers(SIZES, jax.random.key(0)), (zeros(), zeros())
    with pytest.raises(ValueError, match="tau_m must be a number, an array or a pytree prefix"):
        double_prospective(NET, (1.0, 1.0), 1.0)(0.0, y, (theta, moving()))
