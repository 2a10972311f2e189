"""Equilibria of an energy, differentiable by the implicit function theorem."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import PyTree

from ._operators import Energy, ForceField, force
from ._trees import minus, spread


def equilibrium(
    energy: Energy | ForceField,
    method: optx.AbstractRootFinder | optx.AbstractFixedPointSolver | None = None,
    *,
    max_steps: int = 256,
) -> Callable[[PyTree, PyTree, PyTree], PyTree]:
    """The state at which the force of an energy vanishes.

    Derivatives by the parameters and the drive follow from the implicit function theorem; the
    iterations are not unrolled.

    Args:
        energy: `(s, theta, x) -> scalar`, or a `ForceField`.
        method: an `optimistix` root finder, by default `optimistix.Newton` to
            three quarters of the digits of the state; or a fixed-point
            solver, such as `optimistix.FixedPointIteration`, which then sweeps `s <- s - dE/ds`:
            exact after one step a layer for feed-forward mismatch energies without nudging, and
            convergent if the spectral radius of `1 - d2E/ds2` is below one.
        max_steps: most iterations before the search counts as failed (dimensionless).

    Returns:
        `(s0, theta, x) -> s*` with the initial guess `s0`. It raises an error at run time if the
        search does not converge.
    """
    pull = force(energy)

    def solve(s0: PyTree, theta: PyTree, x: PyTree) -> PyTree:
        finder = _newton(s0) if method is None else method
        structure = (jax.tree.structure(s0), jax.tree.structure(pull(s0, theta, x)))
        if structure[0] != structure[1]:
            raise ValueError(
                f"s0 must be structured as the force {structure[1]}, got {structure[0]}"
            )
        search: Any
        if isinstance(finder, optx.AbstractFixedPointSolver):
            search = optx.fixed_point
            function = lambda s, args: minus(s, pull(s, *args))  # noqa: E731
        else:
            search = optx.root_find
            function = lambda s, args: pull(s, *args)  # noqa: E731
        found = search(function, finder, s0, args=(theta, x), max_steps=max_steps, throw=False)
        return eqx.error_if(
            found.value,
            found.result != optx.RESULTS.successful,
            f"equilibrium did not converge within max_steps={max_steps} iterations of "
            f"{type(finder).__name__}. Remedies: a closer s0, a smaller nudging strength beta, "
            "more max_steps, or method=optimistix.Newton(rtol, atol) if sweeps diverge because "
            "the spectral radius of 1 - d2E/ds2 is not below one",
        )

    return solve


def _newton(s0: PyTree) -> optx.Newton:
    dtype = jnp.result_type(float, *jax.tree.leaves(s0))
    tolerance = float(jnp.finfo(dtype).eps) ** 0.75
    return optx.Newton(rtol=tolerance, atol=tolerance)


def prospective_state(
    energy: Energy | ForceField,
    tau: PyTree,
    method: optx.AbstractRootFinder | optx.AbstractFixedPointSolver | None = None,
) -> Callable[[Any, PyTree, tuple[PyTree, Any]], PyTree]:
    """Latent equilibrium in continuous time: `tau ds/dt = s*(t) - s` with `dE/ds(s*) = 0`.

    The prospective voltages `s* = s + tau ds/dt` follow the drive at once, whatever `tau`
    (Haider et al. 2021, eq. 5). They are `equilibrium(energy, method)(s, theta, drive(t))`.

    Args:
        energy: `(s, theta, x) -> scalar`, or a `ForceField`.
        tau: time constant, a number or a pytree prefix of the state (ms).
        method: as in `equilibrium`; the search starts at the membrane potentials.

    Returns:
        `(t, s, (theta, drive)) -> ds/dt` for `diffrax.ODETerm`.
    """
    solve = equilibrium(energy, method)

    def field(t: Any, s: PyTree, args: tuple[PyTree, Any]) -> PyTree:
        theta, drive = args
        ahead = solve(s, theta, drive(t))
        return jax.tree.map(
            lambda goal, each, pace: (goal - each) / pace, ahead, s, spread(tau, s, "tau")
        )

    return field
