"""What circuits refuse, and delays in one shape."""

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

Values = float | int | Float[Array, "..."] | Float[np.ndarray, "..."]


def delay_rows(delays, pre, dtype):
    """Delays as [rows, pre]; one row if all targets of a source share them."""
    delays = jnp.asarray(delays, dtype)
    rows = delays.shape[0] if delays.ndim == 2 else 1
    return jnp.broadcast_to(delays, (rows, pre))


def check_input(times, sources, count, given):
    """Refuses input spikes that are no spikes of these inputs."""
    if times.ndim != 1 or sources.shape != times.shape:
        expected = "both [spikes]" if given else f"[inputs] = {(count,)} if sources is None"
        raise ValueError(
            f"inputs.times has shape {times.shape} and inputs.sources {sources.shape}; expected "
            f"{expected}. Use jax.vmap for batches"
        )
    check_value("inputs.times", times, lambda x: x >= 0, "not negative, or inf for no spike")
    check_value(
        "inputs.sources", sources, lambda x: (x >= 0) & (x < count), f"from 0 to {count - 1}"
    )


def check_shape(name, value, valid):
    """Refuses another shape than one of those in `valid`."""
    shape = np.shape(value) if value is not None else ()
    if shape not in valid:
        raise ValueError(f"{name} has shape {shape}; expected one of {valid}")


def check_value(name, value, holds, valid):
    """Refuses concrete values for which `holds` is false; traced ones are left alone."""
    if value is None or isinstance(value, Tracer):
        return
    good = holds(np.asarray(value))
    if not np.all(good):
        found = np.broadcast_to(np.asarray(value), np.shape(good))[~good].flat[0]
        raise ValueError(f"{name} has the entry {found}; it must be {valid}")
