"""Graphs that we write, run by another simulator in an interpreter of its own.

Set `PLASTICJAX_NORSE_PYTHON` to a Python that has norse and nir.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.models import SurrogateLayer, circuits_to_nir, to_nir
from plasticjax.neurons import CurrentLIF
from plasticjax.simulate import InputSpikes, SpikingCircuit, solve_events

nir = pytest.importorskip("nir")

VARIABLE = "PLASTICJAX_NORSE_PYTHON"
RUNNER = Path(__file__).with_name("run_nir.py")


@pytest.fixture
def norse(tmp_path):
    """Runs a graph on spikes [steps, inputs] with steps of `dt` ms, and returns spikes."""
    python = os.environ.get(VARIABLE) or (sys.executable if find_spec("norse") else None)
    if python is None:
        pytest.skip(f"norse is not installed; {VARIABLE} may name a Python that has it")

    def run(graph, spikes, dt):
        given, out, path = (tmp_path / name for name in ("in.npz", "out.npy", "graph.nir"))
        nir.write(path, graph)
        np.savez(given, spikes=spikes, dt=1e-3 * dt)
        command = [python, RUNNER, "norse", path, given, out]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return np.load(out)

    return run


def on_grid(times, sources, inputs, dt, t_end):
    spikes = np.zeros((round(t_end / dt), inputs))
    np.add.at(spikes, (np.round(times / dt).astype(int), sources), 1)
    return spikes


@pytest.mark.parametrize("recurrent", [False, True])
def test_exact_spikes_of_circuits_are_found_on_a_fine_grid(x64, norse, recurrent):
    dt, t_end, rng = 0.01, 30.0, np.random.default_rng(3)
    between = rng.normal(0, 1.5, (8, 8)) if recurrent else None
    circuit = SpikingCircuit(
        CurrentLIF.event_prop(20.0, 5.0),
        jnp.asarray(rng.normal(2.0, 1.5, (8, 4))),
        None if between is None else jnp.asarray(between),
    )
    times = np.round(np.sort(rng.uniform(0, 25, 16)) / dt) * dt
    sources = rng.integers(0, 4, 16)
    inputs = InputSpikes(jnp.asarray(times), jnp.asarray(sources))
    exact = eqx.filter_jit(solve_events)(circuit, inputs, t_end=t_end, max_spikes=200)
    assert not exact.overflow and np.isfinite(exact.times).sum() > 15
    raster = on_grid(times, sources, 4, dt, t_end)
    steps, neurons = np.nonzero(norse(circuits_to_nir([circuit], dt=dt), raster, dt))
    for neuron in range(8):
        ours = np.asarray(exact.times)[np.asarray(exact.sources) == neuron]
        theirs = dt * steps[neurons == neuron]
        assert len(ours) == len(theirs), neuron
        # Each reset may add a step, and each spike of another neuron arrives a step late.
        np.testing.assert_allclose(theirs, ours, atol=0.3 if recurrent else 0.05)


def test_first_spikes_of_layers_agree_within_a_few_steps(norse):
    dt, rng = 0.1, np.random.default_rng(1)
    weights = jnp.asarray(rng.normal(0.5, 1.0, (10, 6)) * 1.2 * dt / 20, "float32")
    layer = SurrogateLayer(weights, None, 20.0, 5.0, dt=dt)
    spikes = (np.random.default_rng(0).random((600, 6)) < 0.008).astype("float32")
    ours = np.asarray(layer(jnp.asarray(spikes)).spikes)
    theirs = norse(to_nir([layer]), spikes, dt)
    assert ours.sum() > 8
    np.testing.assert_array_equal(ours.sum(axis=0), theirs.sum(axis=0))
    first = np.argmax(ours, axis=0) - np.argmax(theirs, axis=0)
    assert np.all((first >= 0) & (first <= 8))
