"""One call of a plasticity rule: row after row, while the chip goes on."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ._chip_events import TICKS_PER_US
from ._correlation_sensors import Correlations
from ._emulator_step import ChipState, Emulation, Tape, emulate_until
from ._event_bus import EventBus
from ._readout import (
    Baselines,
    ColumnView,
    RowView,
    RowWrite,
    read_membranes,
    read_row,
)
from ._scheduler import Plasticity


def call_rule(
    state: ChipState,
    tape: Tape,
    emulation: Emulation,
    plasticity: Plasticity,
    baselines: Baselines,
    call: Any,
) -> tuple[ChipState, Tape, Plasticity, Any]:
    """Runs a rule; returns the rule with its new symbols and states, and the counters it read."""
    chip = emulation.chip
    hemispheres, _, rows = chip.shape
    steps = emulation.settings.grid.steps(plasticity.row_us, "row_us")
    key = jax.random.fold_in(jax.random.fold_in(emulation.key, 2**21), state.step)
    adc_key, prepare_key, rule_key, row_key = jax.random.split(key, 4)
    membranes = read_membranes(state.neurons.voltage, chip, adc_key)
    columns = ColumnView(state.counters, membranes, call)
    if plasticity.reset_rates:
        state = eqx.tree_at(lambda s: s.counters, state, jnp.zeros_like(state.counters))
    symbols = plasticity.symbols
    if plasticity.prepare is not None:
        symbols = plasticity.prepare(columns, symbols, prepare_key)
    if plasticity.inject is not None:
        words = plasticity.inject(columns, symbols, jax.random.fold_in(prepare_key, 1))
        bus = _injected(state, jnp.asarray(words, jnp.int32), emulation)
        state = eqx.tree_at(lambda s: s.bus, state, bus)

    def view(state, kept, row) -> RowView:
        of_row = lambda array: _row(array, row)  # noqa: E731
        nothing = jnp.zeros_like(columns.rates)
        causal, anticausal = nothing, nothing
        zero = Baselines(nothing, nothing)
        if plasticity.correlation:
            own = jax.random.fold_in(row_key, row)
            causal, anticausal = read_row(state.sensors, chip, row, own)
            zero = Baselines(*(_baseline(b, row) for b in baselines))
        everywhere = lambda x: jnp.broadcast_to(jnp.asarray(x, jnp.int32), (hemispheres,))  # noqa: E731
        weights = of_row(state.weights)
        if plasticity.signed:
            weights = weights - _row(state.weights, row + 1)
        return RowView(
            weights=weights,
            labels=of_row(state.labels),
            causal=causal,
            anticausal=anticausal,
            baseline_causal=zero.causal,
            baseline_anticausal=zero.anticausal,
            rates=columns.rates,
            membranes=columns.membranes,
            row=everywhere(row),
            hemisphere=jnp.arange(hemispheres, dtype=jnp.int32),
            call=everywhere(call),
            state=jax.tree.map(of_row, kept),
            symbols=symbols,
        )

    def write(state, kept, seen: RowView, row):
        keys = jax.vmap(lambda h: jax.random.fold_in(jax.random.fold_in(rule_key, row), h))
        axes = jax.tree.map(lambda _: 0, seen._replace(symbols=None))
        written: RowWrite = jax.vmap(plasticity.rule, (axes, 0))(
            seen, keys(jnp.arange(hemispheres))
        )
        here = True if plasticity.columns is None else plasticity.columns
        put = lambda array, new, old: _put(array, jnp.where(here, new, old), row)  # noqa: E731
        weights = state.weights
        for partner, sign in ((0, 1), (1, -1))[: 1 + plasticity.signed]:
            new = jnp.clip(sign * written.weights, 0, 63)
            old = _row(weights, row + partner) if plasticity.signed else seen.weights
            weights = _put(weights, jnp.where(here, new, old), row + partner)
        labels = state.labels
        if written.labels is not None:
            labels = put(labels, written.labels & 63, seen.labels)
        kept = jax.tree.map(put, kept, written.state, seen.state)
        return eqx.tree_at(lambda s: (s.weights, s.labels), state, (weights, labels)), kept

    def reset(state, row):
        if not (plasticity.correlation and plasticity.reset_correlation):
            return state
        return eqx.tree_at(lambda s: s.sensors, state, _reset(state.sensors, row))

    served = jnp.asarray(plasticity.served(rows), jnp.int32)
    snapshot = None
    if plasticity.atomic:
        snapshot = jax.vmap(lambda row: view(state, plasticity.state, row), out_axes=0)(served)
        snapshot = snapshot._replace(symbols=None)
        state = reset(state, served)

    def turn(carry, row_and_seen):
        state, tape, kept = carry
        row, seen = row_and_seen
        if seen is None:
            seen = view(state, kept, row)
            state = reset(state, row)
        else:
            seen = seen._replace(symbols=symbols)
        state, tape = emulate_until(state, tape, emulation, state.step + steps)
        state, kept = write(state, kept, seen, row)
        return (state, tape, kept), None

    start = (state, tape, plasticity.state)
    (state, tape, kept), _ = jax.lax.scan(turn, start, (served, snapshot))
    changed = eqx.tree_at(
        lambda p: (p.symbols, p.state), plasticity, (symbols, kept), is_leaf=lambda x: x is None
    )
    return state, tape, changed, columns.rates


def _injected(state: ChipState, words: Any, emulation: Emulation) -> EventBus:
    """The buses after events that the processors sent at the end of the last step."""
    grid, profile = emulation.settings.grid, emulation.chip.profile
    now = grid.end_tick(state.step - 1) + round(profile.latency * TICKS_PER_US)

    def admit(number, bus):
        word = words[number]
        entered = bus.admit(now, word, state.step, profile, grid)
        return jax.tree.map(lambda new, old: jnp.where(word >= 0, new, old), entered, bus)

    return jax.lax.fori_loop(0, words.shape[0], admit, state.bus)


def _row(array, row):
    return jax.lax.dynamic_index_in_dim(array, row, 2, keepdims=False)


def _baseline(measured, row):
    return _row(measured, row if measured.shape[2] > 1 else 0)


def _put(array, new, row):
    return jax.lax.dynamic_update_index_in_dim(array, new.astype(array.dtype), row, 2)


def _reset(sensors: Correlations, row: Any) -> Correlations:
    """Both sensors of a row forget their pairs; the last event stays known."""
    return Correlations(
        sensors.last_pre,
        sensors.last_post,
        sensors.causal.at[:, :, row].set(0),
        sensors.anticausal.at[:, :, row].set(0),
    )
