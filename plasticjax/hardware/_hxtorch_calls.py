"""Every call to `hxtorch`, and nothing else; see `_pynn_calls`."""

import importlib
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np

PACKAGES = ("torch", "hxtorch", "hxtorch.spiking")


class Layer(NamedTuple):
    """Weights [post, pre] (LSB) and the parameters of the neurons (LSB, us)."""

    weights: np.ndarray
    of: dict[str, float]


class Software(NamedTuple):
    """The modules of hxtorch."""

    torch: Any
    hxtorch: Any
    spiking: Any


def software() -> Software:
    """Imports the software; an ImportError names what is missing."""
    return Software(*(importlib.import_module(name) for name in PACKAGES))


def begin(chip: Software) -> None:
    """Opens the connection to the chip."""
    chip.hxtorch.init_hardware()


def end(chip: Software) -> None:
    """Closes it."""
    chip.hxtorch.release_hardware()


def synapses(
    chip: Software, experiment: Annotated[Any, "hxtorch.Experiment"], weights: np.ndarray
) -> Annotated[Any, "hxtorch.Synapse"]:
    """Signed weights [post, pre] between layers."""
    made = chip.spiking.Synapse(weights.shape[1], weights.shape[0], experiment)
    made.weight.data = chip.torch.tensor(weights.tolist(), dtype=chip.torch.float32)
    return made


def neurons(
    chip: Software, experiment: Annotated[Any, "hxtorch.Experiment"], layer: Layer
) -> Annotated[Any, "hxtorch.LIF"]:
    """Calibrated neurons; times are given in us."""
    return chip.spiking.LIF(
        layer.weights.shape[0],
        experiment,
        leak=layer.of["leak"],
        reset=layer.of["reset"],
        threshold=layer.of["threshold"],
        tau_mem=1e-6 * layer.of["tau_mem"],
        tau_syn=1e-6 * layer.of["tau_exc"],
        i_synin_gm=layer.of["gain_code"],
        refractory_time=1e-6 * layer.of["tau_ref"],
        synapse_dac_bias=layer.of["dac_code"],
        enable_cadc_recording=False,
    )


def forward(
    chip: Software, layers: Sequence[Layer], spikes: np.ndarray, dt_us: float
) -> list[np.ndarray]:
    """Spikes [step, neuron] of each layer for those [step, input] of the inputs."""
    experiment = chip.spiking.Experiment(dt=1e-6 * dt_us)
    tensor = chip.torch.tensor(spikes[:, None].tolist(), dtype=chip.torch.float32)
    handle = chip.spiking.LIFObservables(spikes=tensor)
    handles = []
    for layer in layers:
        handle = neurons(chip, experiment, layer)(synapses(chip, experiment, layer.weights)(handle))
        handles.append(handle)
    chip.spiking.run(experiment, len(spikes))
    return [np.asarray(done.spikes.detach().cpu().numpy())[:, 0] for done in handles]
