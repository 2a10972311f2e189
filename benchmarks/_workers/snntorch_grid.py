"""snntorch on the network of the grid: the same sizes, weights, spikes, loss and optimiser."""

import importlib.metadata
import time

from benchmarks._workers._protocol import Measure, serve


def prepare(case: dict) -> tuple[Measure, dict]:
    import numpy as np
    import snntorch  # pyright: ignore[reportMissingImports]
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(case["threads"])
    data = np.load(case["data"])
    rasters, labels = torch.as_tensor(data["rasters"]), torch.as_tensor(data["labels"]).long()
    first, second = (torch.nn.Parameter(torch.as_tensor(data[k])) for k in ("first", "second"))
    alpha, beta = np.exp(-case["dt"] / case["tau_syn"]), np.exp(-case["dt"] / case["tau_mem"])
    surrogate = snntorch.surrogate.fast_sigmoid(slope=case["surrogate"])
    hidden = snntorch.Synaptic(alpha=alpha, beta=beta, spike_grad=surrogate, reset_mechanism="zero")
    readout = snntorch.Synaptic(alpha=alpha, beta=beta, reset_mechanism="none")
    optimizer = torch.optim.Adam([first, second], lr=case["learning_rate"])
    batch, steps = case["batch"], case["steps"]
    pieces = list(zip(rasters.split(batch), labels.split(batch), strict=True))
    at = 0

    def step(rasters, labels):
        arriving = (rasters @ first.T).unbind(dim=1)
        current, potential = hidden.init_synaptic()
        last, out = readout.init_synaptic()
        potentials = []
        for now in arriving:
            spikes, current, potential = hidden(now, current, potential)
            _, last, out = readout(spikes @ second.T, last, out)
            potentials.append(out)
        largest = torch.stack(potentials).amax(dim=0)
        loss = torch.nn.functional.cross_entropy(largest, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    def measure() -> dict:
        nonlocal at
        start = time.perf_counter()
        for _ in range(steps):
            loss = step(*pieces[at % len(pieces)])
            at += 1
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "samples": steps * batch, "steps": steps, "loss": loss}

    version = importlib.metadata.version
    return measure, {"snntorch": version("snntorch"), "torch": torch.__version__}


if __name__ == "__main__":
    serve(prepare)
