"""Functions of synapses as chains of straight lines, which the vector unit can choose between."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

MOST_SEGMENTS = 8


def piecewise_linear(
    function: Callable[[Any], Any], lo: float | int, hi: float | int, segments: int = 8
) -> Callable[[Any], Any]:
    """A function replaced by straight lines between equidistant points, and constant outside.

    Write it into a rule where the chip has no such function of a value of each synapse. The rule
    in real numbers then uses the same lines.

    Args:
        function: of one number, finite in [lo, hi], such as `jnp.exp`.
        lo: start of the lines (unit of the argument).
        hi: end of the lines (unit of the argument).
        segments: how many lines, 1 to 8.

    Returns:
        The replacement, for scalars and arrays (dimensionless).

    Raises:
        ValueError: if the range is empty, there are too many lines, or the function is not finite.
    """
    if not lo < hi:
        raise ValueError(f"lo={lo} must be below hi={hi}")
    if not 1 <= segments <= MOST_SEGMENTS:
        raise ValueError(f"segments={segments} must be 1 to {MOST_SEGMENTS}")
    points = np.linspace(lo, hi, segments + 1)
    values = np.asarray([float(function(point)) for point in points])
    if not np.all(np.isfinite(values)):
        raise ValueError(f"function must be finite in [{lo}, {hi}], got {values}")
    slopes = np.diff(values) / np.diff(points)

    def lines(x: Any) -> Any:
        x = jnp.clip(x, lo, hi)
        # Each point adds a change of slope; no choice can go wrong by rounding.
        result = values[0] + slopes[0] * (x - lo)
        for point, change in zip(points[1:-1], np.diff(slopes), strict=True):
            result = result + change * jnp.maximum(x - point, 0.0)
        return result

    return lines
