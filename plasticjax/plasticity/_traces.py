"""Traces: what a spike train leaves behind for a rule to read."""

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Bool, Float, Real

from ._rule import Parameter

Interaction = Literal["all", "nearest"]


class Spiking(NamedTuple):
    """What a neuron shows to a rule of spike timing.

    Attributes:
        spike: whether it fires now, scalar or [neurons]; true or 1 at a spike (dimensionless).
        trace: its trace just before, scalar or [neurons] (dimensionless).
        slow: a second, slower trace just before, for triplets, scalar or [neurons]
            (dimensionless); None without triplets.
    """

    spike: Bool[ArrayLike, "*shape"] | Real[ArrayLike, "*shape"]
    trace: Float[ArrayLike, "*shape"]
    slow: Float[ArrayLike, "*shape"] | None = None


class Trace(eqx.Module):
    r"""An exponential trace of a spike train, $\tau \dot z = -z$, that jumps at spikes.

    Which spikes pair with which is decided by the jump. `interaction="all"`: 1 is added, so every
    earlier spike counts. `interaction="nearest"`: the trace is set to 1, so only the last spike
    counts. Sources: Morrison, Diesmann & Gerstner (2008), Biol. Cybern. 98, 459; Pfister &
    Gerstner (2006), J. Neurosci. 26, 9673.

    Attributes:
        tau: time constant, scalar or [neurons] (ms).
        interaction: static; "all" or "nearest".
    """

    tau: Parameter = 20.0
    interaction: Interaction = eqx.field(default="all", static=True)

    def __check_init__(self):
        """Refuses a time constant that is not positive and an unknown interaction.

        Raises:
            ValueError: unless `tau > 0` and the interaction is one of the two.
        """
        _require_time(self.tau)
        if self.interaction not in ("all", "nearest"):
            raise ValueError(f"interaction={self.interaction!r} must be 'all' or 'nearest'")

    def vector_field(self, t: Any, y: Any, args: Any) -> Any:
        """Time derivative between spikes, as diffrax takes it.

        Args:
            t: time, scalar (ms), not used.
            y: trace, scalar or [neurons] (dimensionless).
            args: not used.

        Returns:
            The derivative, shaped as `y` (1/ms).
        """
        return -y / self.tau

    def decay(self, y: Float[ArrayLike, "..."], elapsed: Any) -> Float[Array, "..."]:
        """The trace after a time without spikes, exact.

        Args:
            y: trace, scalar or [neurons] (dimensionless).
            elapsed: time that passed, scalar or [neurons] (ms).

        Returns:
            The trace, shaped as `y` (dimensionless).
        """
        return jnp.asarray(y * jnp.exp(-elapsed / self.tau))

    def receive(self, y: Float[ArrayLike, "..."], spike: Any) -> Float[Array, "..."]:
        """The trace right after the present spikes. Rules read the trace before this.

        Args:
            y: trace, scalar or [neurons] (dimensionless).
            spike: whether each neuron fires, scalar or [neurons]; true or 1 at a spike.

        Returns:
            The trace, shaped as `y` (dimensionless).
        """
        after = y + 1 if self.interaction == "all" else jnp.ones_like(y)
        return jnp.where(jnp.asarray(spike) != 0, after, y)


class LowPass(eqx.Module):
    r"""A running mean of a signal u, $\tau \dot y = u - y$.

    It makes the sliding threshold of `BCM`, the mean rate that `SynapticScaling` reads, and the
    filtered voltages of `ClopathSTDP`.

    Attributes:
        tau: time constant, scalar or [neurons] (ms).
    """

    tau: Parameter

    def __check_init__(self):
        """Refuses a time constant that is not positive.

        Raises:
            ValueError: unless `tau > 0`.
        """
        _require_time(self.tau)

    def vector_field(self, t: Any, y: Any, args: Any) -> Any:
        """Time derivative, as diffrax takes it.

        Args:
            t: time, scalar (ms), not used.
            y: mean, scalar or [neurons], in the unit of the signal.
            args: the signal u, shaped as `y`.

        Returns:
            The derivative, shaped as `y` (unit of the signal per ms).
        """
        return (args - y) / self.tau

    def follow(self, y: Float[ArrayLike, "..."], signal: Any, elapsed: Any) -> Float[Array, "..."]:
        """The mean after a time in which the signal was constant, exact.

        Args:
            y: mean, scalar or [neurons], in the unit of the signal.
            signal: the signal u, scalar or [neurons].
            elapsed: time that passed, scalar or [neurons] (ms).

        Returns:
            The mean, shaped as `y`, in the unit of the signal.
        """
        return signal + (y - signal) * jnp.exp(-elapsed / self.tau)


def _require_time(tau: Any) -> None:
    if not isinstance(tau, Tracer) and not np.all(np.asarray(tau) > 0):
        raise ValueError(f"tau={tau} must be a positive time in ms")
