"""Spiking neurons on a fixed time grid, with reset and refractoriness."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from plasticjax.neurons import CurrentLIF, CurrentLIFState


class GridCarry(NamedTuple):
    """What a `GridStepper` carries from step to step.

    Attributes:
        state: state of the neurons, leaves [post] (units of the neuron).
        refractory: steps for which each neuron is still clamped, [post].
    """

    state: CurrentLIFState
    refractory: Int[Array, " post"]


class GridOutput(NamedTuple):
    """What a `GridStepper` shows of a step.

    Attributes:
        voltage: membrane potential at the end of the step, before a reset, [post] (voltage).
        spikes: whether the neuron fired in the step, [post].
    """

    voltage: Float[Array, " post"]
    spikes: Bool[Array, " post"]


class GridStepper(eqx.Module):
    """Stepper of `scan_steps` for linear spiking neurons.

    Step k covers [k dt, (k + 1) dt): input arriving in it is received at its beginning, the linear
    dynamics are propagated exactly over dt, and a potential above threshold at the end is a spike
    at (k + 1) dt. Spike times therefore converge at first order in dt. During refractoriness the
    leaves that the neuron declares `clamped` stay at their reset value.

    Attributes:
        neuron: the neurons; each parameter is a scalar or [post].
        dt: step width (unit of the time constants).
        refractory: refractory time, rounded to whole steps (same unit).
    """

    neuron: CurrentLIF
    dt: float = eqx.field(static=True)
    refractory: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        """Raises: ValueError for a step that is not positive or a negative refractory time."""
        if not self.dt > 0:
            raise ValueError(f"dt={self.dt} must be positive")
        if not self.refractory >= 0:
            raise ValueError(f"refractory={self.refractory} must not be negative")

    def initial(self, post: int) -> GridCarry:
        """Carry of `post` resting neurons.

        Args:
            post: number of neurons (dimensionless).

        Returns:
            The initial carry, leaves [post].
        """
        state = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (post,)), self.neuron.initial())
        return GridCarry(state, jnp.zeros(post, jnp.int32))

    def __call__(
        self, carry: GridCarry, arriving: Float[Array, " post"]
    ) -> tuple[GridCarry, GridOutput]:
        """One step.

        Args:
            carry: carry of the previous step.
            arriving: summed weight of the spikes that arrive in this step, [post] (current).

        Returns:
            The next carry and what the step shows.
        """
        received = self.neuron.receive(carry.state, arriving)
        moved = self.neuron.propagate(received, self.dt)
        clamped = carry.refractory > 0
        state = jax.tree.map(
            lambda hold, old, new: jnp.where(clamped & hold, old, new),
            self.neuron.clamped,
            carry.state,
            moved,
        )
        spikes = (self.neuron.threshold_margin(state) > 0) & ~clamped
        after = jax.tree.map(
            lambda reset, kept: jnp.where(spikes, reset, kept), self.neuron.reset(state), state
        )
        pause = round(self.refractory / self.dt)
        refractory = jnp.where(spikes, pause, jnp.maximum(carry.refractory - 1, 0))
        return GridCarry(after, refractory), GridOutput(state.voltage, spikes)


def arrivals_on_grid(
    weights: Float[Array, "post pre"], times: Float[Array, " pre"], *, dt: float, steps: int
) -> Float[Array, "steps post"]:
    """Summed weights that arrive in each step of a grid, the input of a `GridStepper`.

    Args:
        weights: synaptic weights, [post, pre] (current).
        times: arrival times, [pre]; step k takes those in [k dt, (k + 1) dt), times outside the
            grid and `inf` have no effect (unit of `dt`).
        dt: step width, positive.
        steps: number of steps.

    Returns:
        Arriving weight per step and neuron, [steps, post].

    Raises:
        ValueError: `dt` not positive, or shapes that do not fit.
    """
    if not dt > 0:
        raise ValueError(f"dt={dt} must be positive")
    if weights.ndim != 2 or times.shape != weights.shape[1:]:
        raise ValueError(
            f"weights {weights.shape} and times {times.shape} must be [post, pre] and [pre]"
        )
    inside = (times >= 0) & (times < steps * dt)
    step = jnp.floor(jnp.where(inside, times, 0) / dt).astype(jnp.int32)
    step = jnp.where(inside, step, steps)
    return jnp.zeros((steps, weights.shape[0]), weights.dtype).at[step].add(weights.T, mode="drop")
