import json
from functools import partial
from pathlib import Path

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
    cross_entropy_cost,
    feed_forward,
    gle_at_rest,
    gle_step,
    learner,
    linear,
    rate_cost,
    softplus,
    tanh,
)
from tests.energy.layered import dense, random_layers

FIXTURE = Path(__file__).parents[1] / "fixtures" / "generalized_latent_equilibrium.npz"
SIZES = (2, 5, 4, 3)
TAU_M = (np.array([0.6, 0.6, 1.2, 1.2, 1.2]), np.array([0.5, 1.0, 1.5, 2.0]), 1.2)
TAU_R = (np.array([0.1, 0.1, 0.1, 1.2, 1.2]), np.array([0.1, 0.3, 1.5, 0.4]), 1.2)
NET = BatchEnergy(MismatchEnergy((tanh, tanh, linear), feed_forward, rate_cost))
NEURON = MismatchEnergy(linear, lambda rates, theta, x: theta * x.input, rate_cost)

# Keeps the gradients instead of following them.
GRADIENTS = optax.GradientTransformation(
    lambda params: jax.tree.map(jnp.zeros_like, params),
    lambda gradient, memory, params=None: (jax.tree.map(jnp.zeros_like, gradient), gradient),
)


def rest(samples, sizes=SIZES):
    return gle_at_rest(tuple(jnp.zeros((samples, n)) for n in sizes[1:]))


def stimuli(key, steps, samples, beta=0.1):
    input_key, target_key = jax.random.split(key)
    return Stimulus(
        jax.random.normal(input_key, (steps, samples, 2)),
        jax.random.normal(target_key, (steps, samples, 3)),
        jnp.full(steps, beta),
    )


def watched(step):
    """A step that shows the carry after it as well."""

    def both(carry, x):
        carry, output = step(carry, x)
        return carry, (output, carry)

    return both


def test_the_reference_trajectory(x64):
    data, case = np.load(FIXTURE), "gle_mse_static/"
    meta = json.loads(str(data["meta"]))["gle_mse_static"]
    theta = tuple(dense(data[f"W{i}"], data[f"b{i}"]) for i in range(3))
    tau_m, tau_r = (tuple(data[f"{name}{i}"] for i in range(3)) for name in ("tau_m", "tau_r"))
    step = gle_step(
        NET, tau_m=tau_m, tau_r=tau_r, dt=meta["dt"], gamma=meta["gamma"], optimiser=GRADIENTS
    )
    x = Stimulus(jnp.asarray(data["X"]), jnp.asarray(data["tgt_mse"]), jnp.full(80, meta["beta"]))
    end, (output, carry) = jax.lax.scan(watched(step), learner(rest(2), theta, GRADIENTS), x)
    near = partial(np.testing.assert_allclose, rtol=0, atol=1e-12)
    near(output.rate[-1], data[case + "r_out"])
    for i in range(3):
        near(output.neurons.membrane[i], data[case + f"u{i}"])
        near(output.neurons.error_membrane[i], data[case + f"v{i}"])
        near(output.error[i], data[case + f"prosp_v{i}"])
        near(carry.memory[i].weight, data[case + f"gradW{i}"])
        near(end.theta[i].weight, data[case + f"W{i}_end"])


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_equal_time_constants_leave_no_trace(gamma, x64):
    theta = random_layers(SIZES, jax.random.key(0))
    x = stimuli(jax.random.key(1), 40, 2)

    def play(tau, **options):
        step = gle_step(
            NET, tau_m=tau, tau_r=tau, dt=0.1, gamma=gamma, optimiser=optax.sgd(0.01), **options
        )
        start = learner(rest(2), theta, optax.sgd(0.01))
        end, output = jax.lax.scan(step, start, x)
        return output.rate, output.error, end.theta

    slow, fast = play((2.0, 0.7, 1.3)), play(0.1)
    truncated = play(0.4, prospective_errors=False)
    for one, two, three in zip(*map(jax.tree.leaves, (slow, fast, truncated)), strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-12)
        np.testing.assert_allclose(one, three, rtol=0, atol=1e-12)


def test_a_prospective_time_constant_of_one_step_is_a_leaky_integrator(x64):
    theta = random_layers(SIZES, jax.random.key(0))
    step = gle_step(NET, tau_m=TAU_M, tau_r=0.1, dt=0.1, gamma=0.0)
    x = stimuli(jax.random.key(1), 30, 2)
    _, output = jax.lax.scan(step, learner(rest(2), theta), x)
    for u, ahead in zip(output.neurons.membrane, output.neurons.prospective, strict=True):
        np.testing.assert_allclose(u, ahead, atol=1e-14)
    # The error neuron forgets at once: its voltage is what it just received.
    received = 0.1 * (x.target - output.rate[-1])
    np.testing.assert_allclose(output.neurons.error_membrane[-1][1:], received[1:], atol=1e-14)


@pytest.mark.parametrize("frequency", [0.3, 2.0])
def test_transfer_functions_of_a_linear_neuron(frequency, x64):
    tau_m, tau_r, dt, steps = 1.5, 0.4, 0.05, 4000
    wave = jnp.exp(1j * frequency * dt * jnp.arange(steps))

    def play(signal):
        # The neuron is driven by the signal; its error too, as gamma is 0 and its rate is nudged.
        step = gle_step(NEURON, tau_m=tau_m, tau_r=tau_r, dt=dt, gamma=0.0)
        x = Stimulus(signal[:, None], signal[:, None], jnp.ones(steps))
        _, output = jax.lax.scan(step, learner(gle_at_rest(jnp.zeros(1)), jnp.ones(())), x)
        return output.neurons.rate[:, 0], output.error[:, 0]

    (real, real_error), (imaginary, imaginary_error) = play(wave.real), play(wave.imag)
    change = (np.exp(1j * frequency * dt) - 1) / dt  # Euler's d/dt
    gain = (1 + tau_r * change) / (1 + tau_m * change)
    late = slice(steps - 200, None)
    rate = (real + 1j * imaginary)[late]
    np.testing.assert_allclose(rate, gain * wave[late], atol=1e-10)
    received = (wave[1:] - gain * wave[:-1])[steps - 201 :]
    error = (real_error + 1j * imaginary_error)[late]
    np.testing.assert_allclose(error, received / gain, atol=1e-10)


@pytest.mark.parametrize("cost", [rate_cost, cross_entropy_cost])
def test_weight_gradients_are_those_of_the_mismatch(cost, x64):
    one = MismatchEnergy((tanh, tanh, linear), feed_forward, cost)
    theta = random_layers(SIZES, jax.random.key(0))
    step = gle_step(BatchEnergy(one), tau_m=TAU_M, tau_r=TAU_R, dt=0.1, optimiser=GRADIENTS)
    x = stimuli(jax.random.key(1), 20, 2)
    x = Stimulus(x.input, jax.nn.softmax(x.target), x.beta)
    carry, _ = jax.lax.scan(
        step, learner(rest(2), theta, GRADIENTS), jax.tree.map(lambda leaf: leaf[:-1], x)
    )
    last = jax.tree.map(lambda leaf: leaf[-1], x)
    after, output = step(carry, last)

    def energy(theta):
        current = BatchEnergy(one).current(carry.neurons.rate, theta, last)
        goal = jax.lax.stop_gradient(jax.tree.map(jnp.add, current, output.error))
        return sum(jnp.sum((z - i) ** 2) for z, i in zip(goal, current, strict=True)) / 2 / 2

    expected = jax.tree.leaves(jax.grad(energy)(theta))
    assert max(float(jnp.abs(leaf).max()) for leaf in expected) > 1e-3
    for one_leaf, other in zip(jax.tree.leaves(after.memory), expected, strict=True):
        np.testing.assert_allclose(one_leaf, other, rtol=0, atol=1e-15)


def test_gradients_of_the_time_constants(x64):
    layers = random_layers(SIZES, jax.random.key(0))
    tau_m = (jnp.asarray(TAU_M[0]), jnp.asarray(0.9), jnp.full(3, 1.2))
    step = gle_step(NET, tau_m=None, tau_r=0.1, dt=0.1, optimiser=GRADIENTS, tau_min=0.1)
    x = stimuli(jax.random.key(1), 10, 2)
    start = learner(rest(2), (layers, tau_m), GRADIENTS)
    _, (output, carry) = jax.lax.scan(watched(step), start, x)
    product = [e * du for e, du in zip(output.error, output.velocity, strict=True)]
    gradients = carry.memory[1]
    np.testing.assert_allclose(gradients[0], product[0].mean(axis=1), atol=1e-15)
    np.testing.assert_allclose(gradients[1], product[1].mean(axis=1).sum(axis=1), atol=1e-15)
    np.testing.assert_allclose(gradients[2], product[2].mean(axis=1), atol=1e-15)


@pytest.mark.parametrize(("truth", "sign"), [(2.0, 1), (0.5, -1)])
def test_time_constants_move_towards_the_teacher(truth, sign, x64):
    steps, dt = 3000, 0.02
    signal = jnp.sin(0.7 * dt * jnp.arange(steps))[:, None]
    teacher = gle_step(NEURON, tau_m=truth, tau_r=0.1, dt=dt)
    theta = jnp.ones(())
    _, shown = jax.lax.scan(
        teacher,
        learner(gle_at_rest(jnp.zeros(1)), theta),
        Stimulus(signal, signal, jnp.zeros(steps)),
    )
    optimiser = optax.sgd(1e-2)
    student = gle_step(NEURON, tau_m=None, tau_r=0.1, dt=dt, optimiser=optimiser)
    end, _ = jax.lax.scan(
        student,
        learner(gle_at_rest(jnp.zeros(1)), (theta, jnp.asarray(1.0)), optimiser),
        Stimulus(signal, shown.rate, jnp.full(steps, 0.1)),
    )
    assert sign * (end.theta[1] - 1.0) > 0.02


def test_learned_time_constants_stay_at_or_above_their_bound(x64):
    downwards = lambda gradient, params: jax.tree.map(lambda leaf: leaf * 0 - 0.3, gradient)  # noqa: E731
    optimiser = optax.stateless(downwards)
    x = Stimulus(jnp.ones((9, 1)), jnp.ones((9, 1)), jnp.ones(9))
    for tau_min, bound in ((None, 0.2), (0.3, 0.3)):
        step = gle_step(
            NEURON, tau_m=None, tau_r=0.1, dt=0.02, optimiser=optimiser, tau_min=tau_min
        )
        start = learner(gle_at_rest(jnp.zeros(1)), (jnp.ones(()), jnp.ones(())), optimiser)
        _, (_, carry) = jax.lax.scan(watched(step), start, x)
        np.testing.assert_allclose(carry.theta[1][:2], [0.7, 0.4])
        np.testing.assert_allclose(carry.theta[1][2:], bound)


def test_each_layer_delays_by_one_step(x64):
    theta = random_layers(SIZES, jax.random.key(0))
    step = gle_step(NET, tau_m=TAU_M, tau_r=TAU_R, dt=0.1)
    x = stimuli(jax.random.key(1), 12, 2, beta=0.0)

    def shown(inputs):
        start = learner(rest(2), theta)
        _, output = jax.lax.scan(step, start, Stimulus(inputs, x.target, x.beta))
        return output.rate[-1]

    changed = shown(x.input.at[5].add(1.0)) - shown(x.input)
    moved = jnp.any(jnp.abs(changed) > 1e-12, axis=(1, 2))
    np.testing.assert_array_equal(moved, np.arange(12) >= 5 + 3)


def test_errors_decay_with_the_prospective_time_constant(x64):
    theta = random_layers(SIZES, jax.random.key(0))
    step = gle_step(NET, tau_m=1.0, tau_r=0.5, dt=0.1, gamma=0.0)
    x = stimuli(jax.random.key(1), 20, 2)
    carry, _ = jax.lax.scan(step, learner(rest(2), theta), x)
    off = Stimulus(x.input, x.target, jnp.zeros(20))
    _, output = jax.lax.scan(step, carry, off)
    v = output.neurons.error_membrane[-1]
    np.testing.assert_allclose(v[1:], (1 - 0.1 / 0.5) * v[:-1], atol=1e-15)
    long = jax.tree.map(lambda leaf: jnp.resize(leaf, (400, *leaf.shape[1:])), off)
    _, output = jax.lax.scan(step, carry, long)
    assert max(float(jnp.abs(error[-1]).max()) for error in output.error) < 1e-12


def test_the_kernel_of_a_static_lag_line(x64):
    tau, dt, steps, layers = np.array([0.4, 1.8]), 0.2, 150, 3
    eye = dense(np.eye(2), np.zeros(2))
    energy = MismatchEnergy(linear, feed_forward, rate_cost)
    step = gle_step(energy, tau_m=tau, tau_r=dt, dt=dt)
    impulse = jnp.zeros((steps, 2)).at[0].set(1.0)
    x = Stimulus(impulse, jnp.zeros((steps, 2)), jnp.zeros(steps))
    start = learner(gle_at_rest((jnp.zeros(2),) * layers), (eye,) * layers)
    _, output = jax.lax.scan(step, start, x)
    decay = dt / tau[None] * (1 - dt / tau[None]) ** np.arange(steps)[:, None]
    for channel in range(2):
        kernel = decay[:, channel]
        for _ in range(layers - 1):
            kernel = np.convolve(decay[:, channel], kernel)[:steps]
        response = output.rate[-1][:, channel]
        np.testing.assert_allclose(response[layers:], kernel[:-layers], atol=1e-14)
        np.testing.assert_allclose(response.sum(), 1, atol=1e-4)


def test_samples_do_not_meet_and_neurons_of_a_group_are_alike(x64):
    theta = random_layers(SIZES, jax.random.key(0))
    step = gle_step(NET, tau_m=TAU_M, tau_r=TAU_R, dt=0.1)
    x = stimuli(jax.random.key(1), 20, 3)
    _, together = jax.lax.scan(step, learner(rest(3), theta), x)
    one = Stimulus(x.input[:, 1:2], x.target[:, 1:2], x.beta)
    _, alone = jax.lax.scan(step, learner(rest(1), theta), one)
    for a, b in zip(together.error, alone.error, strict=True):
        np.testing.assert_allclose(a[:, 1:2], b, atol=1e-15)
    order = jnp.array([1, 0, 2, 4, 3])  # within groups of equal time constants
    first, second, third = theta
    swapped = (
        dense(first.weight[order], first.bias[order]),
        dense(second.weight[:, order], second.bias),
        third,
    )
    _, permuted = jax.lax.scan(step, learner(rest(3), swapped), x)
    np.testing.assert_allclose(permuted.error[0], together.error[0][..., order], atol=1e-15)
    np.testing.assert_allclose(permuted.rate[-1], together.rate[-1], atol=1e-15)


def test_rates_and_slopes_start_at_zero():
    energy = BatchEnergy(MismatchEnergy(softplus, feed_forward, rate_cost))
    step = gle_step(energy, tau_m=1.0, tau_r=0.1, dt=0.01)
    x = jax.tree.map(lambda leaf: leaf[0], stimuli(jax.random.key(1), 1, 2))
    carry, output = step(learner(rest(2), random_layers(SIZES, jax.random.key(0))), x)
    assert not jnp.any(output.rate[-1])
    assert not any(jnp.any(error) for error in output.error)
    assert jnp.all(carry.neurons.rate[0] > 0)


def test_derivatives_through_learning_and_seeds_side_by_side(x64):
    layers = random_layers(SIZES, jax.random.key(0))
    x = stimuli(jax.random.key(1), 15, 2)

    def loss(rate, tau_m):
        optimiser = optax.sgd(rate)
        step = gle_step(NET, tau_m=None, tau_r=0.1, dt=0.1, optimiser=optimiser, tau_min=0.1)
        start = learner(rest(2), (layers, tau_m), optimiser)
        _, output = jax.lax.scan(step, start, x)
        return jnp.mean((output.rate[-1] - x.target) ** 2)

    by_rate, by_tau = jax.jit(jax.grad(loss, argnums=(0, 1)))(0.1, jnp.asarray(0.7))
    h = 1e-6
    steps = (loss(0.1 + h, 0.7 + 0 * by_tau) - loss(0.1 - h, 0.7 + 0 * by_tau)) / (2 * h)
    np.testing.assert_allclose(by_rate, steps, rtol=1e-6)
    steps = (loss(0.1, jnp.asarray(0.7 + h)) - loss(0.1, jnp.asarray(0.7 - h))) / (2 * h)
    np.testing.assert_allclose(by_tau, steps, rtol=1e-6)
    taus = jnp.array([0.5, 0.7])
    many = jax.vmap(lambda tau: loss(0.1, tau))(taus)
    np.testing.assert_allclose(many, [loss(0.1, tau) for tau in taus], rtol=1e-12)


def test_the_dtype_follows_the_inputs():
    step = gle_step(NET, tau_m=TAU_M, tau_r=TAU_R, dt=0.1, optimiser=optax.adam(1e-3))
    theta = random_layers(SIZES, jax.random.key(0))
    start = learner(rest(2), theta, optax.adam(1e-3))
    end, output = jax.lax.scan(step, start, stimuli(jax.random.key(1), 3, 2))
    for leaf in jax.tree.leaves((end.neurons, end.theta, output)):
        assert leaf.dtype == jnp.float32


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"tau_r must be at least dt = 0.2 ms.* got 0.1"):
        gle_step(NET, tau_m=1.0, tau_r=(0.3, np.array([0.4, 0.1]), 1.0), dt=0.2)
    with pytest.raises(ValueError, match=r"tau_m must be at least dt = 0.2 ms.* got 0.1"):
        gle_step(NET, tau_m=0.1, tau_r=0.2, dt=0.2)
    with pytest.raises(ValueError, match=r"tau_min must be at least dt"):
        gle_step(NET, tau_m=None, tau_r=0.2, dt=0.2, tau_min=0.0)
    with pytest.raises(ValueError, match="dt must be a positive time in ms, got 0"):
        gle_step(NET, tau_m=1.0, tau_r=1.0, dt=0.0)
    with pytest.raises(ValueError, match=r"energy must be a mismatch energy.*HopfieldEnergy"):
        gle_step.__wrapped__(HopfieldEnergy(), tau_m=1.0, tau_r=1.0, dt=0.1)
    theta = random_layers(SIZES, jax.random.key(0))
    x = jax.tree.map(lambda leaf: leaf[0], stimuli(jax.random.key(1), 1, 2))
    with pytest.raises(ValueError, match=r"must be the pair \(parameters of the energy, tau_m\)"):
        gle_step(NET, tau_m=None, tau_r=0.1, dt=0.1)(learner(rest(2), theta), x)
    with pytest.raises(ValueError, match="tau_m must be a number, an array or a pytree prefix"):
        gle_step(NET, tau_m=(1.0, 1.0), tau_r=0.1, dt=0.1)(learner(rest(2), theta), x)
