"""First derivatives of an energy: forces, plasticity rules and errors."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ._mismatch import AbstractMismatchEnergy
from ._trees import minus, negative

Energy = Callable[[Any, Any, Any], Float[Array, ""]]
"""`(s, theta, x) -> scalar`: state, parameters and drive of one sample, any pytrees."""


class ForceField(eqx.Module):
    """A force that is not the gradient of an energy, such as that of learned feedback weights.

    Every operator accepts it in place of an energy, but for those that need the energy itself.

    Attributes:
        field: `(s, theta, x) -> force`, structured as the state (dimensionless).
    """

    field: Callable[[Any, Any, Any], PyTree]


def force(energy: Energy | ForceField) -> Callable[[PyTree, PyTree, PyTree], PyTree]:
    """The derivative of an energy by the state, `f = dE/ds`.

    Args:
        energy: `(s, theta, x) -> scalar`, or a `ForceField`.

    Returns:
        `(s, theta, x) -> f`, structured as the state (dimensionless). It raises a ValueError if
        the energy is not a scalar.
    """
    if isinstance(energy, ForceField):
        return energy.field

    def derivative(s: PyTree, theta: PyTree, x: PyTree) -> PyTree:
        return jax.grad(scalar(energy))(s, theta, x)

    return derivative


def param_rule(energy: Energy) -> Callable[[PyTree, PyTree, PyTree], PyTree]:
    """The plasticity rule of an energy, `-dE/dtheta`: the direction in which parameters learn.

    Args:
        energy: `(s, theta, x) -> scalar`.

    Returns:
        `(s, theta, x) -> change`, structured as the parameters (dimensionless); entries that
        are not floating-point arrays become None.
    """

    def change(s: PyTree, theta: PyTree, x: PyTree) -> PyTree:
        total = scalar(energy)
        return negative(eqx.filter_grad(lambda theta: total(s, theta, x))(theta))

    return change


def errors(
    energy: Energy, slot: Callable[[PyTree], PyTree] | None = None
) -> Callable[[PyTree, PyTree, PyTree], PyTree]:
    """The error signal of every neuron, `-dE/d(its additive current)`.

    For a mismatch energy that is the somato-dendritic mismatch `s - I`.

    Args:
        energy: `(s, theta, x) -> scalar`.
        slot: picks the parameters that add to the neurons' currents, such as
            `lambda theta: [layer.bias for layer in theta]`. Not needed for a mismatch energy.

    Returns:
        `(s, theta, x) -> error`, structured as the slot, or as the state (dimensionless).

    Raises:
        ValueError: if `energy` is no mismatch energy and `slot` is missing.
    """
    if slot is not None:
        rule = param_rule(energy)
        return lambda s, theta, x: slot(rule(s, theta, x))
    if not isinstance(energy, AbstractMismatchEnergy):
        raise ValueError(
            "slot must say which parameters add to the currents of an energy that is no "
            "mismatch energy, such as slot=lambda theta: [layer.bias for layer in theta]; got None"
        )
    return lambda s, theta, x: minus(s, energy.current(energy.rates(s), theta, x))


def scalar(energy: Energy) -> Energy:
    """`energy`, checked to be a scalar."""

    def checked(s, theta, x):
        value = energy(s, theta, x)
        leaves = jax.tree.leaves(value)
        if (
            len(leaves) != 1
            or jnp.shape(value) != ()
            or not jnp.issubdtype(jnp.result_type(value), jnp.floating)
        ):
            raise ValueError(
                "energy must return a floating-point scalar for one sample, got shapes "
                f"{[jnp.shape(leaf) for leaf in leaves]} of "
                f"{[str(jnp.result_type(leaf)) for leaf in leaves]}; sum it over its neurons, and "
                "leave samples to jax.vmap or BatchEnergy"
            )
        return value

    return checked
