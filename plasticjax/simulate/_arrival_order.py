"""The order in which inputs arrive, and which is next."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def arrival_order(times: Float[Array, " pre"]) -> Int[Array, " pre"]:
    """Indices that sort times, ties in the order of their indices; `jnp.argsort`, but faster.

    XLA's sort on CPU is slow unless it sorts one array of integers. Double precision is therefore
    sorted by its bits with the index in the lowest ones, and what those hid is put right after.
    Single precision has no bits to spare: few times are ranked by comparing all pairs.
    """
    if times.shape[0] < 2:
        return jnp.arange(times.shape[0], dtype=jnp.int32)
    if times.dtype == jnp.float64:
        return _sort_bits(times)
    return _rank(times) if times.shape[0] <= 512 else jnp.argsort(times)


def next_arrival(
    arrivals: Float[Array, "rows columns"],
    last_time: Float[Array, " rows"],
    last_column: Int[Array, " rows"],
) -> tuple[Float[Array, " rows"], Int[Array, " rows"]]:
    """Time and column of the first arrival of each row after the last one that was taken.

    At equal times columns come in their order.
    """
    last, column = last_time[:, None], jnp.arange(arrivals.shape[1])
    tied = (arrivals == last) & (column > last_column[:, None])
    return earliest(jnp.where((arrivals > last) | tied, arrivals, jnp.inf))


def earliest(x: Float[Array, "*rows columns"]):
    """Minimum of the last axis and the first index that has it. On a CPU this takes half the time
    of `jnp.argmin`, which XLA does not vectorise."""
    smallest = jnp.min(x, axis=-1)
    size = x.shape[-1]
    index = jnp.where(x <= smallest[..., None], jnp.arange(size, dtype=jnp.int32), size - 1)
    return smallest, jnp.min(index, axis=-1)


def _sort_bits(times):
    count = times.shape[0]
    bits = jax.lax.bitcast_convert_type(times, jnp.int64)
    ascending = bits ^ ((bits >> 63) & jnp.iinfo(jnp.int64).max)
    low = (1 << (count - 1).bit_length()) - 1
    order = (jnp.sort((ascending & ~low) | jnp.arange(count)) & low).astype(jnp.int32)

    def misplaced(order):
        sooner, later = times[order[:-1]], times[order[1:]]
        return (later < sooner) | ((later == sooner) & (order[1:] < order[:-1]))

    def swap_first(order):
        k = jnp.argmax(misplaced(order))
        return order.at[k].set(order[k + 1]).at[k + 1].set(order[k])

    return jax.lax.while_loop(lambda order: jnp.any(misplaced(order)), swap_first, order)


def _rank(times):
    index = jnp.arange(times.shape[0], dtype=jnp.int32)
    earlier = times[:, None] < times
    tied = (times[:, None] == times) & (index[:, None] < index)
    rank = jnp.sum(earlier | tied, axis=0, dtype=jnp.int32)
    return jnp.zeros_like(index).at[rank].set(index, unique_indices=True)
