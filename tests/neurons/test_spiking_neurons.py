"""Neurons without a closed form, each against an independent solution by scipy."""

from functools import partial

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from plasticjax.neurons import (
    AdEx,
    CompartmentInput,
    ConductanceLIF,
    Conductances,
    Izhikevich,
    TwoCompartmentLIF,
)
from plasticjax.simulate import InputSpikes, SmoothCircuit, scan_steps, solve_events

T_END, REFRACTORY = 120.0, 2.5
ARRIVALS = np.array([3.0, 9.5, 9.5, 31.0, 47.25, 60.0, 88.0])


def adex(y, drive):
    v, w, i = y
    upstroke = 30 * 2 * np.exp((v + 50.4) / 2)
    return [
        (-30 * (v + 70.6) + upstroke - w + i + drive) / 281,
        (4 * (v + 70.6) - w) / 144,
        -i / 5,
    ]


def izhikevich(y, drive):
    v, u, i = y
    rise = 0.7 * (v + 60) * (v + 40) - u + i + drive
    return [rise / 100, 0.03 * (-2 * (v + 60) - u), -i / 5]


def conductance(y, drive):
    v, e, i = y
    return [(10 * (-60 - v) - e * v + i * (-80 - v) + drive) / 200, -e / 5, -i / 10]


def two_compartments(y, drive):
    s, d, i, j = y
    return [
        (5 * (-70 - s) + 10 * (d - s) + i + drive[0]) / 100,
        (10 * (-70 - d) + 10 * (s - d) + j + drive[1]) / 200,
        -i / 5,
        -j / 5,
    ]


# Neuron, its field, drive, state at rest, peak (for AdEx where its upstroke begins), what a spike
# sets and what it adds to, weights, and where they arrive.
CASES = {
    "AdEx": (AdEx(), adex, 1000.0, [-70.6, 0, 0], -40, {0: -70.6}, {1: 80.5}, 400.0, {2: 400}),
    "Izhikevich": (
        Izhikevich(), izhikevich, 160.0, [-60, 0, 0], 35, {0: -50}, {1: 100}, 150.0, {2: 150},
    ),
    "ConductanceLIF": (
        ConductanceLIF(), conductance, 95.0, [-60, 0, 0], -50, {0: -60}, {},
        Conductances(6.0, 1.5), {1: 6, 2: 1.5},
    ),
    "TwoCompartmentLIF": (
        TwoCompartmentLIF(), two_compartments, CompartmentInput(90.0, 140.0), [-70, -70, 0, 0],
        -55, {0: -70}, {}, CompartmentInput(30.0, 120.0), {2: 30, 3: 120},
    ),
}  # fmt: skip


def upstroke(y, drive):
    """From -40 mV on by the potential instead of time, in which the end is all but vertical."""

    def rate(v, rest):
        rise, adapting, decay = adex([v, *rest[:2]], drive)
        return [adapting / rise, decay / rise, 1 / rise]

    found = solve_ivp(rate, (y[0], 0.0), [*y[1:], 0.0], "DOP853", rtol=1e-12, atol=1e-14)
    *rest, elapsed = found.y[:, -1]
    return elapsed, [0.0, *rest]


def reference(field, drive, y, peak, reset, grow, add, refractory):
    """Spike times by restarts of scipy's integrator at each event."""
    drive = tuple(drive) if isinstance(drive, tuple) else drive
    y, t, release, spikes, arrivals = np.array(y, float), 0.0, 0.0, [], list(ARRIVALS)

    def rate(held, t, y):
        found = np.array(field(y, drive))
        found[0] *= not held
        return found

    def crossing(t, y):
        return y[0] - peak

    crossing.terminal, crossing.direction = True, 1
    while t < T_END:
        held = release > t
        stop = min([T_END, *arrivals[:1], *([release] if held else [])])
        if stop > t:
            found = solve_ivp(
                partial(rate, held), (t, stop), y, "DOP853", events=None if held else crossing,
                rtol=1e-12, atol=1e-12,
            )  # fmt: skip
            t, y = found.t[-1], found.y[:, -1]
            if found.status == 1:
                if field is adex:
                    elapsed, y = upstroke(y, drive)
                    t, y = t + elapsed, np.array(y)
                    assert t < stop, "an event during the upstroke"
                spikes.append(t)
                release = t + refractory
                for place, value in reset.items():
                    y[place] = value
                for place, value in grow.items():
                    y[place] += value
                continue
        t = stop
        while arrivals and arrivals[0] == t:
            arrivals.pop(0)
            for place, value in add.items():
                y[place] += value
    return np.array(spikes)


def circuit_of(name, refractory=REFRACTORY):
    neuron, _, drive, *_, weights, _ = CASES[name]
    weights = jax.tree.map(lambda w: jnp.full((1, 1), w), weights)
    return SmoothCircuit(neuron, weights, drive=drive, refractory=refractory)


INPUTS = InputSpikes(ARRIVALS, np.zeros(len(ARRIVALS), int))


@eqx.filter_jit
def solve(circuit, inputs, integrator=None):
    inputs = InputSpikes(jnp.asarray(inputs.times), jnp.asarray(inputs.sources))
    return solve_events(circuit, inputs, t_end=T_END, max_spikes=30, integrator=integrator)


@pytest.mark.parametrize("name", CASES)
def test_spike_times_are_those_of_an_independent_solution(x64, name):
    _, field, drive, rest, peak, reset, grow, _, add = CASES[name]
    expected = reference(field, drive, rest, peak, reset, grow, add, REFRACTORY)
    trains = solve(circuit_of(name), INPUTS)
    assert len(expected) >= 4
    assert not trains.overflow
    assert int(trains.counts(1)[0]) == len(expected)
    np.testing.assert_allclose(trains.times[: len(expected)], expected, atol=1e-7)


@eqx.filter_jit
def pair_loss(given, share):
    """A combination of the spike times of two neurons, which act on each other with a delay."""
    circuit, inputs = given
    trains = solve_events(circuit, inputs, t_end=60.0, max_spikes=12)
    real = trains.sources >= 0
    return jnp.sum(jnp.where(real, share * jnp.where(real, trains.times, 0), 0)), trains


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_gradients_by_everything_are_central_differences(x64, name):
    neuron, _, drive, *_, weights, _ = CASES[name]
    rng = np.random.default_rng(0)

    def spread(value, *shape):
        return jnp.asarray(value * rng.uniform(0.9, 1.1, shape))

    circuit = SmoothCircuit(
        jax.tree.map(lambda x: jnp.full(2, float(x)), neuron),
        jax.tree.map(lambda w: spread(w, 2, 1), weights),
        jax.tree.map(lambda w: spread(0.5 * w, 2, 2), weights),
        spread(1.0, 2, 1),
        spread(2.0, 2, 2),
        jax.tree.map(lambda x: spread(x, 2), drive),
        spread(REFRACTORY, 2),
        jax.vmap(lambda _: neuron.initial())(jnp.arange(2)),
    )
    given = circuit, InputSpikes(jnp.asarray(ARRIVALS), jnp.zeros(len(ARRIVALS), int))
    share = jnp.asarray(rng.uniform(0.5, 1.5, 12))
    (_, trains), found = eqx.filter_value_and_grad(pair_loss, has_aux=True)(given, share)
    assert not trains.overflow and int(jnp.min(trains.counts(2))) >= 2
    values, rest = eqx.partition(given, eqx.is_inexact_array)
    flat, unravel = jax.flatten_util.ravel_pytree(values)
    slopes, _ = jax.flatten_util.ravel_pytree(found)
    # All parameters at once, in random directions, each by a share of its size.
    for number in range(3):
        size = jnp.where(flat == 0, 0.1, 0.01 * flat)
        direction = jnp.asarray(np.random.default_rng(number).normal(size=flat.size)) * size
        ahead, behind = (
            pair_loss(eqx.combine(unravel(flat + step * direction), rest), share)
            for step in (1e-4, -1e-4)
        )
        np.testing.assert_array_equal(ahead[1].sources, behind[1].sources)
        difference = float(ahead[0] - behind[0]) / 2e-4
        scale = float(jnp.linalg.norm(slopes * size))
        np.testing.assert_allclose(slopes @ direction, difference, atol=1e-6 * scale)


def test_a_grid_converges_to_the_event_solution_at_its_order(x64):
    """Heun's method, where spikes fall between the points of the grid by linear interpolation."""
    neuron, drive, t_end = ConductanceLIF(), 250.0, 60.0
    circuit = SmoothCircuit(neuron, Conductances(*jnp.zeros((2, 1, 0))), drive=drive)
    exact = eqx.filter_jit(solve_events)(
        circuit, InputSpikes(jnp.zeros(0)), t_end=t_end, max_spikes=8
    )

    def heun(y, dt):
        first = neuron.vector_field(0.0, y, drive)
        ahead = jax.tree.map(lambda y, f: y + dt * f, y, first)
        second = neuron.vector_field(0.0, ahead, drive)
        return jax.tree.map(lambda y, f, g: y + dt * (f + g) / 2, y, first, second)

    def last_spike(steps):
        dt = t_end / steps

        def stepper(carry, t):
            y, last = carry
            after = heun(y, dt)
            before, behind = neuron.threshold_margin(y), neuron.threshold_margin(after)
            fires = (before < 0) & (behind >= 0)
            part = jnp.where(fires, before / jnp.where(fires, before - behind, 1), 0)
            begun = heun(neuron.reset(heun(y, part * dt)), (1 - part) * dt)
            y = jax.tree.map(lambda a, b: jnp.where(fires, a, b), begun, after)
            return (y, jnp.where(fires, t + part * dt, last)), None

        (_, last), _ = scan_steps(
            stepper, (neuron.initial(), jnp.asarray(0.0)), dt * jnp.arange(steps)
        )
        return float(last)

    times = np.asarray(exact.times)[np.asarray(exact.sources) >= 0]
    assert len(times) >= 4
    errors = [abs(last_spike(steps) - times[-1]) for steps in (300, 600, 1200, 2400)]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert errors[-1] < 1e-4
    np.testing.assert_allclose(orders, 2, atol=0.3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdEx(capacitance=0.0), "capacitance=0.0 must be positive"),
        (lambda: AdEx(reset_voltage=30.0), "reset_voltage=30.0 must be below threshold=0.0"),
        (lambda: Izhikevich(tau_syn=-1.0), "tau_syn=-1.0 must be positive"),
        (lambda: Izhikevich(threshold=-55.0), "must be below threshold=-55.0"),
        (lambda: ConductanceLIF(g_leak=np.nan), "g_leak=nan must be positive"),
        (lambda: TwoCompartmentLIF(coupling=-1.0), "coupling=-1.0 must be not negative"),
    ],
)
def test_parameters_that_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_without_coupling_the_dendrite_is_alone(x64):
    neuron = TwoCompartmentLIF(coupling=0.0)
    y = neuron.initial()._replace(dendrite=jnp.asarray(-60.0), dendrite_current=jnp.asarray(5.0))
    rate = neuron.vector_field(0.0, y, None)
    assert float(rate.soma) == 0
    np.testing.assert_allclose(rate.dendrite, (10 * -10 + 5) / 200)
