"""Quadratic integrate-and-fire neuron with recovery, after Izhikevich."""

from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._parameters import Parameter, require_below, require_positive
from ._spiking import AbstractSpikingNeuron


class IzhikevichState(NamedTuple):
    """State of an `Izhikevich` neuron.

    Attributes:
        voltage: membrane potential, scalar or [post] (mV).
        recovery: recovery current, scalar or [post] (pA).
        current: synaptic current, scalar or [post] (pA).
    """

    voltage: Parameter
    recovery: Parameter
    current: Parameter


class Izhikevich(AbstractSpikingNeuron[IzhikevichState]):
    r"""Quadratic neuron with a recovery current and an exponential synaptic current.

    $$C \dot v = k (v - v_r)(v - v_t) - u + I, \qquad \dot u = a (b (v - v_r) - u), \qquad
    \tau_s \dot I = -I$$

    When v reaches its peak, $v \to c$ and $u \to u + d$. A spike of weight w adds w to I. Source:
    Izhikevich (2007), Dynamical Systems in Neuroscience, chapter 8; the values are those of its
    regular spiking cell, `tau_syn` is ours. Every parameter is a scalar or has shape [post].

    Attributes:
        capacitance: C (pF).
        gain: k (nS/mV).
        rest: $v_r$ (mV).
        instability: $v_t$, beyond which v rises without input (mV).
        rate: a (kHz).
        coupling: b (nS).
        reset_voltage: c (mV).
        jump: d (pA).
        threshold: peak of the spike (mV).
        tau_syn: synaptic time constant (ms).
    """

    capacitance: Parameter = 100.0
    gain: Parameter = 0.7
    rest: Parameter = -60.0
    instability: Parameter = -40.0
    rate: Parameter = 0.03
    coupling: Parameter = -2.0
    reset_voltage: Parameter = -50.0
    jump: Parameter = 100.0
    threshold: Parameter = 35.0
    tau_syn: Parameter = 5.0

    clamped: ClassVar[IzhikevichState] = IzhikevichState(
        voltage=True, recovery=False, current=False
    )

    def __check_init__(self):
        """Refuses concrete parameters outside their range.

        Raises:
            ValueError: for what must be positive and is not, and a reset at or above the peak.
        """
        require_positive(self, "capacitance", "gain", "rate", "tau_syn")
        require_below(self, "reset_voltage", "threshold")

    def vector_field(self, t, y: IzhikevichState, drive) -> IzhikevichState:
        """Time derivative of the state.

        Args:
            t: time, scalar (unused, the dynamics are autonomous).
            y: state, leaves scalar or [post].
            drive: external current, scalar or [post] (pA), or `None`.

        Returns:
            The derivative (mV/ms and pA/ms).
        """
        del t
        current = y.current if drive is None else y.current + drive
        intrinsic = self.gain * (y.voltage - self.rest) * (y.voltage - self.instability)
        recovering = self.coupling * (y.voltage - self.rest) - y.recovery
        return IzhikevichState(
            (intrinsic - y.recovery + current) / self.capacitance,
            self.rate * recovering,
            -y.current / self.tau_syn,
        )

    def threshold_margin(self, y: IzhikevichState) -> Float[Array, "..."]:
        """Potential above the peak.

        Args:
            y: state, leaves scalar or [post].

        Returns:
            The margin, scalar or [post] (mV).
        """
        return jnp.asarray(y.voltage - self.threshold)

    def reset(self, y: IzhikevichState) -> IzhikevichState:
        """State right after a spike: the potential is reset, the recovery current grows.

        Args:
            y: state, leaves scalar or [post].

        Returns:
            The reset state (mV and pA).
        """
        voltage = jnp.broadcast_to(self.reset_voltage, jnp.shape(y.voltage))
        return IzhikevichState(voltage, y.recovery + self.jump, y.current)

    def receive(self, y: IzhikevichState, jump) -> IzhikevichState:
        """State right after an arriving spike.

        Args:
            y: state, leaves scalar or [post].
            jump: summed weight of what arrives, scalar or [post] (pA).

        Returns:
            The state with `jump` added to the synaptic current (mV and pA).
        """
        return y._replace(current=y.current + jump)

    def initial(self) -> IzhikevichState:
        """Resting potential without currents, leaves scalar or [post].

        Returns:
            The state (mV and pA).
        """
        voltage = jnp.asarray(self.rest, jnp.result_type(float))
        return IzhikevichState(voltage, jnp.zeros_like(voltage), jnp.zeros_like(voltage))
