"""Single-neuron dynamics: vector fields, thresholds, resets and closed-form potentials."""

from ._current_lif import CurrentLIF as CurrentLIF
from ._current_lif import CurrentLIFState as CurrentLIFState
from ._spiking import AbstractSpikingNeuron as AbstractSpikingNeuron
from ._surrogate import AbstractSurrogate as AbstractSurrogate
from ._surrogate import ArctanSurrogate as ArctanSurrogate
from ._surrogate import FastSigmoidSurrogate as FastSigmoidSurrogate
from ._surrogate import GaussianSurrogate as GaussianSurrogate
from ._surrogate import OwnSpikeSurrogate as OwnSpikeSurrogate
from ._surrogate import SigmoidSurrogate as SigmoidSurrogate
from ._surrogate import TriangleSurrogate as TriangleSurrogate
from ._surrogate import surrogate_spike as surrogate_spike

__all__ = [
    "AbstractSpikingNeuron",
    "CurrentLIF",
    "CurrentLIFState",
    "AbstractSurrogate",
    "ArctanSurrogate",
    "FastSigmoidSurrogate",
    "GaussianSurrogate",
    "OwnSpikeSurrogate",
    "SigmoidSurrogate",
    "TriangleSurrogate",
    "surrogate_spike",
]
