"""The update that trains first-spike networks: exact gradients, chopped, or a weight bump."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from ._loop import Batch
from ._spike_losses import first_spike_class, first_spike_loss

Weights = tuple[Float[Array, "_post _pre"], ...]


class FirstSpikeState(NamedTuple):
    """What a `FirstSpikeUpdate` carries.

    Attributes:
        weights: one array [post, pre] per layer.
        optimizer: state of the Adam moments.
        epoch: epochs done, scalar; sets the learning rate.
        bumped_layer: layer bumped in the preceding update, -1 for none, scalar.
        bump: size of that bump, scalar (weight).
    """

    weights: Weights
    optimizer: optax.OptState
    epoch: Int[Array, ""]
    bumped_layer: Int[Array, ""]
    bump: Float[Array, ""]


class FirstSpikeMetrics(NamedTuple):
    """What a `FirstSpikeUpdate` reports, all scalar.

    Attributes:
        loss: mean loss of the batch (dimensionless).
        accuracy: fraction of correct first spikes.
        silent: fraction of silent neurons, [layers].
        bumped: whether the update was a bump.
    """

    loss: Float[Array, ""]
    accuracy: Float[Array, ""]
    silent: Float[Array, " layers"]
    bumped: Array


class FirstSpikeUpdate(eqx.Module):
    """One training step, an `update` of `train_epoch`.

    If too many neurons of a layer are silent, the first such layer is bumped instead of learning:
    all incoming weights of its neurons that were silent for any sample grow by `bump`, which
    doubles while the same layer is bumped again in succession; the moments of Adam stay untouched.
    Otherwise the weights follow Adam along the batch mean of the exact gradients, where the weight
    gradient of a sample at a neuron is dropped if one of its entries exceeds `chop` (it diverges as
    the neuron grazes its threshold). Weights are clipped after either.
    Source: Göltz, Kriener et al. (2021), Nat. Mach. Intell. 3, 823, Methods.

    Attributes:
        forward: `(weights, inputs of one sample, sample key, batch key) -> spike times of all
            layers`, pure; the keys serve noise.
        learning_rate: epoch -> learning rate (unit of the weights), an optax schedule.
        max_silent: tolerated fraction of silent neurons per layer.
        loss: `(label times [class], label) -> scalar`.
        classify: `label times [class] -> class`.
        bump: size of a first bump (weight).
        chop: largest entry of a sample's weight gradient, batch mean included.
        weight_limit: magnitude to which weights are clipped (weight).
    """

    forward: Callable = eqx.field(static=True)
    learning_rate: optax.Schedule = eqx.field(static=True)
    max_silent: tuple[float, ...] = eqx.field(static=True)
    loss: Callable = eqx.field(static=True, default=first_spike_loss)
    classify: Callable = eqx.field(static=True, default=first_spike_class)
    bump: float = 0.0005
    chop: float = 0.2
    weight_limit: float = jnp.inf

    def init(self, weights: Weights) -> FirstSpikeState:
        """State before the first epoch.

        Args:
            weights: initial weights, one array [post, pre] per layer.

        Returns:
            The state, dimensionless counters included.
        """
        moments = optax.scale_by_adam().init(weights)
        dtype = weights[0].dtype
        epoch, none = jnp.array(0, jnp.int32), jnp.array(-1, jnp.int32)
        return FirstSpikeState(weights, moments, epoch, none, jnp.zeros((), dtype))

    def __call__(
        self, state: FirstSpikeState, batch: Batch, key: Key[Array, ""]
    ) -> tuple[FirstSpikeState, FirstSpikeMetrics]:
        """One update.

        Args:
            state: current state.
            batch: inputs [batch, inputs] (time), labels [batch] and which of them are real.
            key: random key of the batch for the noise of `forward`; sample k of the batch uses
                `fold_in(key, k)` beside it.

        Returns:
            The next state and the metrics of the batch before the update.
        """
        count = jnp.sum(batch.real)
        keys = jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(batch.real.size))

        def sample_loss(weights, inputs, label, sample_key):
            layers = self.forward(weights, inputs, sample_key, key)
            return self.loss(layers[-1], label) / count, layers

        per_sample = jax.vmap(
            jax.value_and_grad(sample_loss, has_aux=True), in_axes=(None, 0, 0, 0)
        )
        (losses, layers), gradients = per_sample(state.weights, batch.inputs, batch.targets, keys)

        gradient = tuple(chopped_sum(g, batch.real, self.chop) for g in gradients)
        learned = self._learn(state, gradient)
        silent = tuple(jnp.isinf(times) & batch.real[:, None] for times in layers)
        fractions = jnp.stack([jnp.sum(s) / (count * s.shape[1]) for s in silent])
        crowded = fractions > jnp.asarray(self.max_silent)
        bumped = self._bump(state, silent, jnp.argmax(crowded))
        bumps = jnp.any(crowded)
        new = jax.tree.map(lambda a, b: jnp.where(bumps, a, b), bumped, learned)

        hit = jax.vmap(self.classify)(layers[-1]) == batch.targets
        metrics = FirstSpikeMetrics(
            jnp.sum(jnp.where(batch.real, losses, 0)),
            jnp.sum(hit & batch.real) / count,
            fractions,
            bumps,
        )
        return new, metrics

    def _learn(self, state, gradient):
        direction, moments = optax.scale_by_adam().update(gradient, state.optimizer)
        # Schedules compute in the precision of the count; an int32 would mean single.
        rate = self.learning_rate(state.epoch.astype(state.bump.dtype))
        weights = jax.tree.map(
            lambda w, d: jnp.clip(w - rate * d, -self.weight_limit, self.weight_limit),
            state.weights,
            direction,
        )
        none = jnp.full_like(state.bumped_layer, -1)
        return state._replace(weights=weights, optimizer=moments, bumped_layer=none)

    def _bump(self, state, silent, layer):
        repeated = layer == state.bumped_layer
        size = jnp.where(repeated, 2 * state.bump, self.bump).astype(state.bump.dtype)
        weights = tuple(
            jnp.clip(
                w + size * ((k == layer) & jnp.any(s, axis=0))[:, None],
                -self.weight_limit,
                self.weight_limit,
            )
            for k, (w, s) in enumerate(zip(state.weights, silent, strict=True))
        )
        layer = layer.astype(state.bumped_layer.dtype)
        return state._replace(weights=weights, bumped_layer=layer, bump=size)


def chopped_sum(
    gradients: Float[Array, "batch post pre"], real: Array, limit: float
) -> Float[Array, "post pre"]:
    """Sum of per-sample weight gradients without the rows that are too large.

    Args:
        gradients: weight gradients of all samples, [batch, post, pre], the factor of the batch mean
            included.
        real: which samples count, [batch].
        limit: a row [pre] of a sample is dropped if one of its entries exceeds this magnitude
            (unit of the gradients).

    Returns:
        The summed gradient, [post, pre].
    """
    # A comparison with NaN is false, so a sample without a finite gradient is dropped as well.
    small = jnp.max(jnp.abs(gradients), axis=2) <= limit
    kept = small & real[:, None]
    return jnp.sum(jnp.where(kept[:, :, None], gradients, 0), axis=0)


def step_schedule(rate: float, *, every: int, factor: float) -> optax.Schedule:
    """Learning rate that is multiplied by `factor` after every `every` epochs.

    Args:
        rate: initial learning rate (unit of the weights).
        every: epochs between two steps.
        factor: factor of a step (dimensionless).

    Returns:
        A schedule epoch -> learning rate.
    """
    return optax.exponential_decay(rate, every, factor, staircase=True)
