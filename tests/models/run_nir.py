"""Runs a NIR graph in another simulator: `python run_nir.py SIMULATOR GRAPH SPIKES OUT`.

Needs neither JAX nor plasticjax. SPIKES holds `spikes`, [steps, inputs], and `dt` in seconds; OUT
gets the spikes of the last neurons, [steps, post].
"""

import sys

import nir
import numpy as np
import torch


def snntorch_network(graph, dt):
    from snntorch.import_nir import import_from_nir

    if abs(dt - 1e-4) > 1e-9:
        raise ValueError(f"snntorch reads graphs for steps of 1e-4 s, not {dt}")
    return import_from_nir(graph)


def norse_network(graph, dt):
    from norse.torch import from_nir

    return from_nir(graph, dt=dt)


def main(simulator: str, graph: str, spikes: str, out: str) -> None:
    given = np.load(spikes)
    dt = float(given["dt"])
    build = {"snntorch": snntorch_network, "norse": norse_network}[simulator]
    network = build(nir.read(graph), dt)
    state, fired = None, []
    with torch.no_grad():
        for arriving in torch.as_tensor(given["spikes"], dtype=torch.float32):
            found = network(arriving[None], state)
            spike, state = found if isinstance(found, tuple) else (found, None)
            fired.append(spike[0].numpy())
    np.save(out, np.stack(fired))


if __name__ == "__main__":
    main(*sys.argv[1:])
