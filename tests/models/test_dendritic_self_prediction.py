"""Relaxation, the self-predicting state, and what the microcircuit learns from it."""

import dataclasses
from functools import partial
from operator import mul

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.models import (
    DendriticMicrocircuit,
    MicrocircuitInputs,
    MicrocircuitLearningRates,
    MicrocircuitWeights,
)
from plasticjax.simulate import scan_steps
from tests.models.microcircuit import KEY, RATES, drive, perturbed_weights


def test_with_latent_equilibrium_the_target_of_the_step_before_counts(x64):
    circuit = DendriticMicrocircuit()
    weights = circuit.init_weights((2, 1), key=KEY)
    inputs = MicrocircuitInputs(jnp.ones((3, 2)), jnp.full((3, 1), 0.7), jnp.array([True] * 3))
    _, shown = scan_steps(circuit, circuit.initial(weights), inputs)
    basal = float(weights.up[0].sum())
    np.testing.assert_allclose(shown.pyramids[0][0], 0.1 * basal / 0.19, rtol=1e-13)
    np.testing.assert_allclose(shown.pyramids[0][1:], (0.1 * basal + 0.042) / 0.19, rtol=1e-13)


def test_the_original_circuit_relaxes_with_the_effective_time_constant(x64):
    circuit = DendriticMicrocircuit(False)
    weights = circuit.init_weights((2, 1), key=KEY)
    steps = np.arange(1, 301)
    inputs = MicrocircuitInputs(jnp.ones((300, 2)), jnp.full((300, 1), 0.7), jnp.full(300, True))
    _, shown = scan_steps(circuit, circuit.initial(weights), inputs)
    steady = (0.1 * float(weights.up[0].sum()) + 0.042) / 0.19
    np.testing.assert_allclose(shown.pyramids[0][:, 0], steady * (1 - 0.981**steps), rtol=1e-12)


def settled(circuit, weights, steps=400):
    """A long time of constant input without target."""
    inputs = drive(
        steps, [w.shape[1] for w in weights.up[:1]] + [weights.up[-1].shape[0]], hold=steps
    )
    inputs = inputs._replace(nudged=jnp.zeros(steps, bool))
    return scan_steps(circuit, circuit.initial(weights), inputs), inputs


@pytest.mark.parametrize("prospective", [True, False])
@pytest.mark.parametrize("sizes", [(4, 5, 2), (4, 5, 3, 2)])
def test_the_self_predicting_state_has_no_errors_and_does_not_learn(x64, prospective, sizes):
    circuit = DendriticMicrocircuit(prospective)
    weights = circuit.init_weights(sizes, key=KEY)
    (carry, shown), inputs = settled(circuit, weights, steps=2000)
    for k, apical in enumerate(shown.apical):
        np.testing.assert_allclose(apical[-1], 0, atol=1e-13)
        np.testing.assert_allclose(shown.interneurons[k][-1], shown.pyramids[k + 1][-1], atol=1e-13)
    potentials = np.asarray(inputs.rates[0])
    for w, k in zip(weights.up, range(1, len(sizes)), strict=True):
        leak = 0.13 if k == len(sizes) - 1 else 0.19
        potentials = np.asarray(w) @ potentials * 0.1 / leak
        np.testing.assert_allclose(shown.pyramids[k - 1][-1], potentials, rtol=1e-12)
        potentials = np.log1p(np.exp(potentials))
    rates = MicrocircuitLearningRates(
        (1.0,) * len(weights.up), (1.0,) * len(weights.ip), (1.0,) * len(weights.pi)
    )
    learner = dataclasses.replace(circuit, learning_rates=rates)
    after, _ = scan_steps(learner, carry, jax.tree.map(lambda leaf: leaf[:50], inputs))
    for before, now in zip(
        jax.tree.leaves(carry.weights), jax.tree.leaves(after.weights), strict=True
    ):
        np.testing.assert_allclose(now, before, rtol=0, atol=1e-12)


def test_interneurons_match_the_layer_above_two_steps_after_the_input(x64):
    """Without feedback; with it there are echoes, as interneurons see that layer a step late."""
    circuit = DendriticMicrocircuit()
    weights = circuit.init_weights((4, 5, 2), key=KEY)
    deaf = weights._replace(down=(jnp.zeros((5, 2)),), pi=(jnp.zeros((5, 2)),))
    for each in (deaf, weights):
        (_, shown), _ = settled(circuit, each)
        mismatch = np.asarray(shown.interneurons[0] - shown.pyramids[1])
        moved = np.diff(np.asarray(shown.pyramids[1]), axis=0)
        assert np.abs(mismatch[1]).max() > 1e-3
        np.testing.assert_allclose(mismatch[1:], -0.06 / 0.19 * moved, atol=1e-14)
        if each is deaf:
            np.testing.assert_allclose(mismatch[2:], 0, atol=1e-15)


def test_somata_follow_what_the_neurons_show(x64):
    circuit = DendriticMicrocircuit(learning_rates=RATES)
    before, _ = scan_steps(circuit, circuit.initial(perturbed_weights(circuit)), drive(25))
    after, _ = circuit(before, jax.tree.map(lambda leaf: leaf[0], drive(1)))
    for group in ("pyramids", "interneurons"):
        for old, new in zip(getattr(before, group), getattr(after, group), strict=True):
            slope = (new.soma - old.soma) / circuit.dt
            np.testing.assert_allclose(slope, (new.shown - old.soma) * 0.19, rtol=0, atol=1e-14)


def test_what_prospective_neurons_show_does_not_depend_on_the_step_width(x64):
    coarse, fine = (
        DendriticMicrocircuit(learning_rates=jax.tree.map(partial(mul, 0.1 / dt), RATES), dt=dt)
        for dt in (0.1, 0.001)
    )
    start = coarse.initial(perturbed_weights(coarse))
    (a, b), (c, d) = (scan_steps(circuit, start, drive(100)) for circuit in (coarse, fine))
    for left, right in zip(
        jax.tree.leaves((a.weights, b)), jax.tree.leaves((c.weights, d)), strict=True
    ):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-12)
    assert np.abs(a.pyramids[0].soma - c.pyramids[0].soma).max() > 1e-2


def test_lateral_weights_find_the_self_predicting_state(x64):
    """Phase 1 of the mimic task, 1-1-1: upward and downward weights fixed, no target."""
    rates = MicrocircuitLearningRates((0.0, 0.0), ip=(40.0,), pi=(50.0,))
    circuit = DendriticMicrocircuit(learning_rates=rates, dt=0.01)
    up, down = (jnp.full((1, 1), 1.3), jnp.full((1, 1), 0.8)), (jnp.full((1, 1), -0.5),)
    weights = MicrocircuitWeights(up, down, (jnp.full((1, 1), -0.4),), (jnp.full((1, 1), 0.9),))
    inputs = drive(1800, (1, 1), hold=100)._replace(nudged=jnp.zeros(1800, bool))
    carry, _ = scan_steps(circuit, circuit.initial(weights), inputs)
    for group, value in (("up", 1.3), ("down", -0.5), ("ip", 0.8), ("pi", 0.5)):
        np.testing.assert_allclose(getattr(carry.weights, group)[0][0, 0], value, atol=1e-3)


def test_a_student_mimics_a_teacher(x64):
    """Phase 2 of the mimic task: six inputs, potentials of a teacher circuit as targets."""
    rates = MicrocircuitLearningRates((50.0, 10.0), ip=(20.0,))
    student = DendriticMicrocircuit(learning_rates=rates, dt=0.01)
    teacher = DendriticMicrocircuit(dt=0.01)

    def weights(*up):
        return teacher.self_predicting(tuple(jnp.full((1, 1), w) for w in up), (jnp.ones((1, 1)),))

    def show(circuit, carry, inputs, targets, nudged):
        steps = 100 * len(inputs)
        held = (jnp.repeat(x, 100, axis=0)[:, None] for x in (inputs, targets))
        signals = MicrocircuitInputs(*held, jnp.full(steps, nudged))
        carry, shown = scan_steps(circuit, carry, signals)
        return carry, shown.pyramids[-1].reshape(-1, 100).mean(axis=1)

    x = jax.random.uniform(KEY, (6,))
    _, targets = show(teacher, teacher.initial(weights(1.5, 1.2)), x, x, False)
    begin = student.initial(weights(0.3, 0.5))
    trained, _ = show(student, begin, jnp.tile(x, 40), jnp.tile(targets, 40), True)
    before, after = (
        float(jnp.mean((show(teacher, carry, x, x, False)[1] - targets) ** 2))
        for carry in (begin, trained)
    )
    assert after < 0.02 * before
