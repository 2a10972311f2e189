"""Drivers: labels, rows, signs, short-term plasticity, and buses with one event per 8 ns."""

import numpy as np
import pytest

from plasticjax.hardware import (
    NeuronSettings,
    ShortTermPlasticity,
    configure,
    driver_targets,
    event_word,
)
from tests.hardware.small_chip import emulate, ideal_chip, one_row


def currents(run):
    """Excitatory and inhibitory charge at the end, in units of an event of weight 63."""
    neurons = run.state.neurons
    return np.asarray(neurons.exc)[0] / (22 * np.e), np.asarray(neurons.inh)[0] / (22 * np.e)


def amplitudes(settings, period, count):
    """The amplitude of each event of a regular train."""
    chip = ideal_chip()
    neurons = NeuronSettings(threshold=1e6, tau_exc=0.3)
    config = one_row(chip, 63, drivers=settings, neurons=neurons)
    times = period * np.arange(1, count + 1)
    run = emulate(times, period * (count + 1), chip=chip, config=config, sensors=False,
                  record=(0,), sample_us=0.1)  # fmt: skip
    voltage = np.asarray(run.voltages)[:, 0] - 80
    after = np.round(times / 0.1).astype(int) - 1
    grown = voltage[after] - voltage[after - 1] * np.exp(-0.1 / 10)
    return grown / (22 * np.e * 0.1 / 10) * (0.1 / 0.3) / (1 - np.exp(-0.1 / 0.3))


def test_depression_reaches_its_fixed_point():
    measured = amplitudes(ShortTermPlasticity(), period=5.0, count=12)
    u, decay, expected = 0.2, np.exp(-0.5), [0.8]
    for _ in range(11):
        expected.append((1 - u) * (1 - (1 - expected[-1]) * decay))
    np.testing.assert_allclose(measured, expected, rtol=0.02)
    assert expected[-1] == pytest.approx((1 - u) * (1 - decay) / (1 - (1 - u) * decay), abs=1e-3)
    np.testing.assert_allclose(measured[-1] / measured[0], expected[-1] / 0.8, rtol=2e-3)


def test_facilitation_rises_and_off_is_one():
    rising = amplitudes(ShortTermPlasticity.facilitating(tau=30.0), period=5.0, count=6)
    assert np.all(np.diff(rising) > 0)
    assert rising[0] == pytest.approx(0.2, rel=0.02)
    off = amplitudes(ShortTermPlasticity(u=0.0), period=5.0, count=3)
    np.testing.assert_allclose(off, amplitudes(None, 5.0, 3), rtol=1e-6)
    np.testing.assert_allclose(off, 1.0, rtol=0.02)
    halved = amplitudes(ShortTermPlasticity(u=0.0, offset=-0.5), period=5.0, count=3)
    np.testing.assert_allclose(halved, 0.5 * off, rtol=1e-3)


def test_the_states_of_labels_are_separate():
    chip = ideal_chip(columns=2)
    labels = np.zeros((1, 2, 2), int)
    labels[0, 1] = 5
    config = one_row(chip, 63, labels=labels, drivers=ShortTermPlasticity(tau=1e6))
    trains = [np.array([1.0, 2.0, 3.0]), np.array([3.5])]
    words = [event_word(0, 0), event_word(0, 5)]
    run = emulate(trains, 4.0, word=words, chip=chip, config=config)
    np.testing.assert_allclose(run.state.drivers.s[0, [0, 5]], [0.8**3, 0.8], rtol=1e-4)


def test_64_labels_on_one_row_are_64_sources():
    chip = ideal_chip(columns=64)
    labels = np.broadcast_to(np.arange(64)[None, :, None], (1, 64, 2))
    slow = NeuronSettings(threshold=1e6, tau_exc=1e6)
    config = one_row(chip, 63, labels=labels, neurons=slow)
    counts = np.arange(64) % 3
    rng = np.random.default_rng(0)
    trains = [np.sort(rng.uniform(0, 50, n)) for n in counts]
    run = emulate(trains, 51.0, word=event_word(0, np.arange(64)), chip=chip, config=config)
    np.testing.assert_allclose(currents(run)[0], counts, rtol=1e-3)


@pytest.mark.parametrize("mode, exc, inh", [(0, 0, 0), (1, 1, 0), (2, 0, 1), (3, 1, 1)])
def test_row_modes(mode, exc, inh):
    chip = ideal_chip()
    slow = NeuronSettings(threshold=1e6, tau_exc=1e6, tau_inh=1e6)
    config = one_row(chip, 63, mode=mode, neurons=slow)
    run = emulate([1.0], 2.0, chip=chip, config=config)
    np.testing.assert_allclose(np.ravel(currents(run)), [exc, inh], rtol=1e-4)


def test_both_rows_of_a_driver_hear_an_event_and_other_drivers_do_not():
    chip = ideal_chip(rows=12)
    weights = np.array([[[1, 2, 4, 8, 16, 32, 3, 5, 7, 9, 11, 13]]])
    slow = NeuronSettings(threshold=1e6, tau_exc=1e6)
    config = configure(chip, weights=weights, neurons=slow)
    for row, heard in ((0, 3), (1, 3), (4, 48), (10, 24)):
        run = emulate([1.0], 2.0, word=event_word(row), chip=chip, config=config)
        np.testing.assert_allclose(63 * currents(run)[0], heard, rtol=1e-4)
    targets = driver_targets(1, 12, masks=0b11110)
    config = configure(chip, weights=weights, neurons=slow, targets=targets)
    run = emulate([1.0], 2.0, word=event_word(0), chip=chip, config=config)
    np.testing.assert_allclose(63 * currents(run)[0], 3 + 7 + 9, rtol=1e-4)


def test_a_table_replaces_the_linear_weight():
    table = tuple((np.arange(64) ** 2 / 63).tolist())
    chip = ideal_chip(weight_table=table)
    slow = NeuronSettings(threshold=1e6, tau_exc=1e6)
    run = emulate([1.0], 2.0, chip=chip, config=one_row(chip, 21, neurons=slow))
    np.testing.assert_allclose(63 * currents(run)[0], 7.0, rtol=1e-4)


def test_events_of_one_bus_follow_each_other_after_8_ns():
    chip = ideal_chip(rows=16)
    config = one_row(chip, 1)
    # Rows 0 and 8 are on one bus, row 2 is on another.
    for rows, delayed in (((0, 0, 0), 2), ((0, 8, 8), 2), ((0, 2, 0), 1), ((0, 2, 4), 0)):
        trains = [np.array([1.0])] * 3
        words = [event_word(row) for row in rows]
        run = emulate(trains, 2.0, word=words, chip=chip, config=config)
        assert (int(run.stats.n_delayed), int(run.stats.n_dropped)) == (delayed, 0)
    times = 1.0 + 0.008 * np.arange(20)
    run = emulate(times, 2.0, chip=chip, config=config, events_per_step=20)
    assert int(run.stats.n_delayed) == 0


def test_what_waits_longer_than_the_backlog_is_dropped():
    slow = NeuronSettings(threshold=1e6, tau_exc=1e6)
    chip = ideal_chip()
    config = one_row(chip, 1, neurons=slow)
    run = emulate(np.full(200, 0.5), 3.0, chip=chip, config=config, events_per_step=200)
    # 1 us is 125 places; the first event does not wait.
    assert (int(run.stats.n_delayed), int(run.stats.n_dropped)) == (125, 74)
    assert int(run.stats.n_overflow) == 0
    np.testing.assert_allclose(63 * currents(run)[0], 126, rtol=1e-3)


def test_room_of_the_emulator_is_counted_apart():
    chip = ideal_chip()
    trains = [np.array([1.0])] * 4
    words = [event_word(0)] * 4
    with pytest.raises(ValueError, match="events_per_step=3"):
        emulate(trains, 2.0, word=words, chip=chip, events_per_step=3)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ShortTermPlasticity(u=1.5), "u=1.5"),
        (lambda: ShortTermPlasticity(tau=0.0), "tau=0.0"),
        (lambda: configure(ideal_chip(), weights=64), "weights"),
        (lambda: configure(ideal_chip(), weights=np.zeros((1, 2, 2), int)), "expected"),
        (lambda: configure(ideal_chip(), weights=np.array(1.5)), "weights"),
        (lambda: configure(ideal_chip(), weights=1, labels=-1), "labels"),
        (lambda: configure(ideal_chip(), weights=1, row_modes=np.array([[4, 0]])), "row_modes"),
    ],
)
def test_bad_configurations_are_named(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
