"""Neuronal least action: a small recurrent problem, and how its steps are scanned."""

import jax
import jax.numpy as jnp

from plasticjax.energy import (
    LeastActionState,
    MismatchEnergy,
    RecurrentWeights,
    Stimulus,
    learner,
    logistic,
    recurrent,
    voltage_cost,
)

RECURRENT = MismatchEnergy(logistic, recurrent, voltage_cost)
TAU = 10.0


def start(u, theta, x, optimiser=None):
    """Neurons at voltages `u` that have seen the drive `x`."""
    return learner(LeastActionState(u, x), theta, optimiser)


def scan(step, carry, x):
    return jax.jit(lambda carry, x: jax.lax.scan(step, carry, x))(carry, x)


def recurrent_problem():
    a, b, c = jax.random.split(jax.random.key(0), 3)
    weight = 0.4 * jax.random.normal(a, (6, 6), float)
    theta = RecurrentWeights(
        weight - jnp.diag(jnp.diag(weight)), 0.5 * jax.random.normal(b, (6, 3), float), jnp.zeros(6)
    )
    return 0.5 * jax.random.normal(c, (6,), float), theta


def course(times):
    """A drive of the recurrent problem, one row a time."""

    def at(t):
        inputs = jnp.stack([0.5 + 0.4 * jnp.sin(0.3 * t), 0.2 * jnp.cos(0.2 * t), 0.3 + 0 * t])
        target = jnp.zeros(6).at[4].set(jnp.sin(0.1 * t)).at[5].set(0.5)
        return Stimulus(inputs, target, jnp.asarray([0, 0, 0, 0, 0.3, 0.3]))

    return jax.vmap(at)(times)
