"""Homeostasis of the input: balanced, of a given size, and not one-sided."""

from typing import ClassVar, NamedTuple

from jaxtyping import ArrayLike, Float

from ._rule import AbstractRule, Parameter, Per


class InputStatistics(NamedTuple):
    """What a neuron shows to `InputBalance`: its input, and running means of its powers.

    Attributes:
        current: weighted input now, scalar or [post] (units of the threshold).
        first: mean, scalar or [post] (units of the threshold).
        second: mean square, scalar or [post] (its square).
        third: mean cube, scalar or [post] (its cube).
    """

    current: Float[ArrayLike, "*shape"]
    first: Float[ArrayLike, "*shape"]
    second: Float[ArrayLike, "*shape"]
    third: Float[ArrayLike, "*shape"]


class InputBalance(AbstractRule):
    r"""Moves the first three moments of the input I of a neuron to 0, v and 0.

    Change $-\eta\, s\, \big[2 \lambda_1 M_1 / v + 4 \lambda_2 (M_2 / v - 1)\, I / v +
    6 \lambda_3 M_3 I^2 / v^3\big]$ per step: the presynaptic trace times a polynomial of the
    neuron's own input, whose coefficients change slowly. It controls firing without any choice of
    rates, and acts on neurons that are silent. It reads `pre` = s, the trace of which $w s$ is the
    input (scalar), and `post` as `InputStatistics`, whose moments may be a `LowPass`; it changes
    the bare weight. Source: deliverable D3.11, section 1.2.1.6 (Mackwood & Grüning); the formula
    is ours, the derivative of `moment_penalty`.

    Attributes:
        target: v, the desired mean square, scalar (square of the unit of the threshold).
        first: $\lambda_1$, strength of the first moment, scalar (dimensionless).
        second: $\lambda_2$, of the second, scalar (dimensionless).
        third: $\lambda_3$, of the third, scalar (dimensionless).
        eta: learning rate, scalar (square of the unit of the weight).
    """

    target: Parameter = 0.01
    first: Parameter = 0.1
    second: Parameter = 0.1
    third: Parameter = 0.1
    eta: Parameter = 1.0
    per: ClassVar[Per] = "sample"

    def __call__(self, syn, pre, post, third=None, obs=None):
        return -self.eta * pre * self.imbalance(post)

    def imbalance(self, statistics: InputStatistics) -> Float[ArrayLike, "..."]:
        """How much more input would add to the penalty: the polynomial in brackets.

        Args:
            statistics: input and moments, leaves that broadcast, [...] (units of the threshold).

        Returns:
            The derivative of the penalty by the present input, [...] (1 / unit of the threshold).
        """
        current, size = statistics.current, self.target
        found = 2 * self.first * statistics.first / size
        found += 4 * self.second / size * (statistics.second / size - 1) * current
        return found + 6 * self.third * statistics.third / size**3 * current**2
