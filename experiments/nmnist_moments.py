"""Regularising the input of neurons instead of their rates, on a simulated event camera.

Mackwood & Grüning, deliverable D3.11, section 1.2.1.6: on neuromorphic MNIST a local rule with
moments of the input comes close to backpropagation through time with bounded rates, and
backpropagation with moments is the best. Recordings are those of `nmnist_sim`, a stand-in for
N-MNIST; networks have one hidden layer and read out the largest potential. The spike-latency
classifier of the deliverable (88 %) is not among them.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, PyTree

from plasticjax.data import camera_raster, mnist, nmnist_sim
from plasticjax.models import SurrogateNetwork, surrogate_network
from plasticjax.neurons import FastSigmoidSurrogate, OwnSpikeSurrogate
from plasticjax.training import Batch, train_epoch

from ._contract import Claim, Job
from ._randman_networks import Numbers, loss, measure
from .moments_versus_rate import Condition, penalty

# Name, the regulariser, whether the rule is local; published accuracy (%).
CONDITIONS = {
    "local, moments": ("moments", True, 97.4),
    "backpropagation, rate": ("rate", False, 97.8),
    "backpropagation, moments": ("moments", False, 98.8),
}


@dataclass(frozen=True)
class Config:
    """Time constants, bins and regularisers of the sheet; sizes of ours, for two cores.

    At a scale of 0.98 the mean square of the input begins 6 times above its target and the term of
    the third moment near 500, so that for many epochs nothing else is learnt. At 0.4 it begins at
    the target.
    """

    seeds: int = 2
    epochs: int = 10
    train_samples: int = 1000
    test_samples: int = 1000
    hidden: int = 64
    scale: float = 0.4  # of weights, times 1 / sqrt(inputs); 0.98 in the sheet, see below
    bin_ms: float = 3.0
    tau_mem: float = 20.0  # ms
    tau_syn: float = 10.0  # ms
    surrogate: float = 100.0  # scale
    width: float = 1.0  # of the escape noise that the local rule assumes, in thresholds
    target: float = 0.0143  # mean square of the input: potentials then spread by half a threshold
    moments: float = 0.1  # strength
    rate_lower: float = 0.1  # strength, of less than a spike of a unit
    rate_upper: float = 1e-4  # strength, of every spike of a unit
    learning_rate: float = 1e-3
    batch: int = 50
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
    """Numbers of the test samples after each epoch, and one recording."""

    numbers: Numbers  # [epochs, conditions, seeds]
    raster: Float[np.ndarray, "bins channels"]


class State(NamedTuple):
    network: PyTree  # leaves [conditions, seeds, ...]
    optimiser: PyTree
    history: Float[Array, "epochs numbers conditions seeds"]


def recordings(split: str, count: int, config: Config):
    """Rasters [samples, bins, channels], small numbers to save memory, and labels."""
    images, labels = mnist(split)

    def record(image):
        events = nmnist_sim(image.astype(config.dtype) / 255)
        return camera_raster(events, bin_ms=config.bin_ms).astype(jnp.uint8)

    rasters = jax.jit(lambda images: jax.lax.map(record, images, batch_size=10))(images[:count])
    return rasters, jnp.asarray(labels[:count])


def initial(key: Key[Array, ""], inputs: int, config: Config) -> SurrogateNetwork:
    return surrogate_network(
        (inputs, config.hidden, 10),
        tau_mem=config.tau_mem,
        tau_syn=config.tau_syn,
        dt=config.bin_ms,
        scale=config.scale,
        key=key,
        dtype=config.dtype,
    )


def gradient(name: str, network: SurrogateNetwork, batch: Batch, config: Config):
    """Of loss and regulariser; the local rule is another surrogate, see `forward_gradient`."""
    kind, local, _ = CONDITIONS[name]
    if kind == "rate":
        condition = Condition(lower=config.rate_lower, upper=config.rate_upper)
    else:
        condition = Condition(moments=config.moments, target=config.target)
    scaled = FastSigmoidSurrogate(config.surrogate)
    surrogate = OwnSpikeSurrogate(config.width) if local else scaled

    def total(network):
        value, traces = loss(network, surrogate, batch)
        return value + penalty(condition, traces)

    return eqx.filter_grad(total)(network)


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    for name in ("seeds", "epochs", "train_samples", "test_samples", "hidden", "batch"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} is {getattr(config, name)}; a number >= 1 is required")
    train, test = (
        recordings(split, count, config)
        for split, count in (("train", config.train_samples), ("test", config.test_samples))
    )
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(config.seeds))
    network_keys, order_keys = jax.vmap(jax.random.split, out_axes=1)(keys)
    networks = eqx.filter_vmap(lambda key: initial(key, train[0].shape[2], config))(network_keys)
    plastic, static = eqx.partition(networks, eqx.is_array)
    optimiser = optax.adam(config.learning_rate)

    def one(name, carry, key, epoch, train, test):
        def update(carry, batch, key):
            network, state = carry
            batch = batch._replace(inputs=batch.inputs.astype(config.dtype))
            found = gradient(name, eqx.combine(network, static), batch, config)
            change, state = optimiser.update(eqx.filter(found, eqx.is_array), state)
            return (eqx.apply_updates(network, change), state), None

        own = jax.random.fold_in(key, epoch)
        carry, _ = train_epoch(update, carry, *train, batch=config.batch, key=own)
        network = eqx.combine(carry[0], static)
        return carry, measure(network, test[0].astype(config.dtype), test[1])

    @partial(jax.jit, donate_argnums=0)
    def advance(state: State, epoch, train, test) -> State:
        found = []
        for number, name in enumerate(CONDITIONS):
            pair = jax.tree.map(lambda leaf, k=number: leaf[k], (state.network, state.optimiser))
            over_seeds = partial(one, name, epoch=epoch, train=train, test=test)
            # One after the other: side by side they would not fit into the cache.
            found.append(jax.lax.map(lambda given, f=over_seeds: f(*given), (pair, order_keys)))
        (network, optimiser_state), numbers = jax.tree.map(lambda *x: jnp.stack(x), *found)
        history = state.history.at[epoch].set(jnp.moveaxis(numbers, -1, 0))
        return State(network, optimiser_state, history)

    kinds = len(CONDITIONS)
    many = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (kinds, *leaf.shape)), plastic)
    starts = jax.vmap(jax.vmap(optimiser.init))(many)
    shape = (config.epochs, len(Numbers._fields), kinds, config.seeds)
    state = State(many, starts, jnp.full(shape, jnp.nan, config.dtype))
    done, state = job.restore(state) or (0, state)
    with job.progress(config.epochs, "epochs") as bar:
        bar.advance(done)
        for epoch in range(done, config.epochs):
            state = advance(state, epoch, train, test)
            shown = np.asarray(state.history[epoch, 0]).mean(axis=1)
            bar.advance(
                1, **dict(zip(("local", "rate", "moments"), map(float, shown), strict=True))
            )
            job.save(epoch + 1, state)
    numbers = Numbers(*np.moveaxis(np.asarray(state.history), 1, 0))
    return Result(numbers, np.asarray(test[0][0], np.float32))


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
    epochs = np.arange(1, len(result.numbers.accuracy) + 1)
    for number, name in enumerate(CONDITIONS):
        for ax, values, label in (
            (accuracy, result.numbers.accuracy, "test accuracy (%)"),
            (spikes, result.numbers.spikes, "spikes of a hidden neuron"),
        ):
            learning_curve(epochs, values[:, number].T, label=name, value_label=label, ax=ax)
    accuracy.legend(fontsize=7, frameon=False, loc="lower right")
    spikes.legend().remove()
    return fig


def accuracy_of(name: str, result: Result):
    """Test accuracy (%) after the last epoch, by seed."""
    return result.numbers.accuracy[-1, list(CONDITIONS).index(name)]


def gain(better: str, worse: str, result: Result):
    """Difference of two accuracies (percent points), by seed."""
    return accuracy_of(better, result) - accuracy_of(worse, result)


_PAPER = "D3.11, section 1.2.1.6, on N-MNIST"
_ORDER = f"{_PAPER}; the default, with 1,000 recordings to learn from, judges the sign; interval "
_ORDER += "chosen before our first run, one point below 0 for the noise of 1,000 test recordings; "
_ORDER += "the scale of the first weights was lowered after it"
CLAIMS = (
    *(
        Claim(
            statement=f"{name}: test accuracy (%)",
            paper_value=value,
            source=f"{_PAPER}; only the full size is judged, on simulated recordings",
            measure=partial(accuracy_of, name),
            accept={"paper": (value - 2.0, 100.0)},
        )
        for name, (_, _, value) in CONDITIONS.items()
    ),
    Claim(
        statement="backpropagation: what moments gain over rates (percent points)",
        paper_value=1.0,
        source=_ORDER,
        measure=partial(gain, "backpropagation, moments", "backpropagation, rate"),
        accept={"default": (-1.0, 20.0), "paper": (0.0, 5.0)},
    ),
    Claim(
        statement="with moments: what backpropagation gains over the local rule (percent points)",
        paper_value=1.4,
        source=_ORDER,
        measure=partial(gain, "backpropagation, moments", "local, moments"),
        accept={"default": (-1.0, 20.0), "paper": (0.0, 5.0)},
    ),
    Claim(
        statement="what backpropagation with rates gains over the local rule (percent points)",
        paper_value=0.4,
        source=_ORDER,
        measure=partial(gain, "backpropagation, rate", "local, moments"),
        accept={"default": (-1.0, 20.0), "paper": (-0.5, 5.0)},
    ),
)
