"""The carry of the staggered steps: neurons, parameters, and what the optimiser remembers."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree


class Learner(eqx.Module):
    """What a staggered step carries from one time step to the next.

    Attributes:
        neurons: the state of the neurons, such as a `LatentEquilibriumState`.
        theta: parameters of the energy, any pytree.
        memory: state of the optimiser, such as momenta; None without plasticity.
    """

    neurons: Any
    theta: PyTree
    memory: PyTree = None


def learner(
    neurons: Any, theta: PyTree, optimiser: optax.GradientTransformation | None = None
) -> Learner:
    """The carry with which a scan of staggered steps starts.

    Args:
        neurons: initial state of the neurons.
        theta: initial parameters of the energy, any pytree.
        optimiser: as given to the step; None without plasticity.

    Returns:
        The carry.
    """
    memory = None if optimiser is None else optimiser.init(eqx.filter(theta, eqx.is_inexact_array))
    return Learner(neurons, theta, memory)


def changes(
    carry: Learner, optimiser: optax.GradientTransformation | None, rule: PyTree, samples: int
) -> tuple[PyTree, PyTree]:
    """What one step of an optimiser along a summed plasticity rule adds to the parameters."""
    if optimiser is None:
        return jax.tree.map(jnp.zeros_like, rule), carry.memory
    gradient = jax.tree.map(lambda change: -change / samples, rule)
    return optimiser.update(gradient, carry.memory, eqx.filter(carry.theta, eqx.is_inexact_array))


def learn(
    carry: Learner, optimiser: optax.GradientTransformation | None, rule: PyTree, samples: int
) -> tuple[PyTree, PyTree]:
    """Parameters and memory after one step of an optimiser along a summed plasticity rule."""
    if optimiser is None:
        return carry.theta, carry.memory
    updates, memory = changes(carry, optimiser, rule, samples)
    return eqx.apply_updates(carry.theta, updates), memory


def local_rates(rates: PyTree) -> optax.GradientTransformation:
    """An optimiser with one constant learning rate for each part of the parameters.

    Args:
        rates: learning rate per step, a number or a pytree prefix of the parameters, such as one
            number a layer (dimensionless); 0 freezes a part.

    Returns:
        An optax transformation: the change is `-rate * gradient`.
    """

    def update(gradient, params):
        each = jax.tree.broadcast(rates, gradient)
        return jax.tree.map(lambda rate, leaf: -rate * leaf, each, gradient)

    return optax.stateless(update)
