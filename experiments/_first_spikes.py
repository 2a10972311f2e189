"""Training of first-spike networks, shared by the experiments on them.

Many networks are trained at once: the leading axis `runs` holds seeds, or seeds and conditions.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from plasticjax.training import (
    FirstSpikeMetrics,
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
    return judge(update, layers, split)


def judge(update: FirstSpikeUpdate, layers: tuple[Array, ...], split: Split) -> Evaluation:
    """The evaluation of given spike times [samples, post] of all layers."""
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


class Fleet(NamedTuple):
    """Networks that train side by side on the same data.

    Leading axis of weights, context and keys: runs.
    """

    make_update: Callable[[Any], FirstSpikeUpdate]  # from the context of one run
    weights: PyTree  # initial, leaves [runs, post, pre]
    context: PyTree  # what else differs between runs, leaves [runs, ...]
    keys: Key[Array, " runs"]
    train: Split
    validation: Split
    batch: int
    input_noise: float = 0.0  # standard deviation, drawn anew for every epoch
    one_by_one: bool = False  # instead of vectorised: large networks then stay in the cache


def train(
    fleets: Sequence[Fleet],
    *,
    epochs: int,
    job: Job,
    description: str,
    save_every: int | None = None,
) -> list[tuple[PyTree, History]]:
    """Trains all fleets for `epochs`, with progress and a checkpoint every `save_every` epochs;
    left out, every ten, or five or more times in a shorter run.

    Returns:
        For each fleet the trained weights and the history, leaves [runs, ...].
    """
    if save_every is None:
        save_every = min(10, max(1, epochs // 6))
    carries = tuple(_begin(fleet, epochs) for fleet in fleets)
    steps = [_epoch_step(fleet) for fleet in fleets]
    restored = job.restore(carries)
    start, carries = restored if restored is not None else (0, carries)
    with job.progress(epochs - start, description) as bar:
        for epoch in range(start, epochs):
            carries = tuple(
                step(carry, fleet.context, fleet.keys, epoch)
                for step, carry, fleet in zip(steps, carries, fleets, strict=True)
            )
            done = epoch + 1
            history = carries[0][1]
            loss = np.asarray(history.loss[:, epoch])
            if not np.all(np.isfinite(loss)):
                raise FloatingPointError(
                    f"the loss of run {int(np.argmin(np.isfinite(loss)))} is "
                    f"{loss[np.argmin(np.isfinite(loss))]} in epoch {done}"
                )
            bar.advance(
                loss=float(loss.mean()),
                validation=float(np.mean(history.validation.accuracy[:, done])),
            )
            if done % save_every == 0 and done < epochs:
                job.save(done, carries)
    return [(state.weights, jax.tree.map(np.asarray, history)) for state, history in carries]


def _begin(fleet: Fleet, epochs: int):
    def begin(weights, context, key):
        update = fleet.make_update(context)
        first = evaluate(update, weights, fleet.validation, jax.random.fold_in(key, epochs))
        curve = jnp.full(epochs, jnp.nan, weights[0].dtype)
        rows = jax.tree.map(
            lambda leaf: jnp.full((epochs + 1, *leaf.shape), jnp.nan, leaf.dtype).at[0].set(leaf),
            first,
        )
        return update.init(weights), History(curve, curve, curve, rows)

    return jax.jit(_over_runs(begin, fleet))(fleet.weights, fleet.context, fleet.keys)


def _epoch_step(fleet: Fleet):
    def one_epoch(carry, context, key, epoch):
        state, history = carry
        update = fleet.make_update(context)
        noise, order, trial = jax.random.split(jax.random.fold_in(key, epoch), 3)
        times = fleet.train.times
        if fleet.input_noise:
            times = jnp.abs(times + fleet.input_noise * jax.random.normal(noise, times.shape))
        state, metrics = train_epoch(
            update, state, times, fleet.train.labels, batch=fleet.batch, key=order
        )
        state = state._replace(epoch=state.epoch + 1)
        row = evaluate(update, state.weights, fleet.validation, trial)
        history = History(
            history.loss.at[epoch].set(learning_loss(metrics)),
            history.accuracy.at[epoch].set(jnp.mean(metrics.accuracy)),
            history.bumps.at[epoch].set(jnp.mean(metrics.bumped)),
            jax.tree.map(lambda rows, leaf: rows.at[epoch + 1].set(leaf), history.validation, row),
        )
        return state, history

    def all_runs(carry, context, keys, epoch):
        return _over_runs(partial(one_epoch, epoch=epoch), fleet)(carry, context, keys)

    return jax.jit(all_runs, donate_argnums=0)


def _over_runs(function, fleet: Fleet):
    if fleet.one_by_one:
        return lambda *runs: jax.lax.map(lambda run: function(*run), runs)
    return jax.vmap(function)
