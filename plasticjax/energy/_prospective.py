"""The Euler-Lagrange equations in look-ahead coordinates (neuronal least action)."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import PyTree

from ._curvature import AbstractCurvatureSolver, DenseCurvature
from ._drive import drive_and_rate
from ._operators import Energy, ForceField, force, param_rule
from ._trees import spread


def prospective(
    energy: Energy | ForceField,
    tau: PyTree,
    solver: AbstractCurvatureSolver | lx.AbstractLinearSolver | None = None,
    *,
    plasticity: Callable[[PyTree], PyTree] | None = None,
    damping: float = 0.0,
) -> Callable[[Any, PyTree, Any], PyTree]:
    """The vector field `(1 + tau d/dt) dE/ds = 0`, solved for `ds/dt`.

    With `f = dE/ds`, `H = df/ds` and `f_t` the change of `f` at fixed state it is `tau H ds/dt =
    -f - tau f_t` (Senn et al. 2024, eq. 7; derivation in sheet 00), so `f` decays as
    `exp(-t/tau)` for every drive, and a state with `f = 0` stays at the moving minimum.

    Args:
        energy: `(s, theta, x) -> scalar`, or a `ForceField`.
        tau: time constant, a number or a pytree prefix of the state (ms).
        solver: how `H v = b` is solved: a `lineax` solver, or a curvature solver such as
            `LayeredCurvature`. By default a Cholesky factorisation for an energy and an LU
            factorisation for a force field.
        plasticity: if given, the parameters move along with the neurons: a function from
            `param_rule` to their rate of change, such as `lambda rule: scale * rule` (per ms).
        damping: a number added to the diagonal of `H` (dimensionless); `f` then decays only
            approximately.

    Returns:
        `(t, s, (theta, drive)) -> ds/dt` for `diffrax.ODETerm`; with `plasticity`,
        `(t, (s, theta), drive) -> (ds/dt, dtheta/dt)`. It raises a TypeError if the drive
        cannot be differentiated, and at run time an error if `H` is singular or, for Cholesky
        and conjugate gradients, not positive definite.
    """
    velocity = look_ahead(energy, tau, solver, damping)
    if plasticity is None:
        return _field(velocity)
    if isinstance(energy, ForceField):
        raise ValueError("plasticity needs an energy, got a ForceField, which has no param_rule")
    rule = param_rule(energy)

    def field(t: Any, y: tuple[PyTree, PyTree], drive: Any) -> tuple[PyTree, PyTree]:
        s, theta = y
        x, x_rate = drive_and_rate(drive, t)
        theta_rate = plasticity(rule(s, theta, x))
        return velocity(s, theta, x, theta_rate, x_rate), _filled(theta_rate, theta)

    return field


def _field(velocity: Callable[..., PyTree]) -> Callable[[Any, PyTree, Any], PyTree]:
    def field(t: Any, s: PyTree, args: tuple[PyTree, Any]) -> PyTree:
        theta, drive = args
        x, x_rate = drive_and_rate(drive, t)
        return velocity(s, theta, x, None, x_rate)

    return field


def look_ahead(
    energy: Energy | ForceField,
    tau: PyTree,
    solver: AbstractCurvatureSolver | lx.AbstractLinearSolver | None,
    damping: float = 0.0,
) -> Callable[[PyTree, PyTree, PyTree, PyTree | None, PyTree], PyTree]:
    """`(s, theta, x, dtheta/dt, dx/dt) -> ds/dt` of the look-ahead dynamics."""
    pull = force(energy)
    symmetric = not isinstance(energy, ForceField)
    curvature = _curvature_solver(solver, symmetric)

    def velocity(s, theta, x, theta_rate, x_rate):
        moves = eqx.is_inexact_array if theta_rate is not None else (lambda _: False)
        moving, still = eqx.partition(theta, moves)
        x_moving, x_still = eqx.partition(x, eqx.is_inexact_array)
        x_rate = jax.tree.map(
            lambda leaf, rate: rate if eqx.is_inexact_array(leaf) else None, x, x_rate
        )
        f, f_t = jax.jvp(
            lambda theta, x: pull(s, eqx.combine(theta, still), eqx.combine(x, x_still)),
            (moving, x_moving),
            (moving if theta_rate is None else theta_rate, x_rate),
        )
        pace = spread(tau, s, "tau")
        target = jax.tree.map(lambda f, f_t, each: -f / each - f_t, f, f_t, pace)
        return curvature(energy, s, theta, x, target, damping)

    return velocity


def _filled(rates: PyTree, theta: PyTree) -> PyTree:
    """Rates of change with zeros where a parameter does not move."""
    return jax.tree.map(
        lambda rate, leaf: jnp.zeros_like(leaf) if rate is None else rate,
        rates,
        theta,
        is_leaf=lambda leaf: leaf is None,
    )


def _curvature_solver(solver, symmetric: bool) -> AbstractCurvatureSolver:
    if isinstance(solver, AbstractCurvatureSolver):
        return solver
    if solver is None:
        solver = lx.Cholesky() if symmetric else lx.LU()
    if not symmetric and isinstance(solver, lx.CG | lx.Cholesky):
        raise ValueError(
            f"solver must not need a symmetric matrix for a ForceField, got {solver}; use "
            "lineax.LU() or lineax.GMRES(rtol, atol)"
        )
    return DenseCurvature(solver)
