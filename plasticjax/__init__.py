"""Differentiable neuron and synapse dynamics in JAX: the rooms, and what transforms functions."""

from importlib.metadata import PackageNotFoundError, version

from . import data as data
from . import energy as energy
from . import evolution as evolution
from . import hardware as hardware
from . import models as models
from . import neurons as neurons
from . import plasticity as plasticity
from . import plotting as plotting
from . import runtime as runtime
from . import simulate as simulate
from . import training as training
from .energy import contrastive_gradient as contrastive_gradient
from .energy import double_prospective as double_prospective
from .energy import equilibrium as equilibrium
from .energy import errors as errors
from .energy import force as force
from .energy import gradient_flow as gradient_flow
from .energy import param_rule as param_rule
from .energy import prospective as prospective
from .energy import prospective_state as prospective_state
from .evolution import from_expression as from_expression
from .evolution import to_latex as to_latex
from .evolution import to_sympy as to_sympy
from .hardware import lower as lower
from .plasticity import event_rule as event_rule
from .plasticity import flow as flow
from .plasticity import increment as increment
from .plasticity import over_synapses as over_synapses
from .simulate import first_spike_times as first_spike_times
from .simulate import measured_spike_times as measured_spike_times
from .simulate import scan_steps as scan_steps
from .simulate import solve_events as solve_events
from .simulate import solve_layer as solve_layer

try:
    __version__ = version("plasticjax")
except PackageNotFoundError:
    __version__ = "0+source"

__all__ = [
    "runtime",
    "neurons",
    "plasticity",
    "energy",
    "simulate",
    "evolution",
    "hardware",
    "models",
    "training",
    "data",
    "plotting",
    "first_spike_times",
    "measured_spike_times",
    "solve_events",
    "solve_layer",
    "scan_steps",
    "force",
    "param_rule",
    "errors",
    "gradient_flow",
    "prospective",
    "prospective_state",
    "double_prospective",
    "equilibrium",
    "contrastive_gradient",
    "over_synapses",
    "flow",
    "increment",
    "event_rule",
    "to_sympy",
    "to_latex",
    "from_expression",
    "lower",
]
