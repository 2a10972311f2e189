"""Adaptive exponential integrate-and-fire neuron."""

from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._parameters import Parameter, require_below, require_positive
from ._spiking import AbstractSpikingNeuron


class AdExState(NamedTuple):
    """State of an `AdEx`.

    Attributes:
        voltage: membrane potential, scalar or [post] (mV).
        adaptation: adaptation current, scalar or [post] (pA).
        current: synaptic current, scalar or [post] (pA).
    """

    voltage: Parameter
    adaptation: Parameter
    current: Parameter


class AdEx(AbstractSpikingNeuron[AdExState]):
    r"""Adaptive exponential integrate-and-fire neuron with an exponential synaptic current.

    $$C \dot V = g_\ell (E_\ell - V) + g_\ell \Delta_T e^{(V - V_T) / \Delta_T} - w + I, \qquad
    \tau_w \dot w = a (V - E_\ell) - w, \qquad \tau_s \dot I = -I$$

    When V reaches the threshold, where the upstroke is all but vertical, $V \to V_r$ and
    $w \to w + b$. A spike of weight w adds w to I. Source of equations and values: Brette &
    Gerstner (2005), J. Neurophysiol. 94, 3637; `tau_syn` is ours. The paper cuts the upstroke at
    20 mV; from 0 mV it would take another 1e-10 ms to get there, and many steps. Every parameter is
    a scalar or has shape [post].

    Attributes:
        capacitance: C (pF).
        g_leak: leak conductance (nS).
        leak: leak potential (mV).
        slope_factor: sharpness of the upstroke $\Delta_T$ (mV).
        rheobase: potential $V_T$ beyond which the upstroke starts (mV).
        tau_adaptation: time constant of the adaptation (ms).
        coupling: adaptation by the potential, a (nS).
        jump: adaptation by a spike, b (pA).
        reset_voltage: potential after a spike (mV).
        threshold: where the upstroke is cut (mV).
        tau_syn: synaptic time constant (ms).
    """

    capacitance: Parameter = 281.0
    g_leak: Parameter = 30.0
    leak: Parameter = -70.6
    slope_factor: Parameter = 2.0
    rheobase: Parameter = -50.4
    tau_adaptation: Parameter = 144.0
    coupling: Parameter = 4.0
    jump: Parameter = 80.5
    reset_voltage: Parameter = -70.6
    threshold: Parameter = 0.0
    tau_syn: Parameter = 5.0

    clamped: ClassVar[AdExState] = AdExState(voltage=True, adaptation=False, current=False)

    def __check_init__(self):
        """Refuses concrete parameters outside their range.

        Raises:
            ValueError: for what must be positive and is not, and a reset at or above the threshold.
        """
        names = ("capacitance", "g_leak", "slope_factor", "tau_adaptation", "tau_syn")
        require_positive(self, *names)
        require_below(self, "reset_voltage", "threshold")

    def vector_field(self, t, y: AdExState, drive) -> AdExState:
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
        upstroke = self.slope_factor * jnp.exp((y.voltage - self.rheobase) / self.slope_factor)
        membrane = self.g_leak * (self.leak - y.voltage + upstroke) - y.adaptation + current
        adapting = self.coupling * (y.voltage - self.leak) - y.adaptation
        return AdExState(
            membrane / self.capacitance, adapting / self.tau_adaptation, -y.current / self.tau_syn
        )

    def threshold_margin(self, y: AdExState) -> Float[Array, "..."]:
        """Potential above threshold.

        Args:
            y: state, leaves scalar or [post].

        Returns:
            The margin, scalar or [post] (mV).
        """
        return jnp.asarray(y.voltage - self.threshold)

    def reset(self, y: AdExState) -> AdExState:
        """State right after a spike: the potential is reset, the adaptation grows.

        Args:
            y: state, leaves scalar or [post].

        Returns:
            The reset state (mV and pA).
        """
        voltage = jnp.broadcast_to(self.reset_voltage, jnp.shape(y.voltage))
        return AdExState(voltage, y.adaptation + self.jump, y.current)

    def receive(self, y: AdExState, jump) -> AdExState:
        """State right after an arriving spike.

        Args:
            y: state, leaves scalar or [post].
            jump: summed weight of what arrives, scalar or [post] (pA).

        Returns:
            The state with `jump` added to the synaptic current (mV and pA).
        """
        return y._replace(current=y.current + jump)

    def initial(self) -> AdExState:
        """Leak potential without currents, leaves scalar or [post].

        Returns:
            The state (mV and pA).
        """
        voltage = jnp.asarray(self.leak, jnp.result_type(float))
        return AdExState(voltage, jnp.zeros_like(voltage), jnp.zeros_like(voltage))
