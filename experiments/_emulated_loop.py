"""First-spike networks of two layers on the emulated chip: one run for each sample.

Input i is driver i, hidden neuron j sends its spike to driver `inputs + j`; each driver has an
excitatory and an inhibitory row. A weight of 63 makes a potential of 22 LSB at its peak, which says
what the threshold is; the refractory time is so long that each neuron spikes once.
"""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from plasticjax.hardware import (
    ChipEvents,
    ChipProfile,
    EmulatorSettings,
    NeuronSettings,
    configure,
    draw_chip,
    event_word,
    run_chip,
)
from plasticjax.models import AnalogChip

TAU_US = 6.0
END_US = 24.0  # of a sample; below the refractory time
LEAK = 80.0  # LSB
TICKS_PER_US = 125
NO_EVENT = 2**29  # a tick after the end
LATENCY = ChipProfile.ideal().latency / TAU_US  # from a spike to the synapses (tau)
SETTINGS = EmulatorSettings(
    dt_us=0.2, sensors=False, interpolate=True, events_per_step=32, max_spikes=128, history=False
)

Weights = tuple[Float[Array, "hidden inputs"], Float[Array, "outputs hidden"]]


def emulated_spikes(
    analog: AnalogChip,
    programmed: Weights,
    times: Float[Array, " inputs"],
    key: Key[Array, ""],
    jitter_us: float,
) -> tuple[Float[Array, " hidden"], Float[Array, " outputs"]]:
    """First spikes of both layers (tau) on a chip with the pattern of an analog one."""
    (hidden, inputs), outputs = programmed[0].shape, programmed[1].shape[0]
    profile = ChipProfile.ideal(jitter=jitter_us, backlog=0.3)
    step, limit = analog.imperfections.weight_step, 63
    integers = [jnp.round(w / step).astype(jnp.int32) for w in programmed]
    # What a potential of 1 is in LSB: weight w peaks at w / e.
    unit = profile.psp * math.e / (limit * step)

    chip = draw_chip(profile, hemispheres=1, columns=hidden + outputs, rows=2 * (inputs + hidden))
    threshold = unit * jnp.concatenate(analog.thresholds)
    gain = _on_array([gain - 1 for gain in analog.gains], chip.shape) + 1
    chip = eqx.tree_at(lambda c: (c.threshold, c.synapse_gain), chip, (threshold[None], gain))
    words = np.full(hidden + outputs, -1)
    words[:hidden] = event_word(2 * (inputs + np.arange(hidden)))
    neurons = NeuronSettings(
        leak=LEAK, threshold=LEAK + unit, tau_mem=TAU_US, tau_exc=TAU_US, tau_inh=TAU_US,
        tau_ref=32.0,
    )  # fmt: skip
    signs = jnp.tile(jnp.array([1, -1]), inputs + hidden)
    config = configure(
        chip,
        weights=jnp.clip(_on_array(integers, chip.shape) * signs, 0, limit),
        row_modes=np.tile([1, 2], (1, inputs + hidden)),
        neurons=neurons,
        routes=jnp.asarray(words)[None, :, None],
    )
    events = _events(times)
    run = run_chip(chip, config, events, END_US, key=key, settings=SETTINGS)
    first = _first(run, hidden + outputs)
    return first[:hidden], first[hidden:]


def _on_array(layers, shape):
    """[hidden, inputs] and [outputs, hidden] in the columns and pairs of rows of the chip."""
    inputs, hidden = layers[0].shape[1], layers[1].shape[1]
    array = jnp.zeros(shape[1:], layers[0].dtype)
    array = array.at[:hidden, : 2 * inputs].set(jnp.repeat(layers[0], 2, axis=1))
    return array.at[hidden:, 2 * inputs :].set(jnp.repeat(layers[1], 2, axis=1))[None]


def _events(times) -> ChipEvents:
    words = jnp.asarray(event_word(2 * np.arange(times.shape[0])), jnp.int32)
    there = jnp.isfinite(times)
    ticks = jnp.round(jnp.where(there, times, 0) * TAU_US * TICKS_PER_US).astype(jnp.int32)
    ticks = jnp.where(there, ticks, NO_EVENT)
    order = jnp.argsort(ticks)
    return ChipEvents(ticks[order], words[order])


def _first(run, size: int):
    neurons = jnp.where(run.spike_neurons < 0, size, run.spike_neurons)
    found = run.spike_ticks.astype(run.voltages.dtype) / TICKS_PER_US / TAU_US
    return jnp.full(size, jnp.inf, found.dtype).at[neurons].min(found, mode="drop")
