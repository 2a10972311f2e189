"""Iterating a stepper, in one piece or in chunks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.simulate import scan_steps

INPUTS = {"drive": jnp.sin(jnp.arange(23.0)), "gain": jnp.linspace(0.5, 1.5, 46).reshape(23, 2)}


def step(carry, inputs):
    total, count = carry
    total = 0.9 * total + inputs["gain"] * jnp.tanh(inputs["drive"] + total)
    return (total, count + 1), {"total": total, "sum": jnp.sum(total)}


CARRY = (jnp.array([0.1, -0.2]), jnp.array(0))


def test_equals_a_python_loop():
    (total, count), outputs = scan_steps(step, CARRY, INPUTS)
    carry = CARRY
    for k in range(23):
        carry, output = step(carry, jax.tree.map(lambda leaf, k=k: leaf[k], INPUTS))
        np.testing.assert_allclose(outputs["total"][k], output["total"], rtol=1e-5)
        np.testing.assert_allclose(outputs["sum"][k], output["sum"], rtol=1e-5, atol=1e-6)
    assert count == 23
    np.testing.assert_allclose(total, carry[0], rtol=1e-5)


@pytest.mark.parametrize("chunk", [2, 7, 11, 22, 23, 100])
def test_chunks_change_no_bit(chunk):
    whole = scan_steps(step, CARRY, INPUTS)
    cut = scan_steps(step, CARRY, INPUTS, chunk=chunk)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(cut), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_progress_is_reported_after_each_chunk():
    seen = []
    scan_steps(step, CARRY, INPUTS, chunk=10, on_chunk=lambda done, all: seen.append((done, all)))
    assert seen == [(10, 23), (20, 23), (23, 23)]
    # A single step left over joins the chunk before it.
    del seen[:]
    scan_steps(step, CARRY, INPUTS, chunk=11, on_chunk=lambda done, all: seen.append((done, all)))
    assert seen == [(11, 23), (23, 23)]


def test_short_simulations_can_be_chunked():
    for steps in (0, 1, 2):
        inputs = jax.tree.map(lambda leaf, n=steps: leaf[:n], INPUTS)
        whole = scan_steps(step, CARRY, inputs)
        cut = scan_steps(step, CARRY, inputs, chunk=5)
        for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(cut), strict=True):
            np.testing.assert_array_equal(a, b)


def test_differentiable_and_vmappable():
    def last(start):
        return jnp.sum(scan_steps(step, (start, CARRY[1]), INPUTS)[0][0])

    starts = jnp.stack([CARRY[0], 2 * CARRY[0]])
    gradients = jax.jit(jax.vmap(jax.grad(last)))(starts)
    for k, start in enumerate(starts):
        for i in range(2):
            shift = 1e-2 * jnp.eye(2)[i]
            difference = (last(start + shift) - last(start - shift)) / 2e-2
            np.testing.assert_allclose(gradients[k, i], difference, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("chunk", [1, 0, -3])
def test_chunks_need_two_steps(chunk):
    with pytest.raises(ValueError, match=rf"chunk={chunk} must be at least 2 steps"):
        scan_steps(step, CARRY, INPUTS, chunk=chunk)


@pytest.mark.parametrize("inputs", [{}, {"a": jnp.ones(3), "b": jnp.ones(4)}, jnp.array(1.0)])
def test_inputs_need_one_time_axis(inputs):
    with pytest.raises(ValueError, match=r"inputs has leading axes .* one common time axis"):
        scan_steps(lambda carry, x: (carry, x), 0.0, inputs)


def test_progress_needs_chunks():
    with pytest.raises(ValueError, match="on_chunk is given and chunk=None"):
        scan_steps(lambda carry, x: (carry, x), 0.0, jnp.ones(3), on_chunk=print)
