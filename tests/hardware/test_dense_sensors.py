"""The correlation sensors of all synapses at once hold what they hold one by one."""

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
    ShortTermPlasticity,
    chip_events,
    configure,
    draw_chip,
    driver_targets,
    event_word,
    run_chip,
)
from tests.hardware.small_chip import KEY

COLUMNS, ROWS = 6, 8
CALIBRATED = ChipProfile.bss2_calibrated(dead=0.0)


def random_network(seed, mean_interval_us=1.5):
    """Random weights, labels, row modes and routes; dense enough for several events per step."""
    rng = np.random.default_rng(seed)
    shape = (2, COLUMNS, ROWS)
    row, label, hemisphere = rng.integers(ROWS, size=12), rng.integers(3, size=12), [0, 1] * 6
    words = [event_word(r, int(n), h) for r, n, h in zip(row, label, hemisphere, strict=True)]
    trains = [np.cumsum(rng.exponential(mean_interval_us, 30)) for _ in words]
    routes = np.full((2, COLUMNS, 1), -1, np.int32)
    routes[:, ::2, 0] = rng.choice(words, (2, COLUMNS // 2))
    settings = {
        "weights": rng.integers(0, 64, shape),
        "labels": rng.integers(0, 3, shape),
        "row_modes": rng.choice([0, 1, 1, 1, 2, 3], (2, ROWS)),
        "routes": jnp.asarray(routes),
        # One event in three reaches two drivers of its bus.
        "targets": driver_targets(2, ROWS, masks=rng.choice([31, 31, 30], (2, ROWS // 2))),
        "drivers": ShortTermPlasticity(),
        "neurons": NeuronSettings(leak=120.0, threshold=95.0, tau_exc=2.0),
    }
    return chip_events(trains, words), settings


def reading(view, key):
    return RowWrite(view.weights + 1, state=view.state + view.causal - view.anticausal)


def both(profile, seed, dt_us=0.1, **changes):
    chip = draw_chip(profile, columns=COLUMNS, rows=ROWS)
    events, network = random_network(seed)
    config = configure(chip, **{**network, **changes})
    rule = Plasticity(reading, 10.0, 20.0, 2, row_us=1.0, correlation=True,
                      state=jnp.zeros(chip.shape, jnp.int32))  # fmt: skip

    def run(dense):
        settings = EmulatorSettings(dt_us=dt_us, events_per_step=32, dense_sensors=dense)
        return run_chip(chip, config, events, 50.0, key=KEY, rules=[rule], settings=settings)

    return run(False), run(True)


def assert_equal_runs(one_by_one, all_at_once):
    np.testing.assert_array_equal(one_by_one.spike_ticks, all_at_once.spike_ticks)
    np.testing.assert_array_equal(one_by_one.rules[0].state, all_at_once.rules[0].state)
    first, second = one_by_one.state.sensors, all_at_once.state.sensors
    np.testing.assert_array_equal(first.last_pre, second.last_pre)
    np.testing.assert_array_equal(first.last_post, second.last_post)
    for name in ("causal", "anticausal"):
        held = np.asarray(getattr(first, name))
        assert np.any(held > 0)
        np.testing.assert_allclose(held, np.asarray(getattr(second, name)), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_random_networks_of_a_calibrated_chip(seed):
    runs = both(CALIBRATED, seed)
    assert np.sum(runs[0].spike_neurons >= 0) > 30
    assert_equal_runs(*runs)


def test_several_events_of_a_synapse_and_many_spikes_in_a_step():
    # Steps as long as a few intervals: events of one driver wait in its queue.
    assert_equal_runs(*both(CALIBRATED, 5, dt_us=1.0))


def test_sensors_that_leak_and_saturate():
    profile = ChipProfile.ideal(sensor_leak_tau=20.0, sensor_baseline=0.6)
    runs = both(profile, 7)
    assert_equal_runs(*runs)
    assert np.max(runs[1].state.sensors.causal) <= 0.6


def test_rows_that_are_off_hear_nothing():
    modes = np.zeros((2, ROWS), int)
    modes[:, 0] = 1
    one_by_one, all_at_once = both(CALIBRATED, 0, row_modes=modes)
    never = one_by_one.state.sensors.last_pre
    np.testing.assert_array_equal(never, all_at_once.state.sensors.last_pre)
    assert len(np.unique(np.asarray(never)[:, :, 1:])) == 1


def test_many_chips_at_once():
    events, network = random_network(1)
    settings = EmulatorSettings(events_per_step=32, dense_sensors=True, max_spikes=500)

    def held(key):
        chip = draw_chip(CALIBRATED, columns=COLUMNS, rows=ROWS, key=key)
        config = configure(chip, **network)
        sensors = run_chip(chip, config, events, 20.0, key=KEY, settings=settings).state.sensors
        return sensors.causal, sensors.anticausal

    keys = jax.random.split(KEY, 3)
    for many, one in zip(jax.vmap(held)(keys), held(keys[1]), strict=True):
        np.testing.assert_allclose(many[1], one, rtol=1e-5)
