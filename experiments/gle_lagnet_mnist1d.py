"""A fixed net of lagging neurons lets an instantaneous network classify sequences: MNIST-1D.

Ellenberger, Haider, Benitez, Jordan, Max, Jaras, Kriener & Petrovici (2025), Backpropagation
through space, time and the brain, Nat. Commun. 17, 66: ten chains of four linear neurons, each
with its own membrane time constant, show the recent past of the input. On top learns a network in
latent equilibrium, whose errors need no memory. Deliverable D3.11, section 2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from plasticjax.energy import (
    MismatchEnergy,
    Stimulus,
    gle_at_rest,
    gle_step,
    learner,
    linear,
    rate_cost,
    tanh,
)

from ._contract import Claim, Job
from ._gle import Data, Network, Recipe, shuffled, train
from ._mnist1d_task import mnist1d_task

PUBLISHED = (90.9, 0.6)  # mean and standard deviation of ten seeds after 150 epochs, percent


@dataclass(frozen=True)
class Config:
    """The published network, 4,930 weights; times in units of one point of a sample."""

    seeds: int = 3
    epochs: int = 20
    chains: int = 10
    chain_layers: int = 4
    longest: float = 1.8  # membrane time constant of a chain; the shortest is the time step
    hidden: tuple[int, ...] = (60, 60)  # neurons
    tau: float = 2.0  # both time constants of the learning network
    samples: int = 5000  # four fifths of them for training
    dt: float = 0.2  # time step
    batch: int = 100  # samples
    learning_rate: float = 1e-3  # of Adam, in every time step
    decay: float = 0.5  # of the learning rate at a plateau of the test loss
    patience: int = 2  # epochs
    dtype: str = "float32"

    @classmethod
    def paper(cls) -> "Config":
        return cls(seeds=10, epochs=150)

    @classmethod
    def smoke(cls) -> "Config":
        return cls(seeds=2, epochs=3, hidden=(20,), samples=1000, batch=50)


class Result(NamedTuple):
    """Leading axis seeds; accuracies in percent, losses in nats."""

    accuracy: Float[np.ndarray, "seeds epochs"]
    loss: Float[np.ndarray, "seeds epochs"]
    training_loss: Float[np.ndarray, "seeds epochs"]
    example: Float[np.ndarray, " time"]  # of the test set
    lagged: Float[np.ndarray, "time chains"]  # what the chains make of it


def lag_net(config: Config) -> Callable[[Float[Array, "time 1"]], Float[Array, "time chains"]]:
    """The last layer's rates while one sample passes; the net starts at rest."""
    tau_m = np.round(np.linspace(config.dt, config.longest, config.chains), 2)
    energy = MismatchEnergy(linear, _chains, rate_cost)
    step = gle_step(energy, tau_m=tau_m, tau_r=config.dt, dt=config.dt, gamma=0.0)

    def show(sample):
        layer = jnp.zeros(config.chains, sample.dtype)
        rest = learner(gle_at_rest((layer,) * config.chain_layers), ())
        off = jnp.zeros((), sample.dtype)
        _, shown = jax.lax.scan(
            lambda carry, now: step(carry, Stimulus(now, layer, off)), rest, sample
        )
        return shown.neurons.rate[-1]

    return show


def _chains(rates, theta, x: Stimulus):
    """Every chain gets the input; in a chain each neuron sees the one before."""
    return jnp.broadcast_to(x.input, rates[0].shape), *rates[:-1]


def network(config: Config) -> Network:
    layers = len(config.hidden) + 1
    return Network(
        widths=(config.chains, *config.hidden, 10),
        tau_m=(np.array(config.tau),) * layers,
        tau_r=(np.array(config.tau),) * layers,
        dt=config.dt,
        first=tanh,
    )


def recipe(config: Config) -> Recipe:
    return Recipe(
        network=network(config),
        order=shuffled(config.batch),
        learning_rate=config.learning_rate,
        decay=config.decay,
        patience=config.patience,
        looks=1,
        test_batch=config.samples // 5,
    )


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    show = jax.jit(jax.vmap(lag_net(config)))
    raw = mnist1d_task(samples=config.samples, dt=config.dt, dtype=config.dtype)
    train_set, test_set = (Data(show(data.inputs), data.labels) for data in raw)
    _, history = train(
        recipe(config),
        train_set,
        test_set,
        keys=jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(config.seeds)),
        epochs=config.epochs,
        job=job,
        description="MNIST-1D, lag net and latent equilibrium",
    )
    return Result(
        100 * np.asarray(history.accuracy),
        np.asarray(history.loss),
        np.asarray(history.training_loss),
        np.asarray(raw[1].inputs)[0, :, 0],
        np.asarray(test_set.inputs)[0],
    )


def figure(result: Result):
    """A sample and what the chains show of it; test accuracy and losses over epochs."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    from plasticjax.plotting import learning_curve

    fig = Figure(figsize=(7.2, 4.6), layout="constrained")
    grid = fig.subplots(2, 2)
    sample, lagged = grid[0]
    sample.plot(result.example, color="0.2", linewidth=0.8)
    sample.set(xlabel="time step", ylabel="input")
    shades = colormaps["viridis"](np.linspace(0, 0.9, result.lagged.shape[1]))
    for trace, shade in zip(result.lagged.T, shades, strict=True):
        lagged.plot(trace, color=shade, linewidth=0.8)
    lagged.set(xlabel="time step", ylabel="rates, from fast to slow chain")
    for ax in grid[0]:
        ax.xaxis.label.set_fontsize(8)
        ax.yaxis.label.set_fontsize(8)
        ax.tick_params(labelsize=7)
    accuracy, loss = grid[1]
    epochs = np.arange(1, result.accuracy.shape[1] + 1)
    learning_curve(
        epochs, result.accuracy, label="here", value_label="test accuracy (%)", ax=accuracy
    )
    mean, sd = PUBLISHED
    accuracy.axhspan(mean - sd, mean + sd, color="0.7", label="published, 150 epochs")
    accuracy.axhline(10, color="0.6", linestyle=":", linewidth=0.8)
    accuracy.set_ylim(0, 100)
    accuracy.legend(fontsize=7, frameon=False, loc="lower right")
    learning_curve(epochs, result.loss, label="test", ax=loss)
    learning_curve(
        epochs, result.training_loss, label="while learning", value_label="loss (nats)", ax=loss
    )
    for ax in grid[1]:
        ax.xaxis.get_major_locator().set_params(integer=True)
    return fig


CLAIMS = (
    Claim(
        statement="final test accuracy, lag net and latent equilibrium, 4,930 weights (%)",
        paper_value=PUBLISHED[0],
        source="Ellenberger et al. 2025, results/mnist1d of the published code (150 epochs); "
        "small size: interval guessed before the first run",
        measure=lambda result: result.accuracy[:, -1],
        accept={"default": (60.0, 93.0), "paper": (89.5, 92.5)},
    ),
)
