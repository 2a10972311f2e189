"""The BrainScaleS-2 chip: an emulator with its imperfections and its plasticity processors."""

from ._chip_config import ChipConfig as ChipConfig
from ._chip_config import NeuronSettings as NeuronSettings
from ._chip_config import ShortTermPlasticity as ShortTermPlasticity
from ._chip_config import configure as configure
from ._chip_config import driver_targets as driver_targets
from ._chip_config import refractory_us as refractory_us
from ._chip_events import BackgroundGenerator as BackgroundGenerator
from ._chip_events import ChipEvents as ChipEvents
from ._chip_events import chip_events as chip_events
from ._chip_events import event_word as event_word
from ._chip_events import merge_events as merge_events
from ._chip_events import ticks_to_us as ticks_to_us
from ._chip_profile import ChipProfile as ChipProfile
from ._emulator import ChipRun as ChipRun
from ._emulator import ChipStats as ChipStats
from ._emulator import SpikeTrains as SpikeTrains
from ._emulator import run_chip as run_chip
from ._emulator import spike_trains as spike_trains
from ._emulator_step import ChipState as ChipState
from ._emulator_step import EmulatorSettings as EmulatorSettings
from ._emulator_step import initial_state as initial_state
from ._fixed_pattern import Chip as Chip
from ._fixed_pattern import SensorPattern as SensorPattern
from ._fixed_pattern import draw_chip as draw_chip
from ._observed import observed as observed
from ._readout import ColumnView as ColumnView
from ._readout import RowView as RowView
from ._readout import RowWrite as RowWrite
from ._scheduler import Call as Call
from ._scheduler import Plasticity as Plasticity
from ._scheduler import Timetable as Timetable
from ._scheduler import timetable as timetable

__all__ = [
    "run_chip",
    "ChipRun",
    "ChipStats",
    "spike_trains",
    "SpikeTrains",
    "EmulatorSettings",
    "ChipState",
    "initial_state",
    "ChipProfile",
    "draw_chip",
    "Chip",
    "SensorPattern",
    "configure",
    "ChipConfig",
    "NeuronSettings",
    "refractory_us",
    "ShortTermPlasticity",
    "driver_targets",
    "ChipEvents",
    "chip_events",
    "event_word",
    "merge_events",
    "ticks_to_us",
    "BackgroundGenerator",
    "Plasticity",
    "RowView",
    "RowWrite",
    "ColumnView",
    "timetable",
    "Timetable",
    "Call",
    "observed",
]
