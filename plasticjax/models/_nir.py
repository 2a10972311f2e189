"""Spiking layers on a grid as NIR graphs, and back."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from ._nir_graph import SECOND, Link, check_step, euler, exact, read_chain, write_chain
from ._surrogate_network import LeakyReadout, SurrogateLayer

if TYPE_CHECKING:
    import nir


def to_nir(layers: Sequence[SurrogateLayer], readout: LeakyReadout | None = None) -> "nir.NIRGraph":
    r"""A NIR graph of spiking layers, for other simulators and for chips.

    Simulators of NIR take Euler steps, in which a quantity decays by $1 - dt/\tau$, and a spike is
    1 for one step. The graph is written for a step of `dt`: its time constants are
    $dt / (1 - e^{-dt/\tau})$, which decay in such a step as ours do, and `w_in` is $\tau_s / dt$,
    so that a spike adds its weight to the current. What differs is when things happen: here a spike
    takes two steps to reach the potential and a reset takes one, elsewhere mostly none. So spikes
    agree within a few steps, and one or two more for each spike before.

    Args:
        layers: spiking layers from the input on, unbatched, with one step `dt` (ms). A layer with
            `tau_syn` 0 becomes `LIF`, others `CubaLIF`.
        readout: what follows, if anything; it becomes `LI` or `CubaLI`.

    Returns:
        The graph, in seconds; `nir.write(path, graph)` stores it. Recurrent weights are a node
        from the neurons to themselves.

    Raises:
        ValueError: for no layers, steps that differ, or sizes that do not fit.

    Source: Pedersen et al. (2024), Nat. Commun. 15, 8122.
    """
    parts = [*layers, *([] if readout is None else [readout])]
    if not layers:
        raise ValueError("layers is empty; at least one spiking layer is required")
    steps = sorted({part.dt for part in parts})
    if len(steps) > 1:
        raise ValueError(f"layers have steps of {steps} ms; all must have the same")
    return write_chain([_link(number, part) for number, part in enumerate(parts)])


def _link(number: int, part: SurrogateLayer | LeakyReadout) -> Link:
    recurrent = part.recurrent if isinstance(part, SurrogateLayer) else None
    between = None if recurrent is None else np.asarray(recurrent)
    return Link(f"layer{number}", np.asarray(part.weights), between, _neurons(part))


def _neurons(part: SurrogateLayer | LeakyReadout):
    import nir

    post = len(part.weights)
    tau_mem, tau_syn = (np.broadcast_to(np.asarray(t), post) for t in (part.tau_mem, part.tau_syn))
    spiking = isinstance(part, SurrogateLayer)
    normalised = spiking and part.normalised
    slow = SECOND * euler(tau_mem, part.dt)
    gain = np.ones(post) if normalised else slow / (SECOND * part.dt)
    rest = np.zeros(post)
    threshold: dict = {"v_threshold": np.ones(post), "v_reset": rest} if spiking else {}
    if np.all(tau_syn == 0):
        kind = nir.LIF if spiking else nir.LI
        return kind(tau=slow, r=gain, v_leak=rest, **threshold)
    fast = SECOND * euler(tau_syn, part.dt)
    kind = nir.CubaLIF if spiking else nir.CubaLI
    given = {"tau_mem": slow, "tau_syn": fast, "r": gain, "v_leak": rest, **threshold}
    return kind(w_in=fast / (SECOND * part.dt), **given)


def from_nir(
    graph: "nir.NIRGraph", *, dt: float = 1.0, dtype: str = "float32"
) -> tuple[tuple[SurrogateLayer, ...], LeakyReadout | None]:
    r"""Spiking layers of a NIR graph, as a simulator with Euler steps of `dt` would run it.

    The opposite of `to_nir`. Factors of input and resistance and the threshold go into the weights.

    Args:
        graph: a chain of weights and neurons, each with recurrent weights or without, as written by
            `to_nir`, by other tools, or read by `nir.read` (times in seconds).
        dt: step, positive and at most the shortest time constant (ms).
        dtype: of the weights.

    Returns:
        The layers, weights [post, pre] in units of the threshold, and the readout if the graph ends
        in neurons that do not spike, else `None`. `SurrogateNetwork` takes both.

    Raises:
        ValueError: for nodes other than Input, Output, Linear, Affine without bias, LIF, CubaLIF,
            LI and CubaLI; for neurons behind some that do not spike; for leak or reset potentials
            that are not 0; for another wiring; for a step that is too long.

    Source: Pedersen et al. (2024), Nat. Commun. 15, 8122.
    """
    import nir

    layers: list[SurrogateLayer] = []
    readout = None
    for link in read_chain(graph):
        check_step(link, dt)
        tau_mem, tau_syn, scale, normalised = _constants(link, dt)
        weights = jnp.asarray(scale * link.weights, dtype)
        if readout is not None:
            raise ValueError(f"node {link.name!r} follows neurons that do not spike")
        if isinstance(link.neurons, (nir.LI, nir.CubaLI)):
            readout = LeakyReadout(weights, tau_mem, tau_syn, dt)
            continue
        between = None if link.recurrent is None else jnp.asarray(scale * link.recurrent, dtype)
        layer = SurrogateLayer(weights, between, tau_mem, tau_syn, dt=dt, normalised=normalised)
        layers.append(layer)
    return tuple(layers), readout


def _constants(link: Link, dt: float):
    """Time constants (ms), factors of the weights [post, 1], and whether the current is weighed
    with what the potential loses in a step."""
    node = link.neurons
    for potential in ("v_leak", "v_reset"):
        value = getattr(node, potential, 0.0)
        if np.any(np.asarray(value) != 0):
            raise ValueError(f"{potential} of node {link.name!r} is {value}; it must be 0")
    step = SECOND * dt
    slow = node.tau_mem if hasattr(node, "tau_mem") else node.tau
    fast = getattr(node, "tau_syn", None)
    scale = np.ones_like(slow) if fast is None else node.w_in * (step / fast)
    normalised = bool(np.all(node.r == 1)) and hasattr(node, "v_threshold")
    scale = scale if normalised else scale * node.r * (step / slow)
    scale = scale / getattr(node, "v_threshold", 1.0)
    tau_mem = exact(slow / SECOND, dt)
    tau_syn = 0.0 if fast is None else exact(fast / SECOND, dt)
    return _shared(tau_mem), _shared(tau_syn), np.reshape(scale, (-1, 1)), normalised


def _shared(tau):
    """A number if all neurons have the same, else an array."""
    values = np.unique(tau)
    return float(values[0]) if values.size == 1 else jnp.asarray(tau)
