"""Runs the emulated chip: events in, spikes and weights out, plasticity in between."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt8

from ._chip_config import ChipConfig
from ._chip_events import LONGEST_US, ChipEvents, check_events, ticks_to_us
from ._chip_neurons import constants
from ._emulator_step import (
    ChipState,
    Emulation,
    EmulatorSettings,
    Tape,
    emulate_until,
    initial_state,
)
from ._fixed_pattern import Chip
from ._plasticity_call import call_rule
from ._readout import Baselines, measure_baselines, read_madc, read_membranes
from ._scheduler import Plasticity, Timetable, timetable

FOREVER = 2**31 - 1


class ChipStats(NamedTuple):
    """What did not go as planned, scalars.

    Attributes:
        n_delayed: events that waited for their bus.
        n_dropped: events that would have waited longer than the backlog.
        n_overflow: events for which `events_per_step` was too small; nothing on the chip.
        n_lost_spikes: spikes for which `max_spikes` was too small; they acted, but are not listed.
        n_skipped_slots: slots of plasticity that were missed.
    """

    n_delayed: Int[Array, ""]
    n_dropped: Int[Array, ""]
    n_overflow: Int[Array, ""]
    n_lost_spikes: Int[Array, ""]
    n_skipped_slots: Int[Array, ""]


class ChipRun(NamedTuple):
    """What a run leaves.

    Attributes:
        spike_ticks: reported spike times, [max_spikes], in units of 8 ns; -1 fills up.
        spike_neurons: hemisphere times columns plus column, [max_spikes]; -1 fills up.
        voltages: membranes of the recorded neurons, [sample, neuron] (LSB).
        readings: the same as the CADC reads them, [sample, neuron] (LSB).
        madc: conversions of the fast converter, 0 to 1023, [sample, neuron]; that of neuron j of n
            in sample s is the one at the time (s n + j + 1) `madc_us` (LSB of 10 bits).
        call_us: when the calls of rules began, [call] (us).
        call_rules: which rule was called, [call].
        rates: counters that the calls read, [call, hemisphere, column] (dimensionless).
        weights: weights after each call, [call, hemisphere, column, row] (LSB); no calls if
            `history` is off.
        rules: the rules with their last symbols and states.
        state: the chip at the end; a run can go on from it.
        stats: what did not go as planned.
    """

    spike_ticks: Int[Array, " spike"]
    spike_neurons: Int[Array, " spike"]
    voltages: Float[Array, "sample neuron"]
    readings: Int[Array, "sample neuron"]
    madc: Int[Array, "conversion channel"]
    call_us: Float[np.ndarray, " call"]
    call_rules: Int[np.ndarray, " call"]
    rates: Int[Array, "call hemisphere column"]
    weights: UInt8[Array, "recorded hemisphere column row"]
    rules: tuple[Plasticity, ...]
    state: ChipState
    stats: ChipStats


def run_chip(
    chip: Chip,
    config: ChipConfig,
    events: ChipEvents,
    duration_us: float,
    *,
    key: Key[Array, ""],
    rules: Sequence[Plasticity] = (),
    settings: EmulatorSettings | None = None,
    state: ChipState | None = None,
    start_us: float = 0.0,
) -> ChipRun:
    """Runs a chip for a while.

    Each step delivers events and updates the presynaptic side of the sensors, propagates currents
    and membranes, finds spikes, updates the postsynaptic side of the sensors and the counters, and
    routes the spikes. Rules are called between steps. Works under `jit` and `vmap` (over chips,
    configurations, events, rules and keys). Derivatives: see `measured`.

    Args:
        chip: the region of a chip, see `draw_chip`.
        config: what the host writes to it, see `configure`.
        events: inputs, [event], sorted (8 ns); those before `start_us` are ignored.
        duration_us: how long, a multiple of the step (us).
        key: scalar key of the trial: jitter, noise of readings, random numbers of rules.
        rules: what the plasticity processors run.
        settings: how the chip is emulated and what is recorded.
        state: where an earlier run ended; its weights and labels then hold, not those of `config`.
        start_us: when the earlier run ended (us). Cut runs between calls: no call is pending over
            the end of a run.

    Returns:
        Spikes, membranes, observables, weights, and the state at the end.

    Raises:
        ValueError: if events are not sorted or too dense, a time is no multiple of the step, the
            run is longer than 8.5 s, or a rule reads sensors that are not emulated.
    """
    settings = EmulatorSettings() if settings is None else settings
    grid = settings.grid
    steps, first = grid.steps(duration_us), grid.steps(start_us, "start_us")
    if start_us + duration_us > LONGEST_US:
        raise ValueError(f"duration_us={duration_us} must end before {LONGEST_US:g} us")
    rules = tuple(rules)
    if any(rule.correlation for rule in rules) and not settings.sensors:
        raise ValueError("a rule reads the correlation sensors; settings.sensors must be True")
    check_events(events, grid, settings.events_per_step)
    served = [len(rule.served(chip.shape[2])) for rule in rules]
    took = [r.call_us + n * r.row_us for r, n in zip(rules, served, strict=True)]
    plan = timetable(rules, took, start_us + duration_us, start_us)
    begins = np.array([call.start_us for call in plan.calls])
    # The last entry calls nothing, at the end of the run.
    begin_steps = [*np.round(begins / settings.dt_us).astype(int), first + steps]
    calls = (
        jnp.asarray(begin_steps, jnp.int32),
        jnp.asarray([*(call.rule for call in plan.calls), len(rules)], jnp.int32),
        jnp.asarray([*(call.slot for call in plan.calls), 0], jnp.int32),
    )
    # Numbers become arrays, so that other settings do not compile again.
    config = jax.tree.map(jnp.asarray, config)
    if state is None:
        state = initial_state(chip, config, settings, key=key)
    samples = (
        steps // grid.steps(settings.sample_us) if settings.record else 0,
        steps // grid.steps(settings.madc_us) if settings.madc else 0,
    )
    begin = jnp.int32(first)
    recorded = _run(chip, config, events, key, rules, state, calls, begin, samples, settings)
    return _result(recorded, plan, begins)


def _result(recorded, plan: Timetable, begins):
    state, tape, readings, madc, rules, rates, weights, lost, before = recorded
    bus = state.bus
    stats = ChipStats(
        bus.delayed - before.delayed,
        bus.dropped - before.dropped,
        bus.overflow - before.overflow,
        lost,
        jnp.asarray(plan.skipped),
    )
    return ChipRun(
        *(tape.spike_ticks, tape.spike_neurons, tape.voltages, readings, madc),
        *(begins, np.array([call.rule for call in plan.calls], np.int32)),
        *(rates, weights, rules, state, stats),
    )


@eqx.filter_jit
def _run(chip, config, events, key, rules, state, calls, first, samples, settings):
    before = state.bus
    fixed = constants(config.neurons, chip, state.threshold_noise, settings.dt_us)
    events = ChipEvents(*(jnp.append(leaf, FOREVER) for leaf in events))
    done = jnp.where(first == 0, -1, settings.grid.end_tick(first - 1))
    following = jnp.searchsorted(events.ticks, done, side="right")
    tape = Tape(
        jnp.full(settings.max_spikes, -1, jnp.int32),
        jnp.full(settings.max_spikes, -1, jnp.int32),
        jnp.int32(0),
        jnp.zeros((samples[0], len(settings.record)), chip.leak.dtype),
        jnp.zeros(samples[1], chip.leak.dtype),
        jnp.asarray(following, jnp.int32),
    )
    emulation = Emulation(chip, config, settings, fixed, events, first, key)
    baselines = Baselines(*(jnp.zeros((*chip.shape[:2], 1), jnp.int32),) * 2)
    if any(rule.correlation for rule in rules):
        baselines = measure_baselines(chip, settings.baseline, jax.random.fold_in(key, 2**22))

    dynamic, static = eqx.partition(rules, eqx.is_array)

    def branch(number):
        def call(state, tape, dynamic, slot):
            rules = eqx.combine(dynamic, static)
            state, tape, changed, rates = call_rule(
                state, tape, emulation, rules[number], baselines, slot
            )
            rules = (*rules[:number], changed, *rules[number + 1 :])
            return (state, tape, eqx.filter(rules, eqx.is_array)), rates

        return call

    def nothing(state, tape, dynamic, slot):
        return (state, tape, dynamic), state.counters

    branches = [*(branch(number) for number in range(len(rules))), nothing]

    def at_call(carry, call):
        begin, number, slot = call
        state, tape, dynamic = carry
        state, tape = emulate_until(state, tape, emulation, begin)
        carry, rates = jax.lax.switch(number, branches, state, tape, dynamic, slot)
        weights = carry[0].weights.astype(jnp.uint8)
        return carry, (rates, weights if settings.history else None)

    carry, (rates, kept) = jax.lax.scan(at_call, (state, tape, dynamic), calls)
    state, tape, dynamic = carry
    rates = rates[:-1]
    weights = jnp.zeros((0, *chip.shape), jnp.uint8) if kept is None else kept[:-1]
    own = jnp.asarray(settings.record, jnp.int32)
    readings = _read_samples(tape.voltages, chip, own, jax.random.fold_in(key, 2**23))
    lost = jnp.maximum(tape.spikes - settings.max_spikes, 0)
    rules = eqx.combine(dynamic, static)
    madc = read_madc(tape.madc, chip, jax.random.fold_in(key, 2**24))
    channels = max(len(settings.madc), 1)
    madc = madc[: samples[1] // channels * channels].reshape(-1, channels)
    return state, tape, readings, madc, rules, rates, weights, lost, before


def _read_samples(voltages, chip: Chip, neurons: Any, key: Any):
    of_recorded = lambda array: array.reshape(1, -1)[:, neurons]  # noqa: E731
    channels = lambda c: (c.cadc_gain, c.cadc_offset)  # noqa: E731
    own = eqx.tree_at(channels, chip, tuple(of_recorded(part) for part in channels(chip)))
    return read_membranes(voltages, own, key)


class SpikeTrains(NamedTuple):
    """Spikes in the order of time.

    Attributes:
        times_us: [spike] (us).
        neurons: hemisphere times columns plus column, [spike].
    """

    times_us: Float[np.ndarray, " spike"]
    neurons: Int[np.ndarray, " spike"]


def spike_trains(run: ChipRun) -> SpikeTrains:
    """The spikes of one run (unbatched), without the padding.

    Args:
        run: what `run_chip` returned.

    Returns:
        Times and neurons, [spike] (us).
    """
    ticks, neurons = np.asarray(run.spike_ticks), np.asarray(run.spike_neurons)
    used = neurons >= 0
    order = np.lexsort((neurons[used], ticks[used]))
    return SpikeTrains(ticks_to_us(ticks[used][order]), neurons[used][order])
