"""Spike trains on a grid, filtered."""

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float


def double_exponential(
    spikes: Float[Array, "steps ..."],
    *,
    rise: float | Float[Array, ""] = 5.0,
    decay: float | Float[Array, ""] = 10.0,
    dt: float = 1.0,
) -> Float[Array, "steps ..."]:
    r"""Convolution with $(e^{-s/\tau_d} - e^{-s/\tau_r}) / (\tau_d - \tau_r)$, of unit integral.

    The kernel is zero at once, so what comes in one step shows from the next one on.

    Args:
        spikes: what comes in each step, [steps, ...] (dimensionless).
        rise: time constant of the rise $\tau_r$, scalar (ms).
        decay: time constant of the decay $\tau_d$, scalar, another than `rise` (ms).
        dt: step (ms).

    Returns:
        The filtered trains, [steps, ...] (kHz).

    Raises:
        ValueError: if the time constants are equal, or one or the step is not positive.
    """
    known = not isinstance(rise, Tracer) and not isinstance(decay, Tracer)
    if known and not (rise > 0 and decay > 0 and rise != decay):
        raise ValueError(f"rise={rise} and decay={decay} must be positive and differ")
    if not dt > 0:
        raise ValueError(f"dt={dt} must be positive")
    fast, slow = (jnp.exp(-dt / jnp.asarray(tau, spikes.dtype)) for tau in (rise, decay))

    def step(traces, arriving):
        rising, decaying = traces
        after = (fast * rising + arriving, slow * decaying + arriving)
        return after, after[1] - after[0]

    zero = jnp.zeros(spikes.shape[1:], spikes.dtype)
    return jax.lax.scan(step, (zero, zero), spikes)[1] / (decay - rise)
