"""Generalised latent equilibrium learns to classify sequences online: MNIST-1D.

Ellenberger, Haider, Benitez, Jordan, Max, Jaras, Kriener & Petrovici (2025), Backpropagation
through space, time and the brain, Nat. Commun. 17, 66: a network whose neurons have different time
constants receives one number a time step, and learns in every time step from errors that are local
in space and time. Deliverable D3.11, section 2.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ._contract import Claim, Job
from ._gle import Network, Recipe, shuffled, train
from ._mnist1d_task import mnist1d_task

PAPER = "Ellenberger et al. 2025, results/mnist1d of the published code"
CURVE = {  # epoch: mean and standard deviation over seeds, percent
    5: (38.0, 7.0),
    10: (46.0, 6.0),
    20: (51.0, 10.0),
    30: (61.0, 9.0),
    40: (76.0, 11.0),
    50: (88.0, 6.0),
    75: (91.5, 0.9),
    100: (91.7, 0.8),
}


@dataclass(frozen=True)
class Config:
    """The network with 15 thousand weights; times in units of one point of a sample."""

    seeds: int = 3
    epochs: int = 50
    slow: int = 36  # neurons of a hidden layer with tau_r = dt; half of them have tau_m = 0.6
    fast: int = 17  # neurons of a hidden layer with tau_r = tau_m = 1.2
    hidden_layers: int = 6
    samples: int = 5000  # four fifths of them for training
    dt: float = 0.2  # time step
    tau: tuple[float, float] = (0.6, 1.2)  # membrane time constants
    batch: int = 100  # samples
    learning_rate: float = 1e-3  # 5e-3 times points over time steps
    decay: float = 0.5  # of the learning rate at a plateau of the test loss
    patience: int = 2  # epochs
    dtype: str = "float32"

    @classmethod
    def paper(cls) -> "Config":
        return cls(seeds=10, epochs=150)

    @classmethod
    def large(cls) -> "Config":
        """The published network with 42 thousand weights."""
        return cls(seeds=10, epochs=150, slow=60, fast=30, learning_rate=5e-4)

    @classmethod
    def smoke(cls) -> "Config":
        return cls(seeds=2, epochs=2, slow=8, fast=4, hidden_layers=2, samples=500, batch=50)


class Result(NamedTuple):
    """Leading axis seeds; accuracies in percent, losses in nats."""

    accuracy: Float[np.ndarray, "seeds epochs"]
    loss: Float[np.ndarray, "seeds epochs"]
    training_loss: Float[np.ndarray, "seeds epochs"]
    learning_rate: Float[np.ndarray, "seeds epochs"]
    examples: Float[np.ndarray, "10 time"]


def network(config: Config) -> Network:
    short, long = config.tau
    half = config.slow // 2
    tau_m = np.repeat([short, long, long], [half, config.slow - half, config.fast])
    tau_r = np.repeat([config.dt, long], [config.slow, config.fast])
    hidden = config.hidden_layers
    return Network(
        widths=(1, *[config.slow + config.fast] * hidden, 10),
        tau_m=(*[tau_m] * hidden, np.array(long)),
        tau_r=(*[tau_r] * hidden, np.array(long)),
        dt=config.dt,
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
    train_set, test_set = mnist1d_task(samples=config.samples, dt=config.dt, dtype=config.dtype)
    keys = jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(config.seeds))
    _, history = train(
        recipe(config),
        train_set,
        test_set,
        keys=keys,
        epochs=config.epochs,
        job=job,
        description="MNIST-1D, generalised latent equilibrium",
    )
    first = [int(np.argmax(np.asarray(test_set.labels) == digit)) for digit in range(10)]
    return Result(
        100 * np.asarray(history.accuracy),
        np.asarray(history.loss),
        np.asarray(history.training_loss),
        np.asarray(history.learning_rate),
        np.asarray(test_set.inputs)[first, :, 0],
    )


def figure(result: Result):
    """A sample of each class; test accuracy over epochs with the published one; the losses."""
    from matplotlib.figure import Figure

    from plasticjax.plotting import learning_curve

    fig = Figure(figsize=(7.2, 4.6), layout="constrained")
    (top,), (bottom,) = fig.subfigures(2, 1, squeeze=False, height_ratios=(1, 2.2))
    for digit, ax in enumerate(top.subplots(2, 5, sharex=True, sharey=True).flat):
        ax.plot(result.examples[digit], color="0.2", linewidth=0.8)
        ax.set_title(str(digit), fontsize=8, pad=2)
        ax.set_axis_off()
    accuracy, loss = bottom.subplots(1, 2)
    epochs = np.arange(1, result.accuracy.shape[1] + 1)
    learning_curve(
        epochs, result.accuracy, label="here", value_label="test accuracy (%)", ax=accuracy
    )
    for epoch, (mean, sd) in CURVE.items():
        if epoch <= epochs[-1]:
            accuracy.errorbar(epoch, mean, sd, color="black", fmt="o", markersize=3, linewidth=0.8)
    accuracy.plot([], [], "o", color="black", markersize=3, label="published, 10 seeds")
    accuracy.axhline(10, color="0.6", linestyle=":", linewidth=0.8)
    accuracy.set_ylim(0, 100)
    accuracy.legend(fontsize=7, frameon=False, loc="lower right")
    learning_curve(epochs, result.loss, label="test", ax=loss)
    learning_curve(
        epochs, result.training_loss, label="while learning", value_label="loss (nats)", ax=loss
    )
    return fig


def _on_the_way(epoch: int) -> Claim:
    """Accepted: three standard errors of the published mean, at our number of seeds."""
    mean, sd = CURVE[epoch]
    default, paper = (3 * sd / size.seeds**0.5 for size in (Config(), Config.paper()))
    return Claim(
        statement=f"test accuracy after {epoch} epochs (%)",
        paper_value=mean,
        source=PAPER,
        measure=lambda result: (
            result.accuracy[:, epoch - 1] if epoch <= result.accuracy.shape[1] else None
        ),
        accept={
            "default": (mean - default, mean + default),
            "paper": (mean - paper, mean + paper),
        },
    )


CLAIMS = (
    Claim(
        statement="final test accuracy, 15k weights (%; published after 50 epochs: 88)",
        paper_value=91.7,
        source=PAPER,
        measure=lambda result: result.accuracy[:, -1],
        accept={"default": (78.0, 94.0), "paper": (90.0, 94.0)},
    ),
    *map(_on_the_way, (5, 10, 20, 30, 40, 50)),
)
