"""What a classifier answers at every point of a plane."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ._canvas import TICK_SIZE, Numbers, finite, for_paper, own_axes
from ._palette import CLASS_COLORS, NO_DECISION_COLOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def classification_map(
    classify: Callable[[np.ndarray], Numbers] | Numbers,
    *,
    extent: Numbers = (0.0, 1.0, 0.0, 1.0),
    resolution: int = 200,
    class_names: Sequence[str] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """The plane coloured by class; grey where no decision was taken.

    Args:
        classify: maps points [n, 2] (x, y) to integer classes [n], or such classes on a grid,
            [rows, columns], with the smallest y in row 0. -1 is 'no decision'.
        extent: smallest and largest x, smallest and largest y, in the unit of the points.
        resolution: points a side of the grid at which a function is evaluated (dimensionless).
        class_names: names of classes 0, 1, ..., [classes]; shown as a legend above the map.
        ax: axes to draw on; left out, a new figure is made.

    Returns:
        The axes.

    Raises:
        ValueError: for an empty extent, a resolution below 2, or classes that are not whole
            numbers from -1 to 7, or have the wrong shape.
    """
    bounds = finite(extent, "extent", ndim=(1,))
    if len(bounds) != 4 or bounds[0] >= bounds[1] or bounds[2] >= bounds[3]:
        raise ValueError(f"extent is {extent}; must be (x_min, x_max, y_min, y_max), ascending")
    left, right, low, high = map(float, bounds)
    if callable(classify):
        if resolution < 2:
            raise ValueError(f"resolution is {resolution}; must be at least 2")
        x, y = (_centres(a, b, resolution) for a, b in ((left, right), (low, high)))
        points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        answers = finite(classify(points), "the result of classify", ndim=(1,))
        if len(answers) != len(points):
            raise ValueError(f"classify returned {len(answers)} classes for {len(points)} points")
        classes = answers.reshape(resolution, resolution)
    else:
        classes = finite(classify, "classify", ndim=(2,))
    most = len(CLASS_COLORS) - 1
    if np.any(classes != np.round(classes)) or classes.min() < -1 or classes.max() > most:
        raise ValueError(
            f"classes lie in [{classes.min():g}, {classes.max():g}]; must be whole numbers from -1 "
            f"(no decision) to {most}"
        )

    from matplotlib.colors import BoundaryNorm, ListedColormap

    ax = own_axes(height=3.4)[0] if ax is None else ax
    colors = ListedColormap([NO_DECISION_COLOR, *CLASS_COLORS])
    norm = BoundaryNorm(np.arange(-1.5, most + 1), colors.N)
    ax.imshow(
        classes,
        origin="lower",
        extent=(left, right, low, high),
        cmap=colors,
        norm=norm,
        interpolation="nearest",
    )
    for_paper(ax, "x", "y")
    if class_names is not None:
        _name_classes(ax, classes, class_names)
    return ax


def _centres(start: float, stop: float, count: int) -> np.ndarray:
    return start + (np.arange(count) + 0.5) * (stop - start) / count


def _name_classes(ax: "Axes", classes: np.ndarray, names: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    if classes.max() >= len(names):
        raise ValueError(f"class_names has {len(names)} names; class {classes.max():g} occurs")
    patches = [Patch(color=CLASS_COLORS[k], label=name) for k, name in enumerate(names)]
    if classes.min() == -1:
        patches.append(Patch(color=NO_DECISION_COLOR, label="no decision"))
    ax.legend(
        handles=patches,
        fontsize=TICK_SIZE,
        frameon=False,
        handlelength=1.0,
        columnspacing=1.0,
        ncols=len(patches),
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
    )
