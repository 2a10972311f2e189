from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from plasticjax.energy import (
    BatchEnergy,
    LayeredCurvature,
    LeastActionState,
    MismatchEnergy,
    RecurrentWeights,
    Stimulus,
    equilibrium,
    errors,
    feed_forward,
    force,
    forward_pass,
    hard_sigmoid,
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

FIXTURE = np.load(Path(__file__).parents[1] / "fixtures" / "neuronal_least_action.npz")
RECURRENT = MismatchEnergy(logistic, recurrent, voltage_cost)
TAU = 10.0


def case(name):
    prefix = name + "/"
    return {k.removeprefix(prefix): FIXTURE[k] for k in FIXTURE if k.startswith(prefix)}


def start(u, theta, x, optimiser=None):
    """Neurons at voltages `u` that have seen the drive `x`."""
    return learner(LeastActionState(u, x), theta, optimiser)


def scan(step, carry, x):
    return jax.jit(lambda carry, x: jax.lax.scan(step, carry, x))(carry, x)


def zeros_like_first(x):
    return jax.tree.map(lambda leaf: jnp.zeros_like(leaf[0]), x)


def recurrent_problem():
    a, b, c = jax.random.split(jax.random.key(0), 3)
    weight = 0.4 * jax.random.normal(a, (6, 6), float)
    theta = RecurrentWeights(
        weight - jnp.diag(jnp.diag(weight)), 0.5 * jax.random.normal(b, (6, 3), float), jnp.zeros(6)
    )
    return 0.5 * jax.random.normal(c, (6,), float), theta


def course(times):
    """A drive of the recurrent problem, one row a time."""

    def at(t):
        inputs = jnp.stack([0.5 + 0.4 * jnp.sin(0.3 * t), 0.2 * jnp.cos(0.2 * t), 0.3 + 0 * t])
        target = jnp.zeros(6).at[4].set(jnp.sin(0.1 * t)).at[5].set(0.5)
        return Stimulus(inputs, target, jnp.asarray([0, 0, 0, 0, 0.3, 0.3]))

    return jax.vmap(at)(times)


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


def batch_problem(samples=5):
    energy = MismatchEnergy((hard_sigmoid, linear), feed_forward, voltage_cost)
    theta = random_layers((4, 5, 3), jax.random.key(3))
    a, b, c = jax.random.split(jax.random.key(4), 3)
    x = Stimulus(
        jax.random.uniform(a, (samples, 4), float),
        jax.random.uniform(b, (samples, 3), float),
        jnp.asarray(0.1, float),
    )
    u = (0.3 * jax.random.normal(c, (samples, 5), float), jnp.zeros((samples, 3), float))
    return energy, u, theta, x


@pytest.mark.parametrize("solver", [None, LayeredCurvature(rtol=1e-13, atol=1e-14)])
def test_a_batch_is_a_loop_over_samples_with_averaged_plasticity(solver, x64):
    energy, u, theta, x = batch_problem()
    old = eqx.tree_at(lambda x: x.input, x, 0.9 * x.input)
    options = {"tau": TAU, "dt": 0.2, "solver": solver}
    optimiser = local_rates(0.3)
    together, seen = least_action_step(BatchEnergy(energy), optimiser=optimiser, **options)(
        start(u, theta, old, optimiser), x
    )
    of_sample = lambda tree, k: jax.tree.map(lambda leaf: leaf if leaf.ndim == 0 else leaf[k], tree)  # noqa: E731
    changes = []
    for k in range(5):
        one, _ = least_action_step(energy, optimiser=optimiser, **options)(
            start(of_sample(u, k), theta, of_sample(old, k), optimiser), of_sample(x, k)
        )
        changes.append(jax.tree.map(jnp.subtract, one.theta, theta))
    mean = jax.tree.map(lambda *leaves: sum(leaves) / 5, *changes)
    for got, was, change in zip(
        *(jax.tree.leaves(tree) for tree in (together.theta, theta, mean)), strict=True
    ):
        np.testing.assert_allclose(got, was + change, atol=1e-14)
    # Voltages look ahead of the averaged plasticity, not of the sample's own.
    frozen, _ = least_action_step(
        BatchEnergy(energy), optimiser=optimiser, look_ahead_of_plasticity=False, **options
    )(start(u, theta, old, optimiser), x)
    for k in range(5):
        one, alone = least_action_step(energy, **options)(
            start(of_sample(u, k), theta, of_sample(old, k)), of_sample(x, k)
        )
        for a, b in zip(one.neurons.voltage, of_sample(frozen.neurons.voltage, k), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)
        for a, b in zip(alone.force, of_sample(seen.force, k), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-14)


def test_plasticity_is_error_times_rate(x64):
    energy, u, theta, x = batch_problem()
    optimiser = local_rates(0.3)
    step = least_action_step(BatchEnergy(energy), tau=TAU, dt=0.2, optimiser=optimiser)
    carry, _ = step(start(u, theta, x, optimiser), x)
    e = errors(BatchEnergy(energy))(u, theta, x)
    for layer, was, error, rate in zip(
        carry.theta, theta, e, (x.input, hard_sigmoid(u[0])), strict=True
    ):
        np.testing.assert_allclose(layer.weight - was.weight, 0.3 * error.T @ rate / 5, atol=1e-14)


def test_hard_sigmoid_curvature_is_gauss_newton(x64):
    energy, u, theta, x = batch_problem()
    s, one = (jax.tree.map(lambda leaf: leaf[0] if leaf.ndim else leaf, t) for t in (u, x))
    flat, unravel = jax.flatten_util.ravel_pytree(s)
    pull = lambda flat: jax.flatten_util.ravel_pytree(force(energy)(unravel(flat), theta, one))[0]  # noqa: E731
    j = np.eye(8)
    j[5:, :5] = -theta[1].weight * hard_sigmoid.derivative(s[0])
    wanted = j.T @ j + np.diag([0] * 5 + [0.1] * 3)
    np.testing.assert_allclose(jax.jacfwd(pull)(flat), wanted, atol=1e-14)


def test_dt_must_be_positive():
    with pytest.raises(ValueError, match=r"dt must be a positive time in ms, got -0\.1"):
        least_action_step(RECURRENT, tau=TAU, dt=-0.1)


def test_clamped_inputs_need_inputs(x64):
    step = least_action_step(RECURRENT, tau=TAU, dt=0.1, inputs_clamped=True)
    with pytest.raises(ValueError, match="inputs_clamped needs a drive with a field `input`"):
        step(start(jnp.zeros(3), None, jnp.zeros(3)), jnp.zeros(3))


def test_indefinite_curvature_names_the_remedy(x64):
    saddle = lambda u, theta, x: 0.5 * u[0] ** 2 - 0.5 * u[1] ** 2 + 0 * x  # noqa: E731
    step = least_action_step(saddle, tau=TAU, dt=0.1)
    with pytest.raises(eqx.EquinoxRuntimeError, match="Remedies: a smaller nudging strength"):
        step(start(jnp.ones(2), None, jnp.zeros(())), jnp.zeros(()))


def test_step_is_vmap_and_grad_safe_and_keeps_its_dtype(x64):
    u, theta = recurrent_problem()
    x = course(0.5 * jnp.arange(8))
    first = jax.tree.map(lambda leaf: leaf[0], x)

    def end(rate, u):
        optimiser = local_rates(rate)
        step = least_action_step(RECURRENT, tau=TAU, dt=0.5, optimiser=optimiser)
        carry, _ = jax.lax.scan(step, start(u, theta, first, optimiser), x)
        return jnp.sum(carry.theta.weight**2) + jnp.sum(carry.neurons.voltage**2)

    many = jnp.stack([u, -u])
    np.testing.assert_allclose(
        jax.vmap(lambda u: end(0.1, u))(many), [end(0.1, u), end(0.1, -u)], rtol=1e-12
    )
    h = 1e-5
    np.testing.assert_allclose(
        jax.grad(end)(0.1, u), (end(0.1 + h, u) - end(0.1 - h, u)) / (2 * h), rtol=1e-6
    )


def test_single_precision_stays_single():
    with jax.enable_x64(False):
        energy, u, theta, x = batch_problem()
        optimiser = local_rates(0.3)
        step = least_action_step(
            BatchEnergy(energy), tau=TAU, dt=0.2, optimiser=optimiser, solver=LayeredCurvature(1e-4)
        )
        carry, seen = step(start(u, theta, x, optimiser), x)
        for leaf in jax.tree.leaves((carry, seen)):
            assert leaf.dtype == jnp.float32
