"""A quantity over training, with its spread over seeds."""

from typing import TYPE_CHECKING

from ._canvas import LINE_WIDTH, Numbers, finite, for_paper, legend, own_axes
from ._palette import class_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def learning_curve(
    steps: Numbers,
    values: Numbers,
    *,
    label: str | None = None,
    color: str | None = None,
    step_label: str = "epoch",
    value_label: str = "accuracy (%)",
    ax: "Axes | None" = None,
) -> "Axes":
    """The mean over seeds as a line, one standard deviation to each side as a band.

    Call it again with the same axes to compare curves; each gets the next colour.

    Args:
        steps: where the values were taken, [steps]; unit as in `step_label`.
        values: one row a seed, [seeds, steps]; unit as in `value_label`. A single seed has no band.
        label: name of the curve; shown as a legend.
        color: any matplotlib colour; left out, the next of `CLASS_COLORS`.
        step_label: name and unit of the horizontal axis.
        value_label: name and unit of the vertical axis.
        ax: axes to draw on; left out, a new figure is made.

    Returns:
        The axes.

    Raises:
        ValueError: for NaN or infinite numbers, or shapes that do not fit.
    """
    x = finite(steps, "steps", ndim=(1,))
    y = finite(values, "values", ndim=(2,))
    if y.shape[1] != len(x):
        raise ValueError(f"values has shape {y.shape}; must be [seeds, {len(x)}] to fit steps")

    ax = own_axes()[0] if ax is None else ax
    color = class_color(len(ax.lines)) if color is None else color
    mean = y.mean(axis=0)
    if len(y) > 1:
        spread = y.std(axis=0, ddof=1)
        ax.fill_between(x, mean - spread, mean + spread, color=color, alpha=0.25, linewidth=0)
    ax.plot(x, mean, color=color, linewidth=LINE_WIDTH, label=label)
    for_paper(ax, step_label, value_label)
    if label is not None:
        legend(ax)
    return ax
