"""Single-neuron dynamics: vector fields, thresholds, resets and closed-form potentials."""

from ._current_lif import CurrentLIF as CurrentLIF
from ._current_lif import CurrentLIFState as CurrentLIFState
from ._spiking import AbstractSpikingNeuron as AbstractSpikingNeuron

__all__ = ["AbstractSpikingNeuron", "CurrentLIF", "CurrentLIFState"]
