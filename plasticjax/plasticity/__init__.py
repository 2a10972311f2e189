"""Plasticity rules for one synapse, and what spreads and applies them."""

from ._bounds import AbstractBound as AbstractBound
from ._bounds import HardBound as HardBound
from ._bounds import RoundToGrid as RoundToGrid
from ._bounds import SoftBound as SoftBound
from ._event_rule import event_rule as event_rule
from ._flow import Signals as Signals
from ._flow import flow as flow
from ._hebb import AntiHebb as AntiHebb
from ._hebb import Hebb as Hebb
from ._increment import increment as increment
from ._over_synapses import EdgeList as EdgeList
from ._over_synapses import over_synapses as over_synapses
from ._rule import AbstractRule as AbstractRule
from ._rule import AbstractUpdate as AbstractUpdate
from ._rule import Update as Update
from ._traces import Spiking as Spiking
from ._traces import Trace as Trace

__all__ = [
    "AbstractRule",
    "AbstractUpdate",
    "Update",
    "over_synapses",
    "EdgeList",
    "flow",
    "Signals",
    "increment",
    "AbstractBound",
    "HardBound",
    "SoftBound",
    "RoundToGrid",
    "event_rule",
    "Trace",
    "Spiking",
    "Hebb",
    "AntiHebb",
]
