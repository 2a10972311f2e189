"""The classifier of Gardner & Grüning (2021) by the first spike, on recordings of a camera.

Stochastic hidden neurons; ten label neurons without noise, of which the first to fire decides. The
rule is that of `latency_gradient`, its steps are those of RMSprop, and synaptic scaling keeps
neurons from silence and from firing too often.
"""

from functools import partial
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, PyTree

from plasticjax.models import EscapeNoiseLayer, LatencyNetwork, crossing_steps, latency_factors
from plasticjax.training import Batch, synaptic_scaling, train_epoch

from . import _camera_recordings as camera
from ._contract import Job


class Setting(camera.Setting, Protocol):
    """What the configuration of the experiment says about this classifier."""

    @property
    def epochs(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def nu(self) -> float: ...
    @property
    def first_weights(self) -> tuple[float, float]: ...
    @property
    def label_weights(self) -> tuple[float, float]: ...
    @property
    def latency_rates(self) -> tuple[float, float]: ...
    @property
    def scaling(self) -> float: ...
    @property
    def most_spikes(self) -> float: ...


class Weights(NamedTuple):
    hidden: Float[Array, "hidden channels"]
    readout: Float[Array, "classes hidden"]


class State(NamedTuple):
    weights: Weights  # leaves [seeds, ...]
    optimiser: PyTree
    history: Float[Array, "epochs two seeds"]


def train(
    config: Setting,
    keys: Key[Array, " seeds"],
    seen: camera.Recordings,
    fresh: camera.Recordings,
    job: Job,
) -> Float[np.ndarray, "two epochs seeds"]:
    """Accuracy (%) on fresh recordings after each epoch, and the spikes of a hidden neuron."""
    optimisers = [optax.rmsprop(rate) for rate in config.latency_rates]

    def start(key):
        weights = initial(config, seen.rasters.shape[2], jax.random.fold_in(key, 0))
        return weights, [o.init(w) for o, w in zip(optimisers, weights, strict=True)]

    def one_epoch(epoch, seen, fresh, carry, key):
        def update(carry, batch: Batch, key):
            weights, states = carry
            change, scaled = mean_change(config, weights, batch, key)
            steps = [o.update(c, s) for o, c, s in zip(optimisers, change, states, strict=True)]
            moved = [w + u + g for w, (u, _), g in zip(weights, steps, scaled, strict=True)]
            return (Weights(*moved), [state for _, state in steps]), None

        order_key, test_key = jax.random.split(jax.random.fold_in(key, 1 + epoch))
        carry, _ = train_epoch(update, carry, *seen, batch=config.batch, key=order_key)
        return carry, measure(config, carry[0], fresh, test_key)

    @partial(jax.jit, donate_argnums=0)
    def advance(state: State, epoch, seen, fresh) -> State:
        pair = (state.weights, state.optimiser)
        (weights, optimiser), numbers = jax.lax.map(
            lambda given: one_epoch(epoch, seen, fresh, *given), (pair, keys)
        )
        return State(weights, optimiser, state.history.at[epoch].set(numbers.T))

    weights, optimiser = jax.vmap(start)(keys)
    blank = jnp.full((config.epochs, 2, len(keys)), jnp.nan, config.dtype)
    state = State(weights, optimiser, blank)
    done, state = job.restore(state) or (0, state)
    with job.progress(config.epochs, "latency, epochs") as bar:
        bar.advance(done)
        for epoch in range(done, config.epochs):
            state = advance(state, epoch, seen, fresh)
            bar.advance(1, accuracy=float(state.history[epoch, 0].mean()))
            job.save(epoch + 1, state)
    return np.moveaxis(np.asarray(state.history), 1, 0)


def initial(config: Setting, channels: int, key: Key[Array, ""]) -> Weights:
    below, above = jax.random.split(key)
    shapes = ((config.hidden, channels), (10, config.hidden))
    draws = (
        jax.random.normal(k, s, config.dtype) for k, s in zip((below, above), shapes, strict=True)
    )
    kinds = (config.first_weights, config.label_weights)
    return Weights(*(mean + sd * draw for (mean, sd), draw in zip(kinds, draws, strict=True)))


def network(config: Setting, weights: Weights) -> LatencyNetwork:
    return LatencyNetwork(
        EscapeNoiseLayer(weights.hidden, dt=float(config.bin_ms)), weights.readout
    )


def mean_change(config: Setting, weights: Weights, batch: Batch, key: Key[Array, ""]):
    """Means over a batch: what the rule takes away, and what synaptic scaling adds."""
    net = network(config, weights)
    rasters = batch.inputs.astype(config.dtype)

    def one(raster, label, key):
        trace = net(raster, key=key)
        factors = latency_factors(net, trace, label, nu=config.nu)
        fired = jnp.isfinite(crossing_steps(trace.potential, net.hidden.threshold))
        return factors, (trace.hidden.spikes.sum(axis=0), fired.astype(config.dtype))

    def mean_scaling(weights, counts, most):
        # Of weights of 1; the change is in proportion to their size.
        scale = partial(synaptic_scaling, lower=1.0, upper=most, rate=config.scaling)
        signs = jax.vmap(scale, (None, 0))(jnp.ones((len(weights), 1), weights.dtype), counts)
        return signs.mean(axis=0) * jnp.abs(weights)

    keys = jax.random.split(key, len(batch.targets))
    factors, counts = jax.vmap(one)(rasters, batch.targets, keys)
    by_hidden = jnp.einsum("btj,btl->jl", factors.eligible, rasters) / len(rasters)
    most = (config.most_spikes, jnp.inf)
    scaled = Weights(*map(mean_scaling, weights, counts, most))
    return Weights(by_hidden, factors.readout.mean(axis=0)), scaled


def measure(config: Setting, weights: Weights, fresh: camera.Recordings, key: Key[Array, ""]):
    """Accuracy (%) and spikes of a hidden neuron; without any first spike an answer is wrong."""
    net = network(config, weights)

    def one(raster, label, key):
        trace = net(raster, key=key)
        first = crossing_steps(trace.potential, net.hidden.threshold)
        hit = (jnp.argmin(first) == label) & jnp.isfinite(jnp.min(first))
        return jnp.stack([100.0 * hit, trace.hidden.spikes.sum(axis=0).mean()])

    def chunk(rasters, labels, real, number):
        keys = jax.random.split(jax.random.fold_in(key, number), len(labels))
        return jnp.sum(jnp.where(real[:, None], jax.vmap(one)(rasters, labels, keys), 0), axis=0)

    return camera.mean_over_chunks(chunk, fresh, config.dtype)
