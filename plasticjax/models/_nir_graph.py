"""Chains of weights and spiking neurons as graphs of the Neuromorphic Intermediate Representation.

Source: Pedersen et al. (2024), Nat. Commun. 15, 8122.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import nir

SECOND = 1e-3  # of a ms: NIR has seconds
SUPPORTED = "Input, Output, Linear, Affine without bias, LIF, CubaLIF, LI, CubaLI"


class Link(NamedTuple):
    """Neurons of a graph, and the weights that lead to them."""

    name: str
    weights: np.ndarray  # [post, pre]
    recurrent: np.ndarray | None  # [post, post]
    neurons: Any  # a node of NIR


def write_chain(links: Sequence[Link]) -> "nir.NIRGraph":
    """The graph of one link after the other."""
    import nir

    sizes = [links[0].weights.shape[1]]
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array(sizes)})}
    edges, last = [], "input"
    for link in links:
        post, pre = link.weights.shape
        if pre != sizes[-1]:
            raise ValueError(f"{link.name} has {pre} inputs; there are {sizes[-1]} before it")
        sizes.append(post)
        weights, neurons, between = (
            f"{link.name}.{part}" for part in ("weights", "neurons", "recurrent")
        )
        nodes |= {weights: nir.Linear(link.weights), neurons: link.neurons}
        edges += [(last, weights), (weights, neurons)]
        if link.recurrent is not None:
            nodes[between] = nir.Linear(link.recurrent)
            edges += [(neurons, between), (between, neurons)]
        last = neurons
    nodes["output"] = nir.Output({"output": np.array(sizes[-1:])})
    return nir.NIRGraph(nodes, [*edges, (last, "output")], metadata={})


def read_chain(graph: "nir.NIRGraph") -> Iterator[Link]:
    """The links of a graph from the input on; refuses other nodes and wirings."""
    import nir

    nodes, edges = _flat(graph)
    unknown = sorted({name for edge in edges for name in edge} - set(nodes))
    if unknown:
        raise ValueError(f"the graph has edges to nodes {unknown}, which it does not have")
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for source, target in sorted(set(edges)):
        after[source].append(target)
    starts = [name for name, node in nodes.items() if isinstance(node, nir.Input)]
    if len(starts) != 1:
        raise ValueError(f"the graph has inputs {starts}; exactly one is required")
    here, seen = _only(after, starts[0]), set()
    while not isinstance(nodes[here], nir.Output):
        if here in seen:
            raise ValueError(f"node {here!r} is reached again; a chain to an output is required")
        seen.add(here)
        weights = _weights(here, nodes[here])
        here = _only(after, here)
        neurons = nodes[here]
        if not isinstance(neurons, (nir.LIF, nir.CubaLIF, nir.LI, nir.CubaLI)):
            raise _unsupported(here, neurons)
        loops = [name for name in after[here] if after[name] == [here]]
        onward = [name for name in after[here] if name not in loops]
        if len(loops) > 1 or len(onward) != 1:
            raise ValueError(f"node {here!r} leads to {after[here]}; a chain is required")
        between = _weights(loops[0], nodes[loops[0]]) if loops else None
        yield Link(here, weights, between, neurons)
        here = onward[0]


def euler(tau, dt: float):
    """The time constant whose Euler step decays as the exact step of `tau` does."""
    with np.errstate(divide="ignore"):
        return dt / -np.expm1(-dt / np.asarray(tau, float))


def exact(tau, dt: float):
    """The opposite of `euler`; 0 if a step forgets everything."""
    with np.errstate(divide="ignore"):
        return np.where(tau <= dt, 0.0, -dt / np.log1p(-dt / np.maximum(tau, dt)))


def check_step(link: Link, dt: float) -> None:
    """Refuses steps in which a quantity would do more than decay."""
    if not dt > 0:
        raise ValueError(f"dt is {dt} ms; a positive step is required")
    for name in ("tau", "tau_mem", "tau_syn"):
        shortest = np.min(getattr(link.neurons, name, np.inf))
        # Rounding may make the time constant of a step a little shorter.
        if SECOND * dt > shortest * (1 + 1e-6):
            raise ValueError(
                f"dt is {dt} ms; {name} of node {link.name!r} is {shortest} s, at least a step is "
                "required"
            )


def _flat(graph: "nir.NIRGraph"):
    """Nodes and edges, where graphs inside of the graph have taken their place in it."""
    import nir

    nodes, edges = {}, [tuple(edge) for edge in graph.edges]
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.NIRGraph):
            nodes[name] = node
            continue
        inner, links = _flat(node)
        own = {inside: f"{name}.{inside}" for inside in inner}
        nodes |= {own[inside]: found for inside, found in inner.items()}
        entries = [own[k] for k, found in inner.items() if isinstance(found, nir.Input)]
        exits = [own[k] for k, found in inner.items() if isinstance(found, nir.Output)]
        edges = [(a, b) for a, b in edges if name not in (a, b)] + [
            *((own[a], own[b]) for a, b in links),
            *((a, entry) for a, b in edges if b == name for entry in entries),
            *((leave, b) for a, b in edges if a == name for leave in exits),
        ]
        for port in entries + exits:
            before, behind = ([e[k] for e in edges if e[1 - k] == port] for k in (0, 1))
            edges = [edge for edge in edges if port not in edge]
            edges += [(a, b) for a in before for b in behind]
            del nodes[port]
    return nodes, edges


def _only(after: dict[str, list[str]], name: str) -> str:
    """The one node behind another."""
    if len(after[name]) != 1:
        raise ValueError(f"node {name!r} leads to {after[name]}; exactly one node is required")
    return after[name][0]


def _weights(name: str, node: "nir.NIRNode"):
    import nir

    if isinstance(node, nir.Affine) and np.any(np.asarray(node.bias) != 0):
        raise ValueError(f"node {name!r} has a bias; layers of neurons have none")
    if not isinstance(node, (nir.Linear, nir.Affine)):
        raise _unsupported(name, node)
    return np.asarray(node.weight)


def _unsupported(name: str, node: object) -> ValueError:
    return ValueError(
        f"node {name!r} is {type(node).__name__}, which is not supported here; supported: "
        f"{SUPPORTED}"
    )
