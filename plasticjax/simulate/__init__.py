"""Exact spike times, event-driven simulation of spike trains, and simulation on a fixed grid."""

from ._adjoints import AbstractSpikeAdjoint as AbstractSpikeAdjoint
from ._adjoints import EventPropAdjoint as EventPropAdjoint
from ._adjoints import ImplicitAdjoint as ImplicitAdjoint
from ._circuit import InputSpikes as InputSpikes
from ._circuit import SpikingCircuit as SpikingCircuit
from ._filters import double_exponential as double_exponential
from ._first_spike import (
    first_spike_times as first_spike_times,
)
from ._first_spike import (
    measured_spike_times as measured_spike_times,
)
from ._grid import (
    GridCarry as GridCarry,
)
from ._grid import (
    GridOutput as GridOutput,
)
from ._grid import (
    GridStepper as GridStepper,
)
from ._grid import (
    arrivals_on_grid as arrivals_on_grid,
)
from ._integrator import Integrator as Integrator
from ._largest_voltage import LargestVoltage as LargestVoltage
from ._largest_voltage import largest_voltage as largest_voltage
from ._scan import scan_steps as scan_steps
from ._smooth_circuit import SmoothCircuit as SmoothCircuit
from ._solve_events import solve_events as solve_events
from ._solve_layer import solve_layer as solve_layer
from ._spike_trains import LayerSpikes as LayerSpikes
from ._spike_trains import SpikeTrains as SpikeTrains
from ._voltage import membrane_state as membrane_state
from ._voltage import voltage_integral as voltage_integral

__all__ = [
    "first_spike_times",
    "measured_spike_times",
    "solve_events",
    "solve_layer",
    "SpikingCircuit",
    "SmoothCircuit",
    "InputSpikes",
    "SpikeTrains",
    "LayerSpikes",
    "AbstractSpikeAdjoint",
    "ImplicitAdjoint",
    "EventPropAdjoint",
    "Integrator",
    "membrane_state",
    "voltage_integral",
    "largest_voltage",
    "LargestVoltage",
    "scan_steps",
    "GridStepper",
    "GridCarry",
    "GridOutput",
    "arrivals_on_grid",
    "double_exponential",
]
