"""First-spike times learn the Yin-Yang data set by exact gradients.

Göltz, Kriener et al. (2021), Nat. Mach. Intell. 3, 823: a network of leaky integrate-and-fire
neurons with one hidden layer, 4(+1)-120(+1)-3. Each input value is the time of a spike, a bias
spike reaches both layers, and the label neuron that fires first gives the class. Deliverable D3.11,
section 1.1.2.2 and Fig. 10.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from plasticjax.data import encode_first_spike, yin_yang_class, yin_yang_split
from plasticjax.models import FirstSpikeNetwork
from plasticjax.neurons import CurrentLIF
from plasticjax.training import FirstSpikeUpdate, first_spike_loss, step_schedule

from ._contract import Claim, Job
from ._first_spikes import Evaluation, Fleet, History, Split, evaluate, train

PAPER = "Göltz et al. 2021, Table 1"
T_EARLY, T_LATE, T_BIAS = 0.15, 2.0, 0.9  # tau_syn
T_END = 3.0  # tau_syn, end of the drawn traces
GRID = 100  # points a side of the classification map
EXAMPLES = ((0.6, 0.2), (0.4, 0.8), (0.25, 0.5))  # points in yin, yang and a dot, for the traces


@dataclass(frozen=True)
class Config:
    """Sheet of the published configuration `yin_yang.yaml` (v1.0.0); times in tau_syn."""

    seeds: int = 3
    epochs: int = 300
    hidden: int = 120  # neurons
    batch: int = 150  # samples
    learning_rate: float = 0.005  # weight
    decay_every: int = 20  # epochs
    decay: float = 0.95  # factor
    weight_means: tuple[float, float] = (1.5, 0.5)  # per layer
    weight_stds: tuple[float, float] = (0.8, 0.8)
    max_silent: tuple[float, float] = (0.3, 0.0)  # tolerated fraction per layer
    bump: float = 0.0005  # weight
    chop: float = 0.2  # weight gradient of a sample
    xi: float = 0.2  # width of the softmax, tau_syn
    alpha: float = 0.005  # weight of the early-spike term
    tau_mem: float = 1.0  # tau_syn
    dtype: str = "float64"

    @classmethod
    def paper(cls) -> "Config":
        return cls(seeds=10)

    @classmethod
    def smoke(cls) -> "Config":
        return cls(seeds=2, epochs=8)


class Result(NamedTuple):
    """Leading axis seeds; accuracies in percent, times in tau_syn."""

    test: Evaluation
    history: History
    traces: Float[np.ndarray, "seeds when sample time neuron"]
    spikes: Float[np.ndarray, "seeds when sample neuron"]
    class_map: Float[np.ndarray, "seeds y x"]
    trained_weights: tuple[Float[np.ndarray, "seeds _post _pre"], ...]


def network(weights, config: Config) -> FirstSpikeNetwork:
    neuron = CurrentLIF(tau_mem=config.tau_mem)
    return FirstSpikeNetwork(weights, neuron, bias_times=((T_BIAS,), (T_BIAS,)))


def initial_weights(key: Key[Array, ""], config: Config):
    return FirstSpikeNetwork.init(
        (4, config.hidden, 3),
        weight_means=config.weight_means,
        weight_stds=config.weight_stds,
        bias_times=((T_BIAS,), (T_BIAS,)),
        key=key,
    ).weights


def update(config: Config) -> FirstSpikeUpdate:
    def forward(weights, times, sample_key, batch_key):
        return network(weights, config)(times)

    return FirstSpikeUpdate(
        forward=forward,
        learning_rate=step_schedule(
            config.learning_rate, every=config.decay_every, factor=config.decay
        ),
        max_silent=config.max_silent,
        loss=partial(first_spike_loss, xi=config.xi, alpha=config.alpha),
        bump=config.bump,
        chop=config.chop,
    )


def encode(values) -> Float[Array, "samples 4"]:
    return jnp.asarray(encode_first_spike(values, t_early=T_EARLY, t_late=T_LATE))


def encode_points(xy) -> Float[Array, "samples 4"]:
    return encode(np.concatenate([np.asarray(xy), 1 - np.asarray(xy)], axis=-1))


def plane(points: int = GRID) -> Float[np.ndarray, "y x 2"]:
    """Centres of the cells of a map of the plane with so many points a side."""
    side = (np.arange(points) + 0.5) / points
    return np.stack(np.meshgrid(side, side), axis=-1)


def split(name: str) -> Split:
    values, labels = yin_yang_split(name)
    return Split(encode(values), jnp.asarray(labels))


def label_traces(weights, times, config: Config):
    """Potentials of the label neurons over time, and their spikes, for a few samples."""
    net = network(weights, config)

    def one(times):
        hidden, spikes = net(times)
        arriving = jnp.append(hidden, T_BIAS)
        at = jnp.linspace(0, T_END, 400)
        return jax.vmap(lambda t: net.neuron.membrane(t, net.weights[-1], arriving))(at), spikes

    return jax.vmap(one)(times)


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    keys = jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(config.seeds))
    initial = jax.vmap(partial(initial_weights, config=config))(keys)
    fleet = Fleet(
        lambda _: update(config),
        initial,
        None,
        keys,
        split("train"),
        split("validation"),
        config.batch,
    )
    ((weights, history),) = train(
        [fleet],
        epochs=config.epochs,
        job=job,
        description="Yin-Yang, first spikes",
    )
    test_split = split("test")
    test = jax.jit(jax.vmap(lambda w, k: evaluate(update(config), w, test_split, k)))(weights, keys)

    look = jax.jit(jax.vmap(lambda w: label_traces(w, encode_points(EXAMPLES), config)))
    before, after = look(initial), look(weights)
    traces, spikes = (np.stack(pair, axis=1) for pair in zip(before, after, strict=True))

    square = plane()
    points = encode_points(square.reshape(-1, 2))
    classify = jax.jit(
        jax.vmap(
            lambda w: jax.lax.map(
                lambda t: update(config).classify(network(w, config)(t)[-1]),
                points,
                batch_size=1000,
            )
        )
    )
    class_map = np.asarray(classify(weights)).reshape(config.seeds, GRID, GRID)
    class_map = np.where(np.linalg.norm(square - 0.5, axis=-1) > 0.5, -1, class_map)
    return jax.tree.map(
        np.asarray, Result(test, history, traces, spikes, class_map.astype(float), weights)
    )


def figure(result: Result):
    """Fig. 10 of the deliverable, from the first seed: label neurons before and after training for
    one point of each class, their spike times over training, and the plane as it is classified."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from plasticjax.plotting import (
        class_color,
        classification_map,
        learning_curve,
        membrane_traces,
        spike_time_histories,
    )

    names = ("yin", "yang", "dot")
    fig = Figure(figsize=(7.2, 8.2), layout="constrained")
    grid = fig.subplots(4, 3)
    at = np.linspace(0, T_END, result.traces.shape[3])
    for row, when in enumerate(("before", "after")):
        for k, name in enumerate(names):
            ax = membrane_traces(
                at,
                result.traces[0, row, k],
                threshold=1.0,
                spikes=result.spikes[0, row, k],
                time_label=r"time ($\tau_\mathrm{s}$)",
                voltage_label=r"potential ($\vartheta$)" if k == 0 else "",
                ax=grid[row, k],
            )
            ax.set_ylim(-1.8, 2.2)
            ax.set_xlim(0, T_END)
            ax.set_title(f"{when} training, a point in {name}", fontsize=8)
    validation = result.history.validation
    epochs = np.arange(validation.accuracy.shape[1])
    for ax, name in zip(
        spike_time_histories(
            epochs, validation.time_mean[0], validation.time_sd[0], axes=list(grid[2])
        ),
        names,
        strict=True,
    ):
        ax.set_title(f"validation samples of {name}", fontsize=8)
        ax.set_ylim(0, 3)
    grid[2, -1].get_legend().remove()

    curve, loss, disc = grid[3]
    learning_curve(
        epochs, 100 * validation.accuracy, value_label="validation accuracy (%)", ax=curve
    )
    learning_curve(epochs[1:], result.history.loss, value_label="training loss", ax=loss)
    loss.set_yscale("log")
    classification_map(result.class_map[0], ax=disc)
    square = plane()
    inside = np.where(result.class_map[0] < 0, np.nan, yin_yang_class(square))
    for k in range(3):
        disc.contour(
            *square.transpose(2, 0, 1), inside == k, levels=[0.5], colors="black", linewidths=0.5
        )
    disc.plot(*np.transpose(EXAMPLES), "P", color="white", markeredgecolor="black", markersize=5)

    keys = [
        Line2D([], [], color=class_color(k), linewidth=3, label=f"{name} (neuron or class)")
        for k, name in enumerate(names)
    ]
    keys.append(Line2D([], [], color="0.35", linestyle="--", linewidth=0.8, label="threshold"))
    keys.append(
        Line2D([], [], color="white", marker="P", markeredgecolor="black", label="point shown")
    )
    fig.legend(handles=keys, loc="outside upper center", ncols=5, fontsize=7, frameon=False)
    return fig


CLAIMS = (
    Claim(
        statement="test accuracy, 4(+1)-120(+1)-3 (%)",
        paper_value=95.9,
        source=PAPER,
        measure=lambda result: 100 * result.test.accuracy,
        accept={"smoke": (78.0, 95.0), "default": (95.2, 97.5), "paper": (95.2, 97.5)},
    ),
    Claim(
        statement="final training accuracy (%)",
        paper_value=96.3,
        source=PAPER,
        measure=lambda result: 100 * result.history.accuracy[:, -1],
        accept={"default": (95.2, 98.2), "paper": (95.2, 98.2)},
    ),
    Claim(
        statement="spike time of the correct label neuron, mean over classes (tau_syn)",
        paper_value=1.05,
        source="median of the recorded run, fastAndDeep v1.0.0",
        measure=lambda result: np.nanmean(
            np.diagonal(result.test.time_mean, axis1=1, axis2=2), axis=1
        ),
        accept={"default": (0.8, 1.4), "paper": (0.8, 1.4)},
    ),
)
