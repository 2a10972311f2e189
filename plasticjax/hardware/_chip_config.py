"""What the host writes into a chip: synapses, row modes, neurons, drivers, routes of spikes."""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from ._fixed_pattern import Chip

Setting = float | Float[Array, "..."] | Float[np.ndarray, "..."]

OFF, EXCITATORY, INHIBITORY, BOTH = 0, 1, 2, 3
MODES = {"off": OFF, "excitatory": EXCITATORY, "inhibitory": INHIBITORY, "both": BOTH}


class NeuronSettings(eqx.Module):
    """Parameters of the neurons; each a scalar or one per neuron, [hemisphere, column].

    $$\\tau_m \\dot V = E_L - V + \\Delta_T e^{(V - V_T)/\\Delta_T} - w_a + I_E - I_I + I_{off}$$

    with currents in units of the voltage they cause, and $\\tau_w \\dot w_a = a (V - E_L) - w_a$. A
    synaptic event adds to a current that decays exponentially. With `conductance`, the traces are
    conductances relative to the leak.

    Attributes:
        leak: leak potential (LSB); calibration supports 50 to 160.
        reset: reset potential (LSB); 50 to 160.
        threshold: threshold (LSB); 50 to 220.
        tau_mem: membrane time constant (us); 0.5 to 60.
        tau_exc: excitatory synaptic time constant (us); 0.3 to 30.
        tau_inh: inhibitory synaptic time constant (us); 0.3 to 30.
        tau_ref: refractory time (us); rounded to what the counter can hold, see `refractory_us`.
        offset: constant current (LSB).
        gain_code: bias of the synaptic input, 30 to 800 (dimensionless).
        dac_code: bias of the synapse DAC, 0 to 1022 (dimensionless).
        slope: sharpness of the exponential term (LSB).
        exponential_threshold: where the exponential term starts (LSB).
        tau_adaptation: time constant of the adaptation (us).
        subthreshold: adaptation per voltage (dimensionless, relative to the leak).
        increment: adaptation per spike (LSB).
        reversal_exc: excitatory reversal potential (LSB).
        reversal_inh: inhibitory reversal potential (LSB).
        exponential: whether the exponential term is on.
        adaptation: whether the adaptation is on.
        conductance: whether synapses are conductances.
    """

    leak: Setting = 80.0
    reset: Setting = 70.0
    threshold: Setting = 125.0
    tau_mem: Setting = 10.0
    tau_exc: Setting = 10.0
    tau_inh: Setting = 10.0
    tau_ref: Setting = 2.0
    offset: Setting = 0.0
    gain_code: Setting = 500.0
    dac_code: Setting = 600.0
    slope: Setting = 5.0
    exponential_threshold: Setting = 110.0
    tau_adaptation: Setting = 100.0
    subthreshold: Setting = 0.0
    increment: Setting = 0.0
    reversal_exc: Setting = 300.0
    reversal_inh: Setting = 30.0
    exponential: bool = eqx.field(static=True, default=False)
    adaptation: bool = eqx.field(static=True, default=False)
    conductance: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        for name in ("tau_mem", "tau_exc", "tau_inh", "tau_adaptation", "slope"):
            _require(name, getattr(self, name), lambda v: v > 0, "positive")
        _require("tau_ref", self.tau_ref, lambda v: (v >= 0) & (v <= 32.64), "in [0, 32.64] us")
        for name, most in (("gain_code", 1022), ("dac_code", 1022)):
            _require(name, getattr(self, name), lambda v, m=most: (v >= 0) & (v <= m), f"<= {most}")

    @classmethod
    def coba(cls, **changes) -> "NeuronSettings":
        """The defaults for synapses that are conductances.

        Args:
            changes: attributes that shall differ, in their units.

        Returns:
            The settings.
        """
        own = {"leak": 110.0, "reset": 100.0, "threshold": 160.0, "gain_code": 180.0}
        return cls(**{**own, "dac_code": 400.0, "conductance": True, **changes})


def refractory_us(tau_ref: Setting) -> Float[Array, "..."]:
    """The refractory time that the counter of the neuron can hold.

    An 8-bit counter on 250 MHz / 2**(k + 1), with the smallest k that is long enough.

    Args:
        tau_ref: wanted time, scalar or [hemisphere, column] (us).

    Returns:
        The nearest possible time, same shape (us).
    """
    wanted = jnp.asarray(tau_ref) * 125.0
    exponent = jnp.ceil(jnp.log2(jnp.maximum(wanted, 1.0) / 255.5))
    clock = 2.0 ** jnp.maximum(exponent, 0.0)
    return jnp.minimum(jnp.round(wanted / clock), 255.0) * clock / 125.0


class ShortTermPlasticity(eqx.Module):
    """Short-term plasticity of the drivers; each attribute a scalar or [hemisphere, driver].

    One state s per driver and label. At an event `s += u (charge - s)`, and then the amplitude is
    `clip(offset + s, 0, 1)`; between events s relaxes to `recover`.

    Attributes:
        recover: what s relaxes to (dimensionless): 1 depressing, 0 facilitating.
        charge: what events drive s to (dimensionless): 0 depressing, 1 facilitating.
        u: utilisation (dimensionless).
        tau: time constant of the recovery (us).
        offset: added to the amplitude (dimensionless).
    """

    recover: Setting = 1.0
    charge: Setting = 0.0
    u: Setting = 0.2
    tau: Setting = 10.0
    offset: Setting = 0.0

    def __check_init__(self):
        _require("u", self.u, lambda v: (v >= 0) & (v <= 1), "in [0, 1]")
        _require("tau", self.tau, lambda v: v > 0, "positive")

    @classmethod
    def facilitating(cls, **changes) -> "ShortTermPlasticity":
        """Drivers whose amplitude rises with use.

        Args:
            changes: attributes that shall differ, in their units.

        Returns:
            The settings.
        """
        return cls(**{"recover": 0.0, "charge": 1.0, **changes})


class ChipConfig(eqx.Module):
    """The configuration of the used region of a chip.

    Attributes:
        weights: 0 to 63, [hemisphere, column, row] (LSB).
        labels: 0 to 63, [hemisphere, column, row] (dimensionless).
        row_modes: [hemisphere, row]: 0 off, 1 excitatory, 2 inhibitory, 3 both (dimensionless).
        neurons: parameters of the neurons.
        drivers: short-term plasticity; None: off.
        routes: words of the events that a spike of each neuron causes on chip,
            [hemisphere, column, route]; -1 for none.
        targets: drivers hit by each bus and address, [256, fan], as hemisphere times drivers plus
            driver; -1 for none. See `driver_targets`.
    """

    weights: Int[Array, "hemisphere column row"]
    labels: Int[Array, "hemisphere column row"]
    row_modes: Int[Array, "hemisphere row"]
    neurons: NeuronSettings
    drivers: ShortTermPlasticity | None
    routes: Int[Array, "hemisphere column route"]
    targets: Int[Array, "256 fan"]


def configure(
    chip: Chip,
    *,
    weights: Int[Array, "hemisphere column row"] | Int[np.ndarray, "hemisphere column row"] | int,
    labels: Int[Array, "hemisphere column row"]
    | Int[np.ndarray, "hemisphere column row"]
    | int = 0,
    row_modes: Int[np.ndarray, "hemisphere row"] | Literal["excitatory", "inhibitory", "both"] = (
        "excitatory"
    ),
    neurons: NeuronSettings | None = None,
    drivers: ShortTermPlasticity | None = None,
    routes: Int[Array, "hemisphere column route"] | None = None,
    targets: Int[np.ndarray, "256 fan"] | None = None,
) -> ChipConfig:
    """Makes a configuration that fits a chip.

    Args:
        chip: the region to be configured.
        weights: [hemisphere, column, row], or one for all (LSB).
        labels: [hemisphere, column, row], or one for all.
        row_modes: [hemisphere, row] (0 off, 1 excitatory, 2 inhibitory, 3 both), or one for all.
        neurons: parameters of the neurons; by default leaky integrate-and-fire.
        drivers: short-term plasticity; by default off.
        routes: words of recurrent events, [hemisphere, column, route]; by default none.
        targets: which drivers answer to which address, [256, fan]; by default each to its own.

    Returns:
        The configuration.

    Raises:
        ValueError: if a shape does not fit, or a weight or label is not an integer of 6 bits.
    """
    hemispheres, columns, rows = chip.shape
    if isinstance(row_modes, str):
        if row_modes not in MODES:
            raise ValueError(f"row_modes={row_modes!r}; valid: {', '.join(MODES)}, or an array")
        row_modes = np.full((hemispheres, rows), MODES[row_modes])
    targets = driver_targets(hemispheres, rows) if targets is None else targets
    if routes is None:
        routes = jnp.zeros((hemispheres, columns, 0), jnp.int32)
    _require("row_modes", row_modes, lambda v: (v >= 0) & (v <= 3), "in [0, 3]")
    return ChipConfig(
        six_bits("weights", weights, chip.shape),
        six_bits("labels", labels, chip.shape),
        _fit("row_modes", row_modes, (hemispheres, rows)),
        NeuronSettings() if neurons is None else neurons,
        drivers,
        _fit("routes", routes, (hemispheres, columns, np.shape(routes)[-1])),
        _fit("targets", targets, (256, np.shape(targets)[-1])),
    )


def six_bits(name: str, values, shape: tuple[int, ...]) -> Int[Array, "hemisphere column row"]:
    """Integers 0 to 63, spread over a shape; a ValueError for what they are not."""
    if not isinstance(values, Tracer):
        array = np.asarray(values)
        if not np.issubdtype(array.dtype, np.integer):
            raise ValueError(f"{name} must be integers, got {array.dtype}")
        _require(name, array, lambda v: (v >= 0) & (v <= 63), "in [0, 63]")
    if jnp.ndim(values) == 0:
        values = jnp.full(shape, values)
    return _fit(name, values, shape)


def driver_targets(
    hemispheres: int,
    rows: int,
    addresses: Int[np.ndarray, "hemisphere driver"] | None = None,
    masks: Int[np.ndarray, "hemisphere driver"] | int = 31,
) -> Int[np.ndarray, "256 fan"]:
    """Which drivers answer to which address of which bus.

    A driver answers if the bits of the address under its mask are its own. A mask with zeros lets
    one event reach several drivers.

    Args:
        hemispheres: 1 or 2.
        rows: rows per hemisphere.
        addresses: 5-bit address of each driver, [hemisphere, driver]; by default its number div 4.
        masks: 5-bit masks, [hemisphere, driver], or one for all.

    Returns:
        Drivers by 32 times bus plus address, [256, fan]; -1 fills up (dimensionless).

    Raises:
        ValueError: if an address or mask does not have 5 bits.
    """
    drivers = rows // 2
    numbers = np.tile(np.arange(drivers), (hemispheres, 1))
    addresses = numbers // 4 if addresses is None else np.asarray(addresses)
    masks = np.broadcast_to(masks, numbers.shape)
    for name, value in (("addresses", addresses), ("masks", masks)):
        _require(name, value, lambda v: (v >= 0) & (v <= 31), "in [0, 31]")
    if addresses.shape != numbers.shape:
        raise ValueError(f"addresses has the shape {addresses.shape}; expected {numbers.shape}")
    buses = numbers % 4 + 4 * np.arange(hemispheres)[:, None]
    bus, address = np.divmod(np.arange(256)[:, None, None], 32)
    hit = (bus == buses) & (((address ^ addresses) & masks) == 0)
    fan = max(int(hit.sum((1, 2)).max()), 1)
    targets = np.full((256, fan), -1, np.int32)
    for number, answering in enumerate(hit.reshape(256, -1)):
        found = np.flatnonzero(answering)
        targets[number, : len(found)] = found
    return targets


def _fit(name, values, shape):
    if np.shape(values) != shape:
        raise ValueError(f"{name} has the shape {np.shape(values)}; expected {shape}")
    return jnp.asarray(values, jnp.int32)


def _require(name, value, holds, valid):
    if isinstance(value, Tracer) or not isinstance(value, (int, float, np.ndarray, Array)):
        return
    if not np.all(holds(np.asarray(value))):
        raise ValueError(f"{name}={value} must be {valid}")
