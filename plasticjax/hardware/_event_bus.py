"""Buses that carry one event per 8 ns each, and the events on their way to the synapses."""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int

from ._chip_events import BUSES, TICKS_PER_US, TimeGrid
from ._chip_profile import ChipProfile


class EventBus(eqx.Module):
    """Events that will be delivered, in a ring of steps.

    Attributes:
        free: when each bus can carry the next event, [bus] (8 ns).
        ticks: delivery times, [slot, event] (8 ns).
        words: their words, [slot, event] (dimensionless).
        count: events in each slot, [slot].
        delayed: events that had to wait for their bus, scalar.
        dropped: events that would have waited too long, scalar.
        overflow: events for which the emulator had no room, scalar.
    """

    free: Int[Array, " bus"]
    ticks: Int[Array, "slot event"]
    words: Int[Array, "slot event"]
    count: Int[Array, " slot"]
    delayed: Int[Array, ""]
    dropped: Int[Array, ""]
    overflow: Int[Array, ""]

    @classmethod
    def empty(cls, profile: ChipProfile, grid: TimeGrid, per_step: int) -> "EventBus":
        longest = profile.latency + profile.backlog + 5 * profile.jitter + 0.008
        slots = math.ceil(longest / grid.dt_us) + 3
        return cls(
            jnp.zeros(BUSES, jnp.int32),
            jnp.zeros((slots, per_step), jnp.int32),
            jnp.zeros((slots, per_step), jnp.int32),
            jnp.zeros(slots, jnp.int32),
            *(jnp.int32(0) for _ in range(3)),
        )

    def admit(
        self, tick: Any, word: Any, earliest: Any, profile: ChipProfile, grid: TimeGrid
    ) -> "EventBus":
        """Lets an event enter: it waits until its bus is free, or is dropped."""
        bus = word >> 11
        due = jnp.maximum(tick, self.free[bus])
        drop = due - tick > round(profile.backlog * TICKS_PER_US)
        slots, room = self.ticks.shape
        slot = jnp.maximum(grid.step(due), earliest) % slots
        used = self.count[slot]
        full = ~drop & (used >= room)
        enters = ~drop & ~full
        last = jnp.minimum(used, room - 1)
        return EventBus(
            self.free.at[bus].set(jnp.where(enters, due + 1, self.free[bus])),
            self.ticks.at[slot, last].set(jnp.where(enters, due, self.ticks[slot, last])),
            self.words.at[slot, last].set(jnp.where(enters, word, self.words[slot, last])),
            self.count.at[slot].add(enters.astype(jnp.int32)),
            self.delayed + (enters & (due > tick)),
            self.dropped + drop,
            self.overflow + full,
        )

    def emptied(self, step: Any) -> "EventBus":
        """The ring after the delivery of a step."""
        slot = step % self.ticks.shape[0]
        return eqx.tree_at(lambda bus: bus.count, self, self.count.at[slot].set(0))
