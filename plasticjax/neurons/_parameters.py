"""Parameters of neurons: their type, and the refusal of values outside of a range."""

import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

Parameter = float | int | Float[Array, "..."] | Float[np.ndarray, "..."]


def is_concrete(value) -> bool:
    """Whether a value is given and known."""
    return value is not None and not isinstance(value, Tracer)


def require(value, name, holds, valid):
    """Refuses a concrete value for which `holds` is false."""
    if is_concrete(value) and not np.all(holds(np.asarray(value))):
        raise ValueError(f"{name}={value} must be {valid}")


def require_positive(neuron, *names):
    """Refuses parameters that are not positive and finite."""
    for name in names:
        value = getattr(neuron, name)
        require(value, name, lambda x: (x > 0) & (x < np.inf), "positive and finite")


def require_below(neuron, lower, upper):
    """Refuses a concrete parameter that is not below another."""
    low, high = getattr(neuron, lower), getattr(neuron, upper)
    if is_concrete(low) and is_concrete(high) and not np.all(np.asarray(low) < np.asarray(high)):
        raise ValueError(f"{lower}={low} must be below {upper}={high}")
