"""Gradients of a cost from the contrast of two equilibria (equilibrium propagation)."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import PyTree

from ._equilibrium import equilibrium
from ._operators import Energy, param_rule


def _set_beta(x: Any, beta: Any) -> Any:
    return eqx.tree_at(lambda x: x.beta, x, jnp.full_like(x.beta, beta))


def contrastive_gradient(
    energy: Energy,
    beta: float,
    two_sided: bool = True,
    *,
    method: optx.AbstractRootFinder | optx.AbstractFixedPointSolver | None = None,
    nudged: Callable[[Any, Any], Any] = _set_beta,
) -> Callable[[PyTree, PyTree, PyTree], PyTree]:
    """The gradient of the cost by the parameters, from nudged and free equilibria.

    `dC/dtheta = lim (dE/dtheta at +beta - dE/dtheta at -beta) / (2 beta)`, with an error of
    O(beta^2); one-sided, against the free equilibrium, O(beta) (Scellier & Bengio 2017, eq. 9;
    Laborieux et al. 2021).

    Args:
        energy: `(s, theta, x) -> scalar` that contains `beta * C`.
        beta: nudging strength, not 0 (dimensionless).
        two_sided: whether the second equilibrium is nudged by `-beta` instead of being free.
        method: as in `equilibrium`.
        nudged: `(x, beta) -> x` sets the nudging strength of a drive; by default its field `beta`.

    Returns:
        `(s0, theta, x) -> gradient`, structured as the parameters, to be minimised along
        (dimensionless).

    Raises:
        ValueError: if `beta` is 0.
    """
    if isinstance(beta, float | int) and beta == 0:
        raise ValueError("beta must not be 0: the gradient is a contrast divided by beta")
    solve, rule = equilibrium(energy, method), param_rule(energy)

    def gradient(s0: PyTree, theta: PyTree, x: PyTree) -> PyTree:
        def at(s0, beta):
            drive = nudged(x, beta)
            s = solve(s0, theta, drive)
            return s, rule(s, theta, drive)

        if two_sided:
            width, (_, low) = 2 * beta, at(s0, -beta)
            _, high = at(s0, beta)
        else:
            free, low = at(s0, 0.0)
            width, (_, high) = beta, at(free, beta)
        return jax.tree.map(lambda low, high: (low - high) / width, low, high)

    return gradient
