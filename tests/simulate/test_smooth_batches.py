"""Samples of a batch of smooth circuits: bit by bit what each of them is alone."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.neurons import AdEx, ConductanceLIF, Conductances
from plasticjax.simulate import InputSpikes, Integrator, SmoothCircuit, solve_events
from plasticjax.simulate._smooth_flow import advance, find_crossing

POST, INPUTS, GIVEN, SAMPLES, SPIKES = 3, 2, 9, 9, 24


def draw(name, dtype):
    """Neuron and what differs from sample to sample: input, weights, drive and delays."""
    rng = np.random.default_rng(0)

    def uniform(low, high, *shape):
        return jnp.asarray(rng.uniform(low, high, (SAMPLES, *shape)), dtype)

    times = jnp.sort(uniform(0, 50, GIVEN))
    inputs = InputSpikes(times, jnp.asarray(rng.integers(0, INPUTS, (SAMPLES, GIVEN))))
    delays = uniform(1, 3, POST, POST)
    if name == "AdEx":
        weights, between = uniform(300, 500, POST, INPUTS), uniform(50, 150, POST, POST)
        return AdEx(), (inputs, weights, between, uniform(900, 1100, POST), delays)
    weights = Conductances(uniform(4, 8, POST, INPUTS), uniform(0.5, 2, POST, INPUTS))
    between = Conductances(uniform(0.5, 2, POST, POST), uniform(0.5, 2, POST, POST))
    return ConductanceLIF(), (inputs, weights, between, uniform(80, 110, POST), delays)


def at(tree, index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["AdEx", "ConductanceLIF"])
def test_spikes_are_the_same_to_the_bit(name, dtype):
    def solve(inputs, weights, between, drive, delays):
        circuit = SmoothCircuit(neuron, weights, between, 1.0, delays, drive, 2.5)
        integrator = Integrator(max_steps=4000)
        return solve_events(circuit, inputs, t_end=60.0, max_spikes=SPIKES, integrator=integrator)

    with jax.enable_x64(dtype == "float64"):
        neuron, given = draw(name, dtype)
        single = jax.jit(solve)
        alone = [single(*at(given, k)) for k in range(SAMPLES)]
        assert min(int(np.sum(trains.sources >= 0)) for trains in alone) > 10
        for size in (2, 5, SAMPLES):
            batch = jax.jit(jax.vmap(solve))(*at(given, slice(size)))
            for k, trains in enumerate(alone[:size]):
                np.testing.assert_array_equal(batch.times[k], trains.times)
                np.testing.assert_array_equal(batch.sources[k], trains.sources)


def test_steps_are_the_same_to_the_bit(x64):
    rng = np.random.default_rng(1)
    neuron, solver = AdEx(), diffrax.Dopri8()
    low, high = (type(neuron.initial())(*x) for x in ((-60.0, 0.0, 0.0), (-40.0, 50.0, 900.0)))
    y = jax.tree.map(lambda low, high: jnp.asarray(rng.uniform(low, high, SAMPLES)), low, high)
    given = y, jnp.full(SAMPLES, 1000.0), jnp.linspace(0.1, 0.9, SAMPLES)

    def step(y, drive, length):
        taken = advance(solver, neuron, 0.0, y, drive, False, length)
        return taken, find_crossing(solver, neuron, y, taken, 4, True)

    single = jax.jit(step)
    alone = [jax.tree.leaves(single(*at(given, k))) for k in range(SAMPLES)]
    batch = jax.tree.leaves(jax.jit(jax.vmap(step))(*given))
    for one, *others in zip(batch, *alone, strict=True):
        np.testing.assert_array_equal(one, np.stack(others))


@pytest.mark.parametrize(
    "solver", [diffrax.Dopri8(), diffrax.Dopri5(), diffrax.Tsit5(), diffrax.Bosh3()]
)
def test_crossings_are_those_of_the_interpolation_of_diffrax(x64, solver):
    neuron, length = ConductanceLIF(), jnp.array(0.7)
    y = type(neuron.initial())(*jnp.array([-51.0, 20.0, 1.0]))
    taken = jax.jit(lambda y: advance(solver, neuron, 0.0, y, 100.0, False, length))(y)
    crossing = find_crossing(solver, neuron, y, taken, 64, True)
    y0, y1, k = (at(taken.dense, part) for part in (0, 1, slice(2, None)))
    path = solver.interpolation_cls(t0=0.0, t1=length, y0=y0, y1=y1, k=k)
    ends = (path.evaluate(length * share) for share in (crossing.low, crossing.high))
    low, high = (neuron.threshold_margin(y) for y in ends)
    assert crossing.exists and low < 0 <= high and crossing.high - crossing.low == 1 / 64
