"""The microcircuit against plain loops, its derivatives, and what it refuses."""

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
    softplus_rate,
)
from plasticjax.simulate import scan_steps
from tests.models.microcircuit import KEY, RATES, drive, loops, perturbed_weights


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
