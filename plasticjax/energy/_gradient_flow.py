"""Gradient flow: neurons that slide down their energy."""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import PyTree

from ._operators import Energy, ForceField, force
from ._trees import spread


def gradient_flow(
    energy: Energy | ForceField,
    tau: PyTree,
    metric: Callable[[PyTree, PyTree], PyTree] | None = None,
) -> Callable[[Any, PyTree, tuple[PyTree, Any]], PyTree]:
    """The vector field `tau ds/dt = -M(s) dE/ds`.

    Args:
        energy: `(s, theta, x) -> scalar`, or a `ForceField`.
        tau: time constant, a number or a pytree prefix of the state (ms).
        metric: `(s, f) -> M(s) f` with positive definite M; by default the identity.

    Returns:
        `(t, s, (theta, drive)) -> ds/dt` for `diffrax.ODETerm`, where `drive(t)` is the argument
        `x` of the energy.
    """
    pull = force(energy)

    def field(t: Any, s: PyTree, args: tuple[PyTree, Any]) -> PyTree:
        theta, drive = args
        descent = pull(s, theta, drive(t))
        if metric is not None:
            descent = metric(s, descent)
        return jax.tree.map(lambda f, each: -f / each, descent, spread(tau, s, "tau"))

    return field
