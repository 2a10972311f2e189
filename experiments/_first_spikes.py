"""Training of first-spike networks, shared by the experiments on them.

Many networks are trained at once: the leading axis `runs` holds seeds, or seeds and conditions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from plasticjax.training import (
    FirstSpikeMetrics,
    FirstSpikeState,
    FirstSpikeUpdate,
    train_epoch,
)

from ._contract import Job

Forward = Callable[..., tuple[Array, ...]]


class Split(NamedTuple):
    """Spike times of the inputs [samples, inputs] and labels [samples]."""

    times: Float[Array, "samples inputs"]
    labels: Int[Array, " samples"]


class Evaluation(NamedTuple):
    """How a network does on a split: accuracy, fraction of silent neurons per layer, and mean and
    standard deviation of the spike times of each label neuron for each true class."""

    accuracy: Float[Array, ""]
    silent: Float[Array, " layers"]
    time_mean: Float[Array, "true neuron"]
    time_sd: Float[Array, "true neuron"]


class History(NamedTuple):
    """Course of training; row e of the last two is taken after e epochs."""

    loss: Float[Array, " epochs"]
    accuracy: Float[Array, " epochs"]
    bumps: Float[Array, " epochs"]
    validation: Evaluation


def spike_times(forward: Forward, weights, times, key) -> tuple[Array, ...]:
    """Spike times of all layers for all samples, in chunks that bound the memory."""
    keys = jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(times.shape[0]))
    return jax.lax.map(lambda s: forward(weights, *s, key), (times, keys), batch_size=500)


def evaluate(update: FirstSpikeUpdate, weights, split: Split, key) -> Evaluation:
    layers = spike_times(update.forward, weights, split.times, key)
    label_times = layers[-1]
    hit = jax.vmap(update.classify)(label_times) == split.labels
    fired = jnp.isfinite(label_times)
    classes = jnp.arange(label_times.shape[1])
    chosen = (split.labels[:, None] == classes)[:, :, None] & fired[:, None]
    finite = jnp.where(fired, label_times, 0)[:, None]
    mean = jnp.mean(jnp.broadcast_to(finite, chosen.shape), axis=0, where=chosen)
    sd = jnp.std(jnp.broadcast_to(finite, chosen.shape), axis=0, where=chosen)
    silent = jnp.stack([jnp.mean(jnp.isinf(times)) for times in layers])
    return Evaluation(jnp.mean(hit), silent, mean, sd)


def learning_loss(metrics: FirstSpikeMetrics) -> Float[Array, ""]:
    """Mean loss of the updates that learned, as the reference reports it; of all if none did."""
    learned = ~metrics.bumped
    return jnp.mean(metrics.loss, where=learned | ~jnp.any(learned))


def train(
    make_update: Callable[[Any], FirstSpikeUpdate],
    weights: PyTree,
    context: PyTree,
    train_split: Split,
    validation: Split,
    *,
    epochs: int,
    batch: int,
    input_noise: float = 0.0,
    keys: Key[Array, " runs"],
    job: Job,
    description: str,
    save_every: int | None = None,
) -> tuple[PyTree, History]:
    """Trains all runs for `epochs`, with progress and checkpoints.

    Args:
        make_update: builds the update of one run from its context.
        weights: initial weights, leaves [runs, post, pre].
        context: what differs between runs beside weights and keys, leaves [runs, ...].
        train_split, validation: the data, shared by all runs.
        epochs, batch: size of the training.
        input_noise: standard deviation of the noise on training inputs, drawn anew each epoch.
        keys: one key per run.
        job: shows progress, stores and restores.
        description: shown beside the progress.
        save_every: epochs between checkpoints; `None`: at most ten, and five or more checkpoints
            in a run of that many epochs.

    Returns:
        Trained weights and the history, leaves [runs, ...].
    """

    def begin(weights, context, key):
        update = make_update(context)
        first = evaluate(update, weights, validation, jax.random.fold_in(key, epochs))
        curve = jnp.full(epochs, jnp.nan, weights[0].dtype)
        rows = jax.tree.map(
            lambda leaf: jnp.full((epochs + 1, *leaf.shape), jnp.nan, leaf.dtype).at[0].set(leaf),
            first,
        )
        return update.init(weights), History(curve, curve, curve, rows)

    def one_epoch(carry, context, key, epoch):
        state, history = carry
        update = make_update(context)
        key = jax.random.fold_in(key, epoch)
        noise, order, trial = jax.random.split(key, 3)
        times = train_split.times
        if input_noise:
            times = jnp.abs(times + input_noise * jax.random.normal(noise, times.shape))
        state, metrics = train_epoch(
            update, state, times, train_split.labels, batch=batch, key=order
        )
        state = state._replace(epoch=state.epoch + 1)
        row = evaluate(update, state.weights, validation, trial)
        history = History(
            history.loss.at[epoch].set(learning_loss(metrics)),
            history.accuracy.at[epoch].set(jnp.mean(metrics.accuracy)),
            history.bumps.at[epoch].set(jnp.mean(metrics.bumped)),
            jax.tree.map(lambda rows, leaf: rows.at[epoch + 1].set(leaf), history.validation, row),
        )
        return state, history

    if save_every is None:
        save_every = min(10, max(1, epochs // 6))
    carry = jax.jit(jax.vmap(begin))(weights, context, keys)
    step = jax.jit(jax.vmap(one_epoch, in_axes=(0, 0, 0, None)), donate_argnums=0)
    restored = job.restore(carry)
    start, carry = restored if restored is not None else (0, carry)
    with job.progress(epochs, description) as bar:
        bar.advance(start)
        for epoch in range(start, epochs):
            carry = step(carry, context, keys, epoch)
            done = epoch + 1
            history = carry[1]
            bar.advance(
                loss=float(np.mean(history.loss[:, epoch])),
                validation=float(np.mean(history.validation.accuracy[:, done])),
            )
            if done % save_every == 0 and done < epochs:
                job.save(done, carry)
    state: FirstSpikeState = carry[0]
    return state.weights, jax.tree.map(np.asarray, carry[1])
