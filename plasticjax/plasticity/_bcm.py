"""The rule of Bienenstock, Cooper and Munro, whose threshold slides with the activity."""

from typing import NamedTuple

import equinox as eqx
from jaxtyping import ArrayLike, Float

from ._rule import AbstractRule, Parameter, Per


class SlidingRate(NamedTuple):
    """What a neuron shows to `BCM`.

    Attributes:
        rate: its activity, scalar or [post] (dimensionless, or kHz).
        threshold: its sliding threshold, scalar or [post], in the unit of the rate.
    """

    rate: Float[ArrayLike, "*shape"]
    threshold: Float[ArrayLike, "*shape"]


class BCM(AbstractRule):
    r"""Change $\eta\, x\, y\,(y - \theta) - \epsilon w$: depression below the threshold, else
    potentiation.

    The threshold belongs to the neuron. With $\tau \dot\theta = y^2 / y_0 - \theta$, faster than
    the weights, neurons become selective: this is `LowPass(tau)` of `rate**2 / y0`. It reads
    `pre` = x and `post` as a `SlidingRate`, scalars, and changes the bare weight. Sources:
    Bienenstock, Cooper & Munro (1982), J. Neurosci. 2, 32; the threshold of Intrator &
    Cooper (1992), Neural Networks 5, 3.

    Attributes:
        eta: learning rate, scalar (weight per activity cubed, and per ms if `per="time"`).
        decay: passive decay of the weight, scalar (dimensionless, or 1/ms if `per="time"`).
        per: static; what the change is per.
    """

    eta: Parameter = 0.01
    decay: Parameter = 0.0
    per: Per = eqx.field(default="time", static=True)

    def __call__(self, syn, pre, post, third=None, obs=None):
        return self.eta * pre * post.rate * (post.rate - post.threshold) - self.decay * syn
