"""Minibatch training as one compiled scan."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key, PyTree

State = TypeVar("State")


class Batch(NamedTuple):
    """A minibatch.

    Attributes:
        inputs: pytree of arrays [batch, ...].
        targets: pytree of arrays [batch, ...].
        real: which samples count, [batch]; the last batch of an epoch is filled up with others.
    """

    inputs: PyTree
    targets: PyTree
    real: Bool[Array, " batch"]


def train_epoch(
    update: Callable[[State, Batch, Key[Array, ""]], tuple[State, Any]],
    state: State,
    inputs: PyTree,
    targets: PyTree,
    *,
    batch: int,
    key: Key[Array, ""],
) -> tuple[State, Any]:
    """One pass over shuffled data, all of it a `lax.scan`; `vmap` it over states and keys to train
    many seeds at once on the same data.

    Args:
        update: `(state, Batch, key) -> (state, metrics)`, pure.
        state: parameters, optimiser state and whatever else `update` carries.
        inputs: pytree of arrays [samples, ...].
        targets: pytree of arrays [samples, ...].
        batch: samples per update; the last update of the epoch may see fewer real ones.
        key: random key for the order of the samples and the updates.

    Returns:
        The new state, and the metrics of all updates stacked along a leading axis [updates], in
        the units that `update` uses.

    Raises:
        ValueError: if `batch` is not between 1 and the number of samples.
    """
    samples = jax.tree.leaves(inputs)[0].shape[0]
    if not 1 <= batch <= samples:
        raise ValueError(f"batch={batch} must lie between 1 and the {samples} samples")
    updates = -(-samples // batch)
    shuffle, noise = jax.random.split(key)
    order = jnp.resize(jax.random.permutation(shuffle, samples), (updates, batch))
    real = jnp.arange(updates * batch).reshape(updates, batch) < samples

    def step(state, visit):
        index, picked, counts = visit
        seen, wanted = jax.tree.map(lambda leaf: leaf[picked], (inputs, targets))
        return update(state, Batch(seen, wanted, counts), jax.random.fold_in(noise, index))

    return jax.lax.scan(step, state, (jnp.arange(updates), order, real))
