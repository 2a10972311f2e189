"""Regularising the input of neurons instead of their rates, on a simulated event camera.

Mackwood & Grüning, deliverable D3.11, section 1.2.1.6: on neuromorphic MNIST a local rule with
moments of the input comes close to backpropagation through time with bounded rates, and
backpropagation with moments is the best. All three read the largest potential; a classifier by the
first spike with bounded rates (Gardner & Grüning 2021) stays behind. Recordings are those of
`nmnist_sim`, a stand-in for N-MNIST; networks have one hidden layer.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from . import _camera_latency as latency
from . import _camera_membrane as membrane
from ._camera_membrane import Kind
from ._camera_recordings import recordings
from ._contract import Claim, Job
from .moments_versus_rate import Condition

# Published accuracy (%), from the worst to the best.
CONDITIONS = {
    "latency, rate": 88.0,
    "local, moments": 97.4,
    "backpropagation, rate": 97.8,
    "backpropagation, moments": 98.8,
}


@dataclass(frozen=True)
class Config:
    """Time constants, bins and regularisers of the sheet; sizes of ours, for two cores.

    The surrogate's scale and the target were chosen on 500 recordings of the training set that had
    no part in training, see the documentation: with 100 backpropagation learns slowly, and with
    0.0143, where potentials spread by half a threshold, a neuron fires less than once.
    """

    seeds: int = 2
    epochs: int = 8
    train_samples: int = 6000
    test_samples: int = 2000
    hidden: int = 64
    scale: float = 0.4  # of weights, times 1 / sqrt(inputs); 0.98 in the sheet
    bin_ms: int = 3
    tau_mem: float = 20.0  # ms
    tau_syn: float = 10.0  # ms
    surrogate: float = 10.0  # scale; 100 in the sheet
    width: float = 1.0  # of the escape noise that the local rule assumes, in thresholds
    target: float = 0.15  # mean square of the input; tuned to 0.0143 in the sheet
    moments: float = 0.1  # strength
    rate_lower: float = 0.1  # strength, of less than a spike of a unit
    rate_upper: float = 1e-4  # strength, of every spike of a unit
    learning_rate: float = 1e-3
    batch: int = 50
    nu: float = 2.0  # width of the softmax over first spikes, ms
    first_weights: tuple[float, float] = (0.04, 0.04)  # mean and standard deviation, ours
    label_weights: tuple[float, float] = (1.0, 0.5)  # mean and standard deviation, ours
    latency_rates: tuple[float, float] = (1e-3, 1e-2)  # learning rates of both layers, ours
    scaling: float = 0.03  # synaptic scaling, ours; label neurons fall silent with less
    most_spikes: float = 5.0  # of a hidden neuron in a recording, above which weights shrink, ours
    dtype: str = "float32"

    @classmethod
    def paper(cls) -> "Config":
        return cls(
            seeds=3, epochs=30, train_samples=60_000, test_samples=10_000, hidden=300, batch=128
        )

    @classmethod
    def smoke(cls) -> "Config":
        return cls(seeds=1, epochs=1, train_samples=60, test_samples=40, hidden=12, batch=20)


class Result(NamedTuple):
    """Numbers of the test samples after each epoch, and one recording. `second` and `potential`
    (see `Numbers` of the membrane classifiers) leave out the first condition."""

    accuracy: Float[np.ndarray, "epochs conditions seeds"]
    spikes: Float[np.ndarray, "epochs conditions seeds"]
    second: Float[np.ndarray, "epochs kinds seeds"]
    potential: Float[np.ndarray, "epochs kinds seeds"]
    raster: Float[np.ndarray, "bins channels"]


def kinds(config: Config) -> dict[str, Kind]:
    """The conditions that read potentials."""
    rate = Condition(lower=config.rate_lower, upper=config.rate_upper)
    moments = Condition(moments=config.moments, target=config.target)
    found = (Kind(moments, True), Kind(rate, False), Kind(moments, False))
    return dict(zip(list(CONDITIONS)[1:], found, strict=True))


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    check(config)
    seen = recordings("train", config.train_samples, config)
    fresh = recordings("test", config.test_samples, config)
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(config.seeds))
    found = membrane.train(config, kinds(config), keys, seen, fresh, job.part("membrane"))
    first = latency.train(config, keys, seen, fresh, job.part("latency"))
    accuracy, spikes = (
        np.concatenate([one[:, None], other], axis=1)
        for one, other in zip(first, (found.accuracy, found.spikes), strict=True)
    )
    raster = np.asarray(fresh.rasters[0], np.float32)
    return Result(accuracy, spikes, found.second, found.potential, raster)


def check(config: Config) -> None:
    """Refuses sizes that make no sense."""
    for name in ("seeds", "epochs", "train_samples", "test_samples", "hidden", "batch"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} is {getattr(config, name)}; a number >= 1 is required")


def figure(result: Result):
    """A recording, accuracies, and spikes of the hidden neurons."""
    from matplotlib.figure import Figure

    from plasticjax.plotting import learning_curve

    fig = Figure(figsize=(10.5, 3.2), layout="constrained")
    camera, accuracy, spikes = fig.subplots(1, 3, width_ratios=(0.9, 1, 1))
    frame = result.raster.reshape(len(result.raster), 2, 34, 34).sum(axis=0)
    camera.imshow(frame[1] - frame[0], cmap="RdBu")
    camera.set_title("a recording: brighter minus darker events", fontsize=9)
    camera.set_xticks([])
    camera.set_yticks([])
    epochs = np.arange(1, len(result.accuracy) + 1)
    for number, name in enumerate(CONDITIONS):
        for ax, values, label in (
            (accuracy, result.accuracy, "test accuracy (%)"),
            (spikes, result.spikes, "spikes of a hidden neuron"),
        ):
            learning_curve(
                epochs,
                values[:, number].T,
                label=name,
                value_label=label,
                step_label="epoch",
                ax=ax,
            )
    accuracy.legend(fontsize=7, frameon=False, loc="lower right")
    spikes.legend().remove()
    return fig


def accuracy_of(name: str, result: Result):
    """Test accuracy (%) after the last epoch, by seed."""
    return result.accuracy[-1, list(CONDITIONS).index(name)]


def gain(better: str, worse: str, result: Result):
    """Difference of two accuracies (percent points), by seed."""
    return accuracy_of(better, result) - accuracy_of(worse, result)


_PAPER = "D3.11, section 1.2.1.6, on N-MNIST"
_NOISE = 1.0  # points that two thousand test recordings and two seeds leave open
# Of the three steps: the least gain, and why. Surrogate and target were chosen on recordings that
# are not those of the test.
_STEPS = (
    (0.5, "the sign"),
    (-_NOISE, f"the sign, {_NOISE} point below it allowed for noise, as before our first run"),
    (
        0.0,
        f"the sign; {_NOISE} point below it was allowed until a longer run (16,000 recordings, one "
        "seed) lost 2.3",
    ),
)


def _claims():
    for name, value in CONDITIONS.items():
        yield Claim(
            statement=f"{name}: test accuracy (%)",
            paper_value=value,
            source=f"{_PAPER}; only the full size is judged, on simulated recordings",
            measure=partial(accuracy_of, name),
            accept={"paper": (value - 2.0, 100.0)},
        )
    neighbours = pairwise(CONDITIONS.items())
    for ((worse, low), (better, high)), (least, why) in zip(neighbours, _STEPS, strict=True):
        yield Claim(
            statement=f"{better} against {worse}: what it gains (percent points)",
            paper_value=round(high - low, 1),
            source=f"{_PAPER}; judged: {why}",
            measure=partial(gain, better, worse),
            accept={"default": (least, 30.0), "paper": (least, 30.0)},
        )


CLAIMS = tuple(_claims())
