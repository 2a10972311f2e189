"""Surrogate-gradient networks on recordings of a camera, read out by the largest potential.

All conditions of a seed share recordings, first weights and the order of samples, and each batch is
made from small numbers only once.
"""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, PyTree

from plasticjax.models import SurrogateNetwork, surrogate_network
from plasticjax.neurons import FastSigmoidSurrogate, OwnSpikeSurrogate
from plasticjax.training import Batch, max_over_time, train_epoch

from . import _camera_recordings as camera
from ._contract import Job
from ._randman_networks import loss
from .moments_versus_rate import Condition, penalty


class Setting(camera.Setting, Protocol):
    """What the configuration of the experiment says about these networks."""

    @property
    def epochs(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def scale(self) -> float: ...
    @property
    def tau_mem(self) -> float: ...
    @property
    def tau_syn(self) -> float: ...
    @property
    def surrogate(self) -> float: ...
    @property
    def width(self) -> float: ...
    @property
    def learning_rate(self) -> float: ...


class Kind(NamedTuple):
    """A regulariser, and whether the rule is local."""

    condition: Condition
    local: bool


class Numbers(NamedTuple):
    """On fresh recordings: accuracy (%); of the hidden neurons the spikes, the mean square of the
    input, and the root mean square of the potential (thresholds)."""

    accuracy: Float[np.ndarray, "epochs kinds seeds"]
    spikes: Float[np.ndarray, "epochs kinds seeds"]
    second: Float[np.ndarray, "epochs kinds seeds"]
    potential: Float[np.ndarray, "epochs kinds seeds"]


class State(NamedTuple):
    network: tuple[PyTree, ...]  # of each kind, leaves [seeds, ...]
    optimiser: tuple[PyTree, ...]
    history: Float[Array, "epochs numbers kinds seeds"]


def train(
    config: Setting,
    kinds: Mapping[str, Kind],
    keys: Key[Array, " seeds"],
    seen: camera.Recordings,
    fresh: camera.Recordings,
    job: Job,
) -> Numbers:
    """Numbers after each epoch."""
    network_keys, order_keys = jax.vmap(jax.random.split, out_axes=1)(keys)
    channels = seen.rasters.shape[2]
    networks = eqx.filter_vmap(partial(initial, config, channels))(network_keys)
    plastic, static = eqx.partition(networks, eqx.is_array)
    optimiser = optax.adam(config.learning_rate)

    def one_epoch(epoch, seen, fresh, carry, key):
        def update(carry, batch: Batch, key):
            batch = batch._replace(inputs=batch.inputs.astype(config.dtype))
            moved = []
            for kind, network, state in zip(kinds.values(), *carry, strict=True):
                found = gradient(config, kind, eqx.combine(network, static), batch)
                change, state = optimiser.update(eqx.filter(found, eqx.is_array), state)
                moved.append((eqx.apply_updates(network, change), state))
            return tuple(zip(*moved, strict=True)), None

        own = jax.random.fold_in(key, epoch)
        carry, _ = train_epoch(update, carry, *seen, batch=config.batch, key=own)
        found = measure([eqx.combine(network, static) for network in carry[0]], fresh, config.dtype)
        return carry, found

    @partial(jax.jit, donate_argnums=0)
    def advance(state: State, epoch, seen, fresh) -> State:
        pair = (state.network, state.optimiser)
        # One seed after the other: side by side they would not fit into the cache.
        (network, optimiser_state), numbers = jax.lax.map(
            lambda given: one_epoch(epoch, seen, fresh, *given), (pair, order_keys)
        )
        history = state.history.at[epoch].set(jnp.moveaxis(numbers, 0, -1))
        return State(network, optimiser_state, history)

    copies = tuple(jax.tree.map(jnp.copy, plastic) for _ in kinds)
    starts = tuple(jax.vmap(optimiser.init)(copy) for copy in copies)
    shape = (config.epochs, len(Numbers._fields), len(kinds), len(keys))
    state = State(copies, starts, jnp.full(shape, jnp.nan, config.dtype))
    done, state = job.restore(state) or (0, state)
    with job.progress(config.epochs, "membrane, epochs") as bar:
        bar.advance(done)
        for epoch in range(done, config.epochs):
            state = advance(state, epoch, seen, fresh)
            shown = map(float, np.asarray(state.history[epoch, 0]).mean(axis=1))
            bar.advance(1, **dict(zip(kinds, shown, strict=True)))
            job.save(epoch + 1, state)
    return Numbers(*np.moveaxis(np.asarray(state.history), 1, 0))


def initial(config: Setting, channels: int, key: Key[Array, ""]) -> SurrogateNetwork:
    return surrogate_network(
        (channels, config.hidden, 10),
        tau_mem=config.tau_mem,
        tau_syn=config.tau_syn,
        dt=float(config.bin_ms),
        scale=config.scale,
        key=key,
        dtype=config.dtype,
    )


def gradient(
    config: Setting, kind: Kind, network: SurrogateNetwork, batch: Batch
) -> SurrogateNetwork:
    """Of loss and regulariser; the local rule is another surrogate, see `forward_gradient`."""
    scaled = FastSigmoidSurrogate(config.surrogate)
    surrogate = OwnSpikeSurrogate(config.width) if kind.local else scaled

    def total(network):
        value, traces = loss(network, surrogate, batch)
        return value + penalty(kind.condition, traces)

    return eqx.filter_grad(total)(network)


def measure(networks, fresh: camera.Recordings, dtype: str) -> Float[Array, "numbers networks"]:
    """The fields of `Numbers`."""

    def one(network, raster, label):
        trace = network(raster)
        (hidden,) = trace.hidden
        return jnp.stack(
            [
                100.0 * (jnp.argmax(max_over_time(trace.readout)) == label),
                hidden.spikes.sum(axis=0).mean(),
                jnp.mean(hidden.current**2),
                jnp.mean(hidden.voltage**2),
            ]
        )

    def chunk(rasters, labels, real, number):
        each = [jax.vmap(partial(one, net))(rasters, labels) for net in networks]
        return jnp.stack([jnp.where(real[:, None], x, 0).sum(axis=0) for x in each], axis=1)

    means = camera.mean_over_chunks(chunk, fresh, dtype)
    return means.at[Numbers._fields.index("potential")].apply(jnp.sqrt)
