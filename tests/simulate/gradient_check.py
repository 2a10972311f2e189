"""Compares derivatives of spike times with each other and with central differences.

`python -m tests.simulate.gradient_check` prints the table of docs/systems/spike-trains.md.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from plasticjax.simulate import (
    EventPropAdjoint,
    ImplicitAdjoint,
    InputSpikes,
    SpikingCircuit,
    solve_events,
)
from tests.simulate.circuits import CONFIGURATIONS, SPIKES, T_END, draw_circuit, solve

STEP = 1e-6


class Check(NamedTuple):
    spikes: int
    between_adjoints: float  # largest error over the largest entry
    to_differences: float


def check_gradients(seed, name) -> Check:
    """Checks the gradient of a random combination of all spike times by every parameter that can
    be moved to both sides."""
    given = draw_circuit(seed, **CONFIGURATIONS[name])
    trains = solve(*given)
    assert not trains.overflow
    weights = jnp.asarray(np.random.default_rng(seed).uniform(0.5, 1.5, SPIKES))
    implicit = _gradient(given, weights, ImplicitAdjoint())
    adjoint = _gradient(given, weights, EventPropAdjoint())
    scale = jnp.max(jnp.abs(implicit))

    values, rest = eqx.partition(given, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(values)
    movable = np.flatnonzero((flat != 0) & jnp.isfinite(flat))
    steps = STEP * np.eye(flat.size)[movable]
    # All rows, so that every configuration has the same shapes.
    moved = np.stack([flat + np.pad(s, ((0, flat.size - len(s)), (0, 0))) for s in (steps, -steps)])
    times, sources = _solve_all(moved, lambda x: eqx.combine(unravel(x), rest))
    same = np.all(sources == trains.sources, axis=(0, 2))[: len(movable)]
    assert same.all(), "the order of the spikes changes"
    loss = jnp.sum(jnp.where(trains.sources >= 0, weights * times, 0), axis=-1)
    differences = ((loss[0] - loss[1]) / (2 * STEP))[: len(movable)]
    return Check(
        int(jnp.sum(trains.sources >= 0)),
        float(jnp.max(jnp.abs(implicit - adjoint)) / scale),
        float(jnp.max(jnp.abs(differences - implicit[movable])) / scale),
    )


def _solve_all(moved, restore):
    trains = [_solve_many(jax.vmap(restore)(jnp.asarray(side))) for side in moved]
    return np.stack([t.times for t in trains]), np.stack([t.sources for t in trains])


@eqx.filter_jit
def _solve_many(given):
    return jax.vmap(lambda pair: solve_events(*pair, t_end=T_END, max_spikes=SPIKES))(given)


@eqx.filter_jit
def _gradient(given: tuple[SpikingCircuit, InputSpikes], weights, adjoint):
    def loss(given):
        trains = solve_events(*given, t_end=T_END, max_spikes=SPIKES, adjoint=adjoint)
        return jnp.sum(jnp.where(trains.sources >= 0, weights * trains.times, 0))

    return ravel_pytree(eqx.filter_grad(loss)(given))[0]


def main():
    print("| configuration | spikes | EventProp vs implicit | vs central differences |")
    print("|---|---|---|---|")
    with jax.enable_x64(True):
        for name in CONFIGURATIONS:
            spikes, adjoint, differences = check_gradients(1, name)
            print(f"| {name} | {spikes} | {adjoint:.0e} | {differences:.0e} |")


if __name__ == "__main__":
    main()
