"""The published fixed-step recursion of the neuronal least-action principle, for any energy."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import optax
from jaxtyping import Array, Float, PyTree

from ._checks import check_time_step
from ._curvature import AbstractCurvatureSolver
from ._learner import Learner, changes
from ._mismatch import AbstractMismatchEnergy, BatchEnergy, shared_axes
from ._operators import Energy, force, param_rule
from ._prospective import look_ahead


class LeastActionState(eqx.Module):
    """Neurons of the least-action principle between two steps.

    Attributes:
        voltage: somatic voltages `u`, any pytree (dimensionless).
        stimulus: the drive of the last step; its finite difference is the drive's derivative.
    """

    voltage: PyTree
    stimulus: PyTree


class LeastActionOutput(eqx.Module):
    """What one step of the least-action principle shows.

    Attributes:
        voltage: voltages after the step (dimensionless).
        velocity: `du/dt` of the step (per ms).
        force: `dE/du` before the step (dimensionless).
    """

    voltage: PyTree
    velocity: PyTree
    force: PyTree


def least_action_step(
    energy: Energy,
    *,
    tau: PyTree,
    dt: float | Float[Array, ""],
    solver: AbstractCurvatureSolver | lx.AbstractLinearSolver | None = None,
    optimiser: optax.GradientTransformation | None = None,
    inputs_clamped: bool = False,
    look_ahead_of_plasticity: bool = True,
    damping: float = 0.0,
) -> Callable[[Learner, Any], tuple[Learner, LeastActionOutput]]:
    """One Euler step of `(1 + tau d/dt) dE/du = 0` with plasticity that is always on.

    The order of Senn et al. 2024, Algorithm 1: the plasticity rule from the present state; `tau H
    du/dt = -f - tau f_t`, where the drive moves by its finite difference; then the voltages step,
    then the parameters.

    Args:
        energy: `(u, theta, x) -> scalar`; a `BatchEnergy` solves each sample by itself and
            averages the plasticity over its samples.
        tau: membrane and look-ahead time constant, a number or a pytree prefix of the voltages
            (ms).
        dt: time step, a number or a scalar (ms).
        solver: as in `prospective`.
        optimiser: what becomes of the local gradients in one step, such as
            `local_rates(dt * eta)`; None freezes the parameters.
        inputs_clamped: the inputs are neurons that are clamped: within a step they still have their
            old value and move to the new one (needs a drive with a field `input`). The force is
            then taken before the inputs move, so that fast inputs leave no trace of it in the
            plasticity; otherwise, as published, after.
        look_ahead_of_plasticity: whether the motion of the parameters enters `f_t`.
        damping: as in `prospective`.

    Returns:
        `(carry, x) -> (carry, output)` for `jax.lax.scan`, with a `LeastActionState` in the carry.

    Raises:
        ValueError: if `dt` is not positive.
    """
    check_time_step(dt)
    rule = param_rule(energy)
    per_sample = energy.one if isinstance(energy, BatchEnergy) else energy
    velocity_of_one = look_ahead(per_sample, tau, solver, damping)

    def step(carry: Learner, x: Any) -> tuple[Learner, LeastActionOutput]:
        u, old = carry.neurons.voltage, carry.neurons.stimulus
        if inputs_clamped and not hasattr(x, "input"):
            raise ValueError(
                "inputs_clamped needs a drive with a field `input`, such as a Stimulus, got "
                f"{type(x).__name__}"
            )
        x_rate = _finite_difference(x, old, dt)
        seen = eqx.tree_at(lambda x: x.input, x, old.input) if inputs_clamped else x
        samples = energy.samples(u) if isinstance(energy, AbstractMismatchEnergy) else 1
        updates, memory = changes(carry, optimiser, rule(u, carry.theta, seen), samples)
        theta_rate = None
        if optimiser is not None and look_ahead_of_plasticity:
            theta_rate = jax.tree.map(lambda update: update / dt, updates)

        velocity = velocity_of_one
        if isinstance(energy, BatchEnergy):
            axes, rate_axes = shared_axes(seen), shared_axes(x_rate)
            velocity = jax.vmap(velocity_of_one, in_axes=(0, None, axes, None, rate_axes))
        du = velocity(u, carry.theta, seen, theta_rate, x_rate)

        voltage = jax.tree.map(lambda u, du: u + dt * du, u, du)
        theta = carry.theta if optimiser is None else eqx.apply_updates(carry.theta, updates)
        output = LeastActionOutput(voltage, du, force(energy)(u, carry.theta, seen))
        return Learner(LeastActionState(voltage, x), theta, memory), output

    return step


def _finite_difference(x: PyTree, old: PyTree, dt: float | Float[Array, ""]) -> PyTree:
    """The drive's derivative; a change of the nudging strength is a switch, not a motion."""
    rate = jax.tree.map(
        lambda new, old: (new - old) / dt if eqx.is_inexact_array(new) else None, x, old
    )
    if hasattr(x, "beta"):
        rate = eqx.tree_at(lambda x: x.beta, rate, jax.tree.map(jnp.zeros_like, x.beta))
    return rate
