"""The neurons of the emulator against closed forms and independent solutions."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from plasticjax.hardware import NeuronSettings, configure, refractory_us
from tests.hardware.small_chip import emulate, ideal_chip, one_row, times_of


def neuron_chip(**settings):
    chip = ideal_chip()
    return {"chip": chip, "config": one_row(chip, 63, neurons=NeuronSettings(**settings))}


def membrane(times, duration, **more):
    """The membrane at the end of each step of 0.1 us."""
    run = emulate(times, duration, record=(0,), sample_us=0.1, sensors=False, **more)
    return np.asarray(run.voltages)[:, 0]


@pytest.mark.parametrize("leak, tau_ref", [(150.0, 2.0), (130.0, 0.04), (220.0, 8.0)])
def test_rate_above_threshold(leak, tau_ref):
    settings = neuron_chip(leak=leak, tau_ref=tau_ref)
    times = times_of(emulate([], 500.0, **settings, sensors=False))
    interval = float(refractory_us(tau_ref)) + 10 * np.log((leak - 70) / (leak - 125))
    np.testing.assert_allclose(np.diff(times), interval, atol=0.16)


def test_the_potential_of_weight_63_is_that_of_the_profile():
    trace = membrane([0.05], 60.0) - 80
    assert np.max(trace) == pytest.approx(22.0, abs=1e-3)
    assert np.argmax(trace) == pytest.approx(99, abs=1)
    t = 0.1 * np.arange(1, 601)
    np.testing.assert_allclose(trace, 22 * np.e * t / 10 * np.exp(-t / 10), atol=2e-3)


def test_gain_is_linear_in_weight_and_biases():
    chip = ideal_chip()
    peak = lambda w, **s: np.max(  # noqa: E731
        membrane([0.0], 20.0, chip=chip, config=one_row(chip, w, neurons=NeuronSettings(**s))) - 80
    )
    assert peak(21) == pytest.approx(22 / 3, rel=1e-3)
    assert peak(63, gain_code=250.0) == pytest.approx(11.0, rel=1e-3)
    assert peak(63, dac_code=300.0) == pytest.approx(11.0, rel=1e-3)
    assert peak(0) == 0


@pytest.mark.parametrize("tau_mem, tau_exc", [(10.0, 3.0), (2.0, 8.0)])
def test_unequal_time_constants(tau_mem, tau_exc):
    settings = neuron_chip(tau_mem=tau_mem, tau_exc=tau_exc, threshold=250.0)
    trace = membrane([0.05], 30.0, **settings) - 80
    t = 0.1 * np.arange(1, 301)
    kernel = (np.exp(-t / tau_mem) - np.exp(-t / tau_exc)) * tau_exc / (tau_mem - tau_exc)
    np.testing.assert_allclose(trace, 22 * np.e * kernel, rtol=2e-4, atol=3e-3)


def test_potentials_add_up_below_threshold():
    chip = ideal_chip()
    small = {"chip": chip, "config": one_row(chip, 20)}
    times = [1.0, 4.0, 4.5]
    alone = sum(membrane([t], 40.0, **small) - 80 for t in times)
    np.testing.assert_allclose(membrane(times, 40.0, **small) - 80, alone, atol=1e-3)


def test_inhibition_and_both():
    chip = ideal_chip()
    traces = [
        membrane([1.0], 20.0, chip=chip, config=one_row(chip, 30, mode=mode)) - 80
        for mode in range(4)
    ]
    assert np.all(traces[0] == 0)
    np.testing.assert_allclose(traces[2], -traces[1], atol=1e-4)
    np.testing.assert_allclose(traces[3], 0, atol=1e-4)


def reference(inputs, until, weight=63.0, tau=10.0):
    """Event-driven: exact potentials between events, crossings by bisection."""
    jump, t, v, i, spikes = 22 * np.e * weight / 63, 0.0, 0.0, 0.0, []
    inputs = [*inputs, until]
    held = 0.0

    def later(v, i, s):
        return (v + i * s / tau) * np.exp(-s / tau)

    for arrival in inputs:
        while t < arrival:
            if held > t:
                end = min(held, arrival)
                i, t = i * np.exp(-(end - t) / tau), end
                continue
            grid = np.linspace(0, arrival - t, 2000)
            above = np.flatnonzero(later(v, i, grid) >= 45)
            if len(above) == 0:
                v, i, t = later(v, i, arrival - t), i * np.exp(-(arrival - t) / tau), arrival
                continue
            s = brentq(lambda s: later(v, i, s) - 45, grid[above[0] - 1], grid[above[0]])  # noqa: B023
            i, t, v = i * np.exp(-s / tau), t + s, -10.0
            spikes.append(t)
            held = t + 2.0
        i += jump
    return np.array(spikes)


@pytest.mark.slow
def test_spike_times_converge_to_the_event_driven_ones(x64):
    inputs = np.round(np.sort(np.random.default_rng(1).uniform(0, 60, 50)) * 125) / 125
    exact = reference(inputs, 40.0)[:8]
    assert len(exact) == 8
    steps, errors = (0.4, 0.1, 0.016), []
    for dt in steps:
        run = emulate(inputs, 40.0, dt_us=dt, interpolate=True, events_per_step=8, sensors=False)
        errors.append(np.mean(np.abs(times_of(run)[:8] - exact)))
    assert errors[-1] < 0.03
    assert 0.7 < np.polyfit(np.log(steps), np.log(errors), 1)[0] < 1.4


def test_adaptation_and_exponential_follow_the_equations(x64):
    chip = ideal_chip()
    settings = NeuronSettings(
        offset=25.0,
        threshold=200.0,
        slope=4.0,
        exponential_threshold=110.0,
        tau_adaptation=30.0,
        subthreshold=0.5,
        increment=8.0,
        exponential=True,
        adaptation=True,
        tau_ref=0.0,
    )
    config = configure(chip, weights=0, neurons=settings)
    run = emulate([], 60.0, chip=chip, config=config, record=(0,), sample_us=0.02, dt_us=0.02)

    def field(t, y):
        v, w = y
        return [
            (80 - v + 4 * np.exp((v - 110) / 4) - w + 25) / 10,
            (0.5 * (v - 80) - w) / 30,
        ]

    solved = solve_ivp(field, (0, 60), [80, 0], rtol=1e-8, atol=1e-8, dense_output=True)
    t = 0.02 * np.arange(1, 3001)
    np.testing.assert_allclose(run.voltages[:, 0], solved.sol(t)[0], atol=0.02)
    strong = configure(
        chip,
        weights=0,
        neurons=NeuronSettings(offset=90.0, increment=8.0, adaptation=True, tau_adaptation=100.0),
    )
    intervals = np.diff(times_of(emulate([], 300.0, chip=chip, config=strong)))
    assert intervals[-1] > 1.2 * intervals[0]


def test_conductances_follow_the_equations(x64):
    chip = ideal_chip()
    settings = NeuronSettings.coba(threshold=250.0)
    config = one_row(chip, 63, neurons=settings)
    run = emulate([0.0], 40.0, chip=chip, config=config, record=(0,), sample_us=0.02, dt_us=0.02)
    jump = 22 * np.e * 180 / 500 * 400 / 600 / 190

    def field(t, v):
        return (110 - v + jump * np.exp(-t / 10) * (300 - v)) / 10

    solved = solve_ivp(field, (0, 40), [110], rtol=1e-8, atol=1e-8, dense_output=True)
    t = 0.02 * np.arange(1, 2001)
    np.testing.assert_allclose(run.voltages[:, 0], solved.sol(t)[0], atol=5e-3)
    below = one_row(chip, 63, mode=2, neurons=settings)
    run = emulate([0.0], 40.0, chip=chip, config=below, record=(0,), sample_us=0.1)
    assert 30 < np.min(run.voltages) < 109


def test_refractory_times_are_those_of_the_counter():
    wanted = np.array([0.0, 0.04, 2.0, 2.04, 2.05, 10.0, 32.0])
    exact = refractory_us(wanted)
    np.testing.assert_allclose(exact[:4], [0.0, 0.04, 2.0, 2.04], rtol=1e-6)
    ticks = np.asarray(exact) * 125
    for value, goal in zip(ticks, wanted, strict=True):
        clock = next(2.0**k for k in range(8) if goal * 125 / 2**k <= 255.5)
        assert value / clock == pytest.approx(round(value / clock), abs=1e-4)
        assert abs(value - goal * 125) <= clock / 2 + 1e-3


def test_parameters_may_differ_between_neurons():
    chip = ideal_chip(columns=2)
    settings = NeuronSettings(leak=np.array([[150.0, 80.0]]))
    run = emulate([], 100.0, chip=chip, config=one_row(chip, 0, neurons=settings))
    assert len(times_of(run, 0)) > 5 and len(times_of(run, 1)) == 0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"tau_mem": 0.0}, "tau_mem=0.0"),
        ({"tau_ref": 40.0}, "tau_ref=40.0"),
        ({"gain_code": -1.0}, "gain_code=-1.0"),
    ],
)
def test_bad_parameters_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        NeuronSettings(**change)
