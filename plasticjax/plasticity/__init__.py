"""Plasticity rules for one synapse, and what spreads and applies them."""

from ._bcm import BCM as BCM
from ._bcm import SlidingRate as SlidingRate
from ._bounds import AbstractBound as AbstractBound
from ._bounds import HardBound as HardBound
from ._bounds import RoundToGrid as RoundToGrid
from ._bounds import SoftBound as SoftBound
from ._clopath_stdp import ClopathPost as ClopathPost
from ._clopath_stdp import ClopathPre as ClopathPre
from ._clopath_stdp import ClopathSTDP as ClopathSTDP
from ._eligibility import EligibleSynapse as EligibleSynapse
from ._eligibility import EpisodicReward as EpisodicReward
from ._eligibility import Filtered as Filtered
from ._eligibility import RewardModulated as RewardModulated
from ._eligibility import ToEligibility as ToEligibility
from ._eprop import EProp as EProp
from ._eprop import EPropNeuron as EPropNeuron
from ._eprop import EPropSynapse as EPropSynapse
from ._event_rule import event_rule as event_rule
from ._flow import Signals as Signals
from ._flow import flow as flow
from ._hebb import AntiHebb as AntiHebb
from ._hebb import Hebb as Hebb
from ._increment import increment as increment
from ._inhibitory_stdp import InhibitoryDepression as InhibitoryDepression
from ._inhibitory_stdp import inhibitory_stdp as inhibitory_stdp
from ._input_balance import InputBalance as InputBalance
from ._input_balance import InputStatistics as InputStatistics
from ._natural_gradient import AttenuatedWeight as AttenuatedWeight
from ._natural_gradient import EuclideanGradient as EuclideanGradient
from ._natural_gradient import NaturalGradient as NaturalGradient
from ._natural_gradient import PoissonInput as PoissonInput
from ._natural_gradient import PoissonOutput as PoissonOutput
from ._natural_gradient import SomaticWeight as SomaticWeight
from ._oja import Oja as Oja
from ._oja import Sanger as Sanger
from ._oja import sanger_reconstruction as sanger_reconstruction
from ._over_synapses import EdgeList as EdgeList
from ._over_synapses import over_synapses as over_synapses
from ._pair_stdp import PairDepression as PairDepression
from ._pair_stdp import PairPotentiation as PairPotentiation
from ._pair_stdp import pair_stdp as pair_stdp
from ._poisson_fisher import InverseFisher as InverseFisher
from ._poisson_fisher import PotentialStatistics as PotentialStatistics
from ._poisson_fisher import UspKernel as UspKernel
from ._poisson_fisher import approximate_heterosynaptic as approximate_heterosynaptic
from ._poisson_fisher import inverse_fisher as inverse_fisher
from ._poisson_fisher import potential_statistics as potential_statistics
from ._reductions import sum_post as sum_post
from ._reductions import sum_pre as sum_pre
from ._rule import AbstractRule as AbstractRule
from ._rule import AbstractUpdate as AbstractUpdate
from ._rule import Update as Update
from ._scale_by_neuron_fisher import scale_by_neuron_fisher as scale_by_neuron_fisher
from ._spike_pairing import spike_pairing as spike_pairing
from ._spike_pairing import stdp_kernel as stdp_kernel
from ._synaptic_scaling import SynapticScaling as SynapticScaling
from ._timing_rule import TimingRule as TimingRule
from ._traces import LowPass as LowPass
from ._traces import Spiking as Spiking
from ._traces import Trace as Trace
from ._transfer import AbstractTransfer as AbstractTransfer
from ._transfer import AutodiffTransfer as AutodiffTransfer
from ._transfer import ExponentialTransfer as ExponentialTransfer
from ._transfer import Information as Information
from ._transfer import QuadraticTransfer as QuadraticTransfer
from ._transfer import SigmoidTransfer as SigmoidTransfer
from ._triplet_stdp import TripletDepression as TripletDepression
from ._triplet_stdp import TripletParameters as TripletParameters
from ._triplet_stdp import TripletPotentiation as TripletPotentiation
from ._triplet_stdp import triplet_stdp as triplet_stdp
from ._urbanczik_senn import SomaDendrite as SomaDendrite
from ._urbanczik_senn import UrbanczikSenn as UrbanczikSenn

__all__ = [
    "AbstractRule",
    "AbstractUpdate",
    "Update",
    "over_synapses",
    "EdgeList",
    "sum_pre",
    "sum_post",
    "flow",
    "Signals",
    "increment",
    "AbstractBound",
    "HardBound",
    "SoftBound",
    "RoundToGrid",
    "event_rule",
    "Trace",
    "LowPass",
    "Spiking",
    "EligibleSynapse",
    "Hebb",
    "AntiHebb",
    "Oja",
    "Sanger",
    "sanger_reconstruction",
    "BCM",
    "SlidingRate",
    "TimingRule",
    "pair_stdp",
    "PairPotentiation",
    "PairDepression",
    "triplet_stdp",
    "TripletParameters",
    "TripletPotentiation",
    "TripletDepression",
    "inhibitory_stdp",
    "InhibitoryDepression",
    "spike_pairing",
    "stdp_kernel",
    "ToEligibility",
    "RewardModulated",
    "EpisodicReward",
    "Filtered",
    "EProp",
    "EPropSynapse",
    "EPropNeuron",
    "UrbanczikSenn",
    "SomaDendrite",
    "NaturalGradient",
    "EuclideanGradient",
    "PoissonInput",
    "PoissonOutput",
    "SomaticWeight",
    "AttenuatedWeight",
    "UspKernel",
    "potential_statistics",
    "PotentialStatistics",
    "inverse_fisher",
    "InverseFisher",
    "approximate_heterosynaptic",
    "scale_by_neuron_fisher",
    "AbstractTransfer",
    "SigmoidTransfer",
    "QuadraticTransfer",
    "ExponentialTransfer",
    "AutodiffTransfer",
    "Information",
    "ClopathSTDP",
    "ClopathPre",
    "ClopathPost",
    "SynapticScaling",
    "InputBalance",
    "InputStatistics",
]
