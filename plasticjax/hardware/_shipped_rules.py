"""Rules that were used on the chip, as functions of what a synapse of the chip sees."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import ArrayLike, Float

from ..plasticity import AbstractRule, AbstractUpdate, increment
from ._lower import lower
from ._program import IntegerProgram
from ._signals import (
    anticausal,
    causal,
    column_table,
    label,
    membrane,
    noise,
    random_label,
    rate,
    row_table,
    symbol,
    weight,
)

Parameter = float | int
Per = Literal["time", "sample", "pre_spike", "post_spike"]
Value = Float[ArrayLike, ""]


class Correlations(NamedTuple):
    """What the sensors of a synapse collected.

    Attributes:
        causal: pre before post, scalar (LSB).
        anticausal: post before pre, scalar (LSB).
    """

    causal: Value
    anticausal: Value


class Rewards(NamedTuple):
    """What the host tells about success.

    Attributes:
        reward: of this trial, scalar (dimensionless).
        mean: what was expected, scalar (dimensionless).
    """

    reward: Value
    mean: Value


class Potentials(NamedTuple):
    """Potentials of the teacher and of the neuron.

    Attributes:
        target: what the potential should be, scalar (LSB).
        membrane: what it is, scalar (LSB).
    """

    target: Value
    membrane: Value


class LabelledSynapse(NamedTuple):
    """A synapse that chooses its source.

    Attributes:
        w: weight, scalar (LSB).
        label: number of the source, 0 to 63, scalar (dimensionless).
    """

    w: Value
    label: Value


class GrowingSynapse(NamedTuple):
    """What a synapse shows to `StructuralPlasticity`.

    Attributes:
        causal: collected correlation, scalar (LSB).
        noise: random number in [-1, 1), scalar (dimensionless).
        candidate: random label, scalar (dimensionless).
    """

    causal: Value
    noise: Value
    candidate: Value


class SignHomeostasis(AbstractRule):
    """Change sign(target - n): one LSB per call towards a number of spikes per call.

    It reads `post` = n, spikes since the last call. Source: public tutorial of the chip.

    Attributes:
        target: spikes per call, scalar (dimensionless).
    """

    target: Parameter = 60.0
    per: ClassVar[Per] = "sample"

    def __call__(self, syn, pre, post, third=None, obs=None):
        return jnp.sign(self.target - post)


class SensorSTDP(AbstractRule):
    """Change `plus` times the causal less `minus` times the anticausal correlation.

    It reads `obs` as `Correlations`. Source: Pehle et al. (2022), Front. Neurosci. 16, 795876.

    Attributes:
        plus: scalar (weight per LSB of the sensor).
        minus: scalar (weight per LSB of the sensor).
    """

    plus: Parameter = 0.05
    minus: Parameter = 0.05
    per: ClassVar[Per] = "sample"

    def __call__(self, syn, pre, post, third=None, obs: Any = None):
        return self.plus * obs.causal - self.minus * obs.anticausal


class RewardSTDP(AbstractRule):
    """Change `beta (reward - mean)` times the causal correlation.

    It reads `third` as `Rewards` and `obs` = correlation. Source: Wunderlich et al. (2019), Front.
    Neurosci. 13, 260.

    Attributes:
        beta: scalar (weight per reward and LSB of the sensor).
    """

    beta: Parameter = 0.125
    per: ClassVar[Per] = "sample"

    def __call__(self, syn, pre, post, third: Any, obs=None):
        return self.beta * (third.reward - third.mean) * obs


class StructuralPlasticity(AbstractUpdate):
    """Correlation, homeostasis and noise; on demand weak synapses start afresh elsewhere.

    The weight changes by `plus c - decay n + jitter noise`. If `third` is positive, synapses below
    `threshold` take a random label and the weight `initial`. It reads `post` = n, spikes since the
    last call, and `obs` as a `GrowingSynapse`; `syn` is a `LabelledSynapse`. Source: Billaudelle
    et al. (2021), Neural Networks 133, 11.

    Attributes:
        plus: scalar (weight per LSB of the sensor).
        decay: scalar (weight per spike).
        jitter: scalar (LSB).
        threshold: scalar (LSB).
        initial: scalar (LSB).
    """

    plus: Parameter = 0.1
    decay: Parameter = 0.03
    jitter: Parameter = 1.5
    threshold: Parameter = 8.0
    initial: Parameter = 16.0

    def __call__(self, syn, pre, post, third, obs: Any = None):
        w = syn.w + self.plus * obs.causal - self.decay * post + self.jitter * obs.noise
        weak = (third > 0) & (w < self.threshold)
        new_label = jnp.where(weak, obs.candidate, syn.label)
        return LabelledSynapse(jnp.where(weak, self.initial, w), new_label)


class DecayWithNoise(AbstractRule):
    """Change `-decay w + sigma noise`: the weight diffuses.

    It reads `obs` = noise.

    Attributes:
        decay: scalar (per call).
        sigma: scalar (LSB).
    """

    decay: Parameter = 0.01
    sigma: Parameter = 1.0
    per: ClassVar[Per] = "sample"

    def __call__(self, syn, pre, post, third=None, obs: Any = None):
        return -self.decay * syn + self.sigma * obs


class DeltaRule(AbstractRule):
    """Change `eta r (target - u)`: a neuron learns what its teacher shows.

    It reads `pre` = r, the rate of the source, and `post` as `Potentials`.

    Attributes:
        eta: scalar (weight per rate and LSB of the potential).
    """

    eta: Parameter = 0.01
    per: ClassVar[Per] = "sample"

    def __call__(self, syn, pre, post: Any, third=None, obs=None):
        return self.eta * pre * (post.target - post.membrane)


class RateProp(AbstractRule):
    """Change `eta (target - r) pre`: rates instead of potentials.

    It reads `pre`, the rate of the source, and `post` as `Potentials` in spikes per call.

    Attributes:
        eta: scalar (LSB of the weight per product of rates).
    """

    eta: Parameter = 0.005
    per: ClassVar[Per] = "sample"

    def __call__(self, syn, pre, post: Any, third=None, obs=None):
        return self.eta * (post.target - post.membrane) * pre


@dataclass(frozen=True)
class ShippedRule:
    """A rule and the signals that it was used with.

    Attributes:
        update: the synapse update in real numbers.
        signals: declared arguments of `lower`, by name.
        rounding: how its weights are rounded.
    """

    update: Any
    signals: dict[str, Any]
    rounding: str = "stochastic"

    def lower(self, rounding: str | None = None) -> IntegerProgram:
        """Lowers it with these signals.

        Args:
            rounding: None: its own.

        Returns:
            The program.
        """
        name = type(getattr(self.update, "rule", self.update)).__name__
        return lower(self.update, name=name, rounding=rounding or self.rounding, **self.signals)


def shipped_rules() -> dict[str, ShippedRule]:
    """The rules that ship with the bridge, with signals and ranges.

    Returns:
        Rules by name.
    """
    reward = Rewards(symbol("reward", 0.0, 1.0), symbol("mean_reward", 0.0, 1.0))
    both = Correlations(causal(), anticausal())
    growing = GrowingSynapse(causal(), noise(), random_label())
    teacher = Potentials(column_table("target", 0.0, 255.0), membrane())
    rates = Potentials(column_table("target_rate", 0.0, 255.0), rate())
    source = row_table("pre_rate", 0.0, 1.0)
    return {
        "homeostasis": ShippedRule(
            increment(SignHomeostasis()), {"syn": weight(), "post": rate()}, "floor"
        ),
        "stdp": ShippedRule(increment(SensorSTDP()), {"syn": weight(), "obs": both}),
        "r_stdp": ShippedRule(
            increment(RewardSTDP()), {"syn": weight(), "third": reward, "obs": causal()}
        ),
        "structural": ShippedRule(
            StructuralPlasticity(),
            {
                "syn": LabelledSynapse(weight(), label()),
                "post": rate(),
                "third": symbol("reassign", -1.0, 1.0),
                "obs": growing,
            },
        ),
        "weight_decay_noise": ShippedRule(
            increment(DecayWithNoise()), {"syn": weight(), "obs": noise()}
        ),
        "delta": ShippedRule(
            increment(DeltaRule()), {"syn": weight(signed=True), "pre": source, "post": teacher}
        ),
        "rate_prop": ShippedRule(
            increment(RateProp()), {"syn": weight(signed=True), "pre": source, "post": rates}
        ),
    }
