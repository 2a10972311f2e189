"""Regularising the input of neurons instead of their rates, on random smooth manifolds.

Mackwood & Grüning, deliverable D3.11, section 1.2.1.6: if the first three moments of the input of
each neuron are held at 0, a target, and 0, rates need no target of their own. Networks of one
hidden layer learn RandMan (Zenke & Vogels 2021) by surrogate gradients, without regularisation,
with rates kept in bounds, and with moments of four sizes; and with a local rule, forwards in time.
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

from plasticjax.data import randman, spike_raster
from plasticjax.models import NetworkTrace, SurrogateNetwork, surrogate_network
from plasticjax.neurons import FastSigmoidSurrogate, OwnSpikeSurrogate
from plasticjax.training import (
    Batch,
    input_moments,
    max_over_time,
    membrane_loss,
    moment_penalty,
    rate_penalty,
    train_epoch,
)

from ._contract import Claim, Job


class Condition(NamedTuple):
    """A regulariser and a rule; strengths are 0 where a term is off."""

    lower: float = 0.0  # of rates, per unit
    upper: float = 0.0  # of rates, per sample
    moments: float = 0.0
    target: float = 1.0  # mean square of the input


BACKWARD = {
    "none": Condition(),
    "rate": Condition(lower=0.1, upper=1e-4),
    "moments 0.01": Condition(moments=0.1, target=0.01),
    "moments 0.03": Condition(moments=0.1, target=0.03),
    "moments 0.1": Condition(moments=0.1, target=0.1),
    "moments 0.3": Condition(moments=0.1, target=0.3),
}
# The same regularisers with the local rule.
LOCAL = {f"local, {name}": BACKWARD[name] for name in ("rate", "moments 0.03")}
CONDITIONS = {**BACKWARD, **LOCAL}


@dataclass(frozen=True)
class Config:
    """The small setting of the sheet; the data are drawn for each seed."""

    seeds: int = 3
    epochs: int = 15
    classes: int = 10
    samples: int = 500  # of each class; a fifth of all is for the test
    units: int = 20  # inputs
    dimensions: int = 1  # of the manifolds
    alpha: float = 2.0  # their smoothness
    steps: int = 100  # of 1 ms
    hidden: int = 64
    surrogate: float = 100.0  # scale
    width: float = 1.0  # of the escape noise that the local rule assumes, in thresholds
    learning_rate: float = 5e-3
    batch: int = 200
    dtype: str = "float32"

    @classmethod
    def paper(cls) -> "Config":
        return cls(seeds=5, epochs=50, samples=1000, hidden=100, learning_rate=2e-3, batch=250)

    @classmethod
    def smoke(cls) -> "Config":
        return cls(
            seeds=2, epochs=2, classes=3, samples=100, units=10, steps=40, hidden=16, batch=20
        )


class State(NamedTuple):
    network: PyTree  # leaves [conditions, seeds, ...]
    optimiser: PyTree
    history: Float[Array, "epochs numbers conditions seeds"]


class Result(NamedTuple):
    """Of each condition, seed and epoch, on the test samples.

    `accuracy` (%), `spikes` of a hidden neuron in a sample, and of its synaptic current the root
    mean square over neurons of the `first` and the `third` moment and the mean of the `second`.
    """

    accuracy: Float[np.ndarray, "epochs conditions seeds"]
    spikes: Float[np.ndarray, "epochs conditions seeds"]
    first: Float[np.ndarray, "epochs conditions seeds"]
    second: Float[np.ndarray, "epochs conditions seeds"]
    third: Float[np.ndarray, "epochs conditions seeds"]


def penalty(condition: Condition, traces: NetworkTrace) -> Float[Array, ""]:
    """The regulariser of the condition, for a batch."""
    (hidden,) = traces.hidden
    rates = rate_penalty(
        hidden.spikes.sum(axis=1),
        lower=1.0,
        lower_strength=condition.lower,
        # The reference sums over units.
        upper_strength=condition.upper * hidden.spikes.shape[2],
    )
    moments = moment_penalty(hidden.current, target=condition.target, strength=condition.moments)
    return rates + moments


def gradient(
    config: Config, condition: Condition, network: SurrogateNetwork, batch: Batch, *, local: bool
):
    """Of loss and regulariser, by backpropagation through time or by the local rule.

    For one hidden layer the rule is the gradient with another surrogate (see `forward_gradient`,
    which computes it forwards in time).
    """
    own_spikes = OwnSpikeSurrogate(config.width)

    def total(network):
        if local:
            network = eqx.tree_at(lambda net: net.hidden[0].surrogate, network, own_spikes)
        traces = jax.vmap(network)(batch.inputs)
        losses = jax.vmap(membrane_loss)(traces.readout, batch.targets)
        return losses.mean() + penalty(condition, traces)

    return eqx.filter_grad(total)(network)


def measure(network: SurrogateNetwork, rasters, labels) -> Float[Array, " numbers"]:
    """The numbers of `Result`."""
    traces = jax.vmap(network)(rasters)
    (hidden,) = traces.hidden
    right = jax.vmap(lambda readout: jnp.argmax(max_over_time(readout)))(traces.readout) == labels
    moments = input_moments(hidden.current)
    numbers = (
        100 * right.mean(),
        hidden.spikes.sum(axis=1).mean(),
        jnp.sqrt(jnp.mean(moments.first**2)),
        moments.second.mean(),
        jnp.sqrt(jnp.mean(moments.third**2)),
    )
    return jnp.stack([number.astype(hidden.current.dtype) for number in numbers])


def data_of(config: Config, key: Key[Array, ""]):
    """Rasters and labels for training and test."""
    found = randman(
        key,
        classes=config.classes,
        samples=config.samples,
        units=config.units,
        dimensions=config.dimensions,
        alpha=config.alpha,
        steps=config.steps,
    )
    rasters = jax.vmap(lambda steps: spike_raster(steps, config.steps, config.dtype))(found.steps)
    kept = len(rasters) * 4 // 5
    return (rasters[:kept], found.labels[:kept]), (rasters[kept:], found.labels[kept:])


def initial(config: Config, key: Key[Array, ""]) -> SurrogateNetwork:
    return surrogate_network(
        (config.units, config.hidden, config.classes),
        key=key,
        surrogate=FastSigmoidSurrogate(config.surrogate),
        dtype=config.dtype,
    )


def check(config: Config) -> None:
    for name in ("seeds", "epochs", "classes", "samples", "units", "hidden", "batch"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} is {getattr(config, name)}; a number >= 1 is required")
    if config.batch > config.classes * config.samples * 4 // 5:
        raise ValueError(
            f"batch is {config.batch}; there are {config.classes * config.samples * 4 // 5} "
            "training samples"
        )


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    check(config)
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(config.seeds))
    data_keys, network_keys, order_keys = jnp.moveaxis(jax.vmap(partial(split_in, 3))(keys), 1, 0)
    train, test = jax.jit(lambda keys: jax.lax.map(partial(data_of, config), keys))(data_keys)
    networks = eqx.filter_vmap(partial(initial, config))(network_keys)
    plastic, static = eqx.partition(networks, eqx.is_array)
    optimiser = optax.adam(config.learning_rate)
    conditions = Condition(*np.array(list(CONDITIONS.values()), config.dtype).T)
    everyone = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (len(CONDITIONS), *leaf.shape)), plastic
    )

    def one_network(condition, state, order_key, train, test, *, local):
        def update(state, batch, key):
            network, optimiser_state = state
            network = eqx.combine(network, static)
            found = gradient(config, condition, network, batch, local=local)
            change, optimiser_state = optimiser.update(
                eqx.filter(found, eqx.is_array), optimiser_state
            )
            network, _ = eqx.partition(eqx.apply_updates(network, change), eqx.is_array)
            return (network, optimiser_state), None

        state, _ = train_epoch(update, state, *train, batch=config.batch, key=order_key)
        return state, measure(eqx.combine(state[0], static), *test)

    @partial(jax.jit, donate_argnums=0)
    def advance(state: State, epoch, train, test) -> State:
        orders = jax.vmap(lambda key: jax.random.fold_in(key, epoch))(order_keys)
        found = []
        for local, part in ((False, slice(len(BACKWARD))), (True, slice(len(BACKWARD), None))):
            over_seeds = jax.vmap(partial(one_network, local=local), (None, 0, 0, 0, 0))
            over_all = jax.vmap(over_seeds, (0, 0, None, None, None))
            wanted, pair = jax.tree.map(
                lambda leaf, part=part: leaf[part], (conditions, (state.network, state.optimiser))
            )
            found.append(over_all(wanted, pair, orders, train, test))
        (network, optimiser_state), numbers = jax.tree.map(
            lambda *leaves: jnp.concatenate(leaves), *found
        )
        history = state.history.at[epoch].set(jnp.moveaxis(numbers, -1, 0))
        return State(network, optimiser_state, history)

    shape = (config.epochs, len(Result._fields), len(CONDITIONS), config.seeds)
    starts = jax.vmap(jax.vmap(optimiser.init))(everyone)
    state = State(everyone, starts, jnp.full(shape, jnp.nan, config.dtype))
    done, state = job.restore(state) or (0, state)
    with job.progress(config.epochs, "epochs") as bar:
        bar.advance(done)
        for epoch in range(done, config.epochs):
            state = advance(state, epoch, train, test)
            accuracy = np.asarray(state.history[epoch, 0]).mean(axis=1)
            bar.advance(1, none=float(accuracy[0]), moments=float(accuracy[3]))
            job.save(epoch + 1, state)
    return Result(*np.moveaxis(np.asarray(state.history), 1, 0))


def split_in(count: int, key: Key[Array, ""]) -> Key[Array, " count"]:
    return jax.random.split(key, count)


def figure(result: Result):
    from matplotlib.figure import Figure

    fig = Figure(figsize=(11.0, 6.4), layout="constrained")
    (accuracy, spikes, last), (first, second, third) = fig.subplots(2, 3)
    epochs = np.arange(1, len(result.accuracy) + 1)
    for number, (name, condition) in enumerate(CONDITIONS.items()):
        style = {"color": f"C{number}", "ls": "--" if name in LOCAL else "-"}
        for ax, curves in (
            (accuracy, result.accuracy),
            (spikes, result.spikes),
            (first, result.first),
            (second, result.second),
            (third, result.third),
        ):
            mean, sd = curves[:, number].mean(axis=1), curves[:, number].std(axis=1)
            ax.plot(epochs, mean, label=name, **style)
            ax.fill_between(epochs, mean - sd, mean + sd, color=style["color"], alpha=0.15, lw=0)
        if condition.moments and name in BACKWARD:
            second.axhline(condition.target, color=style["color"], lw=0.7, ls=":")
        last.plot(
            result.spikes[-1, number], result.accuracy[-1, number], "o", color=style["color"], ms=4
        )
    accuracy.set(ylabel="test accuracy (%)")
    accuracy.legend(frameon=False, fontsize=7)
    spikes.set(ylabel="spikes of a hidden neuron")
    last.set(xlabel="spikes of a hidden neuron", ylabel="test accuracy (%)")
    last.set_title("after the last epoch, each seed", fontsize=9)
    for ax, name in ((first, "rms $M_1$"), (second, "mean $M_2$"), (third, "rms $M_3$")):
        ax.set(yscale="log", ylabel=f"{name} of the input")
    second.set_title("dotted: target", fontsize=9)
    for ax in (accuracy, spikes, first, second, third):
        ax.set(xlabel="epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
    return fig


def last_of(name: str, what: str, result: Result):
    """A number of a condition after the last epoch, by seed."""
    return getattr(result, what)[-1, list(CONDITIONS).index(name)]


def monotone(result: Result):
    """100 for each seed whose mean square of the input rises with its target, else 0."""
    names = [name for name in BACKWARD if name.startswith("moments")]
    values = np.stack([last_of(name, "second", result) for name in names])
    return 100.0 * np.all(np.diff(values, axis=0) > 0, axis=0)


_HOUSE = "the sheet's own run, one seed, other data; interval chosen before our first run: "
_TABLE = {
    # Accuracy (%) and spikes of a neuron after 15 epochs, in the sheet.
    "none": (98.8, 1.24),
    "rate": (98.8, 1.36),
    "moments 0.01": (97.2, 0.53),
    "moments 0.03": (97.9, 1.63),
    "moments 0.1": (97.8, 2.10),
    "moments 0.3": (98.3, 1.43),
}


def _claims():
    for name, (accuracy, spikes) in _TABLE.items():
        yield Claim(
            statement=f"{name}: test accuracy (%)",
            paper_value=accuracy,
            source=f"{_HOUSE}2 points",
            measure=partial(last_of, name, "accuracy"),
            accept={"default": (accuracy - 2.0, 100.0)},
        )
        yield Claim(
            statement=f"{name}: spikes of a hidden neuron",
            paper_value=spikes,
            source=f"{_HOUSE}a factor of 2",
            measure=partial(last_of, name, "spikes"),
            accept={"default": (0.5 * spikes, 2.0 * spikes)},
        )
    yield Claim(
        statement="moments 0.01: mean square of the input",
        paper_value=0.0109,
        source="the sheet's own run; interval: 30 % around the target",
        measure=partial(last_of, "moments 0.01", "second"),
        accept={"default": (0.007, 0.013), "paper": (0.007, 0.013)},
    )
    yield Claim(
        statement="moments 0.03: mean square of the input",
        paper_value=0.0299,
        source="the sheet's own run; interval: 30 % around the target",
        measure=partial(last_of, "moments 0.03", "second"),
        accept={"default": (0.021, 0.039), "paper": (0.021, 0.039)},
    )
    yield Claim(
        statement="seeds whose mean square of the input rises with its target (%)",
        paper_value=100.0,
        source="the sheet's own run",
        measure=monotone,
        accept={"smoke": (0.0, 100.0), "default": (99.0, 100.0), "paper": (99.0, 100.0)},
    )
    yield Claim(
        statement="what the local rule with moments gains over it with rates (percent points)",
        paper_value=9.4,
        source="D3.11, section 1.2.1.6: 97.4 % against 88 % on N-MNIST, where the second is a "
        "latency classifier; not judged: on this small task both rules reach 98 %",
        measure=lambda result: (
            last_of("local, moments 0.03", "accuracy", result)
            - last_of("local, rate", "accuracy", result)
        ),
        accept={},
    )


CLAIMS = tuple(_claims())
