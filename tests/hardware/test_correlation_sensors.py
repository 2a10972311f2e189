"""The correlation sensors, driven by inputs and by spikes at known times."""

import numpy as np
import pytest

from plasticjax.hardware import NeuronSettings, configure, event_word
from tests.hardware.small_chip import emulate, ideal_chip, times_of

# A strong event on the third row makes one spike within two steps of 0.04 us; tick-exact.
DT = 0.04
TRIGGER = NeuronSettings(threshold=80.5, tau_exc=0.3, tau_mem=0.5, tau_ref=0.48)


def sense(pre, post, duration=60.0, **profile):
    """Events at the sensor of the first row, and events that make the neuron spike."""
    chip = ideal_chip(rows=4, **profile)
    weights = np.array([[[0, 0, 63, 0]]])
    modes = np.array([[1, 0, 1, 0]])
    config = configure(chip, weights=weights, row_modes=modes, neurons=TRIGGER)
    run = emulate(
        [np.asarray(pre, float), np.asarray(post, float)],
        duration,
        word=[event_word(0), event_word(2)],
        chip=chip,
        config=config,
        dt_us=DT,
    )
    sensors = run.state.sensors
    return float(sensors.causal[0, 0, 0]), float(sensors.anticausal[0, 0, 0]), times_of(run)


def nearest_neighbours(pre, post, eta=0.5, tau=5.0):
    """Written from the sheet: each spike pairs with at most one event, both ways."""
    causal = anticausal = 0.0
    fresh_pre = fresh_post = None
    for time, kind in sorted([(t, 0) for t in pre] + [(t, 1) for t in post]):
        if kind == 1:
            causal += 0 if fresh_pre is None else eta * np.exp(-(time - fresh_pre) / tau)
            fresh_pre, fresh_post = None, time
        else:
            anticausal += 0 if fresh_post is None else eta * np.exp(-(time - fresh_post) / tau)
            fresh_pre, fresh_post = time, None
    return causal, anticausal


def test_one_spike_per_trigger():
    assert len(sense([], [1.0, 5.0, 6.0])[2]) == 3


@pytest.mark.parametrize("lag", [1.0, 5.0, 20.0])
def test_a_single_pair(lag):
    causal, anticausal, (spike,) = sense([10.0], [10.0 + lag])
    assert causal == pytest.approx(0.5 * np.exp(-(spike - 10.0) / 5.0), rel=1e-5)
    assert anticausal == 0
    causal, anticausal, (spike,) = sense([10.0 + lag], [10.0])
    assert anticausal == pytest.approx(0.5 * np.exp(-(10.0 + lag - spike) / 5.0), rel=1e-5)
    assert causal == 0


def test_the_nearest_event_counts_once():
    causal, _, (spike,) = sense([4.0, 9.0], [10.0])
    assert causal == pytest.approx(0.5 * np.exp(-(spike - 9.0) / 5.0), rel=1e-5)
    once, anticausal, spikes = sense([4.0, 9.0], [10.0, 12.0])
    assert len(spikes) == 2 and once == causal and anticausal == 0


@pytest.mark.parametrize("seed", range(4))
def test_random_trains_pair_with_nearest_neighbours(seed):
    rng = np.random.default_rng(seed)
    pre = np.round(np.sort(rng.uniform(0, 50, 15)) * 125) / 125
    post = np.sort(rng.choice(np.arange(1, 50, 1.5), 15, replace=False))
    causal, anticausal, spikes = sense(pre, post)
    assert len(spikes) == 15
    expected = nearest_neighbours(pre, spikes)
    np.testing.assert_allclose([causal, anticausal], expected, rtol=1e-4)
    assert causal <= 0.5 * len(spikes)


def test_an_event_at_the_time_of_a_spike_is_causal():
    (spike,) = sense([], [10.0])[2]
    causal, anticausal, (again,) = sense([spike], [10.0])
    assert (again, causal, anticausal) == (spike, 0.5, 0)


def test_the_capacitor_saturates_at_its_baseline():
    pre = np.arange(1, 50, 2.0)
    causal, _, spikes = sense(pre, pre + 0.4, sensor_baseline=3.0)
    assert len(spikes) == 25
    assert causal == 3.0


def test_a_leak_loses_correlation():
    kept, _, spikes = sense([10.0], [10.4], duration=60.0)
    lost, _, _ = sense([10.0], [10.4], duration=60.0, sensor_leak_tau=20.0)
    assert lost == pytest.approx(kept * np.exp(-(60.0 - spikes[0]) / 20.0), rel=2e-3)


def test_labels_tell_sensors_apart():
    chip = ideal_chip(rows=4)
    labels = np.array([[[9, 0, 0, 0]]])
    config = configure(chip, weights=np.array([[[0, 0, 63, 0]]]), labels=labels,
                       row_modes=np.array([[1, 0, 1, 0]]), neurons=TRIGGER)  # fmt: skip
    for label, paired in ((9, True), (8, False)):
        run = emulate([np.array([9.0]), np.array([10.0])], 12.0, chip=chip, config=config,
                      word=[event_word(0, label), event_word(2)], dt_us=DT)  # fmt: skip
        assert (float(run.state.sensors.causal[0, 0, 0]) > 0) == paired
