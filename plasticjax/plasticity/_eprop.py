"""Three-factor learning on a grid: eligibility goes forwards in time and meets an error."""

from typing import ClassVar, NamedTuple

from jaxtyping import ArrayLike, Float

from ._rule import AbstractRule, Parameter, Per


class EPropSynapse(NamedTuple):
    """A synapse that knows how its weight moves the potential of its neuron.

    Attributes:
        w: weight, scalar or [post, pre] (units of the threshold).
        trace: presynaptic spikes, filtered as the synaptic current (dimensionless).
        eligibility: derivative of the potential by the weight (dimensionless).
        current: eligibility times slope, filtered once as the readout does (dimensionless).
        potential: the same, filtered twice (dimensionless).
    """

    w: Float[ArrayLike, "*shape"]
    trace: Float[ArrayLike, "*shape"]
    eligibility: Float[ArrayLike, "*shape"]
    current: Float[ArrayLike, "*shape"]
    potential: Float[ArrayLike, "*shape"]


class EPropNeuron(NamedTuple):
    """What a neuron shows to `EProp` in a step.

    Attributes:
        error: what reaches it from the readout, scalar or [post] (unit of the loss).
        slope: stand-in for the derivative of its spike by its potential, such as a surrogate, or
            its own spike over the width of its escape noise, scalar or [post] (dimensionless).
        reset: 1 if its potential is reset, else 0, scalar or [post] (dimensionless).
    """

    error: Float[ArrayLike, "*shape"]
    slope: Float[ArrayLike, "*shape"]
    reset: Float[ArrayLike, "*shape"]


class EProp(AbstractRule):
    r"""One step of eligibility propagation, $w \leftarrow w - \eta\, L\, \bar e$.

    $$p' = \alpha p + S, \quad e' = (\beta e + \gamma p)(1 - z), \quad
    c' = \alpha_o c + \psi e, \quad \bar e' = \beta_o \bar e + c$$

    Everything on the right is from before the step. It reads `pre` = S, 1 for a presynaptic spike,
    scalar, and `post` as an `EPropNeuron` ($L, \psi, z$), and changes an `EPropSynapse`. Slope,
    error and filter make it the rule of several papers. e-prop: a triangle, errors at every step.
    SuperSpike: a fast sigmoid, errors and eligibilities filtered by a double exponential. Gardner &
    Grüning: own spikes, errors at the first spikes of the readout. For one layer, a surrogate
    derivative as slope and the derivative of a loss by the readout as error, the sum over all
    steps is the gradient of backpropagation through time.

    Sources: Bellec et al. (2020), Nat. Commun. 11, 3625; Zenke & Ganguli (2018), Neural Comput. 30,
    1514; Gardner & Grüning (2021), Front. Comput. Neurosci. 15, 617862; deliverable D3.11, section
    1.2.1.6.

    Attributes:
        synaptic: $\alpha$, what a step leaves of the current, scalar (dimensionless).
        membrane: $\beta$, what it leaves of the potential, scalar (dimensionless).
        gain: $\gamma$, how the current enters, scalar (dimensionless).
        readout_synaptic: $\alpha_o$ of the readout, scalar (dimensionless).
        readout_membrane: $\beta_o$ of the readout, scalar (dimensionless).
        eta: learning rate, scalar (unit of the weight).
    """

    synaptic: Parameter
    membrane: Parameter
    gain: Parameter = 1.0
    readout_synaptic: Parameter = 0.0
    readout_membrane: Parameter = 0.0
    eta: Parameter = 1.0
    per: ClassVar[Per] = "sample"

    def __call__(self, syn, pre, post, third=None, obs=None):
        eligibility = self.membrane * syn.eligibility + self.gain * syn.trace
        return EPropSynapse(
            -self.eta * post.error * syn.potential,
            (self.synaptic - 1) * syn.trace + pre,
            eligibility * (1 - post.reset) - syn.eligibility,
            (self.readout_synaptic - 1) * syn.current + post.slope * syn.eligibility,
            (self.readout_membrane - 1) * syn.potential + syn.current,
        )
