"""The neurons of the chip over one step: exact propagation, or short steps where nonlinear."""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from plasticjax.neurons import CurrentLIF

from ._chip_config import NeuronSettings, refractory_us
from ._fixed_pattern import Chip

SUBSTEPS = 4
# Beyond this the membrane crosses any threshold within a step, and the exponential overflows.
STEEPEST = 20.0


class NeuronState(eqx.Module):
    """State of the neurons, all [hemisphere, column].

    Attributes:
        voltage: membrane potential (LSB).
        adaptation: adaptation current (LSB).
        exc: excitatory trace (LSB; relative to the leak if a conductance).
        inh: inhibitory trace (the same).
        held: steps for which the membrane still is at its reset (dimensionless).
    """

    voltage: Float[Array, "hemisphere column"]
    adaptation: Float[Array, "hemisphere column"]
    exc: Float[Array, "hemisphere column"]
    inh: Float[Array, "hemisphere column"]
    held: Int[Array, "hemisphere column"]


class NeuronConstants(NamedTuple):
    """What the neurons of one chip really do, all [hemisphere, column]: settings and pattern.

    Voltages in LSB; `charge` is the trace per weight LSB, `held` in steps; decays and responses
    are those of one short step.
    """

    leak: Any
    reset: Any
    threshold: Any
    tau_mem: Any
    charge: Any
    held: Any
    decay_exc: Any
    decay_inh: Any
    decay_adaptation: Any
    response_exc: Any
    response_inh: Any


def constants(
    settings: NeuronSettings, chip: Chip, threshold_noise: Any, dt_us: float
) -> NeuronConstants:
    """Combines settings with the fixed pattern; a trace of weight 63 has the PSP of the profile."""
    own = lambda value: jnp.broadcast_to(jnp.asarray(value, chip.leak.dtype), chip.leak.shape)  # noqa: E731
    bias = own(settings.gain_code) / 500 * own(settings.dac_code) / 600
    charge = chip.profile.psp * jnp.e / 63 * bias * chip.neuron_gain
    if settings.conductance:
        charge = charge / chip.profile.coba_reference
    threshold = own(settings.threshold) + chip.threshold + threshold_noise
    tau_mem = own(settings.tau_mem) * chip.tau_mem
    tau_exc = own(settings.tau_exc) * chip.tau_exc
    tau_inh = own(settings.tau_inh) * chip.tau_inh
    h = dt_us / _short_steps(settings)
    # Response: voltage after a short step of a unit current that decays with tau_syn.
    response = lambda tau: CurrentLIF.event_prop(tau_mem=tau_mem, tau_syn=tau).kernel(  # noqa: E731
        jnp.full_like(tau_mem, h)
    )
    return NeuronConstants(
        leak=own(settings.leak) + chip.leak,
        reset=own(settings.reset) + chip.reset,
        threshold=jnp.where(chip.alive, threshold, jnp.inf),
        tau_mem=tau_mem,
        charge=charge,
        held=jnp.round(refractory_us(own(settings.tau_ref)) / dt_us).astype(jnp.int32),
        decay_exc=jnp.exp(-h / tau_exc),
        decay_inh=jnp.exp(-h / tau_inh),
        decay_adaptation=jnp.exp(-h / own(settings.tau_adaptation)),
        response_exc=response(tau_exc),
        response_inh=response(tau_inh),
    )


def at_rest(chip: Chip, settings: NeuronSettings) -> NeuronState:
    """All membranes at their leak potential."""
    zeros = jnp.zeros_like(chip.leak)
    voltage = jnp.asarray(settings.leak, chip.leak.dtype) + chip.leak
    return NeuronState(voltage, zeros, zeros, zeros, jnp.zeros(zeros.shape, jnp.int32))


def propagate(
    state: NeuronState, c: NeuronConstants, settings: NeuronSettings, dt_us: float
) -> NeuronState:
    """The membranes after a step without new events."""
    short_steps = _short_steps(settings)
    for _ in range(short_steps):
        state = _short_step(state, c, settings, dt_us / short_steps)
    voltage = jnp.where(state.held > 0, c.reset, state.voltage)
    held = jnp.maximum(state.held - 1, 0)
    return NeuronState(voltage, state.adaptation, state.exc, state.inh, held)


def _short_steps(settings: NeuronSettings) -> int:
    """Nonlinear neurons take short steps; linear ones are exact for constant adaptation."""
    return SUBSTEPS if settings.exponential or settings.conductance else 1


def _short_step(state, c, settings, h):
    """Exact for what is linear; adaptation, conductances, exponential term constant for `h`."""
    target, rate = c.leak + settings.offset - state.adaptation, 1.0
    if settings.exponential:
        above = (state.voltage - settings.exponential_threshold) / settings.slope
        target = target + settings.slope * jnp.exp(jnp.minimum(above, STEEPEST))
    if settings.conductance:
        rate = 1 + state.exc + state.inh
        driven = state.exc * settings.reversal_exc + state.inh * settings.reversal_inh
        target = (target + driven) / rate
    voltage = target + (state.voltage - target) * jnp.exp(-h * rate / c.tau_mem)
    if not settings.conductance:
        voltage += state.exc * c.response_exc - state.inh * c.response_inh
    adaptation = state.adaptation
    if settings.adaptation:
        aim = settings.subthreshold * (state.voltage - c.leak)
        adaptation = aim + (adaptation - aim) * c.decay_adaptation
    exc, inh = state.exc * c.decay_exc, state.inh * c.decay_inh
    return NeuronState(voltage, adaptation, exc, inh, state.held)


def fire(
    state: NeuronState, c: NeuronConstants, settings: NeuronSettings, free: Any
) -> tuple[NeuronState, Bool[Array, "hemisphere column"]]:
    """Resets the neurons above threshold, unless they were refractory; returns who spiked."""
    spikes = free & (state.voltage >= c.threshold)
    adaptation = state.adaptation
    if settings.adaptation:
        adaptation = jnp.where(spikes, adaptation + settings.increment, adaptation)
    voltage = jnp.where(spikes, c.reset, state.voltage)
    held = jnp.where(spikes, c.held, state.held)
    return NeuronState(voltage, adaptation, state.exc, state.inh, held), spikes
