"""The correlation sensors of all synapses at once: one pass per step, however many are active."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from ._chip_config import OFF, ChipConfig
from ._correlation_sensors import Correlations, pair, pre_pairs
from ._fixed_pattern import Chip, SensorPattern

NO_LABEL = -1


class Arrivals(eqx.Module):
    """The events of one step, in a queue for each driver.

    Attributes:
        labels: their labels, [driver, event] (dimensionless).
        ticks: their times, [driver, event] (8 ns).
        count: how many are in each queue, [driver].
    """

    labels: Int[Array, "driver event"]
    ticks: Int[Array, "driver event"]
    count: Int[Array, " driver"]

    @classmethod
    def none(cls, chip: Chip, per_step: int) -> "Arrivals":
        hemispheres, _, rows = chip.shape
        drivers = hemispheres * (rows // 2)
        empty = jnp.zeros((drivers, per_step), jnp.int32)
        return cls(empty, empty, jnp.zeros(drivers, jnp.int32))

    def append(self, driver: Any, answers: Any, label: Any, tick: Any) -> "Arrivals":
        """The queues after an event at a driver, if that answers."""
        last = self.count[driver]
        return Arrivals(
            self.labels.at[driver, last].set(jnp.where(answers, label, NO_LABEL)),
            self.ticks.at[driver, last].set(tick),
            self.count.at[driver].add(answers.astype(jnp.int32)),
        )


def pre_side_of_all(
    sensors: Correlations, chip: Chip, config: ChipConfig, labels: Any, arrivals: Arrivals
) -> Correlations:
    """The sensors after the events of a step: one pass for the first event of each driver, etc."""
    hemispheres, _, rows = chip.shape
    last_post = sensors.last_post[:, :, None]
    pattern: SensorPattern = chip.anticausal

    def per_row(of_drivers):
        return jnp.repeat(of_drivers.reshape(hemispheres, rows // 2), 2, axis=1)

    def at_turn(number, carry):
        last_pre, held = carry
        label = jnp.where(number < arrivals.count, arrivals.labels[:, number], NO_LABEL)
        label = jnp.where(config.row_modes == OFF, NO_LABEL, per_row(label))[:, None]
        tick = per_row(arrivals.ticks[:, number])[:, None]
        hit = labels == label
        pairs = hit & pre_pairs(last_pre, last_post)
        held = pair(held, pattern, pairs, tick - last_post)
        return jnp.where(hit, tick, last_pre), held

    turns = jnp.max(arrivals.count)
    start = (sensors.last_pre, sensors.anticausal)
    last_pre, held = jax.lax.fori_loop(0, turns, at_turn, start)
    return Correlations(last_pre, sensors.last_post, sensors.causal, held)


def post_side_of_all(sensors: Correlations, chip: Chip, spikes: Any, tick: Any) -> Correlations:
    """The sensors after the spikes of a step, [hemisphere, column]."""
    last_pre, last_post = sensors.last_pre, sensors.last_post[:, :, None]

    def all_spikes(_, held):
        pairs = spikes[:, :, None] & (last_pre > last_post)
        return pair(held, chip.causal, pairs, tick - last_pre)

    # A loop of at most one turn writes in place, a branch copies.
    turns = jnp.any(spikes).astype(jnp.int32)
    held = jax.lax.fori_loop(0, turns, all_spikes, sensors.causal)
    last_post = jnp.where(spikes, tick, sensors.last_post)
    return Correlations(last_pre, last_post, held, sensors.anticausal)
