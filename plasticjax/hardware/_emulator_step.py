"""One step of the emulator, in the order of operations of the chip model."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from ._chip_config import ChipConfig
from ._chip_events import TICKS_PER_US, ChipEvents, TimeGrid
from ._chip_neurons import NeuronConstants, NeuronState, at_rest, fire, propagate
from ._correlation_sensors import Correlations, post_side
from ._dense_sensors import Arrivals, post_side_of_all, pre_side_of_all
from ._event_bus import EventBus
from ._fixed_pattern import Chip
from ._readout import Baseline
from ._synapse_drivers import Delivery, DriverState, deliver

# Jitter beyond this many standard deviations would need a longer ring of events.
FARTHEST = 4.0
FASTEST_US = 0.0333


@dataclass(frozen=True)
class EmulatorSettings:
    """How the emulator computes, and what it records.

    Attributes:
        dt_us: length of a step (us).
        events_per_step: room for events that are delivered in one step.
        max_spikes: room for spikes of one run.
        sensors: whether the correlation sensors are emulated.
        dense_sensors: whether a step updates the sensors of all synapses at once, which takes the
            same time whatever the activity; else those of each event and spike, one by one.
        interpolate: whether spike times are interpolated within the step.
        baseline: whether baselines are measured per column or per synapse.
        record: neurons whose membranes are recorded, as hemisphere times columns plus column.
        sample_us: time between recorded samples (us).
        madc: one or two neurons that the fast converter reads, in turn; numbers as in `record`.
        madc_us: time between its conversions (us), at least 1/30.
        history: whether the weights after each call are recorded.
    """

    dt_us: float = 0.1
    events_per_step: int = 16
    max_spikes: int = 10_000
    sensors: bool = True
    dense_sensors: bool = False
    interpolate: bool = False
    baseline: Baseline = "column"
    record: tuple[int, ...] = ()
    sample_us: float = 1.7
    madc: tuple[int, ...] = ()
    madc_us: float = 0.1
    history: bool = True

    def __post_init__(self):
        for name in ("events_per_step", "max_spikes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if self.baseline not in ("column", "synapse"):
            raise ValueError(f"baseline={self.baseline!r}; valid: column, synapse")
        if self.record:
            self.grid.steps(self.sample_us, "sample_us")
        if len(self.madc) > 2:
            raise ValueError(f"madc={self.madc} must have at most 2 neurons; there are 2 channels")
        if self.madc:
            self.grid.steps(self.madc_us, "madc_us")
            if self.madc_us < FASTEST_US:
                raise ValueError(f"madc_us={self.madc_us} must be at least 1/30, the fastest rate")

    @property
    def grid(self) -> TimeGrid:
        """The steps of the emulator."""
        return TimeGrid(self.dt_us)


class ChipState(eqx.Module):
    """All that changes on a chip while it runs.

    Attributes:
        step: steps done, scalar.
        weights: [hemisphere, column, row] (LSB).
        labels: [hemisphere, column, row] (dimensionless).
        neurons: membranes and currents.
        counters: spikes since the last reset, up to 255, [hemisphere, column].
        threshold_noise: shift of the thresholds in this trial, [hemisphere, column] (LSB).
        bus: events on their way.
        drivers: short-term plasticity, None if off.
        sensors: correlation sensors, None if not emulated.
    """

    step: Int[Array, ""]
    weights: Int[Array, "hemisphere column row"]
    labels: Int[Array, "hemisphere column row"]
    neurons: NeuronState
    counters: Int[Array, "hemisphere column"]
    threshold_noise: Float[Array, "hemisphere column"]
    bus: EventBus
    drivers: DriverState | None
    sensors: Correlations | None


def initial_state(
    chip: Chip, config: ChipConfig, settings: EmulatorSettings, *, key: Key[Array, ""]
) -> ChipState:
    """A chip at rest, with the noise of a trial.

    Args:
        chip: what runs.
        config: what the host wrote.
        settings: how it is emulated, times in us.
        key: scalar key of the trial.

    Returns:
        The state at time zero.
    """
    noise = jax.random.normal(jax.random.fold_in(key, 2**20), chip.leak.shape, chip.leak.dtype)
    return ChipState(
        jnp.int32(0),
        config.weights,
        config.labels,
        at_rest(chip, config.neurons),
        jnp.zeros(chip.leak.shape, jnp.int32),
        chip.profile.threshold_trial_sd * noise,
        EventBus.empty(chip.profile, settings.grid, settings.events_per_step),
        None if config.drivers is None else DriverState.rested(config.drivers, chip),
        Correlations.empty(chip) if settings.sensors else None,
    )


class Tape(NamedTuple):
    """What one run records; spikes beyond the room are counted and lost."""

    spike_ticks: Any
    spike_neurons: Any
    spikes: Any
    voltages: Any
    madc: Any
    next_event: Any


class Emulation(NamedTuple):
    """What stays the same during a run."""

    chip: Chip
    config: ChipConfig
    settings: EmulatorSettings
    constants: NeuronConstants
    events: ChipEvents
    first_step: Any
    key: Any


def emulate_step(state: ChipState, tape: Tape, emulation: Emulation) -> tuple[ChipState, Tape]:
    """Events, membranes, spikes, routes; the plasticity processor comes between steps."""
    grid, config = emulation.settings.grid, emulation.config
    state, tape = _admit_inputs(state, tape, emulation)
    state = _deliver_events(state, emulation)
    before = state.neurons
    moved = propagate(before, emulation.constants, config.neurons, grid.dt_us)
    free = before.held == 0
    neurons, spikes = fire(moved, emulation.constants, config.neurons, free)
    counters = jnp.minimum(state.counters + spikes, 255)
    late = _late(before, moved, emulation) if emulation.settings.interpolate else None
    state = eqx.tree_at(lambda s: (s.neurons, s.counters), state, (neurons, counters))
    state, tape = _handle_spikes(state, tape, emulation, spikes, late)
    state = eqx.tree_at(lambda s: s.step, state, state.step + 1)
    return state, _sample(state, tape, emulation)


def _admit_inputs(state, tape, emulation):
    settings, profile = emulation.settings, emulation.chip.profile
    events, latency = emulation.events, round(profile.latency * TICKS_PER_US)
    end = settings.grid.end_tick(state.step)

    def admit(carry):
        bus, following = carry
        tick, word = events.ticks[following], events.words[following]
        bus = bus.admit(tick + latency, word, state.step, profile, settings.grid)
        return bus, following + 1

    bus, following = jax.lax.while_loop(
        lambda carry: events.ticks[carry[1]] <= end, admit, (state.bus, tape.next_event)
    )
    return eqx.tree_at(lambda s: s.bus, state, bus), tape._replace(next_event=following)


def _deliver_events(state, emulation):
    chip, config, bus = emulation.chip, emulation.config, state.bus
    slot = state.step % bus.ticks.shape[0]

    def at_event(number, delivery):
        word, tick = bus.words[slot, number], bus.ticks[slot, number]
        return deliver(delivery, chip, config, state.weights, state.labels, word, tick)

    zeros = jnp.zeros_like(chip.leak)
    sensors = state.sensors
    if sensors is not None and chip.profile.sensor_leak_tau < float("inf"):
        kept = jnp.exp(-emulation.settings.dt_us / chip.profile.sensor_leak_tau)
        parts = lambda s: (s.causal, s.anticausal)  # noqa: E731
        sensors = eqx.tree_at(parts, sensors, (sensors.causal * kept, sensors.anticausal * kept))
    start = Delivery(zeros, zeros, state.drivers, sensors, None)
    if sensors is not None and emulation.settings.dense_sensors:
        arrivals = Arrivals.none(chip, bus.ticks.shape[1])
        start = Delivery(zeros, zeros, state.drivers, None, arrivals)
    delivery = jax.lax.fori_loop(0, bus.count[slot], at_event, start)
    if sensors is None or delivery.arrivals is None:
        sensors = delivery.sensors
    else:
        sensors = pre_side_of_all(sensors, chip, config, state.labels, delivery.arrivals)
    charge = emulation.constants.charge
    exc = state.neurons.exc + charge * delivery.exc
    inh = state.neurons.inh + charge * delivery.inh
    parts = lambda s: (s.neurons.exc, s.neurons.inh, s.bus)  # noqa: E731
    state = eqx.tree_at(parts, state, (exc, inh, bus.emptied(state.step)))
    state = eqx.tree_at(
        lambda s: (s.drivers, s.sensors),
        state,
        (delivery.drivers, sensors),
        is_leaf=lambda x: x is None,
    )
    return state


def _late(before, moved, emulation):
    """Ticks between the crossing of the threshold, on a straight line, and the end of the step."""
    above = moved.voltage - emulation.constants.threshold
    rise = moved.voltage - before.voltage
    part = jnp.clip(above / jnp.where(rise > 0, rise, 1), 0, 1)
    return jnp.round(part * emulation.settings.dt_us * TICKS_PER_US).astype(jnp.int32)


def _handle_spikes(state, tape, emulation, spikes, late):
    """One spike after the other: sensors, record, routes."""
    chip, config, settings = emulation.chip, emulation.config, emulation.settings
    profile, grid = chip.profile, settings.grid
    columns = chip.shape[1]
    end = grid.end_tick(state.step)
    latency = round(profile.latency * TICKS_PER_US)
    room = settings.max_spikes
    sensors = state.sensors
    if sensors is not None and settings.dense_sensors:
        sensors = post_side_of_all(sensors, chip, spikes, end)
    # The sensors see the end of the step; jitter and interpolation are of the reported time.

    def handle(carry):
        left, sensors, bus, ticks, ids, count = carry
        neuron = jnp.argmax(left).astype(jnp.int32)
        h, column = neuron // columns, neuron % columns
        if sensors is not None and not settings.dense_sensors:
            sensors = post_side(sensors, chip, h, column, end)
        tick = end if late is None else end - late[h, column]
        if profile.jitter:
            own = jax.random.fold_in(jax.random.fold_in(emulation.key, state.step), neuron)
            shift = jnp.clip(jax.random.normal(own, ()), -FARTHEST, FARTHEST)
            shift = jnp.round(shift * (profile.jitter * TICKS_PER_US)).astype(jnp.int32)
            tick = jnp.maximum(tick + shift, 0)
        place = jnp.where(count < room, count, room)
        ticks = ticks.at[place].set(tick, mode="drop")
        ids = ids.at[place].set(neuron, mode="drop")
        for route in range(config.routes.shape[2]):
            word = config.routes[h, column, route]
            entered = bus.admit(
                jnp.maximum(tick + latency, end + 1), word, state.step + 1, profile, grid
            )
            bus = jax.tree.map(lambda new, old: jnp.where(word >= 0, new, old), entered, bus)  # noqa: B023
        return left.at[neuron].set(False), sensors, bus, ticks, ids, count + 1

    start = (
        *(spikes.reshape(-1), sensors, state.bus),
        *(tape.spike_ticks, tape.spike_neurons, tape.spikes),
    )
    done = jax.lax.while_loop(lambda carry: jnp.any(carry[0]), handle, start)
    _, sensors, bus, ticks, ids, count = done
    state = eqx.tree_at(
        lambda s: (s.sensors, s.bus), state, (sensors, bus), is_leaf=lambda x: x is None
    )
    tape = tape._replace(spike_ticks=ticks, spike_neurons=ids, spikes=count)
    return state, tape


def _sample(state, tape, emulation):
    """The last step of a sample is the one that stays."""
    settings, voltage = emulation.settings, state.neurons.voltage.reshape(-1)
    done = state.step - 1 - emulation.first_step
    if settings.record:
        number = done // settings.grid.steps(settings.sample_us)
        own = voltage[jnp.asarray(settings.record)]
        tape = tape._replace(voltages=tape.voltages.at[number].set(own, mode="drop"))
    if settings.madc:
        number = done // settings.grid.steps(settings.madc_us)
        own = voltage[jnp.asarray(settings.madc)[number % len(settings.madc)]]
        tape = tape._replace(madc=tape.madc.at[number].set(own, mode="drop"))
    return tape


def emulate_until(
    state: ChipState, tape: Tape, emulation: Emulation, step: Any
) -> tuple[ChipState, Tape]:
    """Steps up to one; weights and labels stay the same."""
    weights, labels = state.weights, state.labels
    body = lambda _, carry: emulate_step(carry[0], carry[1], emulation)  # noqa: E731
    state, tape = jax.lax.fori_loop(state.step, jnp.asarray(step, jnp.int32), body, (state, tape))
    return eqx.tree_at(lambda s: (s.weights, s.labels), state, (weights, labels)), tape
