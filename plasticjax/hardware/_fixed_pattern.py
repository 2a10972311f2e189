"""One fabricated chip: the fixed pattern of its neurons, synapses, sensors and channels."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from ._chip_profile import ChipProfile

HEMISPHERES, COLUMNS, ROWS = 2, 256, 256


class SensorPattern(eqx.Module):
    """One of the two correlation sensors of each synapse.

    Attributes:
        amplitude: correlation of a tight pair, [hemisphere, column, row] (LSB).
        tau: time constant, [hemisphere, column, row] (us).
        baseline: reading after a reset, [hemisphere, column, row] (LSB).
    """

    amplitude: Float[Array, "hemisphere column row"]
    tau: Float[Array, "hemisphere column row"]
    baseline: Float[Array, "hemisphere column row"]


class Chip(eqx.Module):
    """The used region of one chip, with its fixed pattern.

    Arrays are [hemisphere, column] for neurons and [hemisphere, column, row] for synapses: column
    is the postsynaptic neuron, row the presynaptic line.

    Attributes:
        profile: sizes of the imperfections.
        leak: deviation of the leak potential, [hemisphere, column] (LSB).
        reset: deviation of the reset potential, [hemisphere, column] (LSB).
        threshold: deviation of the threshold, [hemisphere, column] (LSB).
        tau_mem: factor of the membrane time constant, [hemisphere, column] (dimensionless).
        tau_exc: factor of the excitatory time constant, [hemisphere, column] (dimensionless).
        tau_inh: factor of the inhibitory time constant, [hemisphere, column] (dimensionless).
        neuron_gain: factor of all inputs of a neuron, [hemisphere, column] (dimensionless).
        synapse_gain: factor of a synapse, [hemisphere, column, row] (dimensionless).
        alive: False for neurons that never spike, [hemisphere, column].
        causal: the sensors of pairs pre before post.
        anticausal: the sensors of pairs post before pre.
        cadc_gain: gain of the channel, [hemisphere, column] (dimensionless).
        cadc_offset: offset of the channel, [hemisphere, column] (LSB).
    """

    profile: ChipProfile = eqx.field(static=True)
    leak: Float[Array, "hemisphere column"]
    reset: Float[Array, "hemisphere column"]
    threshold: Float[Array, "hemisphere column"]
    tau_mem: Float[Array, "hemisphere column"]
    tau_exc: Float[Array, "hemisphere column"]
    tau_inh: Float[Array, "hemisphere column"]
    neuron_gain: Float[Array, "hemisphere column"]
    synapse_gain: Float[Array, "hemisphere column row"]
    alive: Bool[Array, "hemisphere column"]
    causal: SensorPattern
    anticausal: SensorPattern
    cadc_gain: Float[Array, "hemisphere column"]
    cadc_offset: Float[Array, "hemisphere column"]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of hemispheres, columns and rows of the region."""
        hemispheres, columns, rows = self.synapse_gain.shape
        return hemispheres, columns, rows


def draw_chip(
    profile: ChipProfile,
    *,
    hemispheres: int = HEMISPHERES,
    columns: int = COLUMNS,
    rows: int = ROWS,
    key: Key[Array, ""] | None = None,
) -> Chip:
    """Draws the fixed pattern of a chip.

    The whole chip is drawn and the used region cut out, so that two experiments on one chip find
    the same circuits whatever region they use.

    Args:
        profile: sizes of the imperfections, in LSB, us or relative.
        hemispheres: used hemispheres, 1 or 2.
        columns: used columns of each hemisphere, 1 to 256.
        rows: used rows of each hemisphere, even, 2 to 256: a driver serves two.
        key: scalar key of the chip; by default that of the profile's seed. Keys under `vmap` give
            many chips.

    Returns:
        The region of the chip.

    Raises:
        ValueError: if the region does not exist.
    """
    if hemispheres not in (1, 2):
        raise ValueError(f"hemispheres={hemispheres}; valid: 1, 2")
    if not 1 <= columns <= COLUMNS:
        raise ValueError(f"columns={columns} must lie in [1, {COLUMNS}]")
    if not 2 <= rows <= ROWS or rows % 2:
        raise ValueError(f"rows={rows} must be even and lie in [2, {ROWS}]")
    key = jax.random.key(profile.seed) if key is None else key

    def normal(number: int, *shape: int):
        own = jax.random.fold_in(key, number)
        drawn = jax.random.normal(own, (HEMISPHERES, *shape))
        return drawn[:hemispheres, :columns, :rows] if len(shape) == 2 else drawn[:hemispheres]

    def per_neuron(number: int):
        return normal(number, COLUMNS)[:, :columns]

    def per_synapse(number: int):
        return normal(number, COLUMNS, ROWS)

    def sensor(number: int) -> SensorPattern:
        log_amplitude = profile.sensor_amplitude_log_sd * per_synapse(number)
        log_tau = profile.sensor_tau_log_sd * per_synapse(number + 1)
        of_column = profile.sensor_column_sd * per_neuron(number + 2)
        of_synapse = profile.sensor_synapse_sd * per_synapse(number + 3)
        return SensorPattern(
            profile.sensor_amplitude * jnp.exp(log_amplitude),
            profile.sensor_tau * jnp.exp(log_tau),
            profile.sensor_baseline + of_column[..., None] + of_synapse,
        )

    fate = jax.random.uniform(jax.random.fold_in(key, 8), (HEMISPHERES, COLUMNS))
    return Chip(
        profile,
        leak=profile.leak_sd * per_neuron(0),
        reset=profile.reset_sd * per_neuron(1),
        threshold=profile.threshold_sd * per_neuron(2),
        tau_mem=_factor(profile.tau_mem_cv, per_neuron(3)),
        tau_exc=_factor(profile.tau_syn_cv, per_neuron(4)),
        tau_inh=_factor(profile.tau_syn_cv, per_neuron(5)),
        neuron_gain=_factor(profile.neuron_gain_cv, per_neuron(6)),
        synapse_gain=_factor(profile.synapse_gain_cv, per_synapse(7)),
        alive=fate[:hemispheres, :columns] >= profile.dead,
        causal=sensor(16),
        anticausal=sensor(32),
        cadc_gain=1 + profile.cadc_gain_sd * per_neuron(9),
        cadc_offset=profile.cadc_offset_sd * per_neuron(10),
    )


def _factor(cv: float, normal):
    """Positive, with mean 1 and that coefficient of variation."""
    log_sd = jnp.sqrt(jnp.log1p(cv**2)).astype(normal.dtype)
    return jnp.exp(log_sd * normal - log_sd**2 / 2)
