"""Gradients of a batch in parts: those of the whole, and the messages for bad input."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.models import surrogate_network
from plasticjax.training import membrane_loss, value_and_grad_in_parts

SAMPLES, STEPS, INPUTS, CLASSES = 12, 20, 6, 3


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    rasters = jnp.asarray(rng.random((STEPS, SAMPLES, INPUTS)) < 0.3, float)
    return rasters, jnp.asarray(rng.integers(0, CLASSES, SAMPLES))


def loss(network, batch):
    rasters, labels = batch
    traces = jax.vmap(network, in_axes=1, out_axes=1)(rasters)
    return jax.vmap(membrane_loss, (1, 0))(traces.readout, labels).mean()


@pytest.mark.parametrize("parts", [1, 3, 12])
def test_the_gradient_is_that_of_the_whole_batch(batch, parts):
    network = surrogate_network((INPUTS, 8, CLASSES), key=jax.random.key(0))

    @eqx.filter_jit
    def both(network):
        found = value_and_grad_in_parts(loss, network, batch, parts=parts, axes=(1, 0))
        return found, eqx.filter_value_and_grad(loss)(network, batch)

    found, expected = both(network)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    assert np.abs(found[1].hidden[0].weights).max() > 0.01


def test_samples_that_do_not_count_are_left_out():
    values, real = jnp.arange(8.0), jnp.arange(8) < 5

    def summed(w, part):
        return jnp.sum(jnp.where(part["real"], w * part["x"], 0))

    batch = {"x": values, "real": real}
    value, slope = value_and_grad_in_parts(summed, jnp.array(2.0), batch, parts=4)
    assert value * 4 / real.sum() == 2 * values[:5].mean()
    assert slope * 4 / real.sum() == values[:5].mean()


def test_it_may_be_batched_and_differentiated():
    x = jnp.linspace(0.0, 1.0, 6)

    def slope(w, parts=3):
        return value_and_grad_in_parts(lambda w, x: jnp.sin(w * x).mean(), w, x, parts=parts)[1]

    w = jnp.array([0.3, 0.7])
    np.testing.assert_allclose(jax.vmap(slope)(w), [jnp.mean(x * jnp.cos(v * x)) for v in w], 1e-6)
    np.testing.assert_allclose(jax.grad(slope)(0.3), -jnp.mean(x**2 * jnp.sin(0.3 * x)), rtol=1e-5)


def test_batches_that_are_refused(batch):
    for given, parts, axes, message in (
        (batch, 5, (1, 0), "parts=5 must divide the 12 samples"),
        (batch, 0, (1, 0), "parts=0"),
        (batch, 4, 0, r"leaves of \[12, 20\] samples along axes=0"),
    ):
        with pytest.raises(ValueError, match=message):
            value_and_grad_in_parts(lambda w, _: w, jnp.array(1.0), given, parts=parts, axes=axes)
