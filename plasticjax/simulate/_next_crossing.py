"""When a neuron without further events fires: in closed form where there is one."""

import jax.numpy as jnp

from ._membrane import Membrane, crossing_time, rise_within


def wait_for_crossing(membrane: Membrane, u, y, gap):
    """Time to the first crossing within `gap >= 0`, its end included; `inf` if there is none.

    A maximum that only touches the threshold is no crossing. At or above the threshold a neuron
    fires at once if its potential rises.
    """
    if membrane.ratio == 2:
        return _wait_in_closed_form(membrane, u, y, gap)
    rise, _ = rise_within(membrane, u, y, gap)
    return crossing_time(membrane, u, y, rise)


def _wait_in_closed_form(membrane: Membrane, u, y, gap):
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
