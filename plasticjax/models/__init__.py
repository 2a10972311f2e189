"""Assembled networks from the literature."""

from ._analog_chip import AnalogChip as AnalogChip
from ._analog_chip import AnalogImperfections as AnalogImperfections
from ._first_spike_network import FirstSpikeNetwork as FirstSpikeNetwork
from ._layered_network import PooledConvolution as PooledConvolution
from ._layered_network import PooledProjection as PooledProjection
from ._layered_network import convolutional_layers as convolutional_layers
from ._layered_network import dense_layers as dense_layers
from ._layered_network import max_pool as max_pool
from ._layered_network import redrawn as redrawn
from ._least_action_microcircuit import LeastActionMicrocircuit as LeastActionMicrocircuit
from ._least_action_microcircuit import random_microcircuit as random_microcircuit

__all__ = [
    "FirstSpikeNetwork",
    "AnalogImperfections",
    "AnalogChip",
    "dense_layers",
    "convolutional_layers",
    "PooledConvolution",
    "PooledProjection",
    "max_pool",
    "redrawn",
    "LeastActionMicrocircuit",
    "random_microcircuit",
]
