"""Generalised latent equilibrium in continuous time."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optimistix as optx
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from ._equilibrium import equilibrium
from ._mismatch import AbstractMismatchEnergy
from ._operators import ForceField
from ._trees import spread

State = PyTree[Float[Array, "..."]]
Method = optx.AbstractRootFinder | optx.AbstractFixedPointSolver


class DoubleProspectiveSignals(eqx.Module):
    """What neurons and their error neurons signal at one instant.

    Attributes:
        soma: prospective voltages `u + tau_m du/dt`, leaves [neurons] as all of these
            (dimensionless).
        sent: prospective voltages `c = u + tau_r du/dt`, which the rates follow (dimensionless).
        rate: rates sent (dimensionless).
        pull: what the error neurons receive, `-dE/dc` (dimensionless).
        error: prospective errors `dE/da = v + tau_m dv/dt` (dimensionless).
    """

    soma: State
    sent: State
    rate: State
    pull: State
    error: State


def double_prospective(
    energy: AbstractMismatchEnergy,
    tau_m: PyTree,
    tau_r: PyTree,
    gamma: PyTree = 1.0,
    method: Method | None = None,
) -> Callable[[Any, tuple[State, State], tuple[PyTree, Any]], tuple[State, State]]:
    """Generalised latent equilibrium: an energy whose two prospective voltages filter its forces.

    With `a = u + tau_m du/dt`, `c = u + tau_r du/dt` and `I(tau)` the low-pass filter with time
    constant `tau`, `I(tau_m){dE/da} + I(tau_r){dE/dc} = 0` (Ellenberger et al. 2025, eq. 5). The
    filtered forces are the voltages `v` of error neurons: `tau_r dv/dt = -v - dE/dc` and
    `v + tau_m dv/dt = dE/da`. At every instant the prospective voltages and errors solve these
    equations together; their derivatives follow from the implicit function theorem.

    Args:
        energy: a mismatch energy of one sample; `jax.vmap` the vector field over samples.
        tau_m: membrane time constant, a number, an array or a pytree prefix of the state (ms).
        tau_r: prospective time constant, like `tau_m` (ms). Where both are equal the neurons
            respond at once, and their errors are those of backpropagation.
        gamma: strength with which errors enter the soma, a number or a pytree prefix of the state
            (dimensionless): `u + tau_m du/dt = I(rates) + gamma error`. 1 is the energy's.
        method: as in `equilibrium`. A fixed-point solver is exact after twice as many sweeps as
            there are layers for feed-forward networks with `gamma=0`.

    Returns:
        `(t, (u, v), (theta, drive)) -> (du/dt, dv/dt)` for `diffrax.ODETerm`. At rest `u` and `v`
        are zero. It raises an error at run time if no solution is found.

    Raises:
        ValueError: if a time constant is not positive, or `energy` is no mismatch energy.
    """
    signals = double_prospective_signals(energy, tau_m, tau_r, gamma, method)

    def field(t: Any, y: tuple[State, State], args: tuple[PyTree, Any]) -> tuple[State, State]:
        u, v = y
        now = signals(t, y, args)
        return (
            jax.tree.map(lambda a, u, tau: (a - u) / tau, now.soma, u, spread(tau_m, u, "tau_m")),
            jax.tree.map(lambda d, v, tau: (d - v) / tau, now.pull, v, spread(tau_r, u, "tau_r")),
        )

    return field


def double_prospective_signals(
    energy: AbstractMismatchEnergy,
    tau_m: PyTree,
    tau_r: PyTree,
    gamma: PyTree = 1.0,
    method: Method | None = None,
) -> Callable[[Any, tuple[State, State], tuple[PyTree, Any]], DoubleProspectiveSignals]:
    """Rates and errors along a trajectory of `double_prospective`.

    The plasticity of generalised latent equilibrium follows from them: parameters change along
    `-d/dtheta energy.split(I + error, sent, theta, x)`, and `tau_m` along `-error du/dt`.

    Args:
        energy: as in `double_prospective`.
        tau_m: as in `double_prospective` (ms).
        tau_r: as in `double_prospective` (ms).
        gamma: as in `double_prospective` (dimensionless).
        method: as in `double_prospective`.

    Returns:
        `(t, (u, v), (theta, drive)) -> DoubleProspectiveSignals`; `jax.vmap` it over a trajectory.

    Raises:
        ValueError: if a time constant is not positive, or `energy` is no mismatch energy.
    """
    _check(energy, tau_m, tau_r)
    forces = jax.grad(energy.split, argnums=(0, 1))

    def sent(soma: State, u: State) -> State:
        return jax.tree.map(
            lambda a, u, slow, fast: u + (fast / slow) * (a - u),
            soma,
            u,
            spread(tau_m, u, "tau_m"),
            spread(tau_r, u, "tau_r"),
        )

    def both_forces(soma, error, u, theta, x):
        # The soma takes gamma of the error; the energy's own voltage takes all of it.
        received = jax.tree.map(
            lambda a, e, g: a + (1 - g) * e, soma, error, spread(gamma, u, "gamma")
        )
        return forces(received, sent(soma, u), theta, x)

    def imbalance(unknown, args, x):
        (soma, error), (u, v, theta) = unknown, args
        by_a, by_c = both_forces(soma, error, u, theta, x)
        slow, fast = spread(tau_m, u, "tau_m"), spread(tau_r, u, "tau_r")
        return (
            jax.tree.map(lambda f, e: f - e, by_a, error),
            jax.tree.map(
                lambda e, v, f, slow, fast: e - v - (slow / fast) * (-f - v),
                error,
                v,
                by_c,
                slow,
                fast,
            ),
        )

    solve = equilibrium(ForceField(imbalance), method)

    def signals(
        t: Any, y: tuple[State, State], args: tuple[PyTree, Any]
    ) -> DoubleProspectiveSignals:
        (u, v), (theta, drive) = y, args
        x = drive(t)
        soma, error = solve((u, v), (u, v, theta), x)
        _, by_c = both_forces(soma, error, u, theta, x)
        c = sent(soma, u)
        pull = jax.tree.map(lambda f: -f, by_c)
        return DoubleProspectiveSignals(soma, c, energy.rates(c), pull, error)

    return signals


def _check(energy, tau_m, tau_r) -> None:
    if not isinstance(energy, AbstractMismatchEnergy):
        raise ValueError(
            f"energy must be a mismatch energy (MismatchEnergy), which tells received from sent "
            f"voltages, got {type(energy).__name__}"
        )
    for name, times in (("tau_m", tau_m), ("tau_r", tau_r)):
        for tau in jax.tree.leaves(times):
            if not isinstance(tau, Tracer) and not np.min(tau) > 0:
                raise ValueError(f"{name} must be positive times in ms, got {np.min(tau)}")
