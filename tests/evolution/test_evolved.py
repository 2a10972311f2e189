from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.evolution import (
    ADD,
    DIV,
    MUL,
    SUB,
    GenomeSpec,
    Program,
    constant,
    from_expression,
    parameter,
)

OPERATIONS = (ADD, SUB, MUL, DIV, constant(1.0), parameter())


class Neuron(NamedTuple):
    rate: jax.Array
    trace: jax.Array


def program(text, *inputs, outputs=1):
    spec = GenomeSpec(inputs, OPERATIONS, 12, outputs=outputs)
    return Program(from_expression(text, spec), spec)


OJA = program("y*(x - syn*y)", "syn", "pre.x", "post.0.y")


def test_a_program_is_a_rule_of_scalars():
    change = OJA.rule()(jnp.array(0.5), {"x": 2.0}, [{"y": 3.0}], None)
    assert change.shape == () and float(change) == 3.0 * (2.0 - 0.5 * 3.0)


def test_paths_lead_through_attributes_keys_and_indices():
    paths = ("pre.rate", "post.trace", "third.gain", "obs.1.first")
    made = program("(rate + trace)*gain - first", *paths)
    neuron = Neuron(jnp.array(2.0), jnp.array(3.0))
    change = made.rule()(0.0, neuron, neuron, {"gain": 10.0}, (0.0, {"first": 1.0}))
    assert float(change) == 49.0


def test_outputs_change_the_parts_of_a_pytree():
    made = program(("w*x", "e - x"), "syn.w", "syn.e", "pre.x", outputs=2)
    rule = made.rule(targets=("syn.w", "syn.e"), per="time")
    syn = {"w": jnp.array(2.0), "e": jnp.array(5.0), "age": jnp.array(7.0)}
    change = rule(syn, {"x": 3.0}, None, None)
    assert {name: float(part) for name, part in change.items()} == {"w": 6.0, "e": 2.0, "age": 0.0}
    assert rule.per == "time"


def test_rules_broadcast_over_synapses_and_individuals():
    weights = jnp.arange(6.0).reshape(2, 3)
    pre, post = jnp.array([1.0, 2.0, 3.0]), jnp.array([0.5, -1.0])
    expected = post[:, None] * (pre - weights * post[:, None])

    def of_synapse(made, syn, x, y):
        return made.rule()(syn, {"x": x}, [{"y": y}], None)

    def over(made):
        rows = jax.vmap(of_synapse, (None, 0, 0, None))
        return jax.vmap(rows, (None, 0, None, 0))(made, weights, pre, post)

    np.testing.assert_array_equal(over(OJA), expected)
    hebb = Program(from_expression("x*y", OJA.spec), OJA.spec)
    both = jax.tree.map(lambda *parts: jnp.stack(parts), OJA, hebb)
    found = eqx.filter_jit(eqx.filter_vmap(over))(both)
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)
    np.testing.assert_allclose(found[1], post[:, None] * pre, rtol=1e-6)


def test_rules_are_differentiable_through_a_simulation(x64):
    made = program("0.37*(y - syn)", "syn", "post.y")
    rule = made.rule()

    def end(theta):
        grown = eqx.tree_at(lambda tree: tree.program.genome.theta, rule, theta)

        def step(weight, _):
            return weight + grown(weight, None, {"y": 1.0}, None), None

        return jax.lax.scan(step, jnp.array(0.0), None, length=100)[0]

    theta = made.genome.theta
    assert 0.37 in np.asarray(theta)
    node = int(jnp.argmax(jnp.abs(theta[:, 0] - 0.37) < 1e-9))
    small = theta.at[node, 0].set(0.02)
    np.testing.assert_allclose(end(small), 1 - 0.98**100, rtol=1e-12)
    np.testing.assert_allclose(jax.grad(end)(small)[node, 0], 100 * 0.98**99, rtol=1e-10)
    traced = jax.jit(lambda genome, theta: _end_of(rule, genome, theta))
    np.testing.assert_allclose(traced(made.genome, small), end(small), rtol=1e-12)


def _end_of(rule, genome, theta):
    grown = eqx.tree_at(lambda tree: tree.program.genome, rule, genome._replace(theta=theta))
    step = lambda weight, _: (weight + grown(weight, None, {"y": 1.0}, None), None)  # noqa: E731
    return jax.lax.scan(step, jnp.array(0.0), None, length=100)[0]


def test_a_program_takes_points():
    points = jnp.array([[0.5, 2.0, 3.0], [0.0, 1.0, 1.0]])
    np.testing.assert_array_equal(OJA(points), [[1.5], [1.0]])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: program("x0", "x0").rule(), "must start with one of syn, pre, .* got 'x0'"),
        (lambda: OJA.rule(targets=("pre",)), "targets must start with 'syn', got 'pre'"),
        (lambda: OJA.rule(targets=("syn.a", "syn.b")), "targets must be 1 different paths"),
        (lambda: OJA.rule(per="step"), "per must be one of"),
        (lambda: OJA.rule()(0.5, {}, [{"y": 1.0}], None), "'pre' has no 'x'"),
        (lambda: OJA.rule()(0.5, None, [{"y": 1.0}], None), "'pre' is nothing"),
        (lambda: OJA.rule()(0.5, {"x": {}}, [{"y": 1.0}], None), "lead to one value, got a dict"),
        (lambda: OJA.rule()(0.5, {"x": 1.0}, [], None), "'post' has no '0'"),
        (
            lambda: program("T", "syn.T").rule()(jnp.array(1.0), None, None, None),
            "'syn' is a bare value",
        ),
        (
            lambda: program("_w", "syn._w").rule()({"w": 1.0}, None, None, None),
            "'syn' has no '_w'",
        ),
    ],
)
def test_paths_that_lead_nowhere_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
