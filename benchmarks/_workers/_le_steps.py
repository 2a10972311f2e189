"""A training step of latent equilibrium: derived from the energy, by hand, and its products only.

All three start from the weights of a case and have the form `carry -> carry`. Input and targets
are fixed during a presentation.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from plasticjax.energy import (
    BatchEnergy,
    MismatchEnergy,
    Stimulus,
    at_rest,
    feed_forward,
    hard_sigmoid,
    latent_equilibrium_step,
    learner,
    linear,
    local_rates,
    rate_cost,
)

TAU, DT, BETA = 20.0, 0.01, 0.1  # ms, ms, 1: the published MNIST simulations


class Variant(NamedTuple):
    """One way to take a step.

    Attributes:
        step: `carry -> carry`.
        start: the first carry.
        weights: maps a carry to its weights, one [pre, post] a layer.
    """

    step: Callable[[Any], Any]
    start: Any
    weights: Callable[[Any], Sequence[jax.Array]]


def linears(weights, biases) -> tuple[eqx.nn.Linear, ...]:
    """Layers with given weights [pre, post] and biases."""
    layers = []
    for weight, bias in zip(weights, biases, strict=True):
        empty = eqx.nn.Linear(*weight.shape, key=jax.random.key(0))
        leaves = lambda layer: (layer.weight, layer.bias)  # noqa: E731
        layers.append(eqx.tree_at(leaves, empty, (weight.T, bias)))
    return tuple(layers)


def from_energy(x, y, weights, biases, rates) -> Variant:
    """The step that plasticjax derives from the energy."""
    activations = (hard_sigmoid,) * (len(weights) - 1) + (linear,)
    energy = BatchEnergy(MismatchEnergy(activations, feed_forward, rate_cost))
    optimiser = local_rates(tuple(rates))
    step = latent_equilibrium_step(energy, tau_m=TAU, dt=DT, optimiser=optimiser)
    stimulus = Stimulus(x, y, jnp.asarray(BETA, x.dtype))
    start = learner(at_rest(_zeros(x, weights)), linears(weights, biases), optimiser)
    return Variant(
        lambda carry: step(carry, stimulus)[0],
        start,
        lambda carry: [layer.weight.T for layer in carry.theta],
    )


def by_hand(x, y, weights, biases, rates) -> Variant:
    """The same step as a JAX programmer would write it, without autodiff.

    With equal time constants the prospective voltage is current plus error, so that it needs no
    membrane potential.
    """
    batch = x.shape[0]

    def step(carry):
        weights, biases, rate, slope, error = carry
        below = (x, *rate[:-1])
        ahead = [r @ w + b + e for r, w, b, e in zip(below, weights, biases, error, strict=True)]
        above = zip(slope[:-1], error[1:], weights[1:], strict=True)
        error = (
            *(s * (e @ w.T) for s, e, w in above),
            BETA * slope[-1] * (y - rate[-1]),
        )
        moves = list(zip(below, error, rates, strict=True))
        weights = tuple(
            w + (eta / batch) * (r.T @ e) for w, (r, e, eta) in zip(weights, moves, strict=True)
        )
        biases = tuple(
            b + (eta / batch) * e.sum(0) for b, (_, e, eta) in zip(biases, moves, strict=True)
        )
        hidden = ahead[:-1]
        rate = (*(jnp.clip(u, 0, 1) for u in hidden), ahead[-1])
        slope = (
            *(((u >= 0) & (u <= 1)).astype(u.dtype) for u in hidden),
            jnp.ones_like(ahead[-1]),
        )
        return weights, biases, rate, slope, error

    zeros = _zeros(x, weights)
    return Variant(step, (weights, biases, zeros, zeros, zeros), lambda carry: carry[0])


def products_only(x, y, weights, biases, rates) -> Variant:
    """The matrix products of a step: currents, errors sent down, changes of the weights."""

    def step(carry):
        weights, forward, backward = carry
        below = (x, *forward[:-1])
        changes = [r.T @ e for r, e in zip(below, backward, strict=True)]
        forward = tuple(r @ w for r, w in zip(below, weights, strict=True))
        down = (e @ w.T for e, w in zip(backward[1:], weights[1:], strict=True))
        backward = (*down, backward[-1])
        weights = tuple(w + 1e-9 * change for w, change in zip(weights, changes, strict=True))
        return weights, forward, backward

    ones = tuple(1e-3 + each for each in _zeros(x, weights))
    return Variant(step, (weights, ones, ones), lambda carry: carry[0])


VARIANTS = {"plasticjax": from_energy, "hand": by_hand, "products": products_only}


def product_flops(sizes: Sequence[int], batch: int) -> float:
    """Floating-point operations of the matrix products of one step."""
    synapses = [pre * post for pre, post in itertools.pairwise(sizes)]
    return 2.0 * batch * (3 * sum(synapses) - synapses[0])  # no errors travel to the input


def _zeros(x, weights):
    return tuple(jnp.zeros((x.shape[0], weight.shape[1]), x.dtype) for weight in weights)
