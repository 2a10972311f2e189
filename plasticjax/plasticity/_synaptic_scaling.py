"""Homeostasis: all synapses of a neuron scale until its activity is what it should be."""

from typing import ClassVar

from ._rule import AbstractRule, Parameter, Per


class SynapticScaling(AbstractRule):
    r"""Change $\beta\, w\,(a_\text{goal} - a)$ per ms, in proportion to the weight.

    Ratios of weights are kept, so what the neuron has learned is. It reads `post` = a, the slow
    average of the activity of the neuron (`LowPass` of seconds), scalar, and changes the bare
    weight. Sources: the experiments of Turrigiano et al. (1998), Nature 391, 892; van Rossum, Bi
    & Turrigiano (2000), J. Neurosci. 20, 8812, with its rate of 4e-5 / (s Hz) and without
    its integral term.

    Attributes:
        beta: speed, scalar (1 / (ms kHz)).
        target: activity to reach, scalar (kHz).
    """

    beta: Parameter = 4e-5
    target: Parameter = 0.01
    per: ClassVar[Per] = "time"

    def __call__(self, syn, pre, post, third=None, obs=None):
        return self.beta * syn * (self.target - post)
