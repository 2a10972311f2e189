"""Circuits to try, all of the same shapes, so that each function is compiled once."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from plasticjax.neurons import CurrentLIF, CurrentLIFState
from plasticjax.simulate import InputSpikes, SmoothCircuit, SpikingCircuit, solve_events

POST, INPUTS, GIVEN, SPIKES, T_END = 5, 3, 14, 100, 60.0

CONFIGURATIONS = {
    "feed-forward": {},
    "recurrent": dict(recurrent=True),
    "delays": dict(recurrent=True, delays=True),
    "refractory": dict(recurrent=True, delays=True, refractory=True),
    "equal time constants": dict(recurrent=True, ratio=1.0),
    "bias and initial state": dict(recurrent=True, delays=True, refractory=True, bias=True),
}


def draw_circuit(
    seed, *, recurrent=False, delays=False, refractory=False, bias=False, ratio=None
) -> tuple[SpikingCircuit, InputSpikes]:
    """A circuit whose leaves are all arrays, some of them zero, and its input."""
    rng = np.random.default_rng(seed)

    def uniform(low, high, *shape):
        return jnp.asarray(rng.uniform(low, high, shape))

    def normal(mean, sd, *shape):
        return jnp.asarray(rng.normal(mean, sd, shape))

    tau_syn = uniform(4, 8, POST)
    tau_mem = uniform(9, 20, POST) if ratio is None else ratio * tau_syn
    strength = 1 if ratio is None else 0.4
    neuron = CurrentLIF(
        tau_mem,
        tau_syn,
        uniform(0.9, 1.1, POST),
        normal(0, 0.05, POST),
        uniform(0.8, 1.2, POST),
        uniform(-0.3, 0.2, POST),
    )
    circuit = SpikingCircuit(
        neuron,
        normal(1.9, 0.8, POST, INPUTS) * strength,
        normal(0.2, 0.6, POST, POST) * strength * recurrent,
        uniform(0.1, 6, POST, INPUTS) * delays,
        uniform(0.5, 6, POST, POST) * delays,
        normal(0.1, 0.1, POST) * bias,
        uniform(0.5, 3, POST) * refractory,
        CurrentLIFState(neuron.leak + uniform(0, 0.5, POST) * bias, uniform(0, 1, POST) * bias),
    )
    times = jnp.asarray(np.append(np.sort(rng.uniform(0, 50, GIVEN - 1)), np.inf))
    return circuit, InputSpikes(times, jnp.asarray(rng.integers(0, INPUTS, GIVEN)))


@eqx.filter_jit
def solve(circuit, inputs):
    return solve_events(circuit, inputs, t_end=T_END, max_spikes=SPIKES)


def as_smooth(circuit: SpikingCircuit) -> SmoothCircuit:
    """The same circuit for the integrator."""
    return SmoothCircuit(
        circuit.neuron,
        circuit.weights,
        circuit.recurrent,
        circuit.delays,
        circuit.recurrent_delays,
        circuit.bias,
        circuit.refractory,
        circuit.initial,
    )
