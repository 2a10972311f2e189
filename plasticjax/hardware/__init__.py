"""The BrainScaleS-2 chip: rules lowered to its processor, exact emulation, a model of the chip."""

from ._backend import Backend as Backend
from ._backend import BackendUnavailable as BackendUnavailable
from ._backend import Membranes as Membranes
from ._backend import RecordSpec as RecordSpec
from ._backend import RuleHandle as RuleHandle
from ._backend import RunResult as RunResult
from ._backend import RunStats as RunStats
from ._backend import Scheduled as Scheduled
from ._backend import Series as Series
from ._backend import Spikes as Spikes
from ._backend import Trace as Trace
from ._backend import first_spikes as first_spikes
from ._batch_tables import BatchTables as BatchTables
from ._batch_tables import batch_tables as batch_tables
from ._catalogue import CatalogueEntry as CatalogueEntry
from ._catalogue import catalogue as catalogue
from ._catalogue import catalogue_table as catalogue_table
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
from ._chip_network import ChipNetwork as ChipNetwork
from ._chip_network import NeuronPopulation as NeuronPopulation
from ._chip_network import Projection as Projection
from ._chip_profile import ChipProfile as ChipProfile
from ._chip_rule import ChipRule as ChipRule
from ._chip_rule import chip_rule as chip_rule
from ._compatibility import homeostasis_8bit as homeostasis_8bit
from ._compatibility import pong_8bit as pong_8bit
from ._cost import Cost as Cost
from ._cost import cost as cost
from ._emit_cpp import emit_cpp as emit_cpp
from ._emulate import emulate as emulate
from ._emulate import random_tape as random_tape
from ._emulate_batch import emulate_batch as emulate_batch
from ._emulator import ChipRun as ChipRun
from ._emulator import ChipStats as ChipStats
from ._emulator import SpikeTrains as SpikeTrains
from ._emulator import run_chip as run_chip
from ._emulator import spike_trains as spike_trains
from ._emulator_backend import EmulatorBackend as EmulatorBackend
from ._emulator_step import ChipState as ChipState
from ._emulator_step import EmulatorSettings as EmulatorSettings
from ._emulator_step import initial_state as initial_state
from ._fixed_pattern import Chip as Chip
from ._fixed_pattern import SensorPattern as SensorPattern
from ._fixed_pattern import draw_chip as draw_chip
from ._get_backend import get_backend as get_backend
from ._host_check import HostRun as HostRun
from ._host_check import host_compiler as host_compiler
from ._host_check import run_on_host as run_on_host
from ._hxtorch_backend import HxtorchBackend as HxtorchBackend
from ._lane_order import columns_from_row16 as columns_from_row16
from ._lower import lower as lower
from ._measured import measured as measured
from ._observe import decode as decode
from ._observe import encode as encode
from ._observe import observed as observed
from ._piecewise_linear import piecewise_linear as piecewise_linear
from ._placement import Placement as Placement
from ._program import IntegerProgram as IntegerProgram
from ._program import Op as Op
from ._program import Output as Output
from ._program import RawInput as RawInput
from ._pynn_backend import PyNNBackend as PyNNBackend
from ._random_inputs import random_inputs as random_inputs
from ._readout import ColumnView as ColumnView
from ._readout import RowView as RowView
from ._readout import RowWrite as RowWrite
from ._rule_code import RuleCode as RuleCode
from ._rule_code import rule_code as rule_code
from ._scheduler import Call as Call
from ._scheduler import Plasticity as Plasticity
from ._scheduler import Timetable as Timetable
from ._scheduler import timetable as timetable
from ._shipped_rules import Correlations as Correlations
from ._shipped_rules import DecayWithNoise as DecayWithNoise
from ._shipped_rules import DeltaRule as DeltaRule
from ._shipped_rules import GrowingSynapse as GrowingSynapse
from ._shipped_rules import LabelledSynapse as LabelledSynapse
from ._shipped_rules import Potentials as Potentials
from ._shipped_rules import RateProp as RateProp
from ._shipped_rules import Rewards as Rewards
from ._shipped_rules import RewardSTDP as RewardSTDP
from ._shipped_rules import SensorSTDP as SensorSTDP
from ._shipped_rules import ShippedRule as ShippedRule
from ._shipped_rules import SignHomeostasis as SignHomeostasis
from ._shipped_rules import StructuralPlasticity as StructuralPlasticity
from ._shipped_rules import shipped_rules as shipped_rules
from ._signals import Signal as Signal
from ._signals import anticausal as anticausal
from ._signals import causal as causal
from ._signals import column_table as column_table
from ._signals import label as label
from ._signals import membrane as membrane
from ._signals import noise as noise
from ._signals import random_label as random_label
from ._signals import rate as rate
from ._signals import row_table as row_table
from ._signals import state as state
from ._signals import symbol as symbol
from ._signals import time_index as time_index
from ._signals import weight as weight
from ._stimulus import PoissonInput as PoissonInput
from ._stimulus import RegularInput as RegularInput
from ._unsupported import UnsupportedOnPPU as UnsupportedOnPPU

__all__ = [
    "lower",
    "Signal",
    "weight",
    "state",
    "label",
    "row_table",
    "rate",
    "membrane",
    "column_table",
    "symbol",
    "time_index",
    "causal",
    "anticausal",
    "noise",
    "random_label",
    "IntegerProgram",
    "Op",
    "RawInput",
    "Output",
    "UnsupportedOnPPU",
    "Cost",
    "cost",
    "emulate",
    "random_tape",
    "random_inputs",
    "observed",
    "measured",
    "encode",
    "decode",
    "batch_tables",
    "BatchTables",
    "emulate_batch",
    "rule_code",
    "RuleCode",
    "emit_cpp",
    "run_on_host",
    "HostRun",
    "host_compiler",
    "columns_from_row16",
    "piecewise_linear",
    "shipped_rules",
    "ShippedRule",
    "SignHomeostasis",
    "SensorSTDP",
    "Correlations",
    "RewardSTDP",
    "Rewards",
    "StructuralPlasticity",
    "LabelledSynapse",
    "GrowingSynapse",
    "DecayWithNoise",
    "DeltaRule",
    "Potentials",
    "RateProp",
    "homeostasis_8bit",
    "pong_8bit",
    "catalogue",
    "catalogue_table",
    "CatalogueEntry",
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
    "chip_rule",
    "ChipRule",
    "timetable",
    "Timetable",
    "Call",
    "get_backend",
    "Backend",
    "ChipNetwork",
    "NeuronPopulation",
    "Projection",
    "PoissonInput",
    "RegularInput",
    "RuleHandle",
    "Scheduled",
    "RecordSpec",
    "Placement",
    "RunResult",
    "Spikes",
    "Membranes",
    "Trace",
    "Series",
    "RunStats",
    "first_spikes",
    "EmulatorBackend",
    "PyNNBackend",
    "HxtorchBackend",
    "BackendUnavailable",
]
