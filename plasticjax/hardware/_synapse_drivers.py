"""Delivery of an event: its drivers, their short-term plasticity, and two rows of synapses each."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ._chip_config import ChipConfig, ShortTermPlasticity
from ._chip_events import TICKS_PER_US
from ._correlation_sensors import Correlations, pair, pre_pairs
from ._dense_sensors import Arrivals
from ._fixed_pattern import Chip, SensorPattern


class DriverState(eqx.Module):
    """States of the short-term plasticity.

    Attributes:
        s: one per driver and label, [driver, label] (dimensionless).
        tick: their last events, [driver, label] (8 ns).
    """

    s: Float[Array, "driver 64"]
    tick: Int[Array, "driver 64"]

    @classmethod
    def rested(cls, settings: ShortTermPlasticity, chip: Chip) -> "DriverState":
        hemispheres, _, rows = chip.shape
        recover = jnp.asarray(settings.recover, chip.leak.dtype)
        s = jnp.broadcast_to(recover, (hemispheres, rows // 2)).reshape(-1)
        s = jnp.broadcast_to(s[:, None], (len(s), 64))
        return cls(s, jnp.zeros(s.shape, jnp.int32))

    def use(
        self, settings: ShortTermPlasticity, hemispheres: int, driver: Any, label: Any, tick: Any
    ) -> tuple["DriverState", Any]:
        """The states after an event, and its amplitude."""

        def own(value):
            shape = (hemispheres, self.s.shape[0] // hemispheres)
            return jnp.broadcast_to(jnp.asarray(value, self.s.dtype), shape).reshape(-1)[driver]

        elapsed = (tick - self.tick[driver, label]) / TICKS_PER_US
        recover = own(settings.recover)
        s = recover + (self.s[driver, label] - recover) * jnp.exp(-elapsed / own(settings.tau))
        s = s + own(settings.u) * (own(settings.charge) - s)
        used = DriverState(self.s.at[driver, label].set(s), self.tick.at[driver, label].set(tick))
        return used, jnp.clip(own(settings.offset) + s, 0, 1)


class Delivery(eqx.Module):
    """What events change on their way into the neurons.

    Attributes:
        exc: charge of this step on excitatory inputs, [hemisphere, column] (weight LSB).
        inh: charge of this step on inhibitory inputs, [hemisphere, column] (weight LSB).
        drivers: states of the short-term plasticity, if on.
        sensors: correlation sensors, if they are updated event by event.
        arrivals: events for the correlation sensors, if those are updated all at once.
    """

    exc: Float[Array, "hemisphere column"]
    inh: Float[Array, "hemisphere column"]
    drivers: DriverState | None
    sensors: Correlations | None
    arrivals: Arrivals | None


def deliver(
    delivery: Delivery,
    chip: Chip,
    config: ChipConfig,
    weights: Any,
    labels: Any,
    word: Any,
    tick: Any,
) -> Delivery:
    """One event at all drivers that answer to its address."""
    for target in range(config.targets.shape[1]):
        driver = config.targets[word >> 6, target]
        delivery = _at_driver(delivery, chip, config, weights, labels, driver, word & 63, tick)
    return delivery


def _at_driver(delivery, chip, config, weights, labels, driver, label, tick) -> Delivery:
    hemispheres, columns, rows = chip.shape
    answers = driver >= 0
    driver = jnp.maximum(driver, 0)
    h, row = driver // (rows // 2), 2 * (driver % (rows // 2))
    start = (h, jnp.zeros_like(h), row)

    def two_rows(array):
        return jax.lax.dynamic_slice(array, start, (1, columns, 2))[0]

    def put(array, new):
        return jax.lax.dynamic_update_slice(array, new[None], start)

    states, amplitude = delivery.drivers, jnp.ones((), delivery.exc.dtype)
    if states is not None:
        used, amplitude = states.use(config.drivers, hemispheres, driver, label, tick)
        states = jax.tree.map(lambda new, old: jnp.where(answers, new, old), used, states)
    modes = jax.lax.dynamic_slice(config.row_modes, (h, row), (1, 2))[0]
    hit = answers & (two_rows(labels) == label) & (modes > 0)
    charge = _charge(chip, two_rows(weights)) * two_rows(chip.synapse_gain) * amplitude
    charge = jnp.where(hit, charge, 0)
    exc = delivery.exc.at[h].add(jnp.sum(charge * (modes & 1), axis=1))
    inh = delivery.inh.at[h].add(jnp.sum(charge * (modes >> 1), axis=1))
    sensors = delivery.sensors
    if sensors is not None:
        last_post = sensors.last_post[h][:, None]
        pattern: SensorPattern = jax.tree.map(two_rows, chip.anticausal)

        def arrive(last_pre, held):
            pairs = hit & pre_pairs(last_pre, last_post)
            return jnp.where(hit, tick, last_pre), pair(held, pattern, pairs, tick - last_post)

        # The branch ends the reading of two rows before they are written. Without it XLA reads
        # inside of the write and therefore copies both arrays for each event.
        last_pre, held = jax.lax.cond(
            jnp.any(hit),
            arrive,
            lambda *same: same,
            *(two_rows(sensors.last_pre), two_rows(sensors.anticausal)),
        )
        sensors = Correlations(
            put(sensors.last_pre, last_pre),
            sensors.last_post,
            sensors.causal,
            put(sensors.anticausal, held),
        )
    arrivals = delivery.arrivals
    if arrivals is not None:
        arrivals = arrivals.append(driver, answers, label, tick)
    return Delivery(exc, inh, states, sensors, arrivals)


def _charge(chip: Chip, weights):
    if not chip.profile.weight_table:
        return weights.astype(chip.leak.dtype)
    return jnp.asarray(chip.profile.weight_table, chip.leak.dtype)[weights]
