"""Spikes of many neurons over time."""

from typing import TYPE_CHECKING

import numpy as np

from ._canvas import Numbers, for_paper, own_axes, spike_times
from ._palette import class_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def raster(
    times: Numbers,
    *,
    groups: Numbers | None = None,
    time_label: str = "time (ms)",
    ax: "Axes | None" = None,
) -> "Axes":
    """One row of ticks a neuron, neuron 0 at the bottom.

    Args:
        times: spike times, [neurons] for one spike each, [neurons, spikes] padded with inf, or one
            array a neuron; unit as in `time_label`. Inf is no spike and is not drawn.
        groups: a number for each neuron, [neurons], from 0 on (dimensionless); neurons of one
            group share a colour. Left out, all are black.
        time_label: name and unit of the time axis.
        ax: axes to draw on; left out, a new figure is made.

    Returns:
        The axes.

    Raises:
        ValueError: for NaN or -inf times, a wrong shape, or groups that do not fit the neurons.
    """
    rows = _rows(times)
    colors = ["black"] * len(rows)
    if groups is not None:
        numbers = np.asarray(groups)
        if numbers.shape != (len(rows),):
            raise ValueError(f"groups has shape {numbers.shape}; times has {len(rows)} neurons")
        colors = [class_color(int(number)) for number in numbers]

    from matplotlib.ticker import MaxNLocator

    ax = own_axes()[0] if ax is None else ax
    drawn = [row[np.isfinite(row)] for row in rows]
    ax.eventplot(drawn, linelengths=0.8, linewidths=1.0, colors=colors)
    ax.set_ylim(-0.7, max(len(rows), 1) - 0.3)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    for_paper(ax, time_label, "neuron")
    return ax


def _rows(times) -> list[np.ndarray]:
    if isinstance(times, list | tuple) and any(np.ndim(row) > 0 for row in times):
        return [spike_times(row, f"times[{k}]", ndim=(1,)) for k, row in enumerate(times)]
    array = spike_times(times, "times", ndim=(1, 2))
    return list(array[:, None] if array.ndim == 1 else array)
