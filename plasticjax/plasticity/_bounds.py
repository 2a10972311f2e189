"""Bounds: how a change becomes a new weight that stays where weights may be."""

import abc
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from ._rule import Parameter


class AbstractBound(eqx.Module):
    """Turns a weight and its change into the new weight."""

    @abc.abstractmethod
    def __call__(self, w: Any, change: Any, obs: Any = None) -> Float[Array, "..."]:
        """The new weight.

        Args:
            w: weight, scalar.
            change: what a rule returned for it, scalar, in the unit of the weight.
            obs: read-only values of the synapse.

        Returns:
            The new weight, scalar, in the same unit.
        """


class HardBound(AbstractBound):
    """Adds the change and cuts the result off at the bounds.

    Attributes:
        lo: smallest weight, scalar, in the unit of the weight.
        hi: largest weight, scalar, in the unit of the weight.
    """

    lo: Parameter = -np.inf
    hi: Parameter = np.inf

    def __check_init__(self):
        """Refuses concrete bounds that leave no room.

        Raises:
            ValueError: unless `lo < hi`.
        """
        _require_order(self.lo, self.hi)

    def __call__(self, w, change, obs=None):
        return _cut(w + change, self.lo, self.hi)


class SoftBound(AbstractBound):
    r"""Scales the change by the room that is left, then cuts off as a `HardBound` does.

    With $x = (w - lo) / (hi - lo)$, potentiation is multiplied by $(1 - x)^{\mu_+}$ and
    depression by $x^{\mu_-}$. Exponent 0 is the additive rule, 1 the multiplicative one. Source:
    Gütig, Aharonov, Rotter & Sompolinsky (2003), J. Neurosci. 23, 3697. The rule of van
    Rossum, Bi & Turrigiano (2000), J. Neurosci. 20, 8812, is `SoftBound(mu_plus=0, mu_minus=1)`.

    Attributes:
        lo: smallest weight, scalar, in the unit of the weight.
        hi: largest weight, scalar, in the unit of the weight.
        mu_plus: exponent of potentiation, scalar, not negative (dimensionless).
        mu_minus: exponent of depression, scalar, not negative (dimensionless).
    """

    lo: Parameter = 0.0
    hi: Parameter = 1.0
    mu_plus: Parameter = 1.0
    mu_minus: Parameter = 1.0

    def __check_init__(self):
        """Refuses concrete bounds that leave no room, and exponents that are negative.

        Raises:
            ValueError: unless `lo < hi`, both finite, and the exponents are at least 0.
        """
        _require_order(self.lo, self.hi)
        for name in ("lo", "hi"):
            value = getattr(self, name)
            if not isinstance(value, Tracer) and not np.all(np.isfinite(np.asarray(value))):
                raise ValueError(f"{name}={value} must be finite: room is relative to hi - lo")
        for name in ("mu_plus", "mu_minus"):
            value = getattr(self, name)
            if not isinstance(value, Tracer) and not np.all(np.asarray(value) >= 0):
                raise ValueError(f"{name}={value} must be at least 0")

    def __call__(self, w, change, obs=None):
        # The weight may start outside of the bounds, where a power would be NaN.
        filled = _cut((w - self.lo) / (self.hi - self.lo), 0.0, 1.0)
        room = jnp.where(
            change > 0, _power(1.0 - filled, self.mu_plus), _power(filled, self.mu_minus)
        )
        return _cut(w + change * room, self.lo, self.hi)


class RoundToGrid(AbstractBound):
    """Applies another bound and rounds to multiples of a step, as a memory of few bits does.

    Values are rounded up with the probability of what is left over, so the mean is kept
    (`mode="stochastic"`, which reads a sample from `obs.noise`, uniform in [0, 1)), or to the
    nearest multiple, ties up. The derivative passes straight through the rounding.

    Attributes:
        step: distance of allowed weights, scalar, positive, in the unit of the weight.
        bound: applied before rounding; its limits should be multiples of the step.
        mode: static; "stochastic" or "nearest".
    """

    step: Parameter = 1.0
    bound: AbstractBound = eqx.field(default_factory=HardBound)
    mode: Literal["stochastic", "nearest"] = eqx.field(default="stochastic", static=True)

    def __check_init__(self):
        """Refuses a step that is not positive and an unknown mode.

        Raises:
            ValueError: unless `step > 0` and the mode is one of the two.
        """
        if not isinstance(self.step, Tracer) and not np.all(np.asarray(self.step) > 0):
            raise ValueError(f"step={self.step} must be positive")
        if self.mode not in ("stochastic", "nearest"):
            raise ValueError(f"mode={self.mode!r} must be 'stochastic' or 'nearest'")

    def __call__(self, w, change, obs=None):
        if self.mode == "nearest":
            noise = 0.5
        elif hasattr(obs, "noise"):
            noise = obs.noise
        else:
            raise ValueError(
                f"obs must have a field noise, uniform in [0, 1), for stochastic rounding; got "
                f"{type(obs).__name__}"
            )
        bounded = self.bound(w, change, obs)
        return _round_down(bounded / self.step + noise, bounded / self.step) * self.step


@jax.custom_jvp
def _round_down(shifted, value):
    return jnp.floor(shifted)


@_round_down.defjvp
def _straight_through(primals, tangents):
    return _round_down(*primals), tangents[1]


def _cut(value, lo, hi):
    """`value` between its limits; a value on a limit keeps its derivative."""
    return jnp.where(value < lo, lo, jnp.where(value > hi, hi, value))


def _power(base, exponent):
    """`base ** exponent` for a base in [0, 1], with 0 ** 0 = 1 and finite slopes at 0.

    The exponents in use need no power function: chips have none.
    """
    if not isinstance(exponent, Tracer) and np.ndim(exponent) == 0:
        if exponent == 0:
            return jnp.ones_like(base)
        if exponent == 1:
            return base
    positive = jnp.where(base > 0, base, 1.0)
    at_zero = jnp.where(jnp.asarray(exponent) == 0, 1.0, 0.0)
    return jnp.where(base > 0, jnp.exp(exponent * jnp.log(positive)), at_zero)


def _require_order(lo, hi):
    if isinstance(lo, Tracer) or isinstance(hi, Tracer):
        return
    if not np.all(np.asarray(lo) < np.asarray(hi)):
        raise ValueError(f"lo={lo} must be below hi={hi}")
