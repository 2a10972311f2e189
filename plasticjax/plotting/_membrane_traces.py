"""Membrane potentials over time, with the threshold and the spikes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ._canvas import (
    LINE_WIDTH,
    Numbers,
    finite,
    for_paper,
    legend,
    own_axes,
    spike_times,
)
from ._palette import class_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def membrane_traces(
    times: Numbers,
    voltages: Numbers,
    *,
    threshold: Numbers | None = None,
    spikes: Numbers | None = None,
    labels: Sequence[str] | None = None,
    time_label: str = "time (ms)",
    voltage_label: str = "potential (mV)",
    ax: "Axes | None" = None,
) -> "Axes":
    """A line a neuron, a dashed line at the threshold, a triangle and a dotted line at a spike.

    Args:
        times: sample times, [time]; unit as in `time_label`.
        voltages: potentials, [time] or [time, neurons]; unit as in `voltage_label`.
        threshold: potential at which the neurons spike, scalar, in the unit of `voltages`.
        spikes: first spike of each neuron, [neurons] or a scalar, in the unit of `times`; inf is
            no spike and is not drawn.
        labels: a name for each neuron, [neurons]; shown as a legend.
        time_label: name and unit of the time axis.
        voltage_label: name and unit of the potential axis.
        ax: axes to draw on; left out, a new figure is made.

    Returns:
        The axes.

    Raises:
        ValueError: for NaN or infinite times, potentials or threshold, NaN spikes, or shapes that
            do not fit.
    """
    t = finite(times, "times", ndim=(1,))
    v = finite(voltages, "voltages", ndim=(1, 2))
    v = v[:, None] if v.ndim == 1 else v
    if len(v) != len(t):
        raise ValueError(f"voltages has {len(v)} samples on its first axis; times has {len(t)}")
    neurons = v.shape[1]
    if labels is not None and len(labels) != neurons:
        raise ValueError(f"labels has {len(labels)} names; voltages has {neurons} neurons")
    first = np.full(neurons, np.inf)
    if spikes is not None:
        first = np.atleast_1d(spike_times(spikes, "spikes", ndim=(0, 1)))
        if first.shape != (neurons,):
            raise ValueError(f"spikes has {len(first)} entries; voltages has {neurons} neurons")
    level = None if threshold is None else float(finite(threshold, "threshold", ndim=(0,)))

    ax = own_axes()[0] if ax is None else ax
    if level is not None:
        ax.axhline(level, color="0.35", linewidth=0.8, linestyle=(0, (5, 3)), zorder=1)
    for k in range(neurons):
        color, label = class_color(k), None if labels is None else labels[k]
        ax.plot(t, v[:, k], color=color, linewidth=LINE_WIDTH, label=label)
        if np.isfinite(first[k]):
            top = np.interp(first[k], t, v[:, k]) if level is None else level
            ax.axvline(first[k], color=color, linewidth=0.7, linestyle=":", zorder=1)
            ax.plot(first[k], top, "v", color=color, markersize=4.5, zorder=3)
    for_paper(ax, time_label, voltage_label)
    if labels is not None:
        legend(ax)
    return ax
