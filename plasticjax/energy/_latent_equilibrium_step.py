"""The published fixed-step recursion of latent equilibrium, for any mismatch energy."""

from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PyTree

from ._checks import check_mismatch_energy, check_time_step
from ._learner import Learner, learn
from ._mismatch import AbstractMismatchEnergy
from ._trees import minus, plus, spread

State = PyTree[Float[Array, "..."]]


class LatentEquilibriumState(eqx.Module):
    """Neurons of latent equilibrium between two steps.

    Attributes:
        membrane: slow membrane potentials `u`, leaves [neurons] as all of these (dimensionless).
        prospective: prospective voltages `u + tau_r du/dt` of the last step (dimensionless).
        rate: rates sent in the last step (dimensionless).
        slope: derivatives of the rates by the prospective voltages (dimensionless).
        error: error currents received in the last step (dimensionless).
    """

    membrane: State
    prospective: State
    rate: State
    slope: State
    error: State


class LatentEquilibriumOutput(eqx.Module):
    """What one step of latent equilibrium shows.

    Attributes:
        neurons: the neurons after the step.
        current: predicted currents of the step, leaves [neurons] (dimensionless).
        velocity: `du/dt` of the step, leaves [neurons] (per ms).
    """

    neurons: LatentEquilibriumState
    current: State
    velocity: State


def at_rest(s: State) -> LatentEquilibriumState:
    """Neurons that start at given voltages without errors and without having sent a rate.

    Their slopes start at zero too, so that no error passes in the first step.

    Args:
        s: membrane potentials and prospective voltages, any pytree with leaves [neurons]
            (dimensionless); zeros give the initial state of the published simulations.

    Returns:
        The state of the neurons.
    """
    zeros = jax.tree.map(jnp.zeros_like, s)
    return LatentEquilibriumState(s, s, zeros, zeros, zeros)


def settled(energy: AbstractMismatchEnergy, s: State) -> LatentEquilibriumState:
    """Neurons that have been at given voltages for long, and have sent their rates.

    Args:
        energy: a mismatch energy.
        s: membrane potentials and prospective voltages, such as `forward_pass`, leaves [neurons]
            (dimensionless).

    Returns:
        The state of the neurons, without errors.
    """
    zeros = jax.tree.map(jnp.zeros_like, s)
    return LatentEquilibriumState(s, s, energy.rates(s), energy.slopes(s), zeros)


def latent_equilibrium_step(
    energy: AbstractMismatchEnergy,
    *,
    tau_m: PyTree,
    tau_r: PyTree | None = None,
    dt: float | Float[Array, ""],
    optimiser: optax.GradientTransformation | None = None,
    feedback: PyTree | None = None,
    errors_from: Literal["membrane", "prospective"] = "membrane",
    rate_noise: float = 0.0,
    synaptic_tau: float | Float[Array, ""] | None = None,
    error_tau: float | Float[Array, ""] | None = None,
) -> Callable[[Learner, Any], tuple[Learner, LatentEquilibriumOutput]]:
    """One Euler step of latent equilibrium with plasticity that is always on.

    Rates and errors both move by one layer a step (Haider et al. 2021, layered simulations):
    `tau_m du/dt = I(r) - u + e`, `r = rate(u + tau_r du/dt)`, where every right-hand side uses the
    step before, `e = rate' J^T (z - I) - dC/ds`, and parameters change along `J_theta^T e`.

    Args:
        energy: a mismatch energy; a `BatchEnergy` averages the plasticity over its samples.
        tau_m: membrane time constant, a number or a pytree prefix of the state (ms).
        tau_r: prospective time constant, like `tau_m`; by default `tau_m`; 0 switches prospective
            coding off (ms).
        dt: time step, a number or a scalar (ms).
        optimiser: what becomes of the local gradients, such as `local_rates`; None freezes the
            parameters.
        feedback: parameters through which errors travel down, structured as the parameters; by
            default the parameters themselves (feedback alignment otherwise).
        errors_from: `"membrane"` measures errors at `z = u + tau_m du/dt`, `"prospective"` at
            `z = u + tau_r du/dt`.
        rate_noise: standard deviation of Gaussian noise on the rates in each step (dimensionless).
        synaptic_tau: time constant of a low-pass on the rates; None for none (ms).
        error_tau: time constant of a low-pass on the errors sent down; None for none (ms).

    Returns:
        `(carry, x) -> (carry, output)` for `jax.lax.scan`; with `rate_noise` the second argument is
        `(x, key)`.

    Raises:
        ValueError: if a time constant, `dt` or an option is out of range, or `energy` is no
            mismatch energy.
    """
    _check(energy, tau_m, dt, errors_from, rate_noise)
    _check_filters(dt, synaptic_tau=synaptic_tau, error_tau=error_tau)
    tau_r = tau_m if tau_r is None else tau_r

    def step(carry: Learner, inputs: Any) -> tuple[Learner, LatentEquilibriumOutput]:
        x, key = inputs if rate_noise else (inputs, None)
        old = carry.neurons
        slow = spread(tau_m, old.membrane, "tau_m")
        fast = spread(tau_r, old.membrane, "tau_r")

        current, pull = eqx.filter_vjp(
            lambda rates, theta: energy.current(rates, theta, x), old.rate, carry.theta
        )
        velocity = jax.tree.map(
            lambda i, u, e, tau: (i - u + e) / tau, current, old.membrane, old.error, slow
        )
        ahead = lambda u, du, tau: u + tau * du  # noqa: E731
        prospective = jax.tree.map(ahead, old.membrane, velocity, fast)
        reference = plus(current, old.error) if errors_from == "membrane" else prospective
        membrane = jax.tree.map(lambda u, du: u + dt * du, old.membrane, velocity)

        mismatch = minus(reference, current)
        if feedback is None:
            down = pull(mismatch)[0]
        else:
            down = jax.vjp(lambda rates: energy.current(rates, feedback, x), old.rate)[1](mismatch)[
                0
            ]
        by_voltage, by_rate = jax.grad(energy.nudging_cost, argnums=(0, 1))(
            old.prospective, old.rate, x
        )
        received = jax.tree.map(lambda slope, q: slope * q, old.slope, down)
        if error_tau is not None:
            received = _low_pass(old.error, received, dt / error_tau)
        error = jax.tree.map(
            lambda q, slope, rate_pull, voltage_pull: q - (slope * rate_pull + voltage_pull),
            received,
            old.slope,
            by_rate,
            by_voltage,
        )

        rate = energy.rates(prospective)
        if key is not None:
            rate = _noisy(rate, rate_noise, key)
        if synaptic_tau is not None:
            rate = _low_pass(old.rate, rate, dt / synaptic_tau)

        theta, memory = learn(carry, optimiser, pull(error)[1], energy.samples(old.membrane))
        slope = energy.slopes(prospective)
        neurons = LatentEquilibriumState(membrane, prospective, rate, slope, error)
        output = LatentEquilibriumOutput(neurons, current, velocity)
        return Learner(neurons, theta, memory), output

    return step


def _low_pass(old: State, new: State, weight: Any) -> State:
    return jax.tree.map(lambda old, new: old + (new - old) * weight, old, new)


def _noisy(rates: State, width: float, key: Key[Array, ""]) -> State:
    leaves, structure = jax.tree.flatten(rates)
    keys = jax.random.split(key, len(leaves))
    return structure.unflatten(
        [
            leaf + width * jax.random.normal(each, leaf.shape, leaf.dtype)
            for leaf, each in zip(leaves, keys, strict=True)
        ]
    )


def _check(energy, tau_m, dt, errors_from, rate_noise) -> None:
    check_mismatch_energy(energy)
    check_time_step(dt)
    for tau in jax.tree.leaves(tau_m):
        if isinstance(tau, float | int) and not tau > 0:
            raise ValueError(f"tau_m must be positive times in ms, got {tau}")
    if errors_from not in ("membrane", "prospective"):
        raise ValueError(f"errors_from must be 'membrane' or 'prospective', got {errors_from!r}")
    if isinstance(rate_noise, float | int) and rate_noise < 0:
        raise ValueError(f"rate_noise must not be negative, got {rate_noise}")


def _check_filters(dt, **taus: Any) -> None:
    for name, tau in taus.items():
        if isinstance(tau, float | int) and isinstance(dt, float | int) and tau < dt:
            raise ValueError(f"{name} must be at least dt={dt}, got {tau}")
