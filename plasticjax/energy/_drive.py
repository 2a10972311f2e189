"""What drives a network from outside: inputs, targets, and their course in time."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree


class Stimulus(eqx.Module):
    """What an energy receives from outside at one instant: its argument `x`.

    Attributes:
        input: input rates, any shape or pytree (dimensionless).
        target: what the outputs should show [outputs] (dimensionless).
        beta: strength of the nudging towards the target, scalar or [outputs]; 0 switches it off
            (dimensionless).
    """

    input: PyTree[Float[Array, "..."]]
    target: PyTree[Float[Array, "..."]]
    beta: Float[Array, "..."]


class AbstractDrive(eqx.Module):
    """A drive `t -> x` that is smooth between the times `jumps`.

    Pass `jumps` to `diffrax.ClipStepSizeController(..., jump_ts=drive.jumps)` so that no
    step of an adaptive solver crosses a jump.
    """

    jumps: eqx.AbstractVar[Float[Array, " jumps"]]

    @abstractmethod
    def __call__(self, t: Float[Array, ""] | float) -> PyTree[Float[Array, "..."]]:
        """The drive at a time.

        Args:
            t: time, scalar (ms).

        Returns:
            The argument `x` of the energy, any pytree.
        """


class ConstantDrive(AbstractDrive):
    """A drive that does not move.

    Attributes:
        value: the argument `x` of the energy, any pytree.
        jumps: empty, [0] (ms).
    """

    value: PyTree[Array]
    jumps: Float[Array, " jumps"] = eqx.field(default_factory=lambda: jnp.zeros(0))

    def __call__(self, t: Float[Array, ""] | float) -> PyTree[Float[Array, "..."]]:
        """The drive at a time.

        Args:
            t: time, scalar (ms).

        Returns:
            `value`.
        """
        return self.value


class FunctionDrive(AbstractDrive):
    """A drive given by a differentiable function of time.

    Attributes:
        function: `t -> x`, differentiable in `t` between the jumps.
        jumps: times at which it jumps [jumps] (ms).
    """

    function: Callable[[Any], PyTree]
    jumps: Float[Array, " jumps"] = eqx.field(default_factory=lambda: jnp.zeros(0))

    def __call__(self, t: Float[Array, ""] | float) -> PyTree[Float[Array, "..."]]:
        """The drive at a time.

        Args:
            t: time, scalar (ms).

        Returns:
            `function(t)`.
        """
        return self.function(t)


def drive_and_rate(drive: Any, t: Float[Array, ""] | float) -> tuple[PyTree, PyTree]:
    """A drive and its time derivative.

    Args:
        drive: `t -> x`.
        t: time, scalar (ms).

    Returns:
        `x`, and `dx/dt` (per ms); leaves that are not floating-point do not move.

    Raises:
        TypeError: if `drive` is not callable, or cannot be differentiated.
    """
    if not callable(drive):
        raise TypeError(
            f"drive must be a function of time that can be differentiated, got "
            f"{type(drive).__name__}; wrap constant values as ConstantDrive(x), and samples as "
            "FunctionDrive(diffrax.CubicInterpolation(ts, coeffs).evaluate)"
        )
    t = jnp.asarray(t, dtype=jnp.result_type(float, t))
    try:
        return jax.jvp(drive, (t,), (jnp.ones_like(t),))
    except (TypeError, jax.errors.TracerArrayConversionError) as error:
        raise TypeError(
            "drive must be differentiable in t with jax; write it with jax.numpy, or give samples "
            "as FunctionDrive(diffrax.CubicInterpolation(ts, coeffs).evaluate)"
        ) from error
