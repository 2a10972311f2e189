"""Energies, and what turns them into neurons, errors and plasticity."""

from ._activations import Activation as Activation
from ._activations import hard_sigmoid as hard_sigmoid
from ._activations import linear as linear
from ._activations import logistic as logistic
from ._activations import relu as relu
from ._activations import softplus as softplus
from ._activations import tanh as tanh
from ._bayesian_neuron import BayesianNeuronEnergy as BayesianNeuronEnergy
from ._contrastive import contrastive_gradient as contrastive_gradient
from ._curvature import AbstractCurvatureSolver as AbstractCurvatureSolver
from ._curvature import DenseCurvature as DenseCurvature
from ._curvature import LayeredCurvature as LayeredCurvature
from ._double_prospective import DoubleProspectiveSignals as DoubleProspectiveSignals
from ._double_prospective import double_prospective as double_prospective
from ._double_prospective import double_prospective_signals as double_prospective_signals
from ._drive import AbstractDrive as AbstractDrive
from ._drive import ConstantDrive as ConstantDrive
from ._drive import FunctionDrive as FunctionDrive
from ._drive import Stimulus as Stimulus
from ._equilibrium import equilibrium as equilibrium
from ._equilibrium import prospective_state as prospective_state
from ._equilibrium_propagation import EquilibriumPropagationEnergy as EquilibriumPropagationEnergy
from ._gle_step import GLEOutput as GLEOutput
from ._gle_step import GLEState as GLEState
from ._gle_step import gle_at_rest as gle_at_rest
from ._gle_step import gle_step as gle_step
from ._gradient_flow import gradient_flow as gradient_flow
from ._hopfield import HopfieldEnergy as HopfieldEnergy
from ._hopfield import ModernHopfieldEnergy as ModernHopfieldEnergy
from ._hopfield import log_cosh as log_cosh
from ._latent_equilibrium_step import LatentEquilibriumOutput as LatentEquilibriumOutput
from ._latent_equilibrium_step import LatentEquilibriumState as LatentEquilibriumState
from ._latent_equilibrium_step import at_rest as at_rest
from ._latent_equilibrium_step import latent_equilibrium_step as latent_equilibrium_step
from ._latent_equilibrium_step import settled as settled
from ._latent_equilibrium_sweep import latent_equilibrium_sweep as latent_equilibrium_sweep
from ._learner import Learner as Learner
from ._learner import learner as learner
from ._learner import local_rates as local_rates
from ._least_action_step import LeastActionOutput as LeastActionOutput
from ._least_action_step import LeastActionState as LeastActionState
from ._least_action_step import least_action_step as least_action_step
from ._mismatch import AbstractMismatchEnergy as AbstractMismatchEnergy
from ._mismatch import BatchEnergy as BatchEnergy
from ._mismatch import MismatchEnergy as MismatchEnergy
from ._mismatch import cross_entropy_cost as cross_entropy_cost
from ._mismatch import rate_cost as rate_cost
from ._mismatch import voltage_cost as voltage_cost
from ._networks import RecurrentWeights as RecurrentWeights
from ._networks import feed_forward as feed_forward
from ._networks import forward_pass as forward_pass
from ._networks import recurrent as recurrent
from ._networks import resting_state as resting_state
from ._operators import Energy as Energy
from ._operators import ForceField as ForceField
from ._operators import errors as errors
from ._operators import force as force
from ._operators import param_rule as param_rule
from ._predictive_coding import PredictiveCodingEnergy as PredictiveCodingEnergy
from ._predictive_coding import zero_divergence_rule as zero_divergence_rule
from ._prospective import prospective as prospective

__all__ = [
    "Activation",
    "linear",
    "hard_sigmoid",
    "logistic",
    "tanh",
    "relu",
    "softplus",
    "Stimulus",
    "AbstractDrive",
    "ConstantDrive",
    "FunctionDrive",
    "AbstractMismatchEnergy",
    "MismatchEnergy",
    "BatchEnergy",
    "voltage_cost",
    "rate_cost",
    "cross_entropy_cost",
    "feed_forward",
    "recurrent",
    "RecurrentWeights",
    "resting_state",
    "forward_pass",
    "Energy",
    "ForceField",
    "force",
    "param_rule",
    "errors",
    "gradient_flow",
    "prospective",
    "AbstractCurvatureSolver",
    "DenseCurvature",
    "LayeredCurvature",
    "equilibrium",
    "prospective_state",
    "double_prospective",
    "double_prospective_signals",
    "DoubleProspectiveSignals",
    "contrastive_gradient",
    "Learner",
    "learner",
    "local_rates",
    "latent_equilibrium_step",
    "LatentEquilibriumState",
    "LatentEquilibriumOutput",
    "at_rest",
    "settled",
    "gle_step",
    "GLEState",
    "GLEOutput",
    "gle_at_rest",
    "least_action_step",
    "LeastActionState",
    "LeastActionOutput",
    "latent_equilibrium_sweep",
    "PredictiveCodingEnergy",
    "zero_divergence_rule",
    "EquilibriumPropagationEnergy",
    "HopfieldEnergy",
    "log_cosh",
    "ModernHopfieldEnergy",
    "BayesianNeuronEnergy",
]
