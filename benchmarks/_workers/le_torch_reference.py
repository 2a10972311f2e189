"""The PyTorch code of the latent-equilibrium paper, run from a checkout that the user points at.

The checkout stays as it is; a round calls its public `update` once a step. Its layers get the
weights of the case, and its learning rates are set so that a step moves the weights as ours does.
Its states are brought to the size of the batch beforehand, which it otherwise does when it first
predicts: an update with targets before any prediction fails there.
"""

import importlib.util
import itertools
import pathlib
import sys
import time
import types

from benchmarks._workers._protocol import Measure, forget_peak, peak_rss, serve

SOURCE = pathlib.Path("fig2b_fig4ac_mnist") / "src"


def prepare(case: dict) -> tuple[Measure, dict]:
    source = pathlib.Path(case["reference"]).resolve() / SOURCE
    if not (source / "model" / "latent_equilibrium_layers.py").is_file():
        raise FileNotFoundError(f"no MNIST code in {source}; --reference wants a checkout")
    sys.path.insert(0, str(source))
    if importlib.util.find_spec("torchvision") is None:
        sys.modules["torchvision"] = types.ModuleType("torchvision")

    import numpy as np
    import torch  # pyright: ignore[reportMissingImports]
    from model import latent_equilibrium_layers as nets  # pyright: ignore[reportMissingImports]
    from model import layered_torch_utils as functions  # pyright: ignore[reportMissingImports]
    from model.network_params import LayeredParams  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(case["threads"])
    data = np.load(case["data"])
    x, y = torch.from_numpy(data["x"]), torch.from_numpy(data["y"])
    params = LayeredParams()
    params.load_params_from_dict(
        {
            "dt": 0.01,
            "tau": 20.0,
            "tau_m": 20.0,
            "beta": 0.1,
            "model_variant": "vanilla",
            "target_type": "rate",
            "with_optimizer": False,
            "lr_multiplier": 1,
            "n_updates": 1,
            "learning_rate": 1.0,
            "learning_rate_factors": case["rates"],
        }
    )
    hidden = functions.hard_sigmoid, functions.hard_sigmoid_deriv
    output = functions.linear, functions.linear_deriv
    sizes = list(itertools.pairwise(case["sizes"]))
    kinds = [hidden] * (len(sizes) - 1) + [output]
    layers = [nets.Linear(*size, *kind, params) for size, kind in zip(sizes, kinds, strict=True)]
    for index, layer in enumerate(layers):
        layer.weights = torch.from_numpy(data[f"weight{index}"])
        layer.biases = torch.from_numpy(data[f"bias{index}"])
    network = nets.LESequential(layers, params)
    network.train()
    network._adapt_parallel_network_qty(x)
    before = forget_peak()
    saved = False

    def measure() -> dict:
        nonlocal saved
        start = time.perf_counter()
        for _ in range(case["steps"]):
            network.update(x, y)
        seconds = time.perf_counter() - start
        growth = peak_rss() - before
        if not saved:
            np.savez(case["out"], *(layer.weights.numpy() for layer in layers))
            saved = True
        return {"seconds": seconds, "samples": len(x), "growth": growth}

    return measure, {"torch": torch.__version__, "numpy": np.__version__}


if __name__ == "__main__":
    serve(prepare)
