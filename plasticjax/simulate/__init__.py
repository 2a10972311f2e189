"""Fixed-grid simulation and exact spike times."""

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
from ._scan import scan_steps as scan_steps

__all__ = [
    "GridCarry",
    "GridOutput",
    "GridStepper",
    "arrivals_on_grid",
    "first_spike_times",
    "measured_spike_times",
    "scan_steps",
]
