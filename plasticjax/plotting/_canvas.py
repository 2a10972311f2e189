"""What all figures share: where they draw, their sizes on paper, and what they refuse."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Numbers = ArrayLike | Sequence[Any]

COLUMN_WIDTH = 3.5  # inches, one column of a journal page
LABEL_SIZE = 8  # points
TICK_SIZE = 7  # points
LINE_WIDTH = 1.2  # points


def own_axes(height: float = 2.3, columns: int = 1, width: float = COLUMN_WIDTH) -> "list[Axes]":
    """New axes side by side on a figure that pyplot does not know of; sizes in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=200, layout="constrained")
    return list(figure.subplots(1, columns, squeeze=False, sharey=True)[0])


def for_paper(ax: "Axes", xlabel: str, ylabel: str) -> None:
    """Names the axes and sets the sizes of their text and lines."""
    ax.set_xlabel(xlabel, fontsize=LABEL_SIZE)
    ax.set_ylabel(ylabel, fontsize=LABEL_SIZE)
    ax.tick_params(labelsize=TICK_SIZE, width=0.6, length=2.5)
    for side, spine in ax.spines.items():
        spine.set_linewidth(0.6)
        spine.set_visible(side in ("left", "bottom"))


def legend(ax: "Axes", **options) -> None:
    """A frameless legend in the size of the tick labels."""
    ax.legend(fontsize=TICK_SIZE, frameon=False, handlelength=1.4, **options)


def finite(values: Numbers, name: str, *, ndim: tuple[int, ...]) -> np.ndarray:
    """`values` as a float array, refused if empty, of another dimension, NaN or infinite."""
    array = without_nan(values, name, ndim=ndim)
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} has {np.sum(np.isinf(array))} infinite entries; must be finite")
    return array


def spike_times(values: Numbers, name: str, *, ndim: tuple[int, ...]) -> np.ndarray:
    """`values` as a float array of times in which only +inf, no spike, may be infinite."""
    array = without_nan(values, name, ndim=ndim, may_be_empty=True)
    if np.any(np.isneginf(array)):
        raise ValueError(f"{name} has -inf entries; a missing spike is +inf")
    return array


def without_nan(
    values: Numbers, name: str, *, ndim: tuple[int, ...], may_be_empty: bool = False
) -> np.ndarray:
    """`values` as a float array, refused if empty, of another dimension or NaN."""
    array = np.asarray(values, dtype=float)
    if array.ndim not in ndim or (array.size == 0 and not may_be_empty):
        dimensions = " or ".join(map(str, ndim))
        raise ValueError(f"{name} has shape {array.shape}; must be {dimensions}-d and not empty")
    if np.any(np.isnan(array)):
        raise ValueError(f"{name} has {np.sum(np.isnan(array))} NaN entries; must have none")
    return array
