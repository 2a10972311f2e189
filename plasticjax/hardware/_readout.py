"""What the plasticity processor reads: digital values of columns and of one row of synapses."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from ._correlation_sensors import Correlations
from ._fixed_pattern import Chip

Baseline = Literal["column", "synapse"]


class ColumnView(NamedTuple):
    """What is read once per call, before the rows.

    Attributes:
        rates: spikes since the last reset, 0 to 255, [hemisphere, column] (dimensionless).
        membranes: readings of the membranes, 0 to 255, [hemisphere, column] (LSB).
        call: number of the call, scalar.
    """

    rates: Int[Array, "hemisphere column"]
    membranes: Int[Array, "hemisphere column"]
    call: Int[Array, ""]


class RowView(NamedTuple):
    """What a rule sees of one row in one hemisphere: integers only.

    Attributes:
        weights: 0 to 63, [column] (LSB); -63 to 63 if the rule serves pairs of rows.
        labels: 0 to 63, [column] (dimensionless).
        causal: raw readings of the causal sensors, 0 to 255, [column]; correlation lowers them.
        anticausal: the same of the anticausal sensors, [column].
        baseline_causal: readings of the causal sensors after a reset, [column] (LSB).
        baseline_anticausal: the same of the anticausal sensors, [column] (LSB).
        rates: spikes of the neurons since the last reset, 0 to 255, [column].
        membranes: readings of the membranes, 0 to 255, [column] (LSB).
        row: number of the row, scalar.
        hemisphere: number of the hemisphere, scalar.
        call: number of the call, scalar.
        state: what the rule keeps per synapse, a pytree with leaves [column].
        symbols: what the host, or the start of the call, tells the rule; any pytree.
    """

    weights: Int[Array, " column"]
    labels: Int[Array, " column"]
    causal: Int[Array, " column"]
    anticausal: Int[Array, " column"]
    baseline_causal: Int[Array, " column"]
    baseline_anticausal: Int[Array, " column"]
    rates: Int[Array, " column"]
    membranes: Int[Array, " column"]
    row: Int[Array, ""]
    hemisphere: Int[Array, ""]
    call: Int[Array, ""]
    state: PyTree
    symbols: PyTree


class RowWrite(NamedTuple):
    """What a rule writes to a row.

    Attributes:
        weights: [column]; saturated to 0 to 63, or to -63 to 63 for pairs of rows (LSB).
        labels: [column], or None to leave them (dimensionless).
        state: like the state that was read.
    """

    weights: Int[Array, " column"]
    labels: Int[Array, " column"] | None = None
    state: PyTree = None


RowRule = Callable[[RowView, Key[Array, ""]], RowWrite]


class Baselines(NamedTuple):
    """Readings after a reset, [hemisphere, column, row] or, one per column, [.., 1] (LSB)."""

    causal: Any
    anticausal: Any


def read(x: Any, noise: float, key: Key[Array, ""]) -> Int[Array, "..."]:
    """An 8-bit conversion of any values."""
    noisy = x + noise * jax.random.normal(key, x.shape, x.dtype) if noise else x
    return jnp.clip(jnp.round(noisy), 0, 255).astype(jnp.int32)


def read_membranes(
    voltage: Float[Array, "hemisphere column"], chip: Chip, key: Key[Array, ""]
) -> Int[Array, "hemisphere column"]:
    """Membranes through the causal channels, with gain and offset of each."""
    return read(chip.cadc_gain * voltage + chip.cadc_offset, chip.profile.cadc_noise, key)


def read_madc(voltage: Float[Array, "..."], chip: Chip, key: Key[Array, ""]) -> Int[Array, "..."]:
    """10-bit conversions of the fast converter, which has no channels of its own per column."""
    profile = chip.profile
    noise = profile.madc_noise * jax.random.normal(key, voltage.shape, voltage.dtype)
    reading = jnp.round(profile.madc_gain * voltage + noise)
    return jnp.clip(reading, 0, 1023).astype(jnp.int32)


def read_row(
    sensors: Correlations, chip: Chip, row: Any, key: Key[Array, ""]
) -> tuple[Int[Array, "hemisphere column"], Int[Array, "hemisphere column"]]:
    """Causal and anticausal readings of one row of both hemispheres, from one conversion."""
    causal_key, anticausal_key = jax.random.split(key)
    of_row = lambda array: jax.lax.dynamic_index_in_dim(array, row, 2, keepdims=False)  # noqa: E731
    noise = chip.profile.cadc_noise
    causal = of_row(chip.causal.baseline) - of_row(sensors.causal)
    anticausal = of_row(chip.anticausal.baseline) - of_row(sensors.anticausal)
    return read(causal, noise, causal_key), read(anticausal, noise, anticausal_key)


def measure_baselines(chip: Chip, kind: Baseline, key: Key[Array, ""]) -> Baselines:
    """Readings directly after a reset, of each synapse or averaged over the rows of a column."""
    keys = jax.random.split(key)
    measured = (
        read(sensor.baseline, chip.profile.cadc_noise, own)
        for sensor, own in zip((chip.causal, chip.anticausal), keys, strict=True)
    )
    if kind == "synapse":
        return Baselines(*measured)
    return Baselines(*(jnp.sum(m, 2, keepdims=True) // m.shape[2] for m in measured))
