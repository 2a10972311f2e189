"""Steps of least action against the reference code, and what their course must obey."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from plasticjax.energy import (
    MismatchEnergy,
    RecurrentWeights,
    Stimulus,
    equilibrium,
    feed_forward,
    force,
    forward_pass,
    latent_equilibrium_step,
    learner,
    least_action_step,
    linear,
    local_rates,
    logistic,
    recurrent,
    settled,
    voltage_cost,
)
from tests.energy.layered import random_layers
from tests.energy.least_action import RECURRENT, TAU, course, recurrent_problem, scan, start

FIXTURE = np.load(Path(__file__).parents[1] / "fixtures" / "neuronal_least_action.npz")


def case(name):
    prefix = name + "/"
    return {k.removeprefix(prefix): FIXTURE[k] for k in FIXTURE if k.startswith(prefix)}


def zeros_like_first(x):
    return jax.tree.map(lambda leaf: jnp.zeros_like(leaf[0]), x)


def test_recurrent_plastic_network_follows_the_reference_code(x64):
    d = case("rec_plastic")
    n, steps = 7, len(d["u"])
    theta = RecurrentWeights(jnp.asarray(d["W0"]), jnp.zeros((n, 0)), jnp.asarray(d["b0"]))
    rates = RecurrentWeights(0.1 * 0.02 * jnp.asarray(d["mask"]), jnp.zeros((n, 0)), jnp.zeros(n))
    target = jnp.zeros((steps, n)).at[:, 4:].set(d["y"])
    x = Stimulus(jnp.zeros((steps, 0)), target, jnp.broadcast_to(d["beta"], (steps, n)))
    optimiser = local_rates(rates)
    step = least_action_step(RECURRENT, tau=TAU, dt=0.1, optimiser=optimiser, solver=lx.LU())
    carry, seen = scan(step, start(jnp.zeros(n), theta, zeros_like_first(x), optimiser), x)
    np.testing.assert_allclose(seen.voltage, d["u"], atol=1e-9)
    np.testing.assert_allclose(seen.velocity, d["udot"], atol=1e-9)
    np.testing.assert_allclose(carry.theta.weight, d["W_end"], atol=1e-9)
    np.testing.assert_allclose(carry.theta.bias, d["b_end"], atol=1e-9)
    assert np.max(np.abs(d["W_end"] - d["W0"])) > 1e-3


class ClampedInputs(eqx.Module):
    """Weights of a population whose inputs are voltages."""

    population: RecurrentWeights


def network_of_voltages(rates, theta, x):
    seen = eqx.tree_at(lambda x: x.input, x, logistic(x.input))
    return recurrent(rates, theta.population, seen)


def test_feed_forward_network_with_clamped_inputs_follows_the_reference_code(x64):
    d = case("ff_static")
    free, steps = slice(3, None), len(d["u"])
    weight = jnp.asarray(d["W0"] * d["mask"])[free]
    theta = ClampedInputs(RecurrentWeights(weight[:, 3:], weight[:, :3], jnp.asarray(d["b0"])[3:]))
    target = jnp.zeros((steps, 6)).at[:, 4:].set(d["y"])
    x = Stimulus(jnp.asarray(d["x"]), target, jnp.broadcast_to(d["beta"][free], (steps, 6)))
    energy = MismatchEnergy(logistic, network_of_voltages, voltage_cost)
    step = least_action_step(energy, tau=TAU, dt=0.1, inputs_clamped=True)
    _, seen = scan(step, start(jnp.zeros(6), theta, zeros_like_first(x)), x)
    np.testing.assert_allclose(seen.voltage, d["u"][:, free], atol=1e-9)
    np.testing.assert_allclose(seen.velocity, d["udot"][:, free], atol=1e-9)


def test_one_step_shrinks_the_force_by_dt_over_tau_to_first_order(x64):
    u, theta = recurrent_problem()
    excess = []
    for dt in (0.2, 0.1):
        x = course(jnp.asarray([1.0, 1.0 + dt]))
        before, after = (jax.tree.map(lambda leaf, i=i: leaf[i], x) for i in (0, 1))
        step = least_action_step(RECURRENT, tau=TAU, dt=dt, inputs_clamped=True)
        carry, _ = step(start(u, theta, before), after)
        f = force(RECURRENT)
        moved = f(carry.neurons.voltage, theta, after)
        expected = (1 - dt / TAU) * f(u, theta, before)
        excess.append(np.max(np.abs(moved - expected)))
    assert excess[0] < 0.05
    assert 3.5 < excess[0] / excess[1] < 4.5


def test_force_decays_along_the_steps_with_moving_weights(x64):
    u, theta = recurrent_problem()
    dt = 0.01
    x = course(dt * jnp.arange(2001))
    optimiser = local_rates(0.05 * dt)
    step = least_action_step(RECURRENT, tau=TAU, dt=dt, optimiser=optimiser)
    first = jax.tree.map(lambda leaf: leaf[0], x)
    carry, seen = scan(step, start(u, theta, first, optimiser), x)
    assert np.max(np.abs(carry.theta.weight - theta.weight)) > 0.05
    conserved = seen.force * jnp.exp(dt * jnp.arange(2001) / TAU)[:, None]
    np.testing.assert_allclose(conserved, np.broadcast_to(conserved[0], conserved.shape), atol=0.01)


def test_ignoring_the_motion_of_weights_leaves_the_moving_equilibrium(x64):
    u, theta = recurrent_problem()
    dt, optimiser = 0.05, local_rates(0.05 * 0.05)
    x = course(dt * jnp.arange(400))
    first = jax.tree.map(lambda leaf: leaf[0], x)
    u = equilibrium(RECURRENT)(u, theta, first)
    miss = {}
    for included in (True, False):
        step = least_action_step(
            RECURRENT, tau=TAU, dt=dt, optimiser=optimiser, look_ahead_of_plasticity=included
        )
        _, seen = scan(step, start(u, theta, first, optimiser), x)
        miss[included] = np.max(np.abs(seen.force))
    assert miss[False] > 5 * miss[True]


def test_steps_converge_to_the_moving_equilibrium_with_order_one(x64):
    u, theta = recurrent_problem()
    misses = []
    for dt in (0.1, 0.05):
        x = course(dt * jnp.arange(round(20 / dt) + 1))
        first, last = (jax.tree.map(lambda leaf, i=i: leaf[i], x) for i in (0, -1))
        step = least_action_step(RECURRENT, tau=TAU, dt=dt)
        carry, _ = scan(step, start(equilibrium(RECURRENT)(u, theta, first), theta, first), x)
        end = carry.neurons.voltage
        misses.append(np.max(np.abs(end - equilibrium(RECURRENT)(end, theta, last))))
    assert 1.8 < misses[0] / misses[1] < 2.2


def test_without_nudging_no_error_and_no_learning(layered, x64):
    theta = random_layers((4, 5, 3), jax.random.key(1))
    inputs = jnp.sin(0.3 * jnp.arange(4.0))
    x = Stimulus(inputs, jnp.ones(3), jnp.zeros(()))
    u = forward_pass(layered, theta, x)
    optimiser = local_rates(0.5)
    step = least_action_step(layered, tau=TAU, dt=0.5, optimiser=optimiser)
    carry, seen = step(start(u, theta, x, optimiser), x)
    for got, wanted in zip(jax.tree.leaves(carry.theta), jax.tree.leaves(theta), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-15)
    for got, wanted in zip(seen.voltage, u, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-14)
    assert float(layered(u, theta, x)) < 1e-30


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_depth_adds_no_latency(depth, x64):
    energy = MismatchEnergy((logistic,) * (depth - 1) + (linear,), feed_forward, voltage_cost)
    theta = random_layers((2, *(3,) * depth), jax.random.key(depth))
    still = Stimulus(jnp.zeros(2), jnp.zeros(3), jnp.zeros(()))
    u = forward_pass(energy, theta, still)
    dt = 1e-4
    moved = eqx.tree_at(lambda x: x.input, still, jnp.asarray([dt, -dt]))
    _, seen = least_action_step(energy, tau=TAU, dt=dt)(start(u, theta, still), moved)
    goal = forward_pass(energy, theta, moved)[-1]
    np.testing.assert_allclose(seen.voltage[-1] - u[-1], goal - u[-1], rtol=1e-3)


def test_a_jump_of_the_target_moves_all_layers_at_once(layered, x64):
    theta = random_layers((4, 5, 3), jax.random.key(1))
    old = Stimulus(jnp.ones(4), jnp.zeros(3), jnp.asarray(0.1))
    u = equilibrium(layered)((jnp.zeros(5), jnp.zeros(3)), theta, old)
    new = eqx.tree_at(lambda x: x.target, old, 0.01 * jnp.ones(3))
    goal = equilibrium(layered)(u, theta, new)
    _, seen = least_action_step(layered, tau=TAU, dt=1e-3)(start(u, theta, old), new)
    for got, was, wanted in zip(seen.voltage, u, goal, strict=True):
        np.testing.assert_allclose(got - was, wanted - was, rtol=2e-2)


def test_switching_the_nudging_on_is_followed_with_tau(layered, x64):
    theta = random_layers((4, 5, 3), jax.random.key(1))
    off = Stimulus(jnp.ones(4), 0.5 * jnp.ones(3), jnp.zeros(()))
    on = eqx.tree_at(lambda x: x.beta, off, jnp.asarray(0.1))
    u = forward_pass(layered, theta, off)
    dt, steps = 0.05, 600
    x = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (steps, *leaf.shape)), on)
    _, seen = scan(least_action_step(layered, tau=TAU, dt=dt), start(u, theta, off), x)
    f = seen.force[-1][:, 0]
    np.testing.assert_allclose(f / f[0], np.exp(-dt * np.arange(steps) / TAU), atol=2e-3)


def test_same_static_equilibrium_as_latent_equilibrium(layered, x64):
    theta = random_layers((4, 5, 3), jax.random.key(1), width=0.4)
    x = Stimulus(jnp.linspace(-1, 1, 4), jnp.asarray([0.2, -0.4, 0.9]), jnp.asarray(0.2))
    u = forward_pass(layered, theta, x)
    many = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (2000, *leaf.shape)), x)
    least, _ = scan(least_action_step(layered, tau=TAU, dt=0.5), start(u, theta, x), many)
    latent, _ = scan(
        latent_equilibrium_step(layered, tau_m=TAU, dt=0.5),
        learner(settled(layered, u), theta),
        many,
    )
    pairs = zip(least.neurons.voltage, latent.neurons.membrane, strict=True)
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_implicit_iteration_converges_at_the_rate_of_the_curvature(x64):
    """`tau du <- -f - tau f_t + (1 - H) tau du`: what neurons solve without inverting `H`."""
    u, theta = recurrent_problem()
    theta = eqx.tree_at(lambda theta: theta.weight, theta, 0.4 * theta.weight)
    x = course(jnp.asarray([0.9, 1.0]))
    old, new = (jax.tree.map(lambda leaf, i=i: leaf[i], x) for i in (0, 1))
    _, seen = least_action_step(RECURRENT, tau=TAU, dt=0.1)(start(u, theta, old), new)
    f = lambda x: force(RECURRENT)(u, theta, x)  # noqa: E731
    goal = -f(new) / TAU - (f(new) - f(old)) / 0.1  # linear in the drive
    h = jax.jacfwd(lambda u: force(RECURRENT)(u, theta, new))(u)
    np.testing.assert_allclose(h, h.T, atol=1e-14)
    rate = np.max(np.abs(np.linalg.eigvalsh(np.eye(6) - h)))
    assert rate < 1
    velocity, misses = np.zeros(6), []
    for _ in range(20):
        velocity = goal + velocity - h @ velocity
        misses.append(np.linalg.norm(velocity - seen.velocity))
    np.testing.assert_allclose(misses[-1] / misses[-2], rate, rtol=0.02)


def test_look_ahead_inverts_the_low_pass():
    signal = np.cumsum(np.random.default_rng(0).standard_normal(50))
    dt = 0.7

    def low_pass(x):
        y = np.zeros(len(x))
        for k in range(1, len(x)):
            y[k] = (y[k - 1] + dt / TAU * x[k]) / (1 + dt / TAU)
        return y

    def look_ahead(x):
        return x + TAU * np.diff(x, prepend=0.0) / dt

    pinned = np.concatenate([[0.0], signal])
    np.testing.assert_allclose(look_ahead(low_pass(pinned)), pinned, atol=1e-11)
    np.testing.assert_allclose(low_pass(look_ahead(pinned)), pinned, atol=1e-11)
