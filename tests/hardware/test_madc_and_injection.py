"""The fast converter, and events that the plasticity processors inject."""

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
    configure,
    event_word,
)
from tests.hardware.small_chip import KEY, emulate, ideal_chip, one_row, times_of

FREE = NeuronSettings(leak=100.0, threshold=250.0)


def test_one_neuron_at_every_conversion():
    """An event of weight 63 with equal time constants: 4 times the potential, rounded."""
    chip = ideal_chip(columns=2)
    config = one_row(chip, 63, neurons=FREE)
    run = emulate([1.0], 40.0, chip=chip, config=config, madc=(1,), record=(1,), sample_us=0.1)
    assert run.madc.shape == (400, 1) and run.voltages.shape == (400, 1)
    np.testing.assert_array_equal(run.madc, np.round(4 * np.asarray(run.voltages)))
    t = 0.1 * np.arange(1, 401) - 0.9  # delivered at the start of its step
    expected = 400 + 88 * np.where(t > 0, t / 10 * np.exp(1 - t / 10), 0)
    np.testing.assert_allclose(run.madc[:, 0], expected, atol=1.5)
    assert run.madc.max() == 488


def test_two_neurons_take_turns():
    chip = ideal_chip(columns=3)
    leak = np.array([[90.0, 100.0, 130.0]])
    config = one_row(chip, 63, neurons=NeuronSettings(leak=leak, threshold=300.0))
    run = emulate([1.0], 30.3, chip=chip, config=config, madc=(2, 0), madc_us=0.2,
                  record=(2, 0), sample_us=0.1)  # fmt: skip
    assert run.madc.shape == (75, 2)  # 151 conversions
    voltages = np.asarray(run.voltages)
    for channel in (0, 1):
        last_step = 2 * (2 * np.arange(75) + channel) + 1
        expected = np.round(4 * voltages[last_step, channel])
        np.testing.assert_array_equal(run.madc[:, channel], expected)


def test_readings_have_ten_bits_and_noise():
    chip = ideal_chip(columns=1, madc_noise=3.0)
    config = one_row(chip, 0, neurons=NeuronSettings(leak=100.0, threshold=400.0))
    run = emulate([], 200.0, chip=chip, config=config, madc=(0,))
    assert np.std(run.madc) == pytest.approx(3.0, rel=0.1)
    assert np.mean(run.madc) == pytest.approx(400.0, abs=0.5)
    config = one_row(chip, 0, neurons=NeuronSettings(leak=300.0, threshold=400.0))
    assert np.max(emulate([], 5.0, chip=chip, config=config, madc=(0,)).madc) == 1023
    assert ChipProfile.ideal().madc_noise == 0
    assert emulate([], 5.0).madc.shape == (0, 1)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"madc": (0, 1, 2)}, "at most 2 neurons"),
        ({"madc": (0,), "madc_us": 0.25}, "madc_us=0.25 must be a multiple"),
        ({"madc": (0,), "madc_us": 0.02, "dt_us": 0.02}, "at least 1/30"),
    ],
)
def test_what_the_converter_cannot_do(settings, message):
    with pytest.raises(ValueError, match=message):
        EmulatorSettings(**settings)


def keep(view, key):
    return RowWrite(view.weights)


def test_processors_inject_events():
    """At each call one event, that makes the neuron spike; its label counts the calls."""
    chip = ideal_chip(rows=2, latency=0.16)
    labels = np.array([[[1, 0]]])
    strong = NeuronSettings(threshold=80.5, tau_exc=0.3, tau_mem=0.5)
    config = configure(chip, weights=63, labels=labels, row_modes=np.array([[1, 0]]),
                       neurons=strong)  # fmt: skip

    def inject(columns, symbols, key):
        return jnp.array([event_word(0) + columns.call, -1])

    rule = Plasticity(keep, 10.0, 20.0, 3, row_us=1.0, call_us=1.0, inject=inject)
    run = emulate([], 70.0, chip=chip, config=config, rules=[rule])
    # Calls 0 and 2 have the labels 0 and 2, which no synapse of the row has.
    (spike,) = times_of(run)
    assert 30.16 < spike <= 30.6
    assert int(run.stats.n_delayed) == int(run.stats.n_dropped) == 0
    np.testing.assert_allclose(run.state.sensors.last_pre[0, 0, 0], 125 * 30.16)


def test_injected_events_follow_each_other_and_count_against_their_bus():
    chip = ideal_chip(rows=2)

    def inject(columns, symbols, key):
        return jnp.where(jnp.arange(6) < symbols, event_word(0), -1)

    rule = Plasticity(keep, 10.0, 20.0, 1, row_us=1.0, call_us=1.0, inject=inject,
                      symbols=jnp.asarray(4))  # fmt: skip
    run = emulate([], 20.0, chip=chip, config=one_row(chip, 1), rules=[rule])
    assert int(run.stats.n_delayed) == 3
    assert int(run.state.sensors.last_pre[0, 0, 0]) == 1250 + 3


def test_what_is_injected_sees_what_was_prepared_and_its_own_key():
    def prepare(columns, symbols, key):
        return symbols + 1

    def inject(columns, symbols, key):
        drawn = jax.random.randint(key, (2,), 0, 64)
        return jnp.where(symbols == 3, event_word(0) + drawn, -1)

    rule = Plasticity(keep, 10.0, 20.0, 2, row_us=1.0, call_us=1.0, prepare=prepare,
                      inject=inject, symbols=jnp.asarray(1))  # fmt: skip
    labels = np.arange(64)
    heard = set()
    for key in jax.random.split(KEY, 2):
        wide = ideal_chip(columns=64, rows=2)
        config = configure(wide, weights=1, labels=np.stack([labels] * 2, 1)[None])
        run = emulate([], 40.0, chip=wide, config=config, rules=[rule], key=key)
        last = np.asarray(run.state.sensors.last_pre[0, :, 0])
        assert set(last[last > 0]) <= {30 * 125, 30 * 125 + 1} and 1 <= np.sum(last > 0) <= 2
        heard |= set(np.flatnonzero(last > 0))
    assert len(heard) > 2
