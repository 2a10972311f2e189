"""The published fixed-step recursion of generalised latent equilibrium, for any mismatch energy."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from ._checks import check_mismatch_energy, check_time_step
from ._learner import Learner, learn
from ._mismatch import AbstractMismatchEnergy
from ._trees import negative, spread

State = PyTree[Float[Array, "..."]]


class GLEState(eqx.Module):
    """Neurons of generalised latent equilibrium, and their error neurons, between two steps.

    Attributes:
        membrane: membrane potentials `u`, leaves [neurons] or [samples, neurons], as all of
            these (dimensionless).
        error_membrane: membrane potentials `v` of the error neurons (dimensionless).
        prospective: prospective voltages `u + tau_r du/dt` of the last step (dimensionless).
        rate: rates sent in the last step (dimensionless).
        slope: derivatives of the rates by the prospective voltages (dimensionless).
        feedback: error that the neurons above sent to each neuron in the last step
            (dimensionless).
    """

    membrane: State
    error_membrane: State
    prospective: State
    rate: State
    slope: State
    feedback: State


class GLEOutput(eqx.Module):
    """What one step of generalised latent equilibrium shows.

    Attributes:
        rate: rates before the step, which the published simulations read out; leaves [neurons] or
            [samples, neurons], as all of these (dimensionless).
        error: prospective errors `v + tau_m dv/dt` of the step (dimensionless).
        velocity: `du/dt` of the step (per ms).
        neurons: the neurons after the step.
    """

    rate: State
    error: State
    velocity: State
    neurons: GLEState


def gle_at_rest(s: State) -> GLEState:
    """Neurons that start at given voltages without errors and without having sent a rate.

    Their slopes start at zero too, so that no error passes in the first step.

    Args:
        s: membrane potentials, a pytree of [neurons] or [samples, neurons] (dimensionless); zeros
            give the initial state of the published simulations.

    Returns:
        The state of the neurons.
    """
    zeros = jax.tree.map(jnp.zeros_like, s)
    return GLEState(s, zeros, s, zeros, zeros, zeros)


def gle_step(
    energy: AbstractMismatchEnergy,
    *,
    tau_m: PyTree | None,
    tau_r: PyTree,
    dt: float,
    gamma: PyTree = 1.0,
    optimiser: optax.GradientTransformation | None = None,
    tau_min: float | None = None,
    prospective_errors: bool = True,
) -> Callable[[Learner, Any], tuple[Learner, GLEOutput]]:
    """One Euler step of generalised latent equilibrium with plasticity that is always on.

    Neurons integrate with `tau_m` and look ahead by `tau_r`, their error neurons integrate with
    `tau_r` and look ahead by `tau_m` (Ellenberger et al. 2025, Nat. Commun. 17, 66):
    `tau_r dv/dt = d - v` and `e = v + tau_m dv/dt`, with `d = rate' J^T e - dC/ds` of the step
    before; `tau_m du/dt = I(r) - u + gamma e` and `r = rate(u + tau_r du/dt)`. Parameters change
    along `J_theta^T e`, time constants along `-e du/dt`. Rates and errors both move by one layer
    a step. As `dt` vanishes the recursion approaches `double_prospective`, if the loop through
    errors and rates, whose gain grows with `gamma` and `tau_m / tau_r`, is weaker than one.

    Args:
        energy: a mismatch energy; a `BatchEnergy` averages the plasticity over its samples.
        tau_m: membrane time constant, a number, an array or a pytree prefix of the state (ms).
            None learns it: the parameters in the carry are then the pair
            `(parameters of the energy, tau_m)`, and `optimiser` sees both.
        tau_r: prospective time constant, a number, an array or a pytree prefix of the state (ms).
        dt: time step, at most the shortest time constant (ms).
        gamma: strength with which errors enter the soma, a number or a pytree prefix of the state
            (dimensionless): 1 is the energy's, 0 keeps errors out of the rates.
        optimiser: what becomes of the local gradients, such as `optax.adam(1e-3)`; it acts after
            every step. None freezes the parameters.
        tau_min: learned time constants stay at or above it; by default `10 dt` (ms).
        prospective_errors: False passes errors on at once, `e = d`: a control that truncates
            backpropagation through time to the present.

    Returns:
        `(carry, x) -> (carry, output)` for `jax.lax.scan`.

    Raises:
        ValueError: if a time constant is shorter than `dt`, or `energy` is no mismatch energy.
    """
    _check(energy, tau_m, tau_r, dt, tau_min)
    floor = 10 * dt if tau_min is None else tau_min

    def step(carry: Learner, x: Any) -> tuple[Learner, GLEOutput]:
        old = carry.neurons
        theta, times = _parted(carry.theta) if tau_m is None else (carry.theta, tau_m)
        slow, pull_slow = jax.vjp(lambda times: _everywhere(times, old.membrane, "tau_m"), times)
        fast = spread(tau_r, old.membrane, "tau_r")
        coupling = spread(gamma, old.membrane, "gamma")

        by_voltage, by_rate = jax.grad(energy.nudging_cost, argnums=(0, 1))(
            old.prospective, old.rate, x
        )
        received = jax.tree.map(
            lambda slope, above, rate_pull, voltage_pull: (
                slope * (above - rate_pull) - voltage_pull
            ),
            old.slope,
            old.feedback,
            by_rate,
            by_voltage,
        )
        error, error_membrane = received, received
        if prospective_errors:
            change = jax.tree.map(
                lambda d, v, tau: (d - v) / tau, received, old.error_membrane, fast
            )
            error = jax.tree.map(_ahead, old.error_membrane, change, slow)
            error_membrane = jax.tree.map(lambda v, dv: v + dt * dv, old.error_membrane, change)

        current, pull = eqx.filter_vjp(
            lambda rates, theta: energy.current(rates, theta, x), old.rate, theta
        )
        velocity = jax.tree.map(
            lambda i, e, u, tau, g: (i + g * e - u) / tau,
            current,
            error,
            old.membrane,
            slow,
            coupling,
        )
        prospective = jax.tree.map(_ahead, old.membrane, velocity, fast)
        feedback, rule = pull(error)
        neurons = GLEState(
            membrane=jax.tree.map(lambda u, du: u + dt * du, old.membrane, velocity),
            error_membrane=error_membrane,
            prospective=prospective,
            rate=energy.rates(prospective),
            slope=energy.slopes(prospective),
            feedback=feedback,
        )

        if tau_m is None:
            along = negative(jax.tree.map(jnp.multiply, error, velocity))
            rule = (rule, *pull_slow(along))
        theta, memory = learn(carry, optimiser, rule, energy.samples(old.membrane))
        if tau_m is None and optimiser is not None:
            theta = (theta[0], jax.tree.map(lambda tau: jnp.maximum(tau, floor), theta[1]))
        return Learner(neurons, theta, memory), GLEOutput(old.rate, error, velocity, neurons)

    return step


def _ahead(value, change, tau):
    return value + tau * change


def _everywhere(times: PyTree, state: State, name: str) -> State:
    """A time constant for every neuron of every sample."""
    return jax.tree.map(
        lambda tau, leaf: jnp.broadcast_to(jnp.asarray(tau, leaf.dtype), leaf.shape),
        spread(times, state, name),
        state,
    )


def _parted(theta):
    if not isinstance(theta, tuple) or len(theta) != 2:
        raise ValueError(
            "with tau_m=None the parameters in the carry must be the pair (parameters of the "
            f"energy, tau_m), got {jax.tree.structure(theta)}"
        )
    return theta


def _check(energy, tau_m, tau_r, dt, tau_min) -> None:
    check_mismatch_energy(energy)
    check_time_step(dt)
    for name, times in (("tau_m", tau_m), ("tau_r", tau_r), ("tau_min", tau_min)):
        for tau in jax.tree.leaves(times):
            if any(isinstance(value, Tracer) for value in (tau, dt)):
                continue
            if not np.min(tau) >= dt:
                raise ValueError(
                    f"{name} must be at least dt = {dt} ms, or the step is unstable; got "
                    f"{np.min(tau)}"
                )
