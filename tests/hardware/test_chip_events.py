from fractions import Fraction

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasticjax.hardware import (
    BackgroundGenerator,
    ChipEvents,
    chip_events,
    driver_targets,
    event_word,
    merge_events,
    ticks_to_us,
)
from plasticjax.hardware._chip_events import TimeGrid, check_events
from tests.hardware.small_chip import KEY


@given(
    dt=st.sampled_from([0.008, 0.016, 0.05, 0.1, 0.25, 0.5, 1.0]),
    tick=st.integers(0, 2**30),
)
def test_steps_and_ticks_agree(dt, tick):
    grid = TimeGrid(dt)
    step = grid.step(tick)
    assert grid.end_tick(step) >= tick
    assert step == 0 or grid.end_tick(step - 1) < tick
    length = Fraction(dt * 125).limit_denominator(1000)
    assert grid.end_tick(step) == (step + 1) * length.numerator // length.denominator


@pytest.mark.parametrize("dt", [0.1, 0.5])
def test_steps_do_not_overflow(dt):
    grid = TimeGrid(dt)
    ticks = np.unique(np.geomspace(1, 2**30, 1000).astype(np.int32))
    steps, ends = jax.jit(lambda t: (grid.step(t), grid.end_tick(grid.step(t))))(ticks)
    np.testing.assert_array_equal(steps, grid.step(ticks.astype(np.int64)))
    np.testing.assert_array_equal(ends, grid.end_tick(grid.step(ticks.astype(np.int64))))


@given(row=st.integers(0, 255), label=st.integers(0, 63), hemisphere=st.integers(0, 1))
def test_a_word_reaches_the_driver_of_its_row(row, label, hemisphere):
    word = event_word(row, label, hemisphere)
    assert word < 2**14 and word & 63 == label
    assert driver_targets(2, 256)[word >> 6, 0] == 128 * hemisphere + row // 2


def test_a_mask_lets_an_event_reach_many_drivers():
    targets = driver_targets(1, 64, masks=0b11110)
    assert targets.shape == (256, 2)
    np.testing.assert_array_equal(targets[0], [0, 4])  # the addresses 0 and 1 of the first bus
    everywhere = driver_targets(1, 64, masks=0)
    np.testing.assert_array_equal(everywhere[7], np.arange(0, 32, 4))
    assert np.all(driver_targets(1, 64)[128:] == -1)  # the buses of the other hemisphere


def test_trains_become_sorted_events_on_a_grid_of_8_ns():
    events = chip_events([np.array([3.0, 0.0041]), np.array([1.0])], [5, 6])
    np.testing.assert_array_equal(events.ticks, [1, 125, 375])
    np.testing.assert_array_equal(events.words, [5, 6, 5])
    np.testing.assert_allclose(ticks_to_us(events.ticks), [0.008, 1.0, 3.0])
    both = merge_events([events, chip_events([np.array([2.0])], [7])])
    np.testing.assert_array_equal(both.words, [5, 6, 7, 5])


def test_generators_have_their_rates():
    regular = BackgroundGenerator(event_word(0, 3), period=250)
    np.testing.assert_array_equal(regular.events(5.0, key=KEY).ticks, 125 * np.arange(1, 6))
    poisson = BackgroundGenerator.poisson(event_word(0, 8), 120.0, mask=7)
    assert poisson.rate_khz == pytest.approx(120.0, rel=1e-3)
    events = poisson.events(20_000.0, key=KEY)
    gaps = np.diff(events.ticks)
    assert len(events.ticks) == pytest.approx(2400, abs=150)
    assert np.std(gaps) / np.mean(gaps) == pytest.approx(1.0, abs=0.1)
    labels = np.bincount(np.asarray(events.words) & 63, minlength=16)
    assert np.all(labels[8:16] > 200) and labels[8:16].sum() == len(events.ticks)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: event_word(256), "row=256"),
        (lambda: event_word(0, 64), "label=64"),
        (lambda: event_word(0, 0, 2), "hemisphere=2"),
        (lambda: chip_events([np.ones(1)], [1, 2]), "1 trains"),
        (lambda: chip_events([-np.ones(1)], [1]), "times_us"),
        (lambda: chip_events([np.full(1, np.nan)], [1]), "times_us"),
        (lambda: BackgroundGenerator(0, 0), "period=0"),
        (lambda: BackgroundGenerator(0, 1, rate=256), "rate=256"),
        (lambda: BackgroundGenerator.poisson(0, 1e5), "rate_khz"),
        (lambda: driver_targets(1, 4, masks=32), "masks"),
        (lambda: TimeGrid(0.0), "dt_us"),
        (lambda: TimeGrid(0.1).steps(0.25), "multiple of dt_us=0.1"),
        (lambda: check_events(ChipEvents(np.array([2, 1]), np.array([0, 0])), TimeGrid(1.0), 9),
         "sorted"),
        (lambda: check_events(ChipEvents(np.array([1, 1]), np.array([0, 0])), TimeGrid(1.0), 1),
         "events_per_step=1"),
        (lambda: check_events(ChipEvents(np.array([1]), np.array([2**14])), TimeGrid(1.0), 1),
         "16383"),
    ],
)  # fmt: skip
def test_bad_events_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
