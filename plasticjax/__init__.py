"""Differentiable neuron and synapse dynamics in JAX: the rooms, and what transforms functions."""

from importlib.metadata import PackageNotFoundError, version

from . import data as data
from . import models as models
from . import neurons as neurons
from . import plotting as plotting
from . import runtime as runtime
from . import simulate as simulate
from . import training as training
from .simulate import first_spike_times as first_spike_times
from .simulate import measured_spike_times as measured_spike_times
from .simulate import scan_steps as scan_steps

try:
    __version__ = version("plasticjax")
except PackageNotFoundError:
    __version__ = "0+source"

__all__ = [
    "runtime",
    "neurons",
    "simulate",
    "models",
    "training",
    "data",
    "plotting",
    "first_spike_times",
    "measured_spike_times",
    "scan_steps",
]
