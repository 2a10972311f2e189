"""The emulator as a back-end."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ._backend import RecordSpec, RuleHandle, RunResult, RunStats, Scheduled
from ._backend_rule import host_values, plastic_targets
from ._chip_config import NeuronSettings, configure
from ._chip_events import BackgroundGenerator, ChipEvents, chip_events, merge_events
from ._chip_network import ChipNetwork
from ._chip_profile import ChipProfile
from ._chip_results import complain, logical, membranes_of, series_of, spikes_of, traces_of
from ._chip_rule import chip_rule
from ._cost import CALL_US, CYCLES_PER_US, cost
from ._emit_cpp import emit_cpp
from ._emulator import run_chip
from ._emulator_step import EmulatorSettings
from ._fixed_pattern import draw_chip
from ._placement import NO_LABEL, Placement, place
from ._program import IntegerProgram
from ._scheduler import Plasticity
from ._stimulus import Input, PoissonInput, check_stimulus
from ._weight_store import WeightStore

SENSORS = {"causal", "anticausal"}


class EmulatorBackend(WeightStore):
    """Runs networks on the emulated chip.

    Attributes:
        settings: how the chip is emulated (us); room for events, recorded neurons and sensors
            follow from the network and its rules.
    """

    name: str = "emulator"
    is_hardware: bool = False
    capabilities: frozenset[str] = frozenset({"plasticity", "cadc", "madc", "coba", "stdp"})

    def __init__(self, settings: EmulatorSettings | None = None):
        self.settings = EmulatorSettings(max_spikes=100_000) if settings is None else settings
        super().__init__()

    def map(self, net: ChipNetwork, profile: ChipProfile | None = None) -> Placement:
        """Finds a place for a network.

        Args:
            net: the network.
            profile: which chip is emulated (LSB, us); default: a calibrated one.

        Returns:
            The placement, whose weights are 0.

        Raises:
            ValueError: if the network does not fit.
        """
        placement = place(net, ChipProfile.bss2_calibrated() if profile is None else profile)
        _settings_of(placement)
        return self._register(placement)

    def compile_rule(self, rule: IntegerProgram, placement: Placement) -> RuleHandle:
        """Prepares a rule.

        Args:
            rule: what `lower` returned.
            placement: what `map` returned.

        Returns:
            The rule, with the kernel that a chip would run.

        Raises:
            ValueError: if the rule keeps labels or sums over neurons.
        """
        kinds = {raw.kind for raw in rule.inputs} | {output.kind for output in rule.outputs}
        if "label" in kinds:
            raise ValueError(
                "rules that change labels need sources that share rows, which back-ends do not "
                "place; wire the chip with configure and run_chip"
            )
        return RuleHandle(rule, emit_cpp(rule, "pynn"), chip_rule(rule))

    def close(self) -> None:
        """Forgets all placements."""
        self._weights.clear()

    def run(
        self,
        placement: Placement,
        stimulus: Mapping[str, Input],
        duration_us: float,
        plasticity: Sequence[Scheduled] = (),
        record: RecordSpec | None = None,
        key: Key[Array, ""] | None = None,
    ) -> RunResult:
        """Runs the network from rest. Weights stay as the rules leave them.

        Args:
            placement: what `map` returned.
            stimulus: spike times [spike] of each neuron of each source (us), or a generator.
            duration_us: how long, a multiple of the step (us).
            plasticity: rules of the plastic projections.
            record: what is recorded; default: spikes and weights.
            key: scalar key of the trial; default: `jax.random.key(0)`.

        Returns:
            Spikes and what else was recorded.

        Raises:
            ValueError: if inputs, rules or times do not fit.
            RuntimeError: if the emulator lost events or spikes for lack of room.
        """
        began = time.perf_counter()
        record = RecordSpec() if record is None else record
        key = jax.random.key(0) if key is None else key
        net, profile = placement.network, placement.profile
        assert profile is not None
        hemispheres, columns, rows = placement.shape
        chip = draw_chip(profile, hemispheres=hemispheres, columns=columns, rows=rows)
        config = configure(chip, neurons=_settings_of(placement), **self._synapses(placement))
        events = _events(placement, check_stimulus(net, stimulus, duration_us), duration_us)
        targets = plastic_targets(net, plasticity)
        rules = [self._plasticity(placement, s, targets[s.name]) for s in plasticity]
        settings = self._fitted(placement, events, rules, record)
        done = run_chip(chip, config, events, duration_us, key=key, rules=rules, settings=settings)
        complain(done.stats)
        for name in targets.values():
            final = logical(placement, name, np.asarray(done.state.weights))
            self._of(placement)[name] = final
        stats = RunStats(
            int(done.stats.n_delayed),
            int(done.stats.n_dropped),
            int(done.stats.n_skipped_slots),
            time.perf_counter() - began,
            duration_us,
        )
        return RunResult(
            spikes_of(placement, done),
            membranes_of(placement, record, done),
            *series_of(placement, plasticity, targets, record, done),
            stats,
            self.name,
            profile.to_json(),
            self.is_hardware,
            madc=traces_of(record, done),
        )

    def _synapses(self, placement: Placement) -> dict[str, Any]:
        hemispheres, columns, rows = placement.shape
        weights = np.zeros((hemispheres, columns, rows), np.int32)
        labels = np.full_like(weights, NO_LABEL)
        for name in placement.network.projections:
            post, pre, hemi, column, exc, inh, label = placement.physical(name)
            values = self._of(placement)[name][post, pre]
            for row, magnitude in ((exc, np.maximum(values, 0)), (inh, np.maximum(-values, 0))):
                here = row >= 0
                where = (hemi[here], column[here], row[here])
                weights[where], labels[where] = magnitude[here], label[here]
        routes: list[list[int]] = [[] for _ in range(hemispheres * columns)]
        for name in placement.network.populations:
            where = placement.hemispheres[name] * columns + placement.columns[name]
            for number, words in zip(where, placement.words(name), strict=True):
                routes[number] = words
        padded = np.full((len(routes), max(map(len, routes))), -1, np.int32)
        for own, words in zip(padded, routes, strict=True):
            own[: len(words)] = words
        return {
            "weights": weights,
            "labels": labels,
            "row_modes": placement.row_modes[:hemispheres, :rows],
            "routes": jnp.asarray(padded.reshape(hemispheres, columns, -1)),
        }

    def _plasticity(self, placement: Placement, scheduled: Scheduled, name: str) -> Plasticity:
        hemispheres, columns, rows = placement.shape
        program = scheduled.rule.program
        kinds = {raw.kind for raw in program.inputs}
        used = placement.rows[name][:hemispheres, :, 0]
        served = tuple(int(row) for row in np.unique(used[used >= 0]))
        post = placement.network.projections[name].post
        where = np.zeros((hemispheres, columns), bool)
        where[placement.hemispheres[post], placement.columns[post]] = True
        estimate, dt = cost(program, len(served)), self.settings.dt_us
        row_us = max(1, math.ceil(estimate.row_cycles / CYCLES_PER_US / dt)) * dt
        states = {
            output.name: jnp.zeros((hemispheres, columns, rows), jnp.int32)
            for output in program.outputs
            if output.kind == "state"
        }
        return Plasticity(
            scheduled.rule.native,
            scheduled.start_us,
            scheduled.period_us,
            scheduled.calls,
            rows=served,
            row_us=row_us,
            call_us=CALL_US + estimate.call_cycles / CYCLES_PER_US,
            correlation=bool(kinds & SENSORS),
            reset_rates="rate" in kinds,
            symbols=host_values(program, scheduled.values, placement, name) or None,
            state=states or None,
            columns=jnp.asarray(where),
            signed=scheduled.rule.native.signed,
        )

    def _fitted(self, placement, events: ChipEvents, rules, record: RecordSpec):
        _, columns, _ = placement.shape
        grid, most = self.settings.grid, 1
        if len(events.ticks):
            steps = np.asarray(grid.step(np.asarray(events.ticks, np.int64)))
            most = int(np.max(np.unique(steps, return_counts=True)[1]))

        def numbers(neurons_of):
            return tuple(
                int(placement.hemispheres[name][n] * columns + placement.columns[name][n])
                for name, neurons in neurons_of.items()
                for n in neurons
            )

        return replace(
            self.settings,
            events_per_step=max(self.settings.events_per_step, most),
            sensors=any(rule.correlation for rule in rules),
            record=numbers(record.membranes),
            sample_us=record.sample_us,
            madc=numbers(record.madc),
            madc_us=record.madc_us,
            history=record.weights,
        )


def _settings_of(placement: Placement) -> NeuronSettings:
    """The parameters of all populations on the columns of the chip."""
    hemispheres, columns, _ = placement.shape
    switches, arrays = {}, {}
    for field in fields(NeuronSettings):
        of = {
            name: getattr(p.neurons, field.name)
            for name, p in placement.network.populations.items()
        }
        if field.metadata.get("static"):
            if len(set(of.values())) > 1:
                raise ValueError(f"{field.name} must be the same for all populations, got {of}")
            switches[field.name] = next(iter(of.values()))
            continue
        array = np.full((hemispheres, columns), field.default, np.float32)
        for name, value in of.items():
            size = placement.network.size(name)
            if np.shape(value) not in ((), (size,)):
                raise ValueError(
                    f"{field.name} of {name!r} has the shape {np.shape(value)}; expected a scalar "
                    f"or [{size}]"
                )
            array[placement.hemispheres[name], placement.columns[name]] = np.asarray(value)
        arrays[field.name] = jnp.asarray(array)
    return NeuronSettings(**switches, **arrays)


def _events(placement: Placement, stimulus, duration_us: float) -> ChipEvents:
    streams = []
    for name, given in stimulus.items():
        words = placement.words(name)
        if isinstance(given, PoissonInput):
            for number, own in enumerate(words):
                key = jax.random.fold_in(jax.random.key(given.seed), number)
                spikes = BackgroundGenerator.poisson(0, given.rate_khz).events(duration_us, key=key)
                streams += [ChipEvents(spikes.ticks, jnp.full_like(spikes.words, word))
                            for word in own]  # fmt: skip
        else:
            trains = [t for t, own in zip(given, words, strict=True) for _ in own]
            streams.append(chip_events(trains, [word for own in words for word in own]))
    return merge_events([chip_events([], []), *streams])
