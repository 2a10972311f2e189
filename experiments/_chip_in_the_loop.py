"""First-spike networks on an imperfect substrate, and the update that trains them in the loop.

The forward pass is that of the substrate: 6-bit weights, its own thresholds and gains, jitter. The
backward pass is that of the ideal model at the times that were measured.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from plasticjax.hardware import measured
from plasticjax.models import AnalogChip
from plasticjax.neurons import CurrentLIF
from plasticjax.simulate import first_spike_times
from plasticjax.training import Batch, FirstSpikeMetrics, first_spike_class

from ._emulated_loop import LATENCY, emulated_spikes

LEAST_SLOPE = 0.05  # threshold / tau, of the ideal membrane at a measured spike
NEVER = 10.0  # tau, what the loss takes for a silent neuron
XI, ALPHA = 0.2, 0.005  # tau, dimensionless: width of the softmax, weight of the early-spike term
BUMPS = (0.005, 0.01)  # weight: of a hidden input (over the copies of an input), of an output
MOST_SILENT = (0.95, 0.15)  # of a batch, hidden and output neurons, before they are bumped

Weights = tuple[Float[Array, "_post _pre"], ...]


def spikes_in_the_loop(
    weights: Float[Array, "post pre"], arrivals: Float[Array, " pre"], spikes: Float[Array, " post"]
) -> Float[Array, " post"]:
    """The measured spikes, with the derivatives of V(t) = sum of w (t - t_i) exp(t_i - t) there.

    At a spike dV = 0, so dt/dw = -(t - t_i) exp(t_i - t) / F with the slope F of V, and the other
    way round for dt/dt_i. A slope below 0.05 counts as that. Inputs after the spike do not count.
    """
    spikes = jax.lax.stop_gradient(spikes)
    fired = jnp.isfinite(spikes)
    at = jnp.where(fired, spikes, 0.0)
    arrived = jnp.isfinite(arrivals)
    before = jnp.where(arrived, at[:, None] - jnp.where(arrived, arrivals, 0.0), -1.0)
    causal = (before > 0) & fired[:, None]
    elapsed = jnp.where(causal, before, 0.0)
    decay = jnp.where(causal, jnp.exp(-elapsed), 0.0)
    potential = jnp.sum(weights * elapsed * decay, axis=1)
    slope = jax.lax.stop_gradient(jnp.sum(weights * (1 - elapsed) * decay, axis=1))
    return measured(-potential / jnp.maximum(slope, LEAST_SLOPE), spikes)


def on_substrate(
    chip: AnalogChip,
    weights: Weights,
    times: Float[Array, " inputs"],
    key: Key[Array, ""],
    jitter_us: float | None = None,
) -> tuple[Float[Array, "_post"], ...]:
    """Spike times of all layers on a chip, in units of tau.

    With `jitter_us` the emulated chip runs, with the pattern of `chip` and that jitter; else a
    model of spike times.
    """
    if jitter_us is not None:
        return _on_emulated_chip(chip, weights, times, key, jitter_us)
    layers = []
    for number, floats in enumerate(weights):
        programmed = chip.program(floats)
        analog, neuron = chip.layer(number, programmed, CurrentLIF())
        ideal = first_spike_times(neuron, jax.lax.stop_gradient(analog), times)
        spikes = chip.outputs(ideal, jax.random.fold_in(key, number + 1))
        times = spikes_in_the_loop(programmed, times, spikes)
        layers.append(times)
    return tuple(layers)


def _on_emulated_chip(chip, weights, times, key, jitter_us):
    programmed = tuple(chip.program(floats) for floats in weights)
    fixed = jax.lax.stop_gradient(programmed)
    hidden, outputs = emulated_spikes(chip, fixed, times, key, jitter_us)
    late = times + LATENCY
    hidden = spikes_in_the_loop(programmed[0], late, hidden)
    return hidden, spikes_in_the_loop(programmed[1], hidden + LATENCY, outputs)


def loss(times: Float[Array, " class"], label: Int[Array, ""]) -> Float[Array, ""]:
    """log sum exp((t_label - t) / xi) + alpha exp(t_label), silent neurons at 10 tau."""
    settled = jnp.where(jnp.isfinite(times), times, NEVER)
    own = settled[label]
    return jax.nn.logsumexp((own - settled) / XI) + ALPHA * jnp.exp(own)


class LoopState(NamedTuple):
    weights: Weights  # float shadows of what is programmed
    optimizer: Any
    epoch: Int[Array, ""]


class LoopUpdate(eqx.Module):
    """One training step: Adam along the batch mean of norm 1 at most, then bumps of silent neurons.

    An `update` of `train_epoch`, for one chip.
    """

    chip: AnalogChip
    learning_rate: Callable[[Any], Any] = eqx.field(static=True)
    copies: int = eqx.field(static=True)  # lines of each input
    jitter_us: float | None = eqx.field(static=True, default=None)  # of the emulated chip, if any
    classify: Callable[..., Any] = eqx.field(static=True, default=first_spike_class)

    def init(self, weights: Weights) -> LoopState:
        moments = optax.scale_by_adam().init(weights)
        return LoopState(weights, moments, jnp.array(0, jnp.int32))

    def forward(self, weights: Weights, times, sample_key, batch_key):
        return on_substrate(self.chip, weights, times, sample_key, self.jitter_us)

    def __call__(
        self, state: LoopState, batch: Batch, key: Key[Array, ""]
    ) -> tuple[LoopState, FirstSpikeMetrics]:
        keys = jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(batch.real.size))
        count = jnp.sum(batch.real)

        def batch_loss(weights):
            layers = jax.vmap(lambda t, k: self.forward(weights, t, k, None))(batch.inputs, keys)
            losses = jax.vmap(loss)(layers[-1], batch.targets)
            return jnp.sum(jnp.where(batch.real, losses, 0)) / count, layers

        (value, layers), gradient = jax.value_and_grad(batch_loss, has_aux=True)(state.weights)
        norm = jnp.sqrt(sum(jnp.sum(g**2) for g in gradient))
        gradient = jax.tree.map(lambda g: g / jnp.maximum(norm, 1.0), gradient)
        direction, moments = optax.scale_by_adam().update(gradient, state.optimizer)
        rate = self.learning_rate(state.epoch.astype(value.dtype))
        weights, silence = [], []
        bumps = (BUMPS[0] / self.copies, BUMPS[1])
        for w, d, times, most, bump in zip(
            state.weights, jax.tree.leaves(direction), layers, MOST_SILENT, bumps, strict=True
        ):
            silent = jnp.sum(jnp.isinf(times) & batch.real[:, None], axis=0) / count
            weights.append(w - rate * d + bump * (silent > most)[:, None])
            silence.append(jnp.mean(silent))
        hit = jax.vmap(self.classify)(layers[-1]) == batch.targets
        metrics = FirstSpikeMetrics(
            value, jnp.sum(hit & batch.real) / count, jnp.stack(silence), jnp.array(False)
        )
        return LoopState(tuple(weights), moments, state.epoch), metrics
