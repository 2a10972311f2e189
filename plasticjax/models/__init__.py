"""Assembled networks from the literature."""

from ._analog_chip import AnalogChip as AnalogChip
from ._analog_chip import AnalogImperfections as AnalogImperfections
from ._dendritic_microcircuit import DendriticMicrocircuit as DendriticMicrocircuit
from ._first_spike_network import FirstSpikeNetwork as FirstSpikeNetwork
from ._forward_gradient import first_maximum_errors as first_maximum_errors
from ._forward_gradient import forward_gradient as forward_gradient
from ._forward_gradient import stepwise_errors as stepwise_errors
from ._latency_network import EscapeNoiseLayer as EscapeNoiseLayer
from ._latency_network import EscapeTrace as EscapeTrace
from ._latency_network import LatencyFactors as LatencyFactors
from ._latency_network import LatencyNetwork as LatencyNetwork
from ._latency_network import LatencyTrace as LatencyTrace
from ._latency_network import crossing_steps as crossing_steps
from ._latency_network import latency_factors as latency_factors
from ._latency_network import latency_gradient as latency_gradient
from ._latency_network import latency_network as latency_network
from ._layered_network import PooledConvolution as PooledConvolution
from ._layered_network import PooledProjection as PooledProjection
from ._layered_network import convolutional_layers as convolutional_layers
from ._layered_network import dense_layers as dense_layers
from ._layered_network import max_pool as max_pool
from ._layered_network import redrawn as redrawn
from ._least_action_microcircuit import LeastActionMicrocircuit as LeastActionMicrocircuit
from ._least_action_microcircuit import random_microcircuit as random_microcircuit
from ._microcircuit_types import MicrocircuitCarry as MicrocircuitCarry
from ._microcircuit_types import MicrocircuitInputs as MicrocircuitInputs
from ._microcircuit_types import MicrocircuitLearningRates as MicrocircuitLearningRates
from ._microcircuit_types import MicrocircuitOutputs as MicrocircuitOutputs
from ._microcircuit_types import MicrocircuitVoltages as MicrocircuitVoltages
from ._microcircuit_types import MicrocircuitWeights as MicrocircuitWeights
from ._microcircuit_types import softplus_rate as softplus_rate
from ._nir import from_nir as from_nir
from ._nir import to_nir as to_nir
from ._nir_circuits import circuits_from_nir as circuits_from_nir
from ._nir_circuits import circuits_to_nir as circuits_to_nir
from ._superspike import superspike_gradient as superspike_gradient
from ._surrogate_network import LayerTrace as LayerTrace
from ._surrogate_network import LeakyReadout as LeakyReadout
from ._surrogate_network import NetworkTrace as NetworkTrace
from ._surrogate_network import SurrogateLayer as SurrogateLayer
from ._surrogate_network import SurrogateNetwork as SurrogateNetwork
from ._surrogate_network import surrogate_network as surrogate_network

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
    "DendriticMicrocircuit",
    "MicrocircuitWeights",
    "MicrocircuitLearningRates",
    "MicrocircuitCarry",
    "MicrocircuitInputs",
    "MicrocircuitOutputs",
    "MicrocircuitVoltages",
    "softplus_rate",
    "LeastActionMicrocircuit",
    "random_microcircuit",
    "SurrogateNetwork",
    "SurrogateLayer",
    "LeakyReadout",
    "LayerTrace",
    "NetworkTrace",
    "surrogate_network",
    "to_nir",
    "from_nir",
    "circuits_to_nir",
    "circuits_from_nir",
    "forward_gradient",
    "first_maximum_errors",
    "stepwise_errors",
    "superspike_gradient",
    "LatencyNetwork",
    "EscapeNoiseLayer",
    "LatencyTrace",
    "EscapeTrace",
    "latency_network",
    "latency_gradient",
    "LatencyFactors",
    "latency_factors",
    "crossing_steps",
]
