"""Presentations of samples to a network in latent equilibrium: learning, tests, homeostasis.

Protocols that differ in `Numbers` only share one compiled program.
"""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from plasticjax.energy import (
    BatchEnergy,
    Learner,
    MismatchEnergy,
    Stimulus,
    feed_forward,
    hard_sigmoid,
    latent_equilibrium_step,
    linear,
    local_rates,
    rate_cost,
)
from plasticjax.models import PooledConvolution

SETTLED = 1e-6  # ms
PASSES = 100  # of homeostasis through the samples, at most


class Split(NamedTuple):
    """Inputs [samples, ...], targets [samples, outputs] and labels [samples]."""

    inputs: Float[Array, "samples ..."]
    targets: Float[Array, "samples outputs"]
    labels: Int[Array, " samples"]


class Kind(NamedTuple):
    """What is compiled into a presentation."""

    batch: int  # samples side by side
    beta: float  # nudging strength
    factors: tuple[float, ...]  # learning rate of each layer
    errors_from: str
    shuffle: bool
    rate_noise: float  # standard deviation


class Numbers(NamedTuple):
    """What presentations differ in without being compiled anew; times in ms."""

    tau_m: PyTree
    tau_r: PyTree
    dt: Float[Array, ""]
    synaptic_tau: Float[Array, ""] | None
    steps: Int[Array, ""]  # Euler steps a presentation
    rate: Float[Array, ""]  # learning rate of a step


class Network(NamedTuple):
    """Neurons and weights, the weights that errors take if these are others, and numbers."""

    learner: Learner
    feedback: PyTree | None
    numbers: Numbers


def hits(
    outputs: Float[Array, "samples outputs"], labels: Int[Array, " samples"]
) -> Bool[Array, " samples"]:
    """Largest output, or for a single output whether it exceeds one half."""
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > 0.5) == (labels == 1)
    return jnp.argmax(outputs, axis=1) == labels


def energy_of(layers) -> BatchEnergy:
    """Hard sigmoid in the hidden layers, linear outputs, squared error of the output rates."""
    activations = (hard_sigmoid,) * (len(layers) - 1) + (linear,)
    return BatchEnergy(MismatchEnergy(activations, feed_forward, rate_cost))


def optimiser_of(kind: Kind, rate, layers, s: PyTree) -> optax.GradientTransformation:
    """The local rule with the learning rate of a step, times the factor of each layer."""
    if len(kind.factors) != len(layers):
        raise ValueError(
            f"factors={kind.factors} must have one entry for each of {len(layers)} layers"
        )
    return local_rates(
        tuple(
            rates_of(layer, rate * factor, state)
            for layer, factor, state in zip(layers, kind.factors, s, strict=True)
        )
    )


def rates_of(layer, rate, state):
    """The bias of a convolution learns with the mean error over positions, not the sum."""
    if not isinstance(layer, PooledConvolution):
        return rate
    positions = int(np.prod(state.shape[-2:]))
    rates = jax.tree.map(lambda _: rate, eqx.filter(layer, eqx.is_inexact_array))
    return eqx.tree_at(lambda rates: rates.convolution.bias, rates, rate / positions)


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def learn(kind: Kind, networks: Network, keys, split: Split, epoch) -> Network:
    """One epoch of every seed, one seed after the other."""
    return jax.lax.map(lambda one: _learn(kind, one[0], one[1], split, epoch), (networks, keys))


@partial(jax.jit, static_argnums=0)
def judge(
    kind: Kind, networks: Network, keys, split: Split, salt
) -> tuple[Network, Float[Array, " seeds"]]:
    """Accuracy of every seed without nudging; neurons keep the state that they end in."""
    return jax.lax.map(lambda one: _judge(kind, one[0], one[1], split, salt), (networks, keys))


@partial(jax.jit, static_argnums=0)
def equalise(kind: Kind, network: Network, split: Split, rate) -> Network:
    """Homeostasis of the membrane time constants, until a pass through the samples changes their
    mean distance from the prospective ones by less than `SETTLED`; all layers at once."""

    def again(state):
        _, _, change, passes = state
        return (change > SETTLED) & (passes < PASSES)

    def once(state):
        network, before, _, passes = state
        network = equalise_once(kind, network, split, rate)
        after = _distance(network.numbers)
        return network, after, jnp.abs(after - before), passes + 1

    begin = (network, _distance(network.numbers), jnp.asarray(jnp.inf, rate.dtype), 0)
    numbers = jax.lax.while_loop(again, once, begin)[0].numbers
    return network._replace(numbers=numbers)


def equalise_once(kind: Kind, network: Network, split: Split, rate) -> Network:
    """One pass: membrane time constants move along `(ub - I) du/dt`, which is
    `(tau_r - tau_m) (du/dt)^2` as long as there is no error."""
    batches = len(split.labels) // kind.batch
    inputs = split.inputs[: batches * kind.batch]
    targets, off = split.targets[: kind.batch], jnp.zeros((), inputs.dtype)

    def one(network, inputs):
        def advance(_, network):
            step = _step(kind, network, plastic=False)
            x = Stimulus(inputs, targets, off)
            carry, seen = step(network.learner, _instant(kind, x, None, 0))
            tau_m = jax.tree.map(
                lambda tau, ahead, current, velocity: (
                    tau + rate * jnp.mean((ahead - current) * velocity, axis=0)
                ),
                network.numbers.tau_m,
                seen.neurons.prospective,
                seen.current,
                seen.velocity,
            )
            numbers = network.numbers._replace(tau_m=tau_m)
            return network._replace(learner=carry, numbers=numbers)

        return jax.lax.fori_loop(0, 10, advance, network), None

    inputs = inputs.reshape(batches, kind.batch, *inputs.shape[1:])
    return jax.lax.scan(one, network, inputs)[0]


def _distance(numbers: Numbers) -> Float[Array, ""]:
    gaps = jax.tree.map(lambda slow, fast: jnp.abs(slow - fast), numbers.tau_m, numbers.tau_r)
    return jnp.mean(jnp.concatenate([jnp.ravel(gap) for gap in jax.tree.leaves(gaps)]))


def _step(kind: Kind, network: Network, *, plastic: bool):
    carry, numbers = network.learner, network.numbers
    layers, s = carry.theta, carry.neurons.membrane
    return latent_equilibrium_step(
        energy_of(layers),
        tau_m=numbers.tau_m,
        tau_r=numbers.tau_r,
        dt=numbers.dt,
        optimiser=optimiser_of(kind, numbers.rate, layers, s) if plastic else None,
        feedback=network.feedback,
        errors_from=kind.errors_from,  # pyright: ignore[reportArgumentType]
        rate_noise=kind.rate_noise,
        synaptic_tau=numbers.synaptic_tau,
    )


def _instant(kind: Kind, x: Stimulus, key, index) -> Any:
    return (x, jax.random.fold_in(key, index)) if kind.rate_noise else x


def _present(kind: Kind, numbers: Numbers, step, carry: Learner, arrived, x: Stimulus, key):
    """With filters the target arrives through a low-pass as slow as those of all layers.

    Returns the carry, and the target as it has `arrived` [samples, outputs]."""

    def advance(index, state):
        carry, arrived = state
        if numbers.synaptic_tau is None:
            arrived = x.target
        else:
            slowness = len(carry.theta) * numbers.synaptic_tau
            arrived += (x.target - arrived) * numbers.dt / slowness
        now = Stimulus(x.input, arrived, x.beta)
        return step(carry, _instant(kind, now, key, index))[0], arrived

    return jax.lax.fori_loop(0, numbers.steps, advance, (carry, arrived))


def _learn(kind: Kind, network: Network, key: Key[Array, ""], split: Split, epoch) -> Network:
    step = _step(kind, network, plastic=True)
    key = jax.random.fold_in(key, epoch)
    batches = len(split.labels) // kind.batch
    order = jnp.arange(len(split.labels))
    if kind.shuffle:
        order = jax.random.permutation(key, order)
    order = order[: batches * kind.batch].reshape(batches, -1)
    beta = jnp.asarray(kind.beta, split.inputs.dtype)

    def one(state, visit):
        (carry, arrived), (index, picked) = state, visit
        x = Stimulus(split.inputs[picked], split.targets[picked], beta)
        inner = jax.random.fold_in(key, index)
        return _present(kind, network.numbers, step, carry, arrived, x, inner), None

    begin = network.learner, jnp.zeros_like(split.targets[: kind.batch])
    (carry, _), _ = jax.lax.scan(one, begin, (jnp.arange(batches), order))
    return network._replace(learner=carry)


def _judge(kind: Kind, network: Network, key: Key[Array, ""], split: Split, salt):
    step = _step(kind, network, plastic=False)
    batches = len(split.labels) // kind.batch
    used = batches * kind.batch
    inputs, targets, labels = jax.tree.map(
        lambda leaf: leaf[:used].reshape(batches, kind.batch, *leaf.shape[1:]), split
    )
    off = jnp.zeros((), inputs.dtype)
    key = jax.random.fold_in(key, salt)

    def one(carry, visit):
        index, inputs, targets, labels = visit
        x, inner = Stimulus(inputs, targets, off), jax.random.fold_in(key, index)
        carry, _ = _present(kind, network.numbers, step, carry, targets, x, inner)
        outputs = carry.neurons.rate[-1]
        correct = jnp.mean(hits(outputs, labels), dtype=inputs.dtype)
        return carry, jnp.where(jnp.all(jnp.isfinite(outputs)), correct, jnp.nan)

    visits = (jnp.arange(batches), inputs, targets, labels)
    carry, correct = jax.lax.scan(one, network.learner, visits)
    return network._replace(learner=carry), jnp.mean(correct)
