"""Steps of least action over batches, their transformations, and what they refuse."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.energy import (
    BatchEnergy,
    LayeredCurvature,
    MismatchEnergy,
    Stimulus,
    errors,
    feed_forward,
    force,
    hard_sigmoid,
    least_action_step,
    linear,
    local_rates,
    voltage_cost,
)
from tests.energy.layered import random_layers
from tests.energy.least_action import RECURRENT, TAU, course, recurrent_problem, start


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
