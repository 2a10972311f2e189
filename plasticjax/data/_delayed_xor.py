"""Exclusive or of two bits that are given one after the other and asked for later."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

CHANNELS = 3  # first bit, second bit, GO
FIRST, SECOND, GO = (2.0, 8.0), (22.0, 28.0), (60.0, 70.0)  # when a burst may begin, ms


class DelayedXorTrial(NamedTuple):
    """One trial of the delayed exclusive or.

    Attributes:
        times: input spikes, [spikes], `inf` for those of a bit that is 0 (ms).
        sources: the channel of each, [spikes]: 0 the first bit, 1 the second, 2 GO.
        go: when the GO burst begins, scalar (ms).
        bits: the two bits, [2].
        label: their exclusive or, scalar.
    """

    times: Float[Array, " spikes"]
    sources: Int[Array, " spikes"]
    go: Float[Array, ""]
    bits: Int[Array, " two"]
    label: Int[Array, ""]


def delayed_xor(
    key: Key[Array, ""],
    *,
    burst: int = 5,
    spacing: float = 1.0,
    jitter: float = 0.3,
    dtype: str = "float32",
) -> DelayedXorTrial:
    """A trial of 100 ms: two bits, a pause, and a burst that asks for their exclusive or.

    A bit that is 1 is a burst of spikes that begins at 2 to 8 ms (the first bit) or at 22 to 28 ms
    (the second), a bit that is 0 is silence. The GO burst begins at 60 to 70 ms. By then a membrane
    of 20 ms has lost 95 % of what the first bit left there, and 85 % of what the second left.

    Args:
        key: random key of the trial, scalar; `jax.vmap` over keys for many.
        burst: spikes of a burst, at least 1.
        spacing: time between the spikes of a burst, not negative (ms).
        jitter: standard deviation of each spike time, not negative (ms).
        dtype: of the times.

    Returns:
        The trial, unbatched, with three times `burst` spikes.

    Raises:
        ValueError: if a number is out of its range.

    Source: after Huh & Sejnowski (2018), NeurIPS 31; the times are ours.
    """
    if burst < 1:
        raise ValueError(f"burst is {burst}; at least 1 is required")
    for name, value in (("spacing", spacing), ("jitter", jitter)):
        if not value >= 0:
            raise ValueError(f"{name} is {value}; a number >= 0 is required")
    bits_key, start_key, jitter_key = jax.random.split(key, 3)
    bits = jax.random.bernoulli(bits_key, shape=(2,)).astype(jnp.int32)
    low, high = jnp.array([FIRST, SECOND, GO], dtype).T
    starts = low + (high - low) * jax.random.uniform(start_key, (CHANNELS,), dtype)
    times = starts[:, None] + spacing * jnp.arange(burst, dtype=dtype)
    times += jitter * jax.random.normal(jitter_key, times.shape, dtype)
    fires = jnp.append(bits, 1)[:, None] == 1
    times = jnp.where(fires, jnp.maximum(times, 0), jnp.inf)
    sources = jnp.repeat(jnp.arange(CHANNELS), burst)
    return DelayedXorTrial(times.ravel(), sources, starts[-1], bits, bits[0] ^ bits[1])
