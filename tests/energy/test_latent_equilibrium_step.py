import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plasticjax.energy import (
    BatchEnergy,
    HopfieldEnergy,
    MismatchEnergy,
    Stimulus,
    at_rest,
    cross_entropy_cost,
    equilibrium,
    errors,
    feed_forward,
    force,
    forward_pass,
    hard_sigmoid,
    latent_equilibrium_step,
    latent_equilibrium_sweep,
    learner,
    linear,
    local_rates,
    logistic,
    rate_cost,
    settled,
    tanh,
    voltage_cost,
)
from plasticjax.energy._latent_equilibrium_step import _check
from tests.energy.layered import dense, random_layers

FIXTURE = Path(__file__).parents[1] / "fixtures" / "latent_equilibrium.npz"
HARD = MismatchEnergy((hard_sigmoid, hard_sigmoid, linear), feed_forward, rate_cost)


def repeated(x, steps):
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (steps, *jnp.shape(leaf))), x)


@pytest.mark.parametrize("variant", ["vanilla", "noprosp", "fa"])
def test_reference_trajectories(variant, x64):
    data = np.load(FIXTURE)
    meta = json.loads(str(data["meta"]))["variants"][variant]
    theta = tuple(dense(data[f"W{i}"].T, data[f"b{i}"]) for i in range(3))
    feedback = tuple(dense(data[f"FB{i}"].T, data[f"b{i}"]) for i in range(3))
    rate = meta["learning_rate"] * meta["lr_multiplier"] / meta["n_updates"]
    options = {
        "tau_m": meta["tau_m"],
        "tau_r": meta["tau"],
        "dt": meta["dt"],
        "feedback": feedback if meta["feedback_alignment"] else None,
        "errors_from": "prospective" if meta["prosp_rate_errors"] else "membrane",
    }
    optimiser = local_rates((rate, 0.2 * rate, 0.1 * rate))
    energy = BatchEnergy(HARD)
    train = latent_equilibrium_step(energy, optimiser=optimiser, **options)
    look = latent_equilibrium_step(energy, **options)
    carry = learner(at_rest(tuple(jnp.zeros((3, n)) for n in (5, 4, 3))), theta, optimiser)

    def stimulus(pattern, beta, steps):
        target = data["Y"][pattern] if beta else np.zeros((3, 3))
        return repeated(
            Stimulus(jnp.asarray(data["X"][pattern]), jnp.asarray(target), jnp.asarray(beta)), steps
        )

    carry, first = jax.lax.scan(train, carry, stimulus(0, meta["beta"], 12))
    carry, second = jax.lax.scan(train, carry, stimulus(1, meta["beta"], 12))
    carry, third = jax.lax.scan(look, carry, stimulus(0, 0.0, 8))
    seen = jax.tree.map(lambda *parts: jnp.concatenate(parts), first, second, third).neurons
    for i in range(3):
        for ours, name in (
            (seen.membrane, f"u{i}"),
            (seen.rate, f"rho{i + 1}"),
            (seen.error, f"e{i + 1}"),
        ):
            np.testing.assert_allclose(ours[i], data[f"{variant}/{name}"], atol=1e-13, err_msg=name)
        np.testing.assert_allclose(carry.theta[i].weight.T, data[f"{variant}/W{i}_end"], atol=1e-14)
        np.testing.assert_allclose(carry.theta[i].bias, data[f"{variant}/b{i}_end"], atol=1e-14)


def run(energy, theta, x, steps, s, **options):
    optimiser = options.get("optimiser")
    step = latent_equilibrium_step(energy, **options)
    return jax.lax.scan(step, learner(at_rest(s), theta, optimiser), repeated(x, steps))


def problem(beta=0.1):
    theta = random_layers((4, 6, 5, 3), jax.random.key(1))
    x = Stimulus(jnp.linspace(-1, 1, 4), jnp.asarray([0.2, -0.4, 0.9]), jnp.asarray(beta))
    return theta, x, (jnp.zeros(6), jnp.zeros(5), jnp.zeros(3))


SMOOTH = MismatchEnergy((tanh, logistic, linear), feed_forward, voltage_cost)


def test_independent_of_time_constant_and_time_step(x64):
    theta, x, s = problem()
    optimiser = local_rates(0.05)
    results = [
        run(SMOOTH, theta, x, 30, s, tau_m=tau, dt=dt, optimiser=optimiser)
        for tau, dt in ((20.0, 0.01), (200.0, 0.01), (3.0, 1.0))
    ]
    for other in results[1:]:
        for a, b in zip(
            jax.tree.leaves((results[0][0].theta, results[0][1].neurons.rate)),
            jax.tree.leaves((other[0].theta, other[1].neurons.rate)),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, atol=1e-12)


def test_prospective_voltage_is_current_plus_error(x64):
    theta, x, s = problem()
    _, seen = run(SMOOTH, theta, x, 20, s, tau_m=7.0, dt=0.3, optimiser=local_rates(0.1))
    for ahead, current, error in zip(
        seen.neurons.prospective, seen.current, seen.neurons.error, strict=True
    ):
        np.testing.assert_allclose(ahead[1:], current[1:] + error[:-1], atol=1e-14)


def test_output_is_exact_after_one_step_a_layer_for_any_tau(x64):
    theta, x, s = problem(beta=0.0)
    _, seen = run(SMOOTH, theta, x, 6, s, tau_m=1e4, dt=0.1)
    goal = forward_pass(SMOOTH, theta, x)[-1]
    outputs = seen.neurons.rate[-1]
    np.testing.assert_allclose(outputs[2:], jnp.broadcast_to(goal, (4, 3)), atol=1e-14)
    assert np.max(np.abs(outputs[1] - goal)) > 1e-3


def test_membrane_is_the_low_pass_of_the_prospective_voltage(x64):
    theta, x, s = problem(beta=0.0)
    tau, dt = 10.0, 0.01
    _, seen = run(SMOOTH, theta, x, 2000, s, tau_m=tau, dt=dt)
    goal = seen.neurons.prospective[-1][-1]
    remaining = 1 - seen.neurons.membrane[-1][-1] / goal
    np.testing.assert_allclose(remaining, np.exp(-20 / tau), rtol=5e-3)


def test_fixed_point_is_a_zero_of_the_force(x64):
    theta, x, s = problem()
    carry, _ = run(SMOOTH, theta, x, 400, s, tau_m=10.0, dt=0.1)
    for f in force(SMOOTH)(carry.neurons.prospective, theta, x):
        assert np.max(np.abs(f)) < 1e-10
    mismatch = errors(SMOOTH)(carry.neurons.prospective, theta, x)
    for a, b in zip(mismatch, carry.neurons.error, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_without_prospectivity_the_same_fixed_point_is_reached_slowly(x64):
    theta, x, s = problem()
    slow, _ = run(
        SMOOTH, theta, x, 20_000, s, tau_m=10.0, tau_r=0.0, dt=0.1, errors_from="prospective"
    )
    goal = equilibrium(SMOOTH)(s, theta, x)
    for a, b in zip(slow.neurons.membrane, goal, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_no_nudging_no_learning(x64):
    theta, x, s = problem(beta=0.0)
    carry, _ = run(SMOOTH, theta, x, 20, s, tau_m=10.0, dt=0.1, optimiser=local_rates(1.0))
    for a, b in zip(jax.tree.leaves(carry.theta), jax.tree.leaves(theta), strict=True):
        np.testing.assert_array_equal(a, b)


def test_updates_align_with_backpropagation_soon_after_an_input_switch(x64):
    theta, x, s = problem(beta=1e-4)
    other = eqx.tree_at(lambda x: x.input, x, -x.input[::-1])

    def cost(theta):
        output = forward_pass(SMOOTH, theta, other)[-1]
        return 0.5 * jnp.sum((other.target - output) ** 2)

    gradient = eqx.filter_grad(cost)(theta)
    carry, _ = run(SMOOTH, theta, x, 50, s, tau_m=50.0, dt=0.1)
    step = latent_equilibrium_step(SMOOTH, tau_m=50.0, dt=0.1)
    _, seen = jax.lax.scan(step, carry, repeated(other, 6))
    rates = [other.input, *seen.neurons.rate[:-1]]
    for layer, (error, rate) in enumerate(zip(seen.neurons.error, rates, strict=True)):
        before = rate if layer == 0 else rate[-2]
        update = jnp.outer(error[-1], before)
        truth = -gradient[layer].weight
        cosine = jnp.vdot(update, truth) / (jnp.linalg.norm(update) * jnp.linalg.norm(truth))
        assert cosine > 0.999999, (layer, cosine)


def test_rows_of_a_batch_are_independent_without_learning(x64):
    theta, x, s = problem()
    two = jax.tree.map(lambda leaf: jnp.stack([leaf, -leaf]), (x.input, x.target))
    xs = Stimulus(*two, x.beta)
    states = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), s)
    batch, _ = run(BatchEnergy(SMOOTH), theta, xs, 9, states, tau_m=10.0, dt=0.1)
    for row, sign in ((0, 1), (1, -1)):
        x_row = Stimulus(sign * x.input, sign * x.target, x.beta)
        one, _ = run(SMOOTH, theta, x_row, 9, s, tau_m=10.0, dt=0.1)
        for a, b in zip(batch.neurons.rate, one.neurons.rate, strict=True):
            np.testing.assert_allclose(a[row], b, atol=1e-14)


def test_no_outer_product_over_the_batch():
    energy = BatchEnergy(HARD)
    theta = random_layers((6, 5, 4, 3), jax.random.key(0))
    states = tuple(jnp.zeros((7, n)) for n in (5, 4, 3))
    optimiser = local_rates(0.1)
    step = latent_equilibrium_step(energy, tau_m=10.0, dt=0.1, optimiser=optimiser)
    x = Stimulus(jnp.ones((7, 6)), jnp.ones((7, 3)), jnp.asarray(0.1))
    text = str(jax.make_jaxpr(step)(learner(at_rest(states), theta, optimiser), x))
    assert "7,5,6]" not in text and "7,6,5]" not in text
    assert "5,6]" in text


def test_any_optimiser_of_optax_learns(x64):
    theta, x, s = problem()
    optimiser = optax.adam(1e-2)
    carry, _ = run(SMOOTH, theta, x, 600, s, tau_m=10.0, dt=0.1, optimiser=optimiser)
    cost = lambda theta: jnp.sum((forward_pass(SMOOTH, theta, x)[-1] - x.target) ** 2)  # noqa: E731
    assert cost(carry.theta) < 1e-3 * cost(theta)


def test_meta_gradient_through_learning(x64):
    theta, x, s = problem()

    def after(rate):
        carry, _ = run(SMOOTH, theta, x, 20, s, tau_m=10.0, dt=0.1, optimiser=local_rates(rate))
        return jnp.sum((forward_pass(SMOOTH, carry.theta, x)[-1] - x.target) ** 2)

    h = 1e-5
    np.testing.assert_allclose(
        jax.grad(after)(0.3), (after(0.3 + h) - after(0.3 - h)) / (2 * h), rtol=1e-6
    )


def test_noise_needs_keys_and_has_its_width():
    theta, x, s = problem()
    step = latent_equilibrium_step(SMOOTH, tau_m=10.0, dt=0.1, rate_noise=0.2)
    carry = learner(at_rest(s), theta)
    keys = jax.random.split(jax.random.key(0), 2000)
    rates = jax.vmap(lambda key: step(carry, (x, key))[1].neurons.rate[0])(keys)
    clean = latent_equilibrium_step(SMOOTH, tau_m=10.0, dt=0.1)(carry, x)[1].neurons.rate[0]
    np.testing.assert_allclose(jnp.std(rates, axis=0), 0.2, rtol=0.1)
    np.testing.assert_allclose(jnp.mean(rates, axis=0), clean, atol=0.03)


def test_filters_are_first_order_low_passes(x64):
    theta, x, s = problem(beta=0.0)
    options = {"tau_m": 10.0, "dt": 0.1}
    _, plain = run(SMOOTH, theta, x, 1, s, **options)
    _, filtered = run(SMOOTH, theta, x, 1, s, synaptic_tau=0.4, **options)
    np.testing.assert_allclose(filtered.neurons.rate[0], 0.25 * plain.neurons.rate[0], rtol=1e-13)
    theta, x, s = problem(beta=0.1)
    start = learner(settled(SMOOTH, forward_pass(SMOOTH, theta, x)), theta)
    sharp = latent_equilibrium_step(SMOOTH, **options)
    soft = latent_equilibrium_step(SMOOTH, error_tau=0.5, **options)
    once, _ = sharp(start, x)
    np.testing.assert_allclose(
        soft(once, x)[0].neurons.error[1], 0.2 * sharp(once, x)[0].neurons.error[1], rtol=1e-12
    )


def test_settled_neurons_stay(x64):
    theta, x, _ = problem(beta=0.0)
    s = forward_pass(SMOOTH, theta, x)
    step = latent_equilibrium_step(SMOOTH, tau_m=10.0, dt=0.1)
    carry, seen = step(learner(settled(SMOOTH, s), theta), x)
    for a, b in zip(carry.neurons.membrane, s, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-14)
    assert all(np.all(leaf == 0) for leaf in seen.neurons.error)


def test_full_sweep_crosses_all_layers_in_one_step(x64):
    theta, x, s = problem()
    step = latent_equilibrium_sweep(SMOOTH, tau_m=10.0, dt=0.1, optimiser=local_rates(0.0))
    carry, _ = step(learner(at_rest(s), theta, local_rates(0.0)), x)
    goal = forward_pass(SMOOTH, theta, x)
    for a, b in zip(carry.neurons.prospective, goal, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-14)

    def cost(theta):
        output = forward_pass(SMOOTH, theta, x)[-1]
        return 0.5 * x.beta * jnp.sum((x.target - output) ** 2)

    learn = latent_equilibrium_sweep(SMOOTH, tau_m=10.0, dt=0.1, optimiser=local_rates(1.0))
    moved, _ = learn(learner(at_rest(s), theta, local_rates(1.0)), x)
    for new, old, slope in zip(moved.theta, theta, eqx.filter_grad(cost)(theta), strict=True):
        np.testing.assert_allclose(new.weight - old.weight, -slope.weight, atol=1e-14)


def test_full_sweep_has_the_same_equilibrium(x64):
    theta, x, s = problem()
    step = latent_equilibrium_sweep(SMOOTH, tau_m=10.0, dt=0.1)
    carry, _ = jax.lax.scan(step, learner(at_rest(s), theta), repeated(x, 200))
    for a, b in zip(carry.neurons.prospective, equilibrium(SMOOTH)(s, theta, x), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_cross_entropy_error_is_target_minus_softmax(x64):
    energy = MismatchEnergy((tanh, linear), feed_forward, cross_entropy_cost)
    theta = random_layers((4, 5, 3), jax.random.key(1))
    x = Stimulus(jnp.ones(4), jnp.asarray([0.0, 1.0, 0.0]), jnp.asarray(0.5))
    s = forward_pass(energy, theta, x)
    step = latent_equilibrium_step(energy, tau_m=10.0, dt=0.1)
    carry, _ = step(learner(settled(energy, s), theta), x)
    np.testing.assert_allclose(
        carry.neurons.error[-1], 0.5 * (x.target - jax.nn.softmax(s[-1])), atol=1e-14
    )


def test_single_precision_stays_single():
    theta, x, s = problem()
    carry, _ = run(SMOOTH, theta, x, 3, s, tau_m=10.0, dt=0.1, optimiser=local_rates(0.1))
    assert {leaf.dtype for leaf in jax.tree.leaves(carry)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dt": 0.0}, "dt must be a positive time in ms, got 0.0"),
        ({"tau_m": -1.0}, "tau_m must be positive times in ms, got -1.0"),
        ({"rate_noise": -0.1}, "rate_noise must not be negative, got -0.1"),
        ({"synaptic_tau": 0.01}, "synaptic_tau must be at least dt=0.1, got 0.01"),
        ({"error_tau": 0.01}, "error_tau must be at least dt=0.1, got 0.01"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        latent_equilibrium_step(SMOOTH, **({"tau_m": 10.0, "dt": 0.1} | options))


def test_general_energies_are_pointed_to_their_operators():
    with pytest.raises(ValueError, match=r"energy must be a mismatch energy.*HopfieldEnergy"):
        _check(HopfieldEnergy(), 1.0, 0.1, "membrane", 0.0)
    with pytest.raises(ValueError, match="errors_from must be 'membrane' or 'prospective'"):
        _check(SMOOTH, 1.0, 0.1, "soma", 0.0)
    step = latent_equilibrium_sweep(SMOOTH, tau_m=1.0, dt=0.1)
    with pytest.raises(ValueError, match="state must be a tuple with one entry a layer"):
        step(learner(at_rest(jnp.zeros(3)), None), None)
