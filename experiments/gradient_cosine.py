"""How far are rules that run forwards in time from backpropagation through time?

The rules of sheet 10 on networks of one to four hidden layers and on a recurrent one, all on random
smooth manifolds: the cosine between the gradient that a rule gives to the hidden weights and the
gradient of backpropagation through time of the same loss, before and after training by the latter.
Neftci, Mostafa & Zenke (2019); Bellec et al. (2020); Zenke & Ganguli (2018); Gardner & Grüning
(2021).
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from plasticjax.data import randman, spike_raster
from plasticjax.models import (
    SurrogateLayer,
    SurrogateNetwork,
    forward_gradient,
    stepwise_errors,
    superspike_gradient,
    surrogate_network,
)
from plasticjax.neurons import FastSigmoidSurrogate, OwnSpikeSurrogate, TriangleSurrogate
from plasticjax.training import membrane_loss, van_rossum_loss

from ._contract import Claim, Job, Size

RULES = ("forward", "e-prop", "no reset", "own spikes", "random feedback", "SuperSpike")
TIMES = ("before training", "after training")


@dataclass(frozen=True)
class Config:
    seeds: int = 3
    classes: int = 10
    samples: int = 100  # of each class
    units: int = 20  # inputs
    dimensions: int = 1  # of the manifolds
    steps: int = 100  # of 1 ms
    layers: tuple[int, ...] = (1, 2, 3, 4)  # numbers of hidden layers, beside a recurrent one
    hidden: int = 64  # neurons of each layer
    scale: float = 1.0  # of the first weights; with it all layers fire
    surrogate: float = 10.0  # scale of the surrogate of all rules but e-prop
    updates: int = 100  # of training by backpropagation
    batch: int = 50  # for training and for each gradient
    learning_rate: float = 2e-3
    dtype: str = "float64"

    @classmethod
    def paper(cls) -> "Config":
        return cls(seeds=5, samples=500, hidden=100, updates=1000, batch=200)

    @classmethod
    def smoke(cls) -> "Config":
        return cls(
            seeds=2,
            classes=3,
            samples=10,
            units=8,
            steps=40,
            layers=(1, 2),
            hidden=12,
            updates=3,
            batch=6,
        )


class Result(NamedTuple):
    """`cosine` with the gradient of backpropagation, and `spikes` of a hidden neuron of the least
    active layer in a sample. Networks are those of `layers`, then the recurrent one."""

    cosine: Float[np.ndarray, "networks times rules seeds"]
    spikes: Float[np.ndarray, "networks times seeds"]
    layers: tuple[int, ...]


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    check(config)
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(config.seeds))
    networks = [*((layers, False) for layers in config.layers), (1, True)]
    shape = (len(networks), len(TIMES), len(RULES) + 1, config.seeds)
    numbers = jnp.full(shape, jnp.nan, config.dtype)
    done, numbers = job.restore(numbers) or (0, numbers)
    with job.progress(len(networks), "networks") as bar:
        bar.advance(done)
        for number in range(done, len(networks)):
            measure = partial(one_network, config, *networks[number])
            found = jax.jit(jax.vmap(measure, out_axes=-1))(keys)
            numbers = numbers.at[number].set(found)
            bar.advance(1, forward=float(found[0, 0].mean()))
            job.save(number + 1, numbers)
    values = np.asarray(numbers)
    return Result(values[:, :, :-1], values[:, :, -1], config.layers)


def check(config: Config) -> None:
    if not config.layers or min(config.layers) < 1:
        raise ValueError(f"layers is {config.layers}; numbers >= 1 are required")
    for name in ("seeds", "classes", "samples", "units", "hidden", "batch"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} is {getattr(config, name)}; a number >= 1 is required")
    if config.batch > config.classes * config.samples:
        raise ValueError(
            f"batch is {config.batch}; there are {config.classes * config.samples} samples"
        )


def one_network(
    config: Config, layers: int, recurrent: bool, key: Key[Array, ""]
) -> Float[Array, "times numbers"]:
    """Cosines of all rules and the activity, before and after training."""
    data_key, network_key, order_key, rule_key = jax.random.split(key, 4)
    sizes = (config.units, *(config.hidden,) * layers, config.classes)
    network = surrogate_network(
        sizes,
        key=network_key,
        recurrent=recurrent,
        surrogate=FastSigmoidSurrogate(config.surrogate),
        scale=config.scale,
        dtype=config.dtype,
    )
    found = randman(
        data_key,
        classes=config.classes,
        samples=config.samples,
        units=config.units,
        dimensions=config.dimensions,
        steps=config.steps,
    )
    rasters = jax.vmap(lambda steps: spike_raster(steps, config.steps, config.dtype))(found.steps)
    measured = rasters[: config.batch], found.labels[: config.batch]
    weights, rest = eqx.partition(network, lambda leaf: eqx.is_array(leaf) and leaf.ndim == 2)
    optimiser = optax.adam(config.learning_rate)

    def update(carry, key):
        weights, state = carry
        picked = jax.random.randint(key, (config.batch,), 0, len(rasters))
        network = eqx.combine(weights, rest)
        gradient = backpropagated(network, membrane_loss, rasters[picked], found.labels[picked])
        change, state = optimiser.update(eqx.filter(gradient, eqx.is_array), state)
        return (eqx.apply_updates(weights, change), state), None

    updates = jax.random.split(order_key, config.updates)
    (trained, _), _ = jax.lax.scan(update, (weights, optimiser.init(weights)), updates)
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), weights, trained)
    return jax.lax.map(
        lambda each: compare(config, eqx.combine(each, rest), *measured, rule_key), both
    )


def compare(config: Config, network: SurrogateNetwork, rasters, labels, key):
    """For each rule the cosine with backpropagation of the loss that it descends."""
    exact = hidden_weights(backpropagated(network, membrane_loss, rasters, labels))
    feedback = [
        jax.random.normal(jax.random.fold_in(key, number), (config.hidden, config.classes))
        for number in range(len(network.hidden))
    ]
    feedback = [weights.astype(config.dtype) for weights in feedback]

    def forwards(network=network, **options):
        rule = partial(forward_gradient, network, **options)
        return hidden_weights(jax.vmap(rule)(rasters, labels))

    found = [(forwards(), exact)]
    triangular = with_surrogate(network, TriangleSurrogate())
    stepwise = backpropagated(triangular, stepwise_loss, rasters, labels)
    found.append((forwards(triangular, errors=stepwise_errors), hidden_weights(stepwise)))
    found.append((forwards(gated=False), exact))
    found.append((forwards(surrogate=OwnSpikeSurrogate()), exact))
    found.append((forwards(feedback=feedback), exact))
    cosines = [cosine(one, other) for one, other in found]
    cosines.append(cosine_of_superspike(network, rasters, labels, key))
    traces = jax.vmap(network)(rasters)
    spikes = [layer.spikes.sum(axis=1).mean() for layer in traces.hidden]
    return jnp.stack([*cosines, jnp.min(jnp.stack(spikes))])


def backpropagated(network: SurrogateNetwork, loss, rasters, labels) -> SurrogateNetwork:
    def mean_loss(network):
        return jax.vmap(lambda x, label: loss(network(x).readout, label))(rasters, labels).mean()

    return eqx.filter_grad(mean_loss)(network)


def stepwise_loss(readout, label):
    """The loss of e-prop: cross-entropy at each step."""
    return -jnp.mean(jax.nn.log_softmax(readout)[:, label])


def with_surrogate(network: SurrogateNetwork, surrogate) -> SurrogateNetwork:
    return eqx.tree_at(
        lambda net: [layer.surrogate for layer in net.hidden],
        network,
        [surrogate] * len(network.hidden),
    )


def cosine_of_superspike(network: SurrogateNetwork, rasters, labels, key):
    """The readout becomes a spiking layer, and each class has random trains as its target. The rule
    has no recurrence: then there is no number."""
    if network.hidden[0].recurrent is not None:
        return jnp.full((), jnp.nan, rasters.dtype)
    surrogate = network.hidden[0].surrogate
    layers = (*network.hidden, SurrogateLayer(network.readout.weights, surrogate=surrogate))
    classes, steps = len(network.readout.weights), rasters.shape[1]
    targets = jax.random.bernoulli(key, 0.02, (classes, steps, classes)).astype(rasters.dtype)

    def loss(layers):
        def one(x, label):
            for layer in layers:
                x = layer(x).spikes
            return van_rossum_loss(x, targets[label])

        return jax.vmap(one)(rasters, labels).mean()

    exact = eqx.filter_grad(loss)(layers)
    found = jax.vmap(lambda x, label: superspike_gradient(layers, x, targets[label]))(
        rasters, labels
    )
    one = jnp.concatenate([layer.weights.mean(axis=0).ravel() for layer in found[:-1]])
    other = jnp.concatenate([layer.weights.ravel() for layer in exact[:-1]])
    return cosine(one, other)


def hidden_weights(gradient: SurrogateNetwork) -> Float[Array, " weights"]:
    """The gradient by all weights of hidden layers, mean over samples if there is such an axis."""
    leaves = []
    for layer in gradient.hidden:
        for leaf in (layer.weights, layer.recurrent):
            if leaf is not None:
                leaves.append((leaf.mean(axis=0) if leaf.ndim == 3 else leaf).ravel())
    return jnp.concatenate(leaves)


def cosine(one, other):
    return one @ other / (jnp.linalg.norm(one) * jnp.linalg.norm(other))


def figure(result: Result):
    from matplotlib.figure import Figure

    fig = Figure(figsize=(10.0, 3.6), layout="constrained")
    for time, ax in enumerate(fig.subplots(1, len(TIMES), sharey=True)):
        places = np.array([*result.layers, result.layers[-1] + 1.3])
        for rule, name in enumerate(RULES):
            mean = result.cosine[:, time, rule].mean(axis=1)
            sd = result.cosine[:, time, rule].std(axis=1)
            line = ax.errorbar(
                places[:-1], mean[:-1], sd[:-1], marker="o", ms=4, capsize=2, label=name
            )
            ax.errorbar(
                places[-1:] + 0.06 * (rule - 2.5),
                mean[-1:],
                sd[-1:],
                marker="o",
                ms=4,
                capsize=2,
                ls="none",
                color=line.lines[0].get_color(),
            )
        ax.axhline(0, color="0.8", lw=0.8, zorder=0)
        ax.set(title=TIMES[time], xlabel="hidden layers", ylim=(-0.5, 1.05))
        ax.set_xticks(places, [*map(str, result.layers), "recurrent"])
    fig.axes[0].set_ylabel("cosine with backpropagation through time")
    fig.legend(*fig.axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return fig


def at(result: Result, network: int, rule: str, time: str = TIMES[1]):
    """Cosine, by seed. Networks: 0 has the fewest layers, -2 the most, -1 is recurrent."""
    return result.cosine[network, TIMES.index(time), RULES.index(rule)]


def deviation(result: Result):
    """The largest deviation from 1 of what should be exact, by seed."""
    exact = [at(result, 0, rule, time) for rule in ("forward", "e-prop") for time in TIMES]
    return np.max(np.abs(1 - np.stack(exact)), axis=0)


def fall(rule: str, result: Result):
    """What a rule loses from the fewest to the most layers, after training."""
    return at(result, 0, rule) - at(result, -2, rule)


_EXPECTED = (
    "sheet 10 asks for the cosine over depth and gives no number; that it falls is expected, "
    "interval and number are set after exploratory runs of ours"
)
_LOWER: dict[Size, tuple[float, float]] = {"default": (0.05, 1.0), "paper": (0.05, 1.0)}
CLAIMS = (
    Claim(
        statement="distance from 1 of the forward rules with one hidden layer",
        paper_value=0.0,
        source="sheet 10, R3: equal to backpropagation with a detached reset, up to rounding",
        measure=deviation,
        accept={"smoke": (0, 1e-10), "default": (0, 1e-10), "paper": (0, 1e-10)},
    ),
    *(
        Claim(
            statement=f"cosine that {name} from one to four layers",
            paper_value=0.3,
            source=_EXPECTED,
            measure=partial(fall, rule),
            accept=_LOWER,
        )
        for rule, name in (
            ("forward", "the forward rule loses"),
            ("e-prop", "e-prop loses"),
            ("own spikes", "own spikes as factor lose"),
        )
    ),
    Claim(
        statement="cosine that the forward rule loses in a recurrent layer",
        paper_value=0.2,
        source=_EXPECTED,
        measure=lambda result: 1 - at(result, -1, "forward"),
        accept=_LOWER,
    ),
    Claim(
        statement="cosine of random feedback with one layer, which nothing has aligned",
        paper_value=0.0,
        source="no number is published; restated after a first run: it lost 1.01 +- 0.07 against "
        "symmetric feedback, of which an interval had allowed 1",
        measure=lambda result: at(result, 0, "random feedback"),
        accept={"default": (-0.3, 0.3), "paper": (-0.3, 0.3)},
    ),
)
