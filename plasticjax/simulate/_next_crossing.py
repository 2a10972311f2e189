"""When a neuron without further events fires."""

import jax.numpy as jnp

from ._if_any import if_any
from ._membrane import Membrane, crossing_time, driven_crossing, rise_within


def wait_for_crossing(membrane: Membrane, u, y, gap):
    """Time to the first crossing within `gap >= 0`, its end included; `inf` if there is none.

    A maximum that only touches the threshold is no crossing. At or above the threshold a neuron
    fires at once if its potential rises.
    """
    if membrane.ratio == 2:
        return _wait_by_a_root(membrane, u, y, gap)
    threshold = membrane.threshold
    at_once = (u >= threshold) & (y * membrane.tau_mem > u)
    wait = driven_crossing(membrane, u, y)
    wait = jnp.where(at_once, 0, jnp.where(wait <= gap, wait, jnp.inf))
    rests_above = threshold <= 0  # so that it may cross on its way back to rest

    def search(u, y):
        rise, _ = rise_within(membrane, u, y, gap)
        return crossing_time(membrane, u, y, rise)

    return jnp.where(rests_above, if_any(jnp.any(rests_above), search, wait, (u, y)), wait)


def _wait_by_a_root(membrane: Membrane, u, y, gap):
    r"""With $z = e^{-s / \tau_m}$ and $k = \tau_m y$ the potential is $(u + k) z - k z^2$."""
    tau, threshold = membrane.tau_mem, membrane.threshold
    k = tau * y
    x = u + k
    square = x * x - 4 * k * threshold
    root = jnp.sqrt(jnp.maximum(square, 0))
    rises = k > u
    # Two forms of the root at which the potential rises, each where it loses no digits. Only a
    # negative threshold can be crossed with x <= 0, also after a minimum (k < 0).
    high = x > 0
    exists = jnp.where(high, rises, (threshold < 0) & (rises | (k < 0))) & (square > 0)
    z = jnp.where(high, x + root, 2 * threshold)
    z /= jnp.where(exists, jnp.where(high, 2 * k, x - root), 1)
    time = -tau * jnp.log(jnp.where(exists, jnp.minimum(z, 1), 1))
    at_once = rises & (u >= threshold)
    return jnp.where(at_once, 0, jnp.where(exists & (time <= gap), time, jnp.inf))
