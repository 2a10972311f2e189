"""Circuits of exact spike times as NIR graphs, and back."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from plasticjax.neurons import CurrentLIF
from plasticjax.simulate import SpikingCircuit

from ._nir_graph import SECOND, Link, check_step, euler, exact, read_chain, write_chain

if TYPE_CHECKING:
    import nir


def circuits_to_nir(circuits: Sequence[SpikingCircuit], *, dt: float) -> "nir.NIRGraph":
    r"""A NIR graph of circuits, each of which sees the spikes of the one before.

    Written for simulators with Euler steps of `dt`, as `to_nir` does. The smaller the step, the
    closer their spikes come to those of `solve_events`.

    Args:
        circuits: the circuits from the input on, unbatched, without delays, biases, refractory
            times and initial states.
        dt: step of the simulator, positive (ms, the unit of the time constants).

    Returns:
        The graph, in seconds, of `CubaLIF` neurons.

    Raises:
        ValueError: for no circuits, what NIR cannot say, or sizes that do not fit.

    Source: Pedersen et al. (2024), Nat. Commun. 15, 8122.
    """
    if not circuits:
        raise ValueError("circuits is empty; at least one is required")
    if not dt > 0:
        raise ValueError(f"dt is {dt} ms; a positive step is required")
    return write_chain([_link(number, circuit, dt) for number, circuit in enumerate(circuits)])


def _link(number: int, circuit: SpikingCircuit, dt: float) -> Link:
    import nir

    for name in ("delays", "recurrent_delays", "bias", "refractory"):
        value = np.asarray(getattr(circuit, name))
        if np.any(value != 0):
            raise ValueError(f"{name} of circuit {number} is {value}; NIR neurons have none")
    if circuit.initial is not None:
        raise ValueError(f"initial of circuit {number} is given; NIR neurons start at rest")
    post = len(circuit.weights)
    neuron = circuit.neuron

    def each(value):
        return np.broadcast_to(np.asarray(value, float), post)

    g_leak = each(neuron.capacitance) / each(neuron.tau_mem)
    slow, fast = (SECOND * each(euler(tau, dt)) for tau in (neuron.tau_mem, neuron.tau_syn))
    reset = neuron.leak if neuron.reset_voltage is None else neuron.reset_voltage
    neurons = nir.CubaLIF(
        tau_syn=fast,
        tau_mem=slow,
        r=1 / g_leak,
        v_leak=each(neuron.leak),
        v_threshold=each(neuron.threshold),
        v_reset=each(reset),
        w_in=fast / (SECOND * dt),
    )
    between = None if circuit.recurrent is None else np.asarray(circuit.recurrent)
    return Link(f"layer{number}", np.asarray(circuit.weights), between, neurons)


def circuits_from_nir(
    graph: "nir.NIRGraph", *, dt: float, dtype: str = "float32"
) -> tuple[SpikingCircuit, ...]:
    """Circuits of a NIR graph, the opposite of `circuits_to_nir`.

    Args:
        graph: a chain of weights and `CubaLIF` neurons, each with recurrent weights or without
            (times in seconds).
        dt: the step for which the graph was written (ms).
        dtype: of the weights.

    Returns:
        The circuits, weights [post, pre], in the convention of `CurrentLIF.event_prop` (ms).

    Raises:
        ValueError: for other nodes or another wiring, and for a step that is too long.

    Source: Pedersen et al. (2024), Nat. Commun. 15, 8122.
    """
    import nir

    circuits = []
    for link in read_chain(graph):
        check_step(link, dt)
        node = link.neurons
        if not isinstance(node, nir.CubaLIF):
            raise ValueError(
                f"node {link.name!r} is {type(node).__name__}; circuits have CubaLIF neurons only"
            )
        scale = np.reshape(node.w_in * SECOND * dt / node.tau_syn * node.r, (-1, 1))
        neuron = CurrentLIF.event_prop(
            *(jnp.asarray(exact(tau / SECOND, dt), dtype) for tau in (node.tau_mem, node.tau_syn)),
            *(jnp.asarray(v, dtype) for v in (node.v_threshold, node.v_leak, node.v_reset)),
        )
        between = None if link.recurrent is None else jnp.asarray(scale * link.recurrent, dtype)
        weights = jnp.asarray(scale * link.weights, dtype)
        circuits.append(SpikingCircuit(neuron, weights, between))
    return tuple(circuits)
