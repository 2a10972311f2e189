"""The point neuron that learns in the tasks of Jordan et al. (2021), as far as it is linear."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, Num

MEMBRANE = 10.0  # ms
SYNAPSE = 2.0  # ms
CAPACITANCE = 250.0  # pF
REST = -70.0  # mV


class Propagators(NamedTuple):
    """Exact decay of current and potential in one step, and what a current adds (mV/pA)."""

    current: float
    potential: float
    transfer: float


def propagators(dt: float) -> Propagators:
    """The exact solution of current and membrane over `dt` ms."""
    current, potential = math.exp(-dt / SYNAPSE), math.exp(-dt / MEMBRANE)
    scale = SYNAPSE * MEMBRANE / (CAPACITANCE * (MEMBRANE - SYNAPSE))
    return Propagators(current, potential, scale * (potential - current))


def steps_of(duration: float, dt: float, name: str) -> int:
    """How many steps of `dt` make `duration` (both ms).

    Raises:
        ValueError: if it is no whole number of at least 1.
    """
    steps = round(duration / dt)
    if steps < 1 or abs(steps * dt - duration) > 1e-9 * duration:
        raise ValueError(f"{name} must be a whole number of steps of dt = {dt} ms, got {duration}")
    return steps


def poisson(
    key: Key[Array, ""], mean: Float[Array, "*means"] | float, shape: tuple[int, ...], most: int
) -> Int[Array, "..."]:
    """Poisson numbers up to `most`, by inversion: for small means, quick to compile and to run."""
    uniform = jax.random.uniform(key, shape)
    probability = jnp.exp(-jnp.asarray(mean, uniform.dtype))
    total, count = probability, jnp.zeros(shape, jnp.int8)
    for number in range(1, most + 1):
        count += uniform >= total
        probability = probability * mean / number
        total = total + probability
    return count


def unit_psp(
    arrivals: Num[Array, "steps inputs"], dt: float, dtype
) -> Float[Array, "steps inputs"]:
    """Postsynaptic potentials (mV/pA) of unit weights; a spike acts from the next step on."""
    decay = propagators(dt)

    def step(carry, arrived):
        psp, current = carry
        psp = decay.potential * psp + decay.transfer * current
        return (psp, decay.current * current + arrived), psp

    nothing = jnp.zeros(arrivals.shape[1], dtype)
    return jax.lax.scan(step, (nothing, nothing), arrivals)[1]
