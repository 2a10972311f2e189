import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.energy import logistic
from plasticjax.models import LeastActionMicrocircuit, random_microcircuit


def problem(interneurons=6, layer=8, above=3):
    circuit_key, weight, voltage, error = jax.random.split(jax.random.key(0), 4)
    circuit = random_microcircuit(layer, above, interneurons, dtype=float, key=circuit_key)
    return (
        circuit,
        jax.random.normal(weight, (above, layer), float),
        jax.random.normal(voltage, (layer,), float),
        jax.random.normal(error, (above,), float),
    )


def matched(circuit, weight):
    """The fixed point of learning: interneurons mimic the layer above and cancel it."""
    mimic = circuit.interneuron_feedback @ weight
    cancel = circuit.feedback @ jnp.linalg.pinv(circuit.interneuron_feedback)
    return eqx.tree_at(lambda c: (c.interneuron_weight, c.inhibition), circuit, (mimic, cancel))


@pytest.mark.parametrize("interneurons", [3, 6])
def test_at_the_fixed_point_only_errors_are_left(interneurons, x64):
    circuit, weight, u, e = problem(interneurons)
    circuit = matched(circuit, weight)
    rates = logistic(u)
    np.testing.assert_allclose(
        circuit.inhibition @ circuit.interneuron_weight, circuit.feedback @ weight, atol=1e-12
    )
    above = weight @ rates + e
    b = circuit.nudging
    np.testing.assert_allclose(
        circuit.apical(rates, above), (1 - b) * circuit.feedback @ e, atol=1e-12
    )
    unnudged = eqx.tree_at(lambda c: c.nudging, circuit, 0.0)
    np.testing.assert_allclose(unnudged.apical(rates, above), circuit.feedback @ e, atol=1e-12)
    slope = rates * (1 - rates)
    np.testing.assert_allclose(
        circuit.error(logistic, u, above), slope * ((1 - b) * circuit.feedback @ e), atol=1e-12
    )


def test_too_few_interneurons_leave_feedback_that_is_no_error(x64):
    circuit, weight, u, _ = problem(interneurons=2)
    circuit = matched(circuit, weight)
    above = weight @ logistic(u)
    assert np.max(np.abs(circuit.apical(logistic(u), above))) > 0.1
    product = circuit.feedback @ weight
    best = np.linalg.svd(product)[1][2]  # of all products of rank 2
    assert np.linalg.norm(circuit.inhibition @ circuit.interneuron_weight - product) >= best > 0.1


def test_no_change_at_the_fixed_point_without_errors(x64):
    circuit, weight, u, _ = problem()
    circuit = matched(circuit, weight)
    for change in circuit.rule(logistic(u), weight @ logistic(u)):
        np.testing.assert_allclose(change, 0, atol=1e-12)


def test_rules_descend_the_mismatches(x64):
    circuit, weight, u, e = problem()
    rates, above = logistic(u), weight @ logistic(u) + e
    voltages = circuit.interneurons(rates, above)
    np.testing.assert_allclose(
        voltages,
        (1 - 0.1 / 1.1) * circuit.interneuron_weight @ rates
        + 0.1 / 1.1 * circuit.interneuron_feedback @ above,
        atol=1e-14,
    )
    mimic = lambda w: 0.5 * jnp.sum((voltages - w @ rates) ** 2)  # noqa: E731
    cancel = lambda w: 0.5 * jnp.sum((circuit.feedback @ above - w @ voltages) ** 2)  # noqa: E731
    to_interneurons, to_apical = circuit.rule(rates, above)
    np.testing.assert_allclose(
        to_interneurons, -jax.grad(mimic)(circuit.interneuron_weight), atol=1e-14
    )
    np.testing.assert_allclose(to_apical, -jax.grad(cancel)(circuit.inhibition), atol=1e-14)
    learned = circuit.learn(rates, above, 0.1)
    np.testing.assert_allclose(learned.inhibition, circuit.inhibition + 0.1 * to_apical, atol=1e-15)
    np.testing.assert_array_equal(learned.feedback, circuit.feedback)


def test_circuit_is_jit_vmap_and_grad_safe():
    circuit, weight, u, e = problem()
    rates = jnp.stack([logistic(u), logistic(-u)])
    above = rates @ weight.T + e
    many = jax.jit(jax.vmap(circuit.apical))(rates, above)
    assert many.dtype == jnp.float32
    np.testing.assert_allclose(many[1], circuit.apical(rates[1], above[1]), rtol=1e-5)
    slope = jax.grad(lambda c: jnp.sum(c.learn(rates[0], above[0], 0.1).apical(rates[1], e)))(
        circuit
    )
    assert isinstance(slope, LeastActionMicrocircuit)
    assert np.max(np.abs(slope.feedback)) > 0


def test_nudging_is_a_share():
    with pytest.raises(ValueError, match=r"nudging is 1\.2; a share from 0 to 1"):
        random_microcircuit(2, 2, 2, nudging=1.2, key=jax.random.key(0))
