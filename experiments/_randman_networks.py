"""Networks of one hidden layer that learn random smooth manifolds, many of them side by side."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, PyTree

from plasticjax.data import randman, spike_raster
from plasticjax.models import NetworkTrace, SurrogateNetwork, surrogate_network
from plasticjax.neurons import AbstractSurrogate
from plasticjax.training import Batch, input_moments, max_over_time, membrane_loss, train_epoch

from ._contract import Job


class Setting(Protocol):
    """What the configuration of an experiment must say."""

    @property
    def seeds(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def classes(self) -> int: ...
    @property
    def samples(self) -> int: ...  # of each class; a fifth of all is for the test
    @property
    def units(self) -> int: ...
    @property
    def dimensions(self) -> int: ...
    @property
    def alpha(self) -> float: ...
    @property
    def steps(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def batch(self) -> int: ...
    @property
    def dtype(self) -> str: ...


class Numbers(NamedTuple):
    """Of each condition, seed and epoch, on the test samples.

    `accuracy` (%), `spikes` of a hidden neuron in a sample, and of its synaptic current the root
    mean square over neurons of the `first` and the `third` moment and the mean of the `second`.
    `rates`: mean spikes of each hidden neuron in a sample, after the last epoch.
    """

    accuracy: Float[np.ndarray, "epochs conditions seeds"]
    spikes: Float[np.ndarray, "epochs conditions seeds"]
    first: Float[np.ndarray, "epochs conditions seeds"]
    second: Float[np.ndarray, "epochs conditions seeds"]
    third: Float[np.ndarray, "epochs conditions seeds"]
    rates: Float[np.ndarray, "conditions seeds hidden"]


class State(NamedTuple):
    network: PyTree  # leaves [conditions, seeds, ...]
    optimiser: PyTree
    history: Float[Array, "epochs numbers conditions seeds"]
    rates: Float[Array, "conditions seeds hidden"]


# Conditions, leaves [conditions], and the gradient `(condition, network, batch) -> gradient`.
Group = tuple[PyTree, Callable]


def train_side_by_side(
    config: Setting,
    groups: Sequence[Group],
    *,
    key: Key[Array, ""],
    job: Job,
    shown: Mapping[str, int],
    spikes: int = 1,
    scales: Sequence[float] | None = None,
) -> Numbers:
    """Trains a network for each condition of all groups and each seed.

    All conditions of a seed share data, with `spikes` of each unit, first weights and the order of
    samples. `scales` are factors of the first hidden weights, one for each condition. `shown` names
    the conditions whose accuracy the progress shows.
    """
    check(config)
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(config.seeds))
    data_keys, network_keys, order_keys = jax.vmap(
        lambda key: jax.random.split(key, 3), out_axes=1
    )(keys)
    draw = partial(data_of, config, spikes=spikes)
    train, test = jax.jit(lambda keys: jax.lax.map(draw, keys))(data_keys)
    networks = eqx.filter_vmap(partial(initial, config))(network_keys)
    plastic, static = eqx.partition(networks, eqx.is_array)
    optimiser = optax.adam(config.learning_rate)
    counts = [len(jax.tree.leaves(conditions)[0]) for conditions, _ in groups]
    bounds = np.cumsum([0, *counts])

    def one_network(gradient, condition, state, order_key, train, test):
        def update(state, batch, key):
            network, optimiser_state = state
            found = gradient(condition, eqx.combine(network, static), batch)
            change, optimiser_state = optimiser.update(
                eqx.filter(found, eqx.is_array), optimiser_state
            )
            return (eqx.apply_updates(network, change), optimiser_state), None

        state, _ = train_epoch(update, state, *train, batch=config.batch, key=order_key)
        return state, measure(eqx.combine(state[0], static), *test)

    @partial(jax.jit, donate_argnums=0)
    def advance(state: State, epoch, train, test) -> State:
        orders = jax.vmap(lambda key: jax.random.fold_in(key, epoch))(order_keys)
        found = []
        for (conditions, gradient), low, high in zip(groups, bounds[:-1], bounds[1:], strict=True):
            over_seeds = jax.vmap(partial(one_network, gradient), (None, 0, 0, 0, 0))
            over_all = jax.vmap(over_seeds, (0, 0, None, None, None))
            pair = jax.tree.map(
                lambda leaf, part=slice(low, high): leaf[part], (state.network, state.optimiser)
            )
            found.append(over_all(conditions, pair, orders, train, test))
        (network, optimiser_state), (numbers, rates) = jax.tree.map(
            lambda *leaves: jnp.concatenate(leaves), *found
        )
        history = state.history.at[epoch].set(jnp.moveaxis(numbers, -1, 0))
        return State(network, optimiser_state, history, rates)

    everyone = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (bounds[-1], *leaf.shape)), plastic)
    if scales is not None:
        factors = jnp.asarray(scales, config.dtype)[:, None, None, None]
        everyone = eqx.tree_at(
            lambda net: net.hidden[0].weights, everyone, replace_fn=lambda w: w * factors
        )
    starts = jax.vmap(jax.vmap(optimiser.init))(everyone)
    shape = (config.epochs, len(Numbers._fields) - 1, int(bounds[-1]), config.seeds)
    history = jnp.full(shape, jnp.nan, config.dtype)
    state = State(everyone, starts, history, jnp.zeros((*shape[2:], config.hidden), config.dtype))
    done, state = job.restore(state) or (0, state)
    with job.progress(config.epochs, "epochs") as bar:
        bar.advance(done)
        for epoch in range(done, config.epochs):
            state = advance(state, epoch, train, test)
            accuracy = np.asarray(state.history[epoch, 0]).mean(axis=1)
            bar.advance(1, **{name: float(accuracy[number]) for name, number in shown.items()})
            job.save(epoch + 1, state)
    return Numbers(*[*np.moveaxis(np.asarray(state.history), 1, 0), np.asarray(state.rates)])


def check(config: Setting) -> None:
    """Refuses sizes that make no sense."""
    for name in ("seeds", "epochs", "classes", "samples", "units", "hidden", "batch"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} is {getattr(config, name)}; a number >= 1 is required")
    samples = config.classes * config.samples * 4 // 5
    if config.batch > samples:
        raise ValueError(f"batch is {config.batch}; there are {samples} training samples")


def data_of(config: Setting, key: Key[Array, ""], spikes: int = 1):
    """Rasters and labels for training and test."""
    found = randman(
        key,
        classes=config.classes,
        samples=config.samples,
        units=config.units,
        dimensions=config.dimensions,
        alpha=config.alpha,
        spikes=spikes,
        steps=config.steps,
    )
    rasters = jax.vmap(lambda steps: spike_raster(steps, config.steps, config.dtype))(found.steps)
    kept = len(rasters) * 4 // 5
    return (rasters[:kept], found.labels[:kept]), (rasters[kept:], found.labels[kept:])


def initial(config: Setting, key: Key[Array, ""]) -> SurrogateNetwork:
    return surrogate_network(
        (config.units, config.hidden, config.classes), key=key, dtype=config.dtype
    )


def loss(
    network: SurrogateNetwork, surrogate: AbstractSurrogate, batch: Batch
) -> tuple[Float[Array, ""], NetworkTrace]:
    """The mean loss of a batch, with a surrogate of that kind, and what the network did."""
    network = eqx.tree_at(lambda net: net.hidden[0].surrogate, network, surrogate)
    traces = jax.vmap(network)(batch.inputs)
    return jax.vmap(membrane_loss)(traces.readout, batch.targets).mean(), traces


def measure(network: SurrogateNetwork, rasters, labels):
    """The fields of `Numbers`, of which all but the last are one array."""
    traces = jax.vmap(network)(rasters)
    (hidden,) = traces.hidden
    right = jax.vmap(lambda readout: jnp.argmax(max_over_time(readout)))(traces.readout) == labels
    moments = input_moments(hidden.current)
    rates = hidden.spikes.sum(axis=1).mean(axis=0)
    numbers = (
        100 * right.mean(),
        rates.mean(),
        jnp.sqrt(jnp.mean(moments.first**2)),
        moments.second.mean(),
        jnp.sqrt(jnp.mean(moments.third**2)),
    )
    return jnp.stack([number.astype(hidden.current.dtype) for number in numbers]), rates
