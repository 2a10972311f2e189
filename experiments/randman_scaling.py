"""How hard are random smooth manifolds, by their dimension, their number, units and spikes?

Zenke & Vogels (2021), Neural Comput. 33, 899, made the RandMan task with knobs for its difficulty.
Networks of one hidden layer learn it by surrogate gradients; each series turns one knob and leaves
the others where they are.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from plasticjax.models import SurrogateNetwork
from plasticjax.neurons import FastSigmoidSurrogate
from plasticjax.training import Batch

from ._contract import Claim, Job
from ._randman_networks import Numbers, loss, train_side_by_side


@dataclass(frozen=True)
class Config:
    """The small setting of `moments-versus-rate`, with fewer samples and epochs."""

    seeds: int = 3
    epochs: int = 10
    classes: int = 10
    samples: int = 200  # of each class; a fifth of all is for the test
    units: int = 20  # inputs
    dimensions: int = 1  # of the manifolds
    spikes: int = 1  # of each unit
    alpha: float = 2.0  # smoothness of the manifolds
    steps: int = 100  # of 1 ms
    hidden: int = 64
    surrogate: float = 100.0  # scale
    learning_rate: float = 5e-3
    batch: int = 100
    dtype: str = "float32"
    # What each series tries in the place of the value above.
    dimensions_tried: tuple[int, ...] = (1, 2, 3)
    classes_tried: tuple[int, ...] = (2, 5, 10, 20)
    units_tried: tuple[int, ...] = (5, 10, 20, 40)
    spikes_tried: tuple[int, ...] = (1, 2, 3)

    @classmethod
    def paper(cls) -> "Config":
        return cls(
            seeds=5,
            epochs=50,
            samples=1000,
            hidden=100,
            learning_rate=2e-3,
            batch=250,
            dimensions_tried=(1, 2, 3, 4, 6),
            classes_tried=(2, 5, 10, 20, 50),
            units_tried=(5, 10, 20, 50, 100),
            spikes_tried=(1, 2, 3, 5),
        )

    @classmethod
    def smoke(cls) -> "Config":
        return cls(
            seeds=2,
            epochs=2,
            classes=3,
            samples=60,
            units=10,
            steps=40,
            hidden=16,
            batch=20,
            dimensions_tried=(1, 2),
            classes_tried=(3,),
            units_tried=(10,),
            spikes_tried=(1, 2),
        )


SERIES = ("dimensions", "classes", "units", "spikes")


class Result(NamedTuple):
    """Test accuracy (%) after the last epoch of each series, and what was tried."""

    dimensions: Float[np.ndarray, "tried seeds"]
    classes: Float[np.ndarray, "tried seeds"]
    units: Float[np.ndarray, "tried seeds"]
    spikes: Float[np.ndarray, "tried seeds"]
    tried: dict[str, tuple[int, ...]]


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    tried = {name: getattr(config, f"{name}_tried") for name in SERIES}
    found: dict[Config, Float[np.ndarray, " seeds"]] = {}  # a setting of two series is run once
    series = {}
    for name in SERIES:
        settings = [replace(config, **{name: value}) for value in tried[name]]
        for setting, value in zip(settings, tried[name], strict=True):
            if setting not in found:
                numbers = train(setting, key=key, job=job.part(f"{name}-{value}"))
                found[setting] = numbers.accuracy[-1, 0]
        series[name] = np.stack([found[setting] for setting in settings])
    return Result(**series, tried=tried)


def train(config: Config, *, key: Key[Array, ""], job: Job) -> Numbers:
    scale = jnp.asarray([config.surrogate], config.dtype)
    return train_side_by_side(
        config, [(scale, gradient)], key=key, job=job, shown={"right": 0}, spikes=config.spikes
    )


def gradient(scale: Float[Array, ""], network: SurrogateNetwork, batch: Batch):
    """Of the loss, with a surrogate of that scale."""
    return eqx.filter_grad(lambda net: loss(net, FastSigmoidSurrogate(scale), batch)[0])(network)


def figure(result: Result):
    from matplotlib.figure import Figure

    labels = {
        "dimensions": "dimension of the manifolds",
        "classes": "classes",
        "units": "units of the input",
        "spikes": "spikes of each unit",
    }
    fig = Figure(figsize=(10.0, 2.9), layout="constrained")
    for ax, name in zip(fig.subplots(1, len(SERIES), sharey=True), SERIES, strict=True):
        values = getattr(result, name)
        mean, sd = values.mean(axis=1), values.std(axis=1)
        ax.errorbar(result.tried[name], mean, sd, marker="o", ms=4, capsize=2)
        if name == "classes":
            chance = [100 / count for count in result.tried[name]]
            ax.plot(result.tried[name], chance, ":", color="0.5", label="chance")
            ax.legend(frameon=False, fontsize=8)
        ax.set(xlabel=labels[name], ylim=(0, 103))
        ax.set_xticks(result.tried[name])
    fig.axes[0].set_ylabel("test accuracy (%)")
    return fig


def change(name: str, result: Result):
    """Accuracy (percent points) at the largest value of a series minus that at the smallest, by
    seed."""
    values = getattr(result, name)
    return values[-1] - values[0]


_HARDER = (
    "Zenke & Vogels (2021): harder with dimension and classes (from memory; the number is our "
    "guess); interval chosen before our first run"
)
_OURS = (
    "nothing published, the number is our guess: more units and spikes carry more; interval chosen "
    "before our first run"
)
CLAIMS = (
    Claim(
        statement="change of accuracy from the lowest to the highest dimension (percent points)",
        paper_value=-40.0,
        source=_HARDER,
        measure=partial(change, "dimensions"),
        accept={"default": (-90.0, -5.0), "paper": (-90.0, -5.0)},
    ),
    Claim(
        statement="change of accuracy from the fewest to the most classes (percent points)",
        paper_value=-10.0,
        source=_HARDER,
        measure=partial(change, "classes"),
        accept={"default": (-98.0, -1.0), "paper": (-98.0, -1.0)},
    ),
    Claim(
        statement="change of accuracy from the fewest to the most units (percent points)",
        paper_value=30.0,
        source=_OURS,
        measure=partial(change, "units"),
        accept={"default": (5.0, 98.0), "paper": (5.0, 98.0)},
    ),
    Claim(
        statement="change of accuracy from one to several spikes of each unit (percent points)",
        paper_value=5.0,
        source=_OURS,
        measure=partial(change, "spikes"),
        accept={"default": (0.0, 98.0), "paper": (0.0, 98.0)},
    ),
)
