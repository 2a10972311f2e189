"""Hebb's rule and its negative."""

import equinox as eqx

from ._rule import AbstractRule, Parameter, Per


class Hebb(AbstractRule):
    r"""Change $\eta\, x\, y$ for presynaptic activity x and postsynaptic activity y.

    It reads `pre` = x and `post` = y, scalars, and changes the bare weight. Source: Hebb (1949),
    The Organization of Behavior; Gerstner & Kistler (2002), Biol. Cybern. 87, 404.

    Attributes:
        eta: learning rate, scalar (weight per activity squared, and per ms if `per="time"`).
        per: static; what the change is per.
    """

    eta: Parameter = 0.01
    per: Per = eqx.field(default="sample", static=True)

    def __call__(self, syn, pre, post, third=None, obs=None):
        return self.eta * pre * post


class AntiHebb(AbstractRule):
    r"""Change $-\eta\, x\, y$, which decorrelates the neurons that it connects.

    It reads `pre` = x and `post` = y, scalars, and changes the bare weight. With a threshold p²
    it is $-\eta\,(x y - p^2)$, the rule of Földiák (1990), Biol. Cybern. 64, 165.

    Attributes:
        eta: learning rate, scalar (weight per activity squared, and per ms if `per="time"`).
        threshold: the product of activities that leaves the weight alone, scalar (activity
            squared).
        per: static; what the change is per.
    """

    eta: Parameter = 0.01
    threshold: Parameter = 0.0
    per: Per = eqx.field(default="sample", static=True)

    def __call__(self, syn, pre, post, third=None, obs=None):
        return -self.eta * (pre * post - self.threshold)
