"""How the spike times of the label neurons part during training."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ._canvas import (
    LABEL_SIZE,
    LINE_WIDTH,
    TICK_SIZE,
    Numbers,
    finite,
    for_paper,
    own_axes,
)
from ._palette import class_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def spike_time_histories(
    epochs: Numbers,
    mean: Numbers,
    sd: Numbers,
    *,
    class_names: Sequence[str] | None = None,
    step_label: str = "epoch",
    time_label: str = r"spike time ($\tau_\mathrm{s}$)",
    axes: "Sequence[Axes] | None" = None,
) -> "list[Axes]":
    """One panel a true class, one line a label neuron; the correct neuron's line is thick.

    Source: Göltz, Kriener et al. (2021), Nat. Mach. Intell. 3, 823: label spike times in training.

    Args:
        epochs: when the times were taken, [epochs]; unit as in `step_label`.
        mean: mean spike time of each label neuron over the samples of each true class,
            [epochs, classes, neurons]; unit as in `time_label`. NaN or inf, for a neuron that did
            not spike, leaves a gap.
        sd: standard deviations, shape and unit as `mean`; drawn as bands to each side.
        class_names: names of the classes, [classes].
        step_label: name and unit of the horizontal axis.
        time_label: name and unit of the vertical axis.
        axes: one axes a class, [classes]; left out, a new figure is made.

    Returns:
        The axes, one a class.

    Raises:
        ValueError: for shapes that do not fit, or NaN or infinite epochs.
    """
    x = finite(epochs, "epochs", ndim=(1,))
    centre, spread = np.asarray(mean, dtype=float), np.asarray(sd, dtype=float)
    if centre.ndim != 3 or len(centre) != len(x):
        raise ValueError(f"mean has shape {centre.shape}; must be [{len(x)}, classes, neurons]")
    if spread.shape != centre.shape:
        raise ValueError(f"sd has shape {spread.shape}; mean has {centre.shape}")
    classes, neurons = centre.shape[1:]
    names = [str(k) for k in range(classes)] if class_names is None else class_names
    if len(names) != classes:
        raise ValueError(f"class_names has {len(names)} names; mean has {classes} classes")
    axes = own_axes(height=2.0, columns=classes) if axes is None else list(axes)
    if len(axes) != classes:
        raise ValueError(f"axes has {len(axes)} entries; mean has {classes} classes")

    centre = np.where(np.isfinite(centre), centre, np.nan)
    for k, ax in enumerate(axes):
        for n in range(neurons):
            line, width, color = centre[:, k, n], spread[:, k, n], class_color(n)
            ax.fill_between(x, line - width, line + width, color=color, alpha=0.2, linewidth=0)
            thick = 1.8 * LINE_WIDTH if n == k else 0.75 * LINE_WIDTH
            ax.plot(x, line, color=color, linewidth=thick, label=f"neuron {n}")
        ax.set_title(f"class {names[k]}", fontsize=LABEL_SIZE)
        for_paper(ax, step_label, time_label if k == 0 else "")
    if neurons > 1:
        axes[-1].legend(fontsize=TICK_SIZE - 1, frameon=False, handlelength=1.0)
    return axes
