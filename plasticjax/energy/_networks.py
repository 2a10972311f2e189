"""Who projects to whom: the currents that rates predict."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._mismatch import AbstractMismatchEnergy

Layers = Sequence[Callable[[Array], Array]]


def feed_forward(
    rates: Sequence[Float[Array, "..."]], theta: Layers, x: Any
) -> tuple[Float[Array, "..."], ...]:
    """Currents of a layered network, each layer driven by the one below.

    Args:
        rates: rates of each layer, a tuple of [neurons] (dimensionless).
        theta: one callable a layer that maps the rates below to currents, such as
            `equinox.nn.Linear`, or `equinox.nn.Sequential` of a pooling and a convolution.
        x: drive whose `input` are the rates below the first layer.

    Returns:
        Currents of each layer, a tuple (dimensionless).

    Raises:
        ValueError: if there are not as many layers as entries of the state.
    """
    if len(theta) != len(rates):
        raise ValueError(f"theta must have one layer for each of {len(rates)}, got {len(theta)}")
    below = (x.input, *rates[:-1])
    return tuple(layer(rate) for layer, rate in zip(theta, below, strict=True))


class RecurrentWeights(eqx.Module):
    """Weights of one population that projects to itself.

    Attributes:
        weight: recurrent weights [post, pre] (dimensionless).
        input_weight: weights of the inputs [post, inputs] (dimensionless).
        bias: biases [post] (dimensionless).
    """

    weight: Float[Array, "post pre"]
    input_weight: Float[Array, "post inputs"]
    bias: Float[Array, " post"]


def recurrent(
    rates: Float[Array, " pre"], theta: RecurrentWeights, x: Any
) -> Float[Array, " post"]:
    """Currents of one population that projects to itself.

    Args:
        rates: rates of the population [pre] (dimensionless).
        theta: its weights.
        x: drive whose `input` are the input rates [inputs].

    Returns:
        Currents [post] (dimensionless).
    """
    return theta.weight @ rates + theta.input_weight @ x.input + theta.bias


def resting_state(layers: Layers, stimulus_input: Float[Array, "..."]) -> tuple[Array, ...]:
    """A state of zeros for a layered network.

    Args:
        layers: one callable a layer, as for `feed_forward`.
        stimulus_input: rates below the first layer [inputs] (dimensionless); only its shape and
            dtype are used.

    Returns:
        Zeros, one array a layer, shaped as the layers' currents (dimensionless).
    """
    state, below = [], stimulus_input
    for layer in layers:
        shape = eqx.filter_eval_shape(layer, below)
        below = jnp.zeros(shape.shape, shape.dtype)
        state.append(below)
    return tuple(state)


def forward_pass(
    energy: AbstractMismatchEnergy, theta: Layers, x: Any
) -> tuple[Float[Array, "..."], ...]:
    """The state of a layered network at rest: the minimum of its energy without nudging.

    Args:
        energy: a mismatch energy on `feed_forward`, of one sample.
        theta: one callable a layer.
        x: drive whose `input` are the rates below the first layer [inputs] (dimensionless).

    Returns:
        Voltages, one array [neurons] a layer (dimensionless).
    """
    state = resting_state(theta, x.input)
    for index in range(len(state)):
        currents = energy.current(energy.rates(state), theta, x)
        state = (*state[:index], currents[index], *state[index + 1 :])
    return state
