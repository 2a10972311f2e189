import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax import energy

NAMES = ("linear", "hard_sigmoid", "logistic", "tanh", "relu", "softplus")
AWAY_FROM_KINKS = np.array([-1.7, -0.4, 0.2, 0.8, 1.3])


@pytest.mark.parametrize("name", NAMES)
def test_stated_derivatives_are_those_of_the_value(name, x64):
    activation = getattr(energy, name)
    h = 1e-6
    for function, derivative in (
        (activation.value, activation.slope),
        (activation.slope, activation.curvature),
    ):
        up = function(jnp.asarray(AWAY_FROM_KINKS + h))
        down = function(jnp.asarray(AWAY_FROM_KINKS - h))
        np.testing.assert_allclose(
            derivative(jnp.asarray(AWAY_FROM_KINKS)), (up - down) / (2 * h), atol=1e-8
        )


@pytest.mark.parametrize("name", NAMES)
def test_autodiff_uses_the_stated_derivatives(name, x64):
    activation = getattr(energy, name)
    points = jnp.asarray([-1.0, 0.0, 0.3, 1.0, 2.0])
    np.testing.assert_array_equal(jax.vmap(jax.grad(activation))(points), activation.slope(points))
    np.testing.assert_array_equal(
        jax.vmap(jax.grad(jax.grad(activation)))(points), activation.curvature(points)
    )
    np.testing.assert_array_equal(
        jax.vmap(jax.grad(activation.derivative))(points), activation.curvature(points)
    )


def test_hard_sigmoid_has_slope_one_on_the_closed_interval():
    edges = jnp.asarray([-1e-6, 0.0, 1.0, 1.0 + 1e-6])
    np.testing.assert_array_equal(jax.vmap(jax.grad(energy.hard_sigmoid))(edges), [0, 1, 1, 0])


def test_saturated_rates_stay_finite():
    far = jnp.asarray([-1e4, 1e4])
    for name in NAMES:
        activation = getattr(energy, name)
        for function in (activation.value, activation.slope, activation.curvature):
            assert np.all(np.isfinite(function(far))), name
