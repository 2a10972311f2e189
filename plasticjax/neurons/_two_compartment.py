"""Spiking neuron of a soma and a passive dendrite."""

from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._parameters import Parameter, require, require_below, require_positive
from ._spiking import AbstractSpikingNeuron


class CompartmentInput(NamedTuple):
    """What a spike adds to each compartment of a `TwoCompartmentLIF`, weights or drives.

    Attributes:
        soma: scalar or an array of any shape (pA).
        dendrite: the same shape (pA).
    """

    soma: Parameter
    dendrite: Parameter


class TwoCompartmentState(NamedTuple):
    """State of a `TwoCompartmentLIF`.

    Attributes:
        soma: somatic potential, scalar or [post] (mV).
        dendrite: dendritic potential, scalar or [post] (mV).
        soma_current: synaptic current into the soma, scalar or [post] (pA).
        dendrite_current: synaptic current into the dendrite, scalar or [post] (pA).
    """

    soma: Parameter
    dendrite: Parameter
    soma_current: Parameter
    dendrite_current: Parameter


class TwoCompartmentLIF(AbstractSpikingNeuron[TwoCompartmentState]):
    r"""Leaky integrate-and-fire soma, coupled to a passive dendrite.

    $$C_s \dot V_s = g_s (E - V_s) + g_c (V_d - V_s) + I_s, \qquad
    C_d \dot V_d = g_d (E - V_d) + g_c (V_s - V_d) + I_d, \qquad \tau_s \dot I = -I$$

    When $V_s$ reaches the threshold it is reset; the dendrite does not notice except by the
    coupling. Current of the dendrite arrives late and spread out. Source: the compartments of Rall
    (1964), in Neural Theory and Modeling, two of them; the values are ours, with membrane time
    constants of 20 ms. Every parameter is a scalar or has shape [post].

    Attributes:
        soma_capacitance: $C_s$ (pF).
        dendrite_capacitance: $C_d$ (pF).
        soma_leak: leak conductance $g_s$ (nS).
        dendrite_leak: leak conductance $g_d$ (nS).
        coupling: $g_c$ (nS); 0 separates the compartments.
        leak: leak potential (mV).
        threshold: threshold potential of the soma (mV).
        reset_voltage: somatic potential after a spike (mV).
        tau_syn: synaptic time constant (ms).
    """

    soma_capacitance: Parameter = 100.0
    dendrite_capacitance: Parameter = 200.0
    soma_leak: Parameter = 5.0
    dendrite_leak: Parameter = 10.0
    coupling: Parameter = 10.0
    leak: Parameter = -70.0
    threshold: Parameter = -55.0
    reset_voltage: Parameter = -70.0
    tau_syn: Parameter = 5.0

    clamped: ClassVar[TwoCompartmentState] = TwoCompartmentState(True, False, False, False)

    def __check_init__(self):
        """Refuses concrete parameters outside their range.

        Raises:
            ValueError: for what must be positive and is not, a negative coupling, and a reset at or
                above the threshold.
        """
        names = ("soma_capacitance", "dendrite_capacitance", "soma_leak", "dendrite_leak")
        require_positive(self, *names, "tau_syn")
        require(self.coupling, "coupling", lambda x: x >= 0, "not negative")
        require_below(self, "reset_voltage", "threshold")

    def vector_field(
        self, t, y: TwoCompartmentState, drive: CompartmentInput | None
    ) -> TwoCompartmentState:
        """Time derivative of the state.

        Args:
            t: time, scalar (unused, the dynamics are autonomous).
            y: state, leaves scalar or [post].
            drive: external currents, leaves scalar or [post] (pA), or `None`.

        Returns:
            The derivative (mV/ms and pA/ms).
        """
        del t
        into_soma, into_dendrite = y.soma_current, y.dendrite_current
        if drive is not None:
            into_soma, into_dendrite = into_soma + drive.soma, into_dendrite + drive.dendrite
        exchange = self.coupling * (y.dendrite - y.soma)
        soma = self.soma_leak * (self.leak - y.soma) + exchange + into_soma
        dendrite = self.dendrite_leak * (self.leak - y.dendrite) - exchange + into_dendrite
        return TwoCompartmentState(
            soma / self.soma_capacitance,
            dendrite / self.dendrite_capacitance,
            -y.soma_current / self.tau_syn,
            -y.dendrite_current / self.tau_syn,
        )

    def threshold_margin(self, y: TwoCompartmentState) -> Float[Array, "..."]:
        """Somatic potential above threshold.

        Args:
            y: state, leaves scalar or [post].

        Returns:
            The margin, scalar or [post] (mV).
        """
        return jnp.asarray(y.soma - self.threshold)

    def reset(self, y: TwoCompartmentState) -> TwoCompartmentState:
        """State right after a spike: only the soma is reset.

        Args:
            y: state, leaves scalar or [post].

        Returns:
            The reset state (mV and pA).
        """
        return y._replace(soma=jnp.broadcast_to(self.reset_voltage, jnp.shape(y.soma)))

    def receive(self, y: TwoCompartmentState, jump: CompartmentInput) -> TwoCompartmentState:
        """State right after an arriving spike.

        Args:
            y: state, leaves scalar or [post].
            jump: summed weights of what arrives, leaves scalar or [post] (pA).

        Returns:
            The state with `jump` added to the synaptic currents (mV and pA).
        """
        return y._replace(
            soma_current=y.soma_current + jump.soma,
            dendrite_current=y.dendrite_current + jump.dendrite,
        )

    def initial(self) -> TwoCompartmentState:
        """Leak potential without currents, leaves scalar or [post].

        Returns:
            The state (mV and pA).
        """
        voltage = jnp.asarray(self.leak, jnp.result_type(float))
        zero = jnp.zeros_like(voltage)
        return TwoCompartmentState(voltage, voltage, zero, zero)
