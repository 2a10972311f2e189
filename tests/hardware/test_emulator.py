"""Runs of the emulator: order of operations, plasticity, pieces, noise, transformations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.hardware import (
    ChipProfile,
    EmulatorSettings,
    NeuronSettings,
    Plasticity,
    RowWrite,
    chip_events,
    configure,
    draw_chip,
    event_word,
    measured,
    run_chip,
    spike_trains,
)
from tests.hardware.small_chip import KEY, emulate, ideal_chip, one_row, times_of

DRIVEN = NeuronSettings(leak=150.0)
RATES = np.arange(5.0, 95.0, 2.5)


def count_up(view, key):
    return RowWrite(view.weights + 1)


def test_a_spike_travels_to_another_hemisphere():
    chip = ideal_chip(columns=2, rows=4, hemispheres=2, latency=0.16)
    leak = np.array([[150.0, 80.0], [80.0, 80.0]])
    weights = np.zeros((2, 2, 4), int)
    weights[1, 1, 2] = 63
    labels = np.full((2, 2, 4), 17)
    routes = np.full((2, 2, 1), -1, np.int32)
    routes[0, 0, 0] = event_word(2, 17, hemisphere=1)
    config = configure(chip, weights=weights, labels=labels, routes=jnp.asarray(routes),
                       neurons=NeuronSettings(leak=leak, tau_exc=0.3))  # fmt: skip
    run = emulate([], 15.0, chip=chip, config=config, record=(0, 3), sample_us=0.1)
    spike = times_of(run, 0)[0]
    driven = np.asarray(run.voltages)[:, 1]
    first = 0.1 * (np.flatnonzero(driven > 80.01)[0] + 1)
    assert 0.16 <= first - spike + 1e-6 <= 0.16 + 0.2
    assert len(times_of(run, 1)) == len(times_of(run, 2)) == 0


def test_rows_are_read_and_written_in_turn():
    chip = ideal_chip(rows=4)
    plasticity = Plasticity(count_up, 10.0, 200.0, 3, rows=(2, 0), row_us=5.0, call_us=1.0)
    run = emulate([], 14.0 + 200, chip=chip, config=one_row(chip, 7), rules=[plasticity])
    np.testing.assert_array_equal(run.call_us, [10.0])
    assert int(run.stats.n_skipped_slots) == 1  # the second needs 11 us
    np.testing.assert_array_equal(run.state.weights[0, 0], [8, 7, 8, 7])
    run = emulate([], 500.0, chip=chip, config=one_row(chip, 62), rules=[plasticity])
    assert run.weights.dtype == np.uint8
    np.testing.assert_array_equal(run.weights[:, 0, 0], [[63, 62, 63, 62]] * 3)


def reading_times(atomic):
    """The correlation of one row rises while the rows are read; each reading tells when."""
    chip = ideal_chip(rows=6, sensor_amplitude=2.0, sensor_tau=1e6)
    weights = np.zeros((1, 1, 6), int)
    config = configure(chip, weights=weights, neurons=NeuronSettings(leak=150.0))
    words = [event_word(row) for row in (0, 2, 4)]
    trains = [RATES + shift for shift in (0.0, 0.1, 0.2)]

    def note(view, key):
        return RowWrite(view.weights, state=view.baseline_causal - view.causal)

    plasticity = Plasticity(note, 50.0, 1.0, 1, rows=(0, 2, 4), row_us=20.0, correlation=True,
                            atomic=atomic, state=jnp.zeros((1, 1, 6), jnp.int32))  # fmt: skip
    run = emulate(trains, 140.0, word=words, chip=chip, config=config, rules=[plasticity])
    return np.asarray(run.rules[0].state)[0, 0], run


def test_a_row_is_read_when_its_turn_begins_or_all_at_once():
    in_turn, run = reading_times(atomic=False)
    spikes = times_of(run)
    for number, row in enumerate((0, 2, 4)):
        expected = 2 * np.sum(spikes < 50.0 + 20 * number)
        assert in_turn[row] == pytest.approx(expected, abs=2.1)
    at_once, _ = reading_times(atomic=True)
    assert at_once[0] == at_once[2] == at_once[4] == in_turn[0]
    assert in_turn[2] > in_turn[0]


def test_a_reset_clears_both_sensors_and_nothing_else():
    _, run = reading_times(atomic=False)
    sensors = run.state.sensors
    assert np.all(sensors.last_pre[0, 0, ::2] > 0)
    late = np.sum(times_of(run) > 50.0)
    assert 0 < sensors.causal[0, 0, 0] <= 2.0 * late


def test_counters_are_read_and_reset_and_saturate():
    chip = ideal_chip()
    config = one_row(chip, 0, neurons=NeuronSettings(leak=200.0, tau_ref=0.04, tau_mem=0.5))
    seen = []
    for reset in (True, False):
        plasticity = Plasticity(count_up, 50.0, 50.0, 4, rows=(0,), row_us=1.0, reset_rates=reset)
        run = emulate([], 250.0, chip=chip, config=config, rules=[plasticity], sensors=False)
        seen.append(np.asarray(run.rates)[:, 0, 0])
    per_call = np.sum(times_of(run) < 50.0)
    np.testing.assert_allclose(seen[0], per_call, atol=1)
    np.testing.assert_allclose(seen[1], np.minimum(255, per_call * np.arange(1, 5)), atol=3)
    assert seen[1][-1] == 255


def test_rules_see_noise_symbols_and_what_was_prepared():
    chip = ideal_chip(columns=3, hemispheres=2)

    def prepare(columns, symbols, key):
        return symbols + jnp.sum(columns.rates) + columns.call

    def rule(view, key):
        noise = jax.random.randint(key, view.weights.shape, 0, 10)
        return RowWrite(view.weights * 0 + view.symbols, labels=noise)

    plasticity = Plasticity(rule, 10.0, 30.0, 2, rows=(0,), row_us=1.0, prepare=prepare,
                            symbols=jnp.int32(4))  # fmt: skip
    run = emulate([], 70.0, chip=chip, config=one_row(chip, 0), rules=[plasticity])
    np.testing.assert_array_equal(np.unique(run.weights[0, ..., 0]), [4])
    assert int(run.rules[0].symbols) == 5
    drawn = np.asarray(run.state.labels)[..., 0]
    assert len(np.unique(drawn)) > 1 and np.all(drawn < 10)
    first = jnp.array([[True, False, False]] * 2)
    masked = Plasticity(rule, 10.0, 30.0, 1, rows=(0,), row_us=1.0, call_us=2.0,
                        symbols=jnp.int32(4), columns=first)  # fmt: skip
    run = emulate([], 20.0, chip=chip, config=one_row(chip, 9), rules=[masked])
    np.testing.assert_array_equal(run.state.weights[:, :, 0], [[4, 9, 9]] * 2)


def test_weights_of_zero_stop_the_spikes():
    chip = ideal_chip()
    stop = Plasticity(lambda view, key: RowWrite(view.weights * 0), 5000.0, 1e6, 1, rows=(0,))
    # The sheet's example: an input every 0.01 ms for 10 ms, weights zeroed after 5 ms.
    times = np.arange(10.0, 10_000.0, 10.0)
    config = one_row(chip, 63, neurons=NeuronSettings(threshold=100.0))
    run = emulate(times, 10_000.0, chip=chip, config=config, rules=[stop], sensors=False)
    spikes = times_of(run)
    assert len(spikes) > 400
    assert 4990 < spikes[-1] < 5025 + 20


def noisy(columns=6, **changes):
    chip = draw_chip(ChipProfile(seed=1, **changes), hemispheres=1, columns=columns, rows=2)
    config = one_row(chip, 40)
    return {"chip": chip, "config": config, "rules": [homeostasis()]}


def homeostasis():
    rule = lambda view, key: RowWrite(view.weights + jnp.sign(3 - view.rates))  # noqa: E731
    return Plasticity(rule, 40.0, 40.0, 10, rows=(0,), row_us=10.0, call_us=0.0)


def test_pieces_are_the_whole():
    whole = emulate(RATES, 100.0, **noisy())
    first = emulate(RATES, 60.0, **noisy())
    going_on = {"state": first.state, "start_us": 60.0}
    second = emulate(RATES, 40.0, **{**noisy(), "rules": first.rules}, run=going_on)
    jax.tree.map(np.testing.assert_array_equal, second.state, whole.state)
    both = np.concatenate([spike_trains(first).times_us, spike_trains(second).times_us])
    np.testing.assert_array_equal(np.sort(both), spike_trains(whole).times_us)


def test_the_same_key_is_the_same_trial():
    one, again = (emulate(RATES, 60.0, **noisy()) for _ in range(2))
    np.testing.assert_array_equal(one.spike_ticks, again.spike_ticks)
    other = emulate(RATES, 60.0, **noisy(), key=jax.random.key(5))
    assert not np.array_equal(one.spike_ticks, other.spike_ticks)


@pytest.mark.slow
def test_jitter_moves_reports_and_not_membranes():
    quiet = {"leak_sd": 0.0, "threshold_trial_sd": 0.0}
    still = emulate([], 300.0, chip=(chip := ideal_chip(columns=8)),
                    config=one_row(chip, 0, neurons=DRIVEN))  # fmt: skip
    chip = ideal_chip(columns=8, jitter=0.06, **quiet)
    moved = emulate([], 300.0, chip=chip, config=one_row(chip, 0, neurons=DRIVEN))
    np.testing.assert_array_equal(still.state.neurons.voltage, moved.state.neurons.voltage)
    shifts = times_of(moved, 3) - times_of(still, 3)
    assert 0.02 < np.std(shifts) < 0.12


def test_dead_neurons_are_silent_and_homeostasis_saturates():
    chip = ideal_chip(dead=1.0)
    rule = Plasticity(homeostasis().rule, 1.0, 1.5, 80, rows=(0,), row_us=1.0, call_us=0.0)
    run = emulate(RATES, 130.0, chip=chip, config=one_row(chip, 0), rules=[rule])
    assert len(spike_trains(run).neurons) == 0
    assert int(run.state.weights[0, 0, 0]) == 63
    assert np.all(np.isfinite(run.state.neurons.voltage))


def test_spikes_without_room_are_counted():
    chip = ideal_chip()
    config = one_row(chip, 0, neurons=DRIVEN)
    whole = emulate([], 300.0, chip=chip, config=config)
    short = emulate([], 300.0, chip=chip, config=config, max_spikes=5)
    trains = spike_trains(whole)
    assert int(short.stats.n_lost_spikes) == len(trains.times_us) - 5
    np.testing.assert_array_equal(spike_trains(short).times_us, trains.times_us[:5])


@pytest.mark.slow
def test_chips_and_trials_under_vmap():
    events = chip_events([RATES], [event_word(0)])
    settings = EmulatorSettings(max_spikes=200)

    def trial(chip_key, key):
        chip = draw_chip(ChipProfile(), hemispheres=1, columns=3, rows=2, key=chip_key)
        config = one_row(chip, 40)
        return run_chip(chip, config, events, 60.0, key=key, rules=[homeostasis()],
                        settings=settings)  # fmt: skip

    def numbers(run):
        return run.spike_ticks, run.state, run.rates

    keys = jax.random.split(KEY, 3)
    many = jax.vmap(lambda key: numbers(trial(key, key)))(keys)
    one = numbers(trial(keys[1], keys[1]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-5, atol=1e-4), many, one)


def test_readings_have_gain_and_offset_and_eight_bits():
    chip = ideal_chip(cadc_gain_sd=0.05, cadc_offset_sd=3.0, columns=4)
    run = emulate([], 20.0, chip=chip, config=one_row(chip, 0), record=(1, 2), sample_us=1.0)
    expected = np.round(chip.cadc_gain[0, 1:3] * 80 + chip.cadc_offset[0, 1:3])
    np.testing.assert_array_equal(run.readings, np.tile(expected, (20, 1)))
    config = one_row(chip, 0, neurons=NeuronSettings(leak=-50.0))
    run = emulate([], 50.0, chip=chip, config=config, record=(1,), sample_us=1.0)
    assert np.all(run.readings >= 0)


@pytest.mark.parametrize("baseline", ["column", pytest.param("synapse", marks=pytest.mark.slow)])
def test_without_spikes_correlation_is_zero_on_average(baseline):
    profile = ChipProfile(seed=2)
    chip = draw_chip(profile, hemispheres=2, columns=16, rows=32)
    rule = lambda view, key: RowWrite(  # noqa: E731
        view.weights, state=view.baseline_causal - view.causal
    )
    plasticity = Plasticity(rule, 1.0, 50.0, 1, row_us=0.1, call_us=0.0, correlation=True,
                            state=jnp.zeros(chip.shape, jnp.int32))  # fmt: skip
    config = configure(chip, weights=5)
    run = emulate([], 10.0, chip=chip, config=config, rules=[plasticity], baseline=baseline)
    read = np.asarray(run.rules[0].state)
    per_synapse = 1.5 if baseline == "synapse" else 2.4
    assert abs(read.mean()) < 0.6
    assert read.std() < per_synapse


def test_what_was_observed_has_the_derivative_of_the_model():
    hardware = jnp.array([2.0, 5.0])
    loss = lambda w: jnp.sum(measured(3.0 * w, hardware) ** 2)  # noqa: E731
    value, gradient = jax.value_and_grad(loss)(jnp.array([1.0, 1.0]))
    assert value == 29.0
    np.testing.assert_allclose(gradient, 2 * hardware * 3.0)
    np.testing.assert_array_equal(
        jax.grad(lambda h: jnp.sum(measured(jnp.ones(2), h)))(hardware), 0
    )


@pytest.mark.parametrize(
    "change, message",
    [
        ({"dt_us": 0.3}, "multiple of dt_us=0.3"),
        ({"max_spikes": 0}, "max_spikes=0"),
        ({"baseline": "row"}, "baseline"),
        ({"record": (0,), "sample_us": 0.25}, "sample_us"),
        ({"sensors": False, "rules": [Plasticity(count_up, 0.0, 9.0, 1, correlation=True)]},
         "sensors must be True"),
        ({"run": {"start_us": 9e6}}, "must end before"),
    ],
)  # fmt: skip
def test_bad_runs_are_named(change, message):
    with pytest.raises((ValueError, TypeError), match=message):
        emulate([], 10.0, **change)


def test_two_keys_under_vmap():
    events = chip_events([RATES[:4]], [event_word(0)])
    chip = ideal_chip(threshold_trial_sd=2.0)
    settings = EmulatorSettings(sensors=False)

    def trial(key):
        run = run_chip(chip, one_row(chip, 63), events, 25.0, key=key, settings=settings)
        return run.state.neurons.voltage

    keys = jax.random.split(KEY)
    np.testing.assert_allclose(jax.vmap(trial)(keys)[1], trial(keys[1]), rtol=1e-5)
