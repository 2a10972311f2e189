"""What an analog neuromorphic chip does to a network of first spikes, without the chip."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from plasticjax.neurons import CurrentLIF

Level = float | int | Float[Array, ""]


class AnalogImperfections(eqx.Module):
    """Sizes of a substrate's imperfections; zero or `inf` switches each of them off.

    The defaults are an ideal substrate. Every attribute is a scalar, dimensionless or in the unit
    named, and may be a traced array, so that sweeps are a `vmap`.

    Attributes:
        weight_step: resolution of the weights (weight); 1/30 on BrainScaleS-2.
        weight_levels: number of positive weight levels up to the largest weight of a layer;
            2**(b - 1) - 1 for b bits. Applied if `weight_step` is zero.
        weight_limit: largest magnitude of a weight (weight); 63/30 on BrainScaleS-2.
        weight_mismatch: relative standard deviation of each synapse's gain, fixed per chip.
        threshold_offset: mean deviation of the thresholds from nominal (voltage).
        threshold_mismatch: standard deviation of that deviation, fixed per chip (voltage).
        threshold_noise: standard deviation of the thresholds from batch to batch (voltage).
        input_jitter: standard deviation of input spike times per sample (time).
        spike_jitter: standard deviation of emitted spike times per sample (time).
    """

    weight_step: Level = 0.0
    weight_levels: Level = jnp.inf
    weight_limit: Level = jnp.inf
    weight_mismatch: Level = 0.0
    threshold_offset: Level = 0.0
    threshold_mismatch: Level = 0.0
    threshold_noise: Level = 0.0
    input_jitter: Level = 0.0
    spike_jitter: Level = 0.0

    @classmethod
    def brainscales2(cls) -> "AnalogImperfections":
        """The emulated BrainScaleS-2 of Göltz et al.: weights in steps of 1/30 up to 63 steps,
        thresholds off by 0.13 +- 0.08 (fixed) and 0.04 (per batch).

        Returns:
            The imperfections, dimensionless, for a nominal threshold of 2.6.
        """
        return cls(
            weight_step=1 / 30,
            weight_limit=63 / 30,
            threshold_offset=0.13,
            threshold_mismatch=0.08,
            threshold_noise=0.04,
        )


class AnalogChip(eqx.Module):
    """One fabricated chip: imperfections with their fixed pattern drawn.

    Attributes:
        imperfections: their sizes.
        thresholds: deviation of each neuron's threshold, one array [post] per layer (voltage).
        gains: relative gain of each synapse, one array [post, pre] per layer (dimensionless).
    """

    imperfections: AnalogImperfections
    thresholds: tuple[Float[Array, "_post"], ...]
    gains: tuple[Float[Array, "_post _pre"], ...]

    @classmethod
    def fabricate(
        cls,
        imperfections: AnalogImperfections,
        shapes: Sequence[tuple[int, int]],
        *,
        key: Key[Array, ""],
    ) -> "AnalogChip":
        """Draws the fixed pattern of a chip.

        Args:
            imperfections: sizes of the imperfections.
            shapes: (post, pre) of each layer's weights.
            key: random key, scalar, one per chip.

        Returns:
            The chip, its pattern in the units of the imperfections.
        """
        thresholds, gains = [], []
        for k, (post, pre) in enumerate(shapes):
            neurons, synapses = jax.random.split(jax.random.fold_in(key, k))
            deviation = imperfections.threshold_mismatch * jax.random.normal(neurons, (post,))
            thresholds.append(imperfections.threshold_offset + deviation)
            spread = imperfections.weight_mismatch * jax.random.normal(synapses, (post, pre))
            gains.append(1 + spread)
        return cls(imperfections, tuple(thresholds), tuple(gains))

    def recalibrate(self, key: Key[Array, ""]) -> "AnalogChip":
        """The chip as the next batch finds it: thresholds with their batch-to-batch noise.

        Args:
            key: random key, scalar, one per batch.

        Returns:
            The chip with shifted thresholds (unit of the threshold).
        """
        std = self.imperfections.threshold_noise
        thresholds = tuple(
            pattern + std * jax.random.normal(jax.random.fold_in(key, k), pattern.shape)
            for k, pattern in enumerate(self.thresholds)
        )
        return AnalogChip(self.imperfections, thresholds, self.gains)

    def program(self, weights: Float[Array, "post pre"]) -> Float[Array, "post pre"]:
        """Weights as they are written to the chip: clipped and rounded to its resolution.

        Args:
            weights: floating-point weights, [post, pre] (unit of the weights).

        Returns:
            Programmed weights, [post, pre]; derivatives pass straight through.
        """
        limit = self.imperfections.weight_limit
        clipped = jnp.clip(weights, -limit, limit)
        by_levels = jnp.max(jnp.abs(clipped)) / self.imperfections.weight_levels
        step = jnp.where(
            self.imperfections.weight_step > 0, self.imperfections.weight_step, by_levels
        ).astype(weights.dtype)
        rounds = step > 0
        safe = jnp.where(rounds, step, 1)
        # The largest multiple that is not beyond the limit, should the limit not be a multiple.
        most = jnp.floor(limit / safe * (1 + 1e-6))
        rounded = jnp.where(
            rounds, jnp.clip(jnp.round(clipped / safe), -most, most) * safe, clipped
        )
        return weights + jax.lax.stop_gradient(rounded - weights)

    def layer(
        self, k: int, programmed: Float[Array, "post pre"], nominal: CurrentLIF
    ) -> tuple[Float[Array, "post pre"], CurrentLIF]:
        """Weights and neurons that layer `k` really has.

        Args:
            k: index of the layer.
            programmed: programmed weights, [post, pre].
            nominal: the neurons the chip is set to; scalar parameters, in their units.

        Returns:
            Analog weights, [post, pre], and neurons with one threshold each, [post].
        """
        threshold = nominal.threshold + self.thresholds[k]
        neuron = eqx.tree_at(lambda n: n.threshold, nominal, threshold)
        return programmed * self.gains[k], neuron

    def inputs(self, times: Float[Array, " pre"], key: Key[Array, ""]) -> Float[Array, " pre"]:
        """Input spikes as they arrive: jittered.

        Args:
            times: input spike times, [pre] (unit of the time constants).
            key: random key of the sample.

        Returns:
            Arrival times, [pre] (same unit); silent inputs stay silent.
        """
        return times + self.imperfections.input_jitter * _noise(times, key)

    def outputs(self, times: Float[Array, " post"], key: Key[Array, ""]) -> Float[Array, " post"]:
        """Spikes as they are recorded and sent on: jittered.

        Args:
            times: spike times of the analog neurons, [post] (unit of the time constants).
            key: random key of the sample and layer.

        Returns:
            Recorded times, [post] (same unit); silent neurons stay silent.
        """
        return times + self.imperfections.spike_jitter * _noise(times, key)


def _noise(times, key):
    return jax.random.normal(key, times.shape, times.dtype)
