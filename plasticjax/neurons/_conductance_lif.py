"""Leaky integrate-and-fire neuron with excitatory and inhibitory conductances."""

from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._parameters import Parameter, require_below, require_positive
from ._spiking import AbstractSpikingNeuron


class Conductances(NamedTuple):
    """What a spike adds to each receptor of a `ConductanceLIF`, or weights in that structure.

    Attributes:
        excitatory: scalar or an array of any shape (nS).
        inhibitory: the same shape (nS).
    """

    excitatory: Parameter
    inhibitory: Parameter


class ConductanceLIFState(NamedTuple):
    """State of a `ConductanceLIF`.

    Attributes:
        voltage: membrane potential, scalar or [post] (mV).
        excitatory: excitatory conductance, scalar or [post] (nS).
        inhibitory: inhibitory conductance, scalar or [post] (nS).
    """

    voltage: Parameter
    excitatory: Parameter
    inhibitory: Parameter


class ConductanceLIF(AbstractSpikingNeuron[ConductanceLIFState]):
    r"""Leaky integrate-and-fire neuron with two exponential conductances.

    $$C \dot V = g_\ell (E_\ell - V) + g_e (E_e - V) + g_i (E_i - V) + I, \qquad
    \tau_e \dot g_e = -g_e, \qquad \tau_i \dot g_i = -g_i$$

    When V reaches the threshold it is reset. A spike adds its two weights, neither negative, to
    $g_e$ and $g_i$. Source of equations and values: Brette et al. (2007), J. Comput. Neurosci. 23,
    349, benchmark 1. Every parameter is a scalar or has shape [post].

    Attributes:
        capacitance: C (pF).
        g_leak: leak conductance (nS).
        leak: leak potential (mV).
        threshold: threshold potential (mV).
        reset_voltage: potential after a spike (mV).
        excitatory_reversal: $E_e$ (mV).
        inhibitory_reversal: $E_i$ (mV).
        tau_excitatory: time constant of $g_e$ (ms).
        tau_inhibitory: time constant of $g_i$ (ms).
    """

    capacitance: Parameter = 200.0
    g_leak: Parameter = 10.0
    leak: Parameter = -60.0
    threshold: Parameter = -50.0
    reset_voltage: Parameter = -60.0
    excitatory_reversal: Parameter = 0.0
    inhibitory_reversal: Parameter = -80.0
    tau_excitatory: Parameter = 5.0
    tau_inhibitory: Parameter = 10.0

    clamped: ClassVar[ConductanceLIFState] = ConductanceLIFState(
        voltage=True, excitatory=False, inhibitory=False
    )

    def __check_init__(self):
        """Refuses concrete parameters outside their range.

        Raises:
            ValueError: for what must be positive and is not, and a reset at or above the threshold.
        """
        require_positive(self, "capacitance", "g_leak", "tau_excitatory", "tau_inhibitory")
        require_below(self, "reset_voltage", "threshold")

    def vector_field(self, t, y: ConductanceLIFState, drive) -> ConductanceLIFState:
        """Time derivative of the state.

        Args:
            t: time, scalar (unused, the dynamics are autonomous).
            y: state, leaves scalar or [post].
            drive: external current, scalar or [post] (pA), or `None`.

        Returns:
            The derivative (mV/ms and nS/ms).
        """
        del t
        current = self.g_leak * (self.leak - y.voltage)
        current += y.excitatory * (self.excitatory_reversal - y.voltage)
        current += y.inhibitory * (self.inhibitory_reversal - y.voltage)
        current = current if drive is None else current + drive
        return ConductanceLIFState(
            current / self.capacitance,
            -y.excitatory / self.tau_excitatory,
            -y.inhibitory / self.tau_inhibitory,
        )

    def threshold_margin(self, y: ConductanceLIFState) -> Float[Array, "..."]:
        """Potential above threshold.

        Args:
            y: state, leaves scalar or [post].

        Returns:
            The margin, scalar or [post] (mV).
        """
        return jnp.asarray(y.voltage - self.threshold)

    def reset(self, y: ConductanceLIFState) -> ConductanceLIFState:
        """State right after a spike: the potential is reset, the conductances are kept.

        Args:
            y: state, leaves scalar or [post].

        Returns:
            The reset state (mV and nS).
        """
        return y._replace(voltage=jnp.broadcast_to(self.reset_voltage, jnp.shape(y.voltage)))

    def receive(self, y: ConductanceLIFState, jump: Conductances) -> ConductanceLIFState:
        """State right after an arriving spike.

        Args:
            y: state, leaves scalar or [post].
            jump: summed weights of what arrives, leaves scalar or [post] (nS).

        Returns:
            The state with `jump` added to the conductances (mV and nS).
        """
        return ConductanceLIFState(
            y.voltage, y.excitatory + jump.excitatory, y.inhibitory + jump.inhibitory
        )

    def initial(self) -> ConductanceLIFState:
        """Leak potential without conductances, leaves scalar or [post].

        Returns:
            The state (mV and nS).
        """
        voltage = jnp.asarray(self.leak, jnp.result_type(float))
        return ConductanceLIFState(voltage, jnp.zeros_like(voltage), jnp.zeros_like(voltage))
