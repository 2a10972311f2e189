"""Leaky integrate-and-fire neuron with an exponential synaptic current."""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from ._parameters import Parameter, is_concrete, require
from ._spiking import AbstractSpikingNeuron


class CurrentLIFState(NamedTuple):
    """State of a `CurrentLIF`.

    Attributes:
        voltage: membrane potential, scalar or [post], in the unit of the threshold.
        current: synaptic current, scalar or [post], in the unit of the weights.
    """

    voltage: Parameter
    current: Parameter


class CurrentLIF(AbstractSpikingNeuron[CurrentLIFState]):
    r"""Current-based leaky integrate-and-fire neuron with an exponential synapse.

    $$C \dot V = g_\ell (E_\ell - V) + I, \qquad \tau_s \dot I = -I, \qquad C = \tau_m g_\ell$$

    A spike of weight $w$ adds $w$ to $I$; the neuron fires when $V$ crosses the threshold from
    below. Only ratios of times enter, so any consistent time unit is legal: ms with mV, nS and pA,
    or the dimensionless convention of the defaults, with times in units of `tau_syn` and
    $C = \tau_s$. Source: Göltz, Kriener et al. (2021), Nat. Mach. Intell. 3, 823, Eq. 1.

    Every parameter is a scalar or has shape [post], one value per neuron, in consistent units.

    Attributes:
        tau_mem: membrane time constant (time); `inf` makes the neuron non-leaky.
        tau_syn: synaptic time constant (time).
        threshold: threshold potential (voltage).
        leak: leak (resting) potential (voltage), below the threshold.
        g_leak: leak conductance (charge / time / voltage). `None`: `tau_syn / tau_mem`, which
            makes the capacitance equal to `tau_syn` as in the paper.
        reset_voltage: potential right after a spike (voltage). `None`: the leak potential.
    """

    tau_mem: Parameter = 1.0
    tau_syn: Parameter = 1.0
    threshold: Parameter = 1.0
    leak: Parameter = 0.0
    g_leak: Parameter | None = None
    reset_voltage: Parameter | None = None

    clamped: ClassVar[CurrentLIFState] = CurrentLIFState(voltage=True, current=False)

    def __check_init__(self):
        """Refuses concrete parameters outside their range; traced ones are the caller's duty.

        Raises:
            ValueError: for a time constant or conductance that is not positive, a NaN, a threshold
                that does not exceed the leak or the reset, or `g_leak` given with an infinite
                `tau_mem`.
        """
        require(self.tau_mem, "tau_mem", lambda x: x > 0, "a positive time or inf")
        require(self.tau_syn, "tau_syn", lambda x: (x > 0) & (x < np.inf), "a positive time")
        for name in ("threshold", "leak", "reset_voltage"):
            require(getattr(self, name), name, np.isfinite, "finite")
        require(self.g_leak, "g_leak", lambda x: (x > 0) & (x < np.inf), "positive or None")
        if self.g_leak is not None:
            require(self.tau_mem, "tau_mem", np.isfinite, "finite when g_leak is given")
        for name in ("leak", "reset_voltage"):
            lower = getattr(self, name)
            if is_concrete(lower) and is_concrete(self.threshold):
                above = np.asarray(self.threshold) > np.asarray(lower)
                if not np.all(above):
                    raise ValueError(
                        f"threshold={self.threshold} must exceed {name}={lower}: "
                        "the neuron would fire without input"
                    )

    @classmethod
    def event_prop(
        cls,
        tau_mem: Parameter = 20.0,
        tau_syn: Parameter = 5.0,
        threshold: Parameter = 1.0,
        leak: Parameter = 0.0,
        reset_voltage: Parameter | None = None,
    ) -> "CurrentLIF":
        r"""The convention $\tau_m \dot V = -V + I$ of EventProp (`g_leak = 1`).

        Weights of this convention equal $w / g_\ell$ of the other. Source: Wunderlich & Pehle
        (2021), Sci. Rep. 11, 12829.

        Args:
            tau_mem: membrane time constant, scalar or [post] (ms).
            tau_syn: synaptic time constant, scalar or [post] (ms).
            threshold: threshold potential, scalar or [post] (dimensionless).
            leak: leak potential, scalar or [post] (dimensionless).
            reset_voltage: potential after a spike, scalar or [post] (dimensionless).

        Returns:
            The neuron.
        """
        return cls(tau_mem, tau_syn, threshold, leak, 1.0, reset_voltage)

    @property
    def capacitance(self) -> Parameter:
        """Membrane capacitance C (charge / voltage), scalar or [post]."""
        return self.tau_syn if self.g_leak is None else self.tau_mem * self.g_leak

    def vector_field(self, t, y: CurrentLIFState, drive) -> CurrentLIFState:
        """Time derivative of the state.

        Args:
            t: time, scalar (unused, the dynamics are autonomous).
            y: state, leaves scalar or [post].
            drive: external current added to the synaptic one, scalar or [post], or `None`.

        Returns:
            The derivative, in the structure of `y`, per unit of time.
        """
        del t
        current = y.current if drive is None else y.current + drive
        leaking = (self.leak - y.voltage) / self.tau_mem
        return CurrentLIFState(leaking + current / self.capacitance, -y.current / self.tau_syn)

    def propagate(self, y: CurrentLIFState, elapsed) -> CurrentLIFState:
        """Exact flow of the vector field without drive.

        Args:
            y: state, leaves scalar or [post].
            elapsed: time to advance, scalar or [post], not negative.

        Returns:
            The state after `elapsed` (units as in `y`).
        """
        elapsed = jnp.asarray(elapsed, jnp.result_type(y.voltage))
        relaxed = self.leak + (y.voltage - self.leak) * jnp.exp(-elapsed / self.tau_mem)
        voltage = relaxed + y.current * self.kernel(elapsed)
        return CurrentLIFState(voltage, y.current * jnp.exp(-elapsed / self.tau_syn))

    def threshold_margin(self, y: CurrentLIFState) -> Float[Array, "..."]:
        """Potential above threshold (voltage), scalar or [post].

        Args:
            y: state, leaves scalar or [post].

        Returns:
            `y.voltage - threshold`, in the unit of the threshold.
        """
        return jnp.asarray(y.voltage - self.threshold)

    def reset(self, y: CurrentLIFState) -> CurrentLIFState:
        """State right after a spike: the potential is reset, the current is kept.

        Args:
            y: state, leaves scalar or [post].

        Returns:
            The reset state (voltage and current units as in `y`).
        """
        voltage = self.leak if self.reset_voltage is None else self.reset_voltage
        return CurrentLIFState(jnp.broadcast_to(voltage, jnp.shape(y.voltage)), y.current)

    def receive(self, y: CurrentLIFState, jump) -> CurrentLIFState:
        """State right after an arriving spike.

        Args:
            y: state, leaves scalar or [post].
            jump: summed weight of what arrives, scalar or [post] (current).

        Returns:
            The state with `jump` added to the synaptic current.
        """
        return CurrentLIFState(y.voltage, y.current + jump)

    def initial(self) -> CurrentLIFState:
        """State at rest: leak potential (voltage), no current; leaves scalar or [post].

        Returns:
            The resting state.
        """
        leaves = (self.tau_mem, self.tau_syn, self.threshold, self.leak, self.g_leak)
        shape = jnp.broadcast_shapes(*(np.shape(x) for x in leaves if x is not None))
        voltage = jnp.broadcast_to(jnp.asarray(self.leak, jnp.result_type(float)), shape)
        return CurrentLIFState(voltage, jnp.zeros_like(voltage))

    def kernel(self, elapsed: Float[Array, "..."]) -> Float[Array, "..."]:
        r"""Post-synaptic potential of a unit weight, $\kappa(s)$, exact for every ratio of
        time constants including equal ones.

        $$\kappa(s) = \frac{1}{C}\,\frac{e^{-s/\tau_m} - e^{-s/\tau_s}}{1/\tau_s - 1/\tau_m}$$

        Args:
            elapsed: time since the arrival, any shape [...] that broadcasts with the parameters;
                finite.

        Returns:
            The potential above leak per unit weight, [...]; zero for `elapsed <= 0`.
        """
        s = jnp.maximum(elapsed, 0)
        leaking = 1 / jnp.asarray(self.tau_mem, s.dtype)
        decaying = 1 / jnp.asarray(self.tau_syn, s.dtype)
        # Not minimum and maximum: at equal rates they average derivatives, which is wrong from the
        # second order on.
        in_order = leaking < decaying
        slow = jnp.where(in_order, leaking, decaying)
        fast = jnp.where(in_order, decaying, leaking)
        return s * jnp.exp(-slow * s) * _relative_expm1((fast - slow) * s) / self.capacitance

    def membrane(
        self,
        t: Float[ArrayLike, "..."],
        weights: Float[Array, "*post pre"],
        times: Float[Array, " pre"],
    ) -> Float[Array, "..."]:
        """Closed-form membrane potential without spikes of the neuron itself.

        Args:
            t: time of evaluation, scalar or [post], finite.
            weights: synaptic weights, [post, pre] or [pre] (charge per spike over `tau_syn`).
            times: arrival times, [pre], any order, `inf` for a silent input (time).

        Returns:
            The potential at `t`, [post] or scalar (voltage).
        """
        elapsed = jnp.asarray(t)[..., None] - times
        column = jax.tree.map(lambda leaf: jnp.asarray(leaf)[..., None], self)
        arrived = elapsed > 0
        potential = column.kernel(jnp.where(arrived, elapsed, 0))
        return jnp.asarray(self.leak) + jnp.sum(jnp.where(arrived, weights * potential, 0), axis=-1)


def _relative_expm1(x):
    """(1 - exp(-x)) / x for x >= 0, with accurate derivatives through x = 0."""
    near = x < 0.05
    small = jnp.where(near, x, 0.0)
    large = jnp.where(near, 1.0, x)
    series = jnp.ones_like(small)
    for k in range(9, 1, -1):
        series = 1 - small / k * series
    return jnp.where(near, series, -jnp.expm1(-large) / large)
