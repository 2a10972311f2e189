"""Figures: each function draws on the axes that it is given, or on its own, and returns them."""

from ._classification_map import classification_map as classification_map
from ._learning_curve import learning_curve as learning_curve
from ._membrane_traces import membrane_traces as membrane_traces
from ._palette import CLASS_COLORS as CLASS_COLORS
from ._palette import NO_DECISION_COLOR as NO_DECISION_COLOR
from ._palette import class_color as class_color
from ._raster import raster as raster
from ._spike_time_histories import spike_time_histories as spike_time_histories

__all__ = [
    "raster",
    "membrane_traces",
    "learning_curve",
    "classification_map",
    "spike_time_histories",
    "CLASS_COLORS",
    "NO_DECISION_COLOR",
    "class_color",
]
