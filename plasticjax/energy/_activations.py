"""Transfer functions with explicit first and second derivatives."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Activation(eqx.Module):
    """A transfer function from voltages to rates that states its own derivatives.

    The derivatives are what `jax.grad`, `jax.jvp` and Hessians of an energy use, so that the
    convention at a kink is written down once and not left to the compiler's own rule.

    Attributes:
        value: the rate of a voltage, elementwise (dimensionless).
        slope: the derivative of `value` (dimensionless).
        curvature: the derivative of `slope` (dimensionless).
    """

    value: Callable = eqx.field(static=True)
    slope: Callable = eqx.field(static=True)
    curvature: Callable = eqx.field(static=True)

    def __call__(self, voltage: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The rates of voltages.

        Args:
            voltage: [*shape], dimensionless.

        Returns:
            Rates [*shape], dimensionless.
        """
        return _rate(self, voltage)

    def derivative(self, voltage: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The slopes of the rates, differentiable once more.

        Args:
            voltage: [*shape], dimensionless.

        Returns:
            Slopes [*shape], dimensionless.
        """
        return _slope(self, voltage)


@jax.custom_jvp
def _slope(activation, voltage):
    return activation.slope(voltage)


@_slope.defjvp
def _slope_jvp(primals, tangents):
    activation, voltage = primals
    return _slope(activation, voltage), activation.curvature(voltage) * tangents[1]


@jax.custom_jvp
def _rate(activation, voltage):
    return activation.value(voltage)


@_rate.defjvp
def _rate_jvp(primals, tangents):
    activation, voltage = primals
    return _rate(activation, voltage), _slope(activation, voltage) * tangents[1]


def _on_closed_unit_interval(voltage):
    return ((voltage >= 0) & (voltage <= 1)).astype(voltage.dtype)


def _logistic_slope(voltage):
    rate = jax.nn.sigmoid(voltage)
    return rate * (1 - rate)


def _logistic_curvature(voltage):
    return _logistic_slope(voltage) * (1 - 2 * jax.nn.sigmoid(voltage))


def _tanh_slope(voltage):
    return 1 - jnp.tanh(voltage) ** 2


def _tanh_curvature(voltage):
    return -2 * jnp.tanh(voltage) * _tanh_slope(voltage)


def _one(voltage):
    # A constant would do, but jax fails to differentiate it below a vmap inside a scan.
    return jnp.where(jnp.isnan(voltage), voltage, 1)


def _identity(voltage):
    return voltage


def _clip(voltage):
    return jnp.clip(voltage, 0, 1)


def _is_positive(voltage):
    return (voltage > 0).astype(voltage.dtype)


linear = Activation(_identity, _one, jnp.zeros_like)
"""The rate is the voltage."""

hard_sigmoid = Activation(_clip, _on_closed_unit_interval, jnp.zeros_like)
"""The voltage clipped to [0, 1]; the slope is one on the closed interval."""

logistic = Activation(jax.nn.sigmoid, _logistic_slope, _logistic_curvature)
"""`1 / (1 + exp(-voltage))`."""

tanh = Activation(jnp.tanh, _tanh_slope, _tanh_curvature)
"""The hyperbolic tangent of the voltage."""

relu = Activation(jax.nn.relu, _is_positive, jnp.zeros_like)
"""The positive part of the voltage; the slope at zero is zero."""

softplus = Activation(jax.nn.softplus, jax.nn.sigmoid, _logistic_slope)
"""`log(1 + exp(voltage))`."""
