"""From a plasticity rule to the BrainScaleS-2 chip: lowering, exact emulation, kernels."""

from ._cost import Cost as Cost
from ._cost import cost as cost
from ._emulate import emulate as emulate
from ._emulate import random_tape as random_tape
from ._lower import lower as lower
from ._program import IntegerProgram as IntegerProgram
from ._program import Op as Op
from ._program import Output as Output
from ._program import RawInput as RawInput
from ._signals import Place as Place
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
from ._unsupported import UnsupportedOnPPU as UnsupportedOnPPU

__all__ = [
    "lower",
    "Signal",
    "Place",
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
]
