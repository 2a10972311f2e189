"""The microcircuit against plain loops, its self-predicting state, and its derivatives."""

import dataclasses
import math
from functools import partial
from operator import mul

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.models import (
    DendriticMicrocircuit,
    MicrocircuitInputs,
    MicrocircuitLearningRates,
    MicrocircuitWeights,
    softplus_rate,
)
from plasticjax.simulate import scan_steps

KEY = jax.random.key(2)
SIZES = (4, 5, 3, 2)
RATES = MicrocircuitLearningRates((0.5, 0.3, 0.2), ip=(0.4, 0.1), pi=(0.3, 0.2))


def loops(weights, inputs, targets, nudged, *, prospective, eta_up, eta_ip, eta_pi, limits):
    """Haider et al.'s order of operations, neuron by neuron, for conductances as published."""
    g_l, g_b, g_a, g_som, g_d, dt = 0.03, 0.1, 0.06, 0.06, 0.1, 0.1

    def phi(u):
        return 0.0 if u < -15 else u if u > 15 else math.log(1 + math.exp(u))

    up, down, ip, pi = ([np.array(w) for w in group] for group in weights)
    layers = len(up)
    sizes = [w.shape[0] for w in up]
    soma = [np.zeros(n) for n in sizes]
    forw = [np.zeros(n) for n in sizes]
    inn_soma = [np.zeros(n) for n in sizes[1:]]
    inn_forw = [np.zeros(n) for n in sizes[1:]]
    last_target, last_nudged = np.zeros(sizes[-1]), True
    history = []
    for r_in, target, nudge in zip(inputs, targets, nudged, strict=True):
        seen, on = (last_target, last_nudged) if prospective else (target, nudge)
        last_target, last_nudged = target, nudge
        old = [v.copy() for v in (forw if prospective else soma)]
        inn_old = [v.copy() for v in (inn_forw if prospective else inn_soma)]
        updates = []
        for k in range(layers):
            pre = r_in if k == 0 else [phi(u) for u in old[k - 1]]
            for i in range(sizes[k]):
                v_bas = sum(up[k][i, j] * pre[j] for j in range(len(pre)))
                if k < layers - 1:
                    total, leak = g_l + g_b + g_a, g_l + g_b + g_a
                    above = [phi(u) for u in old[k + 1]]
                    beside = [phi(u) for u in inn_old[k]]
                    v_api = sum(down[k][i, j] * above[j] for j in range(len(above)))
                    v_api += sum(pi[k][i, j] * beside[j] for j in range(len(beside)))
                    u_ss = (g_b * v_bas + g_a * v_api) / total
                else:
                    total, leak = g_l + g_b + g_som, g_l + g_b
                    u_ss = (g_b * v_bas + g_som * seen[i]) / total if on else g_b * v_bas / leak
                udot = total * (u_ss - soma[k][i])
                new = soma[k][i] + (udot / total if prospective else dt * udot)
                updates.append((soma[k], i, soma[k][i] + dt * udot))
                updates.append((forw[k], i, soma[k][i] + udot / total))
                error = phi(new) - phi(g_b / leak * v_bas)
                limit = limits[0] if k < layers - 1 else limits[1]
                for j in range(len(pre)):
                    w = up[k][i, j] + dt * eta_up[k] * error * pre[j]
                    updates.append((up[k], (i, j), min(max(w, -limit), limit)))
                if k < layers - 1:
                    for j in range(len(beside)):
                        w = pi[k][i, j] - dt * eta_pi[k] * v_api * beside[j]
                        updates.append((pi[k], (i, j), w))
        for k in range(layers - 1):
            r_pyr = [phi(u) for u in old[k]]
            for i in range(sizes[k + 1]):
                v_den = sum(ip[k][i, j] * r_pyr[j] for j in range(len(r_pyr)))
                total = g_l + g_b + g_som
                u_ss = (g_b * v_den + g_som * old[k + 1][i]) / total
                udot = total * (u_ss - inn_soma[k][i])
                new = inn_soma[k][i] + (udot / total if prospective else dt * udot)
                updates.append((inn_soma[k], i, inn_soma[k][i] + dt * udot))
                updates.append((inn_forw[k], i, inn_soma[k][i] + udot / total))
                error = phi(new) - phi(g_d / (g_l + g_d) * v_den)
                for j in range(len(r_pyr)):
                    w = ip[k][i, j] + dt * eta_ip[k] * error * r_pyr[j]
                    updates.append((ip[k], (i, j), w))
        for array, place, value in updates:
            array[place] = value
        pyramids, inns = (forw, inn_forw) if prospective else (soma, inn_soma)
        history.append([v.copy() for v in (*pyramids, *inns)])
    trajectory = [np.stack(each) for each in zip(*history, strict=True)]
    return trajectory, (up, down, ip, pi), soma


def drive(steps, sizes=SIZES, seed=0, hold=10):
    rng = np.random.default_rng(seed)

    def held(size):
        return np.repeat(rng.uniform(size=(-(-steps // hold), size)), hold, axis=0)[:steps]

    nudged = np.arange(steps) // (2 * hold) % 2 == 0
    return MicrocircuitInputs(
        jnp.asarray(held(sizes[0])), jnp.asarray(held(sizes[-1])), jnp.asarray(nudged)
    )


def perturbed_weights(circuit, sizes=SIZES, key=KEY):
    """Off the self-predicting state, so that every projection has something to learn."""
    weights = circuit.init_weights(sizes, key=key)
    leaves, structure = jax.tree.flatten(weights)
    moved = [
        leaf + 0.3 * jax.random.normal(jax.random.fold_in(key, 100 + k), leaf.shape)
        for k, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, moved)


@pytest.mark.parametrize("prospective", [True, False])
@pytest.mark.parametrize("traced", [True, False])
def test_a_learning_circuit_agrees_with_plain_loops(x64, prospective, traced):
    steps, limits = 200, (0.8, 0.6)
    flag = jnp.array(prospective) if traced else prospective
    circuit = DendriticMicrocircuit(flag, RATES, limits=limits)
    weights, inputs = perturbed_weights(circuit), drive(steps)
    carry, shown = scan_steps(circuit, circuit.initial(weights), inputs)
    trajectory, learned, soma = loops(
        weights,
        *(np.asarray(leaf) for leaf in inputs),
        prospective=prospective,
        eta_up=RATES.up,
        eta_ip=RATES.ip,
        eta_pi=RATES.pi,
        limits=limits,
    )
    for ours, theirs in zip((*shown.pyramids, *shown.interneurons), trajectory, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    for group, theirs in zip(carry.weights, learned, strict=True):
        for ours, each in zip(group, theirs, strict=True):
            np.testing.assert_allclose(ours, each, rtol=0, atol=1e-12)
    for cells, each in zip(carry.pyramids, soma, strict=True):
        np.testing.assert_allclose(cells.soma, each, rtol=0, atol=1e-12)
    for w, start, limit in zip(carry.weights.up[::2], weights.up[::2], limits, strict=True):
        assert np.max(np.abs(w)) <= limit < np.max(np.abs(start))
    for name in ("up", "ip", "pi"):
        for before, after in zip(getattr(weights, name), getattr(carry.weights, name), strict=True):
            assert np.max(np.abs(after - before)) > 1e-3, name


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


@pytest.mark.parametrize("prospective", [True, False])
def test_gradients_through_learning_agree_with_finite_differences(x64, prospective):
    rates = MicrocircuitLearningRates((0.5, 0.2), ip=(0.4,), pi=(0.3,))
    circuit = DendriticMicrocircuit(prospective, rates)
    floats, constants = eqx.partition(circuit, lambda leaf: type(leaf) is float)
    parameters = jax.tree.map(jnp.asarray, (floats, perturbed_weights(circuit, (3, 4, 2))))
    flat, unravel = jax.flatten_util.ravel_pytree(parameters)
    inputs, wanted = drive(12, (3, 4, 2), hold=4), jax.random.normal(KEY, (12, 2))

    @jax.jit
    @jax.value_and_grad
    def loss(flat):
        floats, weights = unravel(flat)
        learner = eqx.combine(floats, constants)
        _, shown = scan_steps(learner, learner.initial(weights), inputs)
        return jnp.mean((shown.pyramids[-1] - wanted) ** 2)

    _, slopes = loss(flat)
    assert np.all(np.isfinite(slopes))
    steps = 1e-5 * jnp.eye(flat.size)
    difference = jax.lax.map(lambda h: (loss(flat + h)[0] - loss(flat - h)[0]) / 2e-5, steps)
    np.testing.assert_allclose(slopes, difference, rtol=1e-6, atol=1e-9)
    lateral_and_rates = [*unravel(slopes)[1].pi, *jax.tree.leaves(unravel(slopes)[0])]
    assert all(np.all(slope != 0) for slope in lateral_and_rates)


def test_circuits_and_models_are_a_vmap(x64):
    keys = jax.random.split(KEY, 3)
    flags, inputs = jnp.array([True, False]), drive(30)

    def final(flag, key):
        circuit = DendriticMicrocircuit(flag, RATES)
        return scan_steps(circuit, circuit.initial(perturbed_weights(circuit, key=key)), inputs)

    both = jax.jit(jax.vmap(jax.vmap(final, (None, 0)), (0, None)))(flags, keys)
    for m in range(2):
        for k in range(3):
            one = final(flags[m], keys[k])
            for ours, theirs in zip(jax.tree.leaves(both), jax.tree.leaves(one), strict=True):
                np.testing.assert_allclose(ours[m, k], theirs, rtol=0, atol=1e-12)


def test_large_layers_compute_the_same(x64):
    """Above a thousand weights another product is used."""
    sizes = (40, 30, 35)
    circuit = DendriticMicrocircuit()
    weights = jax.tree.map(lambda w: 0.1 * w, circuit.init_weights(sizes, key=KEY))
    inputs = drive(3, sizes)
    _, shown = scan_steps(circuit, circuit.initial(weights), inputs)
    nothing = dict(eta_up=(0, 0), eta_ip=(0,), eta_pi=(0,), limits=(4, 5))
    expected, _, _ = loops(weights, *map(np.asarray, inputs), prospective=True, **nothing)
    for ours, theirs in zip((*shown.pyramids, *shown.interneurons), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision_is_that_of_the_weights(x64, dtype):
    rates = MicrocircuitLearningRates(
        tuple(jnp.asarray(eta, "float64") for eta in RATES.up), RATES.ip, RATES.pi
    )
    circuit = DendriticMicrocircuit(learning_rates=rates)
    weights, inputs = jax.tree.map(
        lambda leaf: leaf if leaf.dtype == bool else leaf.astype(dtype),
        (perturbed_weights(circuit), drive(3)),
    )
    carry, shown = scan_steps(circuit, circuit.initial(weights), inputs)
    floats = [leaf for leaf in jax.tree.leaves((carry, shown)) if leaf.dtype != bool]
    assert {str(leaf.dtype) for leaf in floats} == {dtype}


def test_the_rate_is_a_bounded_softplus(x64):
    voltages = jnp.array([-800.0, -15.1, -14.9, -1.0, 0.0, 2.0, 14.9, 15.1, 800.0])
    inner = np.log(1 + np.exp(np.asarray(voltages[2:7])))
    expected = [0, 0, *inner, 15.1, 800]
    np.testing.assert_allclose(softplus_rate(voltages), expected, rtol=1e-13, atol=1e-15)
    slopes = jax.vmap(jax.grad(softplus_rate))(voltages)
    assert np.all(np.isfinite(slopes)) and np.all((slopes >= 0) & (slopes <= 1))


def test_initial_weights_are_uniform_and_follow_the_key():
    weights = DendriticMicrocircuit().init_weights((200, 100, 50), key=KEY)
    for w in (*weights.up, *weights.down):
        assert np.abs(w).max() < 1 and abs(np.mean(w)) < 0.03
        np.testing.assert_allclose(np.std(w), 1 / np.sqrt(3), rtol=0.03)
    np.testing.assert_allclose(weights.ip[0], weights.up[1], rtol=1e-6)
    np.testing.assert_array_equal(weights.pi[0], -weights.down[0])
    other = DendriticMicrocircuit().init_weights((200, 100, 50), key=jax.random.key(3))
    assert np.all(other.up[0] != weights.up[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"g_leak": -0.1}, "g_leak=-0.1 must be positive"),
        ({"g_apical": -0.1}, "g_apical=-0.1 must not be negative"),
        ({"dt": 0}, "dt=0 must be positive"),
        ({"limits": (4.0, 0.0)}, r"limits=\(4.0, 0.0\) must be positive"),
    ],
)
def test_bad_constants_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        DendriticMicrocircuit(**change)


def test_shapes_that_do_not_fit_are_refused():
    circuit = DendriticMicrocircuit()
    weights = circuit.init_weights((4, 5, 2), key=KEY)
    with pytest.raises(ValueError, match=r"sizes=\(4,\) must give"):
        circuit.init_weights((4,), key=KEY)
    with pytest.raises(ValueError, match=r"sizes=\(4, 0, 2\) must give"):
        circuit.init_weights((4, 0, 2), key=KEY)
    with pytest.raises(ValueError, match=r"up\[1\] has shape \(2, 3\); expected 5 columns"):
        circuit.self_predicting((weights.up[0], jnp.ones((2, 3))), weights.down)
    with pytest.raises(ValueError, match=r"down has shapes \[\]; expected \[\(5, 2\)\]"):
        circuit.self_predicting(weights.up, ())
    with pytest.raises(ValueError, match=r"weights.ip has shapes \[\]; expected \[\(2, 5\)\]"):
        circuit.initial(weights._replace(ip=()))
    carry = circuit.initial(weights)
    with pytest.raises(ValueError, match=r"inputs.rates has shape \(3,\); expected \(4,\)"):
        circuit(carry, MicrocircuitInputs(jnp.ones(3), jnp.ones(2), True))
    with pytest.raises(ValueError, match=r"inputs.target has shape \(\); expected \(2,\)"):
        circuit(carry, MicrocircuitInputs(jnp.ones(4), jnp.array(1.0), True))
    learner = DendriticMicrocircuit(learning_rates=MicrocircuitLearningRates((1.0,)))
    with pytest.raises(ValueError, match="up has 1 entries; expected 2"):
        learner(carry, MicrocircuitInputs(jnp.ones(4), jnp.ones(2), True))
