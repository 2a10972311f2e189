"""The PyTorch code of the first-spike-time paper, run from a checkout that the user points at.

The checkout (tag v1.0.0) stays as it is. What changed in NumPy since 2021, and what is not
training, is replaced from outside: `numpy.NaN` is given back, torchvision (needed there for MNIST
only) is an empty module, the picture drawn every 100 batches is left out, the data set module (a
git submodule there) hands out the features it is given, and the validation set holds one sample of
each class, so that a round is training and little else.
"""

import os
import pathlib
import sys
import tempfile
import time
import types
import unittest.mock

from benchmarks._workers._protocol import Measure, serve


def _offer_dataset(features, labels) -> None:
    class Samples:
        class_names = ("yin", "yang", "dot")

        def __init__(self, *_):
            pass

        def __getitem__(self, index):
            return features[index].copy(), int(labels[index])

        def __len__(self):
            return len(labels)

    module = types.ModuleType("yin_yang_data_set.dataset")
    module.__dict__["YinYangDataset"] = Samples
    package = types.ModuleType("yin_yang_data_set")
    package.__dict__["dataset"] = module
    sys.modules["yin_yang_data_set"] = package
    sys.modules["yin_yang_data_set.dataset"] = module


def prepare(case: dict) -> tuple[Measure, dict]:
    checkout = pathlib.Path(case["reference"]).resolve()
    if not (checkout / "src" / "training.py").is_file():
        raise FileNotFoundError(f"no src/training.py in {checkout}; --reference wants a checkout")
    sys.path.insert(0, str(checkout / "src"))
    os.environ["USE_LAMBERTW_SCIPY"] = "1"

    import numpy as np
    import torch  # pyright: ignore[reportMissingImports]
    import yaml

    np.__dict__["NaN"] = np.nan
    sys.modules["torchvision"] = types.ModuleType("torchvision")
    import datasets  # pyright: ignore[reportMissingImports]
    import training  # pyright: ignore[reportMissingImports]
    import utils  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(case["threads"])
    torch.manual_seed(case["seed"])
    training.plt = unittest.mock.MagicMock()
    training.plt.subplots.return_value = (
        unittest.mock.MagicMock(),
        unittest.mock.MagicMock(),
    )
    os.chdir(tempfile.mkdtemp(prefix="first-spike-reference-"))

    config = yaml.safe_load((checkout / "experiment_configs" / "yin_yang.yaml").read_text())
    layout, neuron, params = (
        config[name] for name in ("network_layout", "neuron_params", "training_params")
    )
    if [layout["n_inputs"], *layout["layer_sizes"]] != case["sizes"]:
        raise ValueError(f"the checkout's network is {layout}, the case wants {case['sizes']}")
    params["batch_size"] = case["batch"]
    names = ("use_forward_integrator", "resolution", "sim_time", "rounding_precision")
    names += ("use_hicannx", "max_dw_norm", "clip_weights_max")
    device = torch.device("cpu")
    network = training.Net(layout, {k: params.get(k, False) for k in names} | neuron, device)
    loss = utils.LossFunction(
        layout["layer_sizes"][-1],
        neuron["tau_syn"],
        params["xi"],
        params["alpha"],
        params["beta"],
        device,
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=params["learning_rate"])
    scheduler = training.setup_lr_scheduling(params["lr_scheduler"], optimizer)

    data = np.load(case["data"])
    _offer_dataset(data["features"], data["labels"])
    train = datasets.YinYangDataset(size=case["samples"])
    first_of_each = [int(np.argmax(data["labels"] == label)) for label in range(3)]
    loaders = [
        utils.DeviceDataLoader(torch.utils.data.DataLoader(d, batch_size=b, shuffle=s), device)
        for d, b, s in (
            (train, case["batch"], True),
            (torch.utils.data.Subset(train, first_of_each), 3, False),
        )
    ]
    losses, accuracies, epoch = [], [], 0

    def measure() -> dict:
        nonlocal epoch
        lists = {
            "all_weights": [],
            "all_validate_loss": [],
            "all_validate_accuracy": [],
        }
        start = time.perf_counter()
        training.run_epochs(
            epoch,
            epoch + 1,
            network,
            loss,
            optimizer,
            scheduler,
            device,
            *loaders,
            num_classes=3,
            all_train_loss=losses,
            std_validate_outputs_sorted=[[], [], []],
            mean_validate_outputs_sorted=[[], [], []],
            tmp_training_progress=[],
            all_train_accuracy=accuracies,
            weight_bumping_steps=[],
            training_params=params,
            **lists,
        )
        seconds = time.perf_counter() - start
        epoch += 1
        figures = {"loss": float(losses[-1]), "accuracy": float(accuracies[-1])}
        return {"seconds": seconds, "samples": len(train), **figures}

    return measure, {"torch": torch.__version__, "numpy": np.__version__}


if __name__ == "__main__":
    serve(prepare)
