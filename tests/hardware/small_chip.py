"""Small ideal chips and the few inputs that the tests of the emulator share."""

from functools import cache

import jax
import numpy as np

from plasticjax.hardware import (
    ChipProfile,
    EmulatorSettings,
    chip_events,
    configure,
    draw_chip,
    event_word,
    run_chip,
    spike_trains,
)

KEY = jax.random.key(0)


def ideal_chip(columns=1, rows=2, hemispheres=1, **profile):
    profile = ChipProfile.ideal(**{"latency": 0.0, **profile})
    return _drawn(profile, hemispheres, columns, rows, jax.config.jax_enable_x64)


@cache
def _drawn(profile, hemispheres, columns, rows, _):
    return draw_chip(profile, hemispheres=hemispheres, columns=columns, rows=rows)


def emulate(
    times, duration, *, word=None, chip=None, config=None, rules=(), key=KEY, run=None, **settings
):
    """One input train (or one per word) to a chip that is ideal and small unless told otherwise."""
    chip = ideal_chip() if chip is None else chip
    config = one_row(chip, 63) if config is None else config
    several = len(times) > 0 and np.ndim(times[0]) > 0
    trains = [np.asarray(train) for train in (times if several else [times])]
    words = [event_word(0)] if word is None else np.atleast_1d(word).tolist()
    return run_chip(
        chip,
        config,
        chip_events(trains, words),
        duration,
        key=key,
        rules=rules,
        settings=EmulatorSettings(**settings),
        **(run or {}),
    )


def one_row(chip, weight, mode=1, **more):
    """The first row of each driver is used, the second is off."""
    hemispheres, _, rows = chip.shape
    modes = np.tile(np.arange(rows) % 2 == 0, (hemispheres, 1)) * mode
    return configure(chip, weights=weight, row_modes=modes, **more)


def times_of(run, neuron=0):
    trains = spike_trains(run)
    return trains.times_us[trains.neurons == neuron]
