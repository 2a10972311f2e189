"""Single-neuron dynamics: vector fields, thresholds, resets and closed-form potentials."""

from ._ad_ex import AdEx as AdEx
from ._ad_ex import AdExState as AdExState
from ._conductance_lif import ConductanceLIF as ConductanceLIF
from ._conductance_lif import ConductanceLIFState as ConductanceLIFState
from ._conductance_lif import Conductances as Conductances
from ._current_lif import CurrentLIF as CurrentLIF
from ._current_lif import CurrentLIFState as CurrentLIFState
from ._izhikevich import Izhikevich as Izhikevich
from ._izhikevich import IzhikevichState as IzhikevichState
from ._spiking import AbstractSpikingNeuron as AbstractSpikingNeuron
from ._surrogate import AbstractSurrogate as AbstractSurrogate
from ._surrogate import ArctanSurrogate as ArctanSurrogate
from ._surrogate import FastSigmoidSurrogate as FastSigmoidSurrogate
from ._surrogate import GaussianSurrogate as GaussianSurrogate
from ._surrogate import OwnSpikeSurrogate as OwnSpikeSurrogate
from ._surrogate import SigmoidSurrogate as SigmoidSurrogate
from ._surrogate import TriangleSurrogate as TriangleSurrogate
from ._surrogate import surrogate_spike as surrogate_spike
from ._two_compartment import CompartmentInput as CompartmentInput
from ._two_compartment import TwoCompartmentLIF as TwoCompartmentLIF
from ._two_compartment import TwoCompartmentState as TwoCompartmentState

__all__ = [
    "AbstractSpikingNeuron",
    "CurrentLIF",
    "CurrentLIFState",
    "ConductanceLIF",
    "ConductanceLIFState",
    "Conductances",
    "AdEx",
    "AdExState",
    "Izhikevich",
    "IzhikevichState",
    "TwoCompartmentLIF",
    "TwoCompartmentState",
    "CompartmentInput",
    "AbstractSurrogate",
    "ArctanSurrogate",
    "FastSigmoidSurrogate",
    "GaussianSurrogate",
    "OwnSpikeSurrogate",
    "SigmoidSurrogate",
    "TriangleSurrogate",
    "surrogate_spike",
]
