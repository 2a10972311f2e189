"""The correlation sensors of the synapses: nearest-neighbour pairs, stored until they are read."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ._chip_events import NEVER, TICKS_PER_US
from ._fixed_pattern import Chip, SensorPattern


class Correlations(eqx.Module):
    """What the sensors hold.

    Attributes:
        last_pre: last event at each synapse, [hemisphere, column, row] (8 ns).
        last_post: last spike of each neuron, [hemisphere, column] (8 ns).
        causal: pairs pre before post, [hemisphere, column, row] (LSB).
        anticausal: pairs post before pre, [hemisphere, column, row] (LSB).
    """

    last_pre: Int[Array, "hemisphere column row"]
    last_post: Int[Array, "hemisphere column"]
    causal: Float[Array, "hemisphere column row"]
    anticausal: Float[Array, "hemisphere column row"]

    @classmethod
    def empty(cls, chip: Chip) -> "Correlations":
        zeros = jnp.zeros_like(chip.synapse_gain)
        never = jnp.full(chip.shape, NEVER, jnp.int32)
        return cls(never, never[:, :, 0], zeros, zeros)


def pair(held: Any, pattern: SensorPattern, pairs: Any, elapsed: Any) -> Any:
    """What a sensor holds after pairs at a distance in ticks; it cannot hold more than it reads."""
    distance = jnp.maximum(jnp.where(pairs, elapsed, 0), 0) / TICKS_PER_US
    gained = pattern.amplitude * jnp.exp(-distance / pattern.tau)
    return jnp.where(pairs, jnp.minimum(held + gained, pattern.baseline), held)


def pre_pairs(last_pre: Any, last_post: Any) -> Any:
    """Whether an event finds a spike since the previous event of its synapse.

    An event and a spike at the same time count as pre before post.
    """
    return (last_post >= last_pre) & (last_post > NEVER)


def post_side(sensors: Correlations, chip: Chip, h: Any, column: Any, tick: Any) -> Correlations:
    """The sensors of a neuron after its spike, which pairs with the last event since the last."""
    last_pre = sensors.last_pre[h, column]
    pattern: SensorPattern = jax.tree.map(lambda array: array[h, column], chip.causal)
    pairs = last_pre > sensors.last_post[h, column]
    held = pair(sensors.causal[h, column], pattern, pairs, tick - last_pre)
    return Correlations(
        sensors.last_pre,
        sensors.last_post.at[h, column].set(tick),
        sensors.causal.at[h, column].set(held),
        sensors.anticausal,
    )
