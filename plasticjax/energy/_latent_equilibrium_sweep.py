"""Latent equilibrium with a full sweep through all layers in every step."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from ._latent_equilibrium_step import LatentEquilibriumOutput, LatentEquilibriumState
from ._learner import Learner, learn
from ._mismatch import AbstractMismatchEnergy
from ._trees import minus, negative, spread


def latent_equilibrium_sweep(
    energy: AbstractMismatchEnergy,
    *,
    tau_m: PyTree,
    dt: float,
    optimiser: optax.GradientTransformation | None = None,
) -> Callable[[Learner, Any], tuple[Learner, LatentEquilibriumOutput]]:
    """One step of latent equilibrium in which rates and errors cross all layers.

    Rates sweep up from the fresh input, each layer offset by its old error current; errors sweep
    down from the fresh outputs. The published recursion, `latent_equilibrium_step`, moves both by
    one layer a step and needs one step a layer for the same; both have the same equilibria.

    Args:
        energy: a mismatch energy on `feed_forward`; a `BatchEnergy` averages the plasticity.
        tau_m: membrane and prospective time constant, a number or a pytree prefix of the state
            (ms).
        dt: time step (ms).
        optimiser: what becomes of the local gradients, such as `local_rates`; None freezes the
            parameters.

    Returns:
        `(carry, x) -> (carry, output)` for `jax.lax.scan`, with the same carry as
        `latent_equilibrium_step`. It raises a ValueError if the state is no sequence of layers.
    """

    def step(carry: Learner, x: Any) -> tuple[Learner, LatentEquilibriumOutput]:
        old = carry.neurons
        if not isinstance(old.prospective, Sequence):
            raise ValueError(
                "the state must be a tuple with one entry a layer, got "
                f"{jax.tree.structure(old.prospective)}; use latent_equilibrium_step"
            )

        def cost_of(theta, offsets):
            prospective, currents = _sweep_up(energy, theta, x, offsets, old.prospective)
            rates = energy.rates(prospective)
            return energy.nudging_cost(prospective, rates, x), (prospective, currents, rates)

        drifting, still = eqx.partition(carry.theta, eqx.is_inexact_array)
        _, pull, (prospective, current, rate) = jax.vjp(
            lambda theta, offsets: cost_of(eqx.combine(theta, still), offsets),
            drifting,
            old.error,
            has_aux=True,
        )
        by_theta, by_offset = pull(jnp.ones((), jax.tree.leaves(rate)[0].dtype))
        error = negative(by_offset)
        velocity = jax.tree.map(
            lambda ahead, u, tau: (ahead - u) / tau,
            prospective,
            old.membrane,
            spread(tau_m, old.membrane, "tau_m"),
        )
        membrane = jax.tree.map(lambda u, du: u + dt * du, old.membrane, velocity)
        theta, memory = learn(carry, optimiser, negative(by_theta), energy.samples(old.membrane))
        slope = energy.slopes(prospective)
        neurons = LatentEquilibriumState(membrane, prospective, rate, slope, error)
        return Learner(neurons, theta, memory), LatentEquilibriumOutput(neurons, current, velocity)

    return step


def _sweep_up(energy, theta, x, offsets, start):
    state = start
    for index in range(len(start)):
        current = energy.current(energy.rates(state), theta, x)[index]
        state = (*state[:index], current + offsets[index], *state[index + 1 :])
    return state, minus(state, offsets)
