"""The baseline of the delayed exclusive or: the neurons on a grid, with surrogate gradients."""

from functools import partial
from typing import Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from plasticjax.data import DelayedXorTrial
from plasticjax.models import LeakyReadout, SurrogateLayer, SurrogateNetwork
from plasticjax.neurons import FastSigmoidSurrogate
from plasticjax.training import max_over_time, membrane_loss

from ._delayed_xor_network import Measures, draw
from ._delayed_xor_network import Setting as NetworkSetting

DT = 1.0  # ms


class Setting(NetworkSetting, Protocol):
    """That of the network without a grid, and what the grid needs besides."""

    @property
    def surrogate(self) -> float: ...


def initial(key: Key[Array, ""], config: Setting) -> SurrogateNetwork:
    """Weights as in the network without a grid; no delays and no refractory time."""
    size = config.hidden
    normal = partial(draw, key, config.dtype)
    layer = SurrogateLayer(
        normal(0, (size, 3), *config.input_weights),
        normal(1, (size, size), 0.0, config.recurrent_scale / size**0.5),
        config.tau_mem,
        config.tau_syn,
        FastSigmoidSurrogate(config.surrogate),
        DT,
        normalised=True,
    )
    readout = LeakyReadout(
        normal(2, (2, size), 0.0, 0.1 / size**0.5), config.tau_mem, config.tau_syn, DT
    )
    return SurrogateNetwork((layer,), readout)


def raster(trial: DelayedXorTrial, config: Setting) -> Float[Array, "steps channels"]:
    """Input spikes of each step."""
    steps = round(config.t_end / DT)
    at = jnp.floor(jnp.where(jnp.isfinite(trial.times), trial.times, 0) / DT).astype(jnp.int32)
    at = jnp.where(jnp.isfinite(trial.times), at, steps)
    return jnp.zeros((steps, 3), config.dtype).at[at, trial.sources].add(1, mode="drop")


def trial_loss(
    network: SurrogateNetwork, trial: DelayedXorTrial, config: Setting
) -> tuple[Float[Array, ""], tuple[Measures, None]]:
    """Cross-entropy of the largest potentials after GO."""
    traces = network(raster(trial, config))
    after = jnp.arange(len(traces.readout)) * DT > trial.go
    # Potentials before GO shall not be the largest.
    low = jax.lax.stop_gradient(jnp.min(traces.readout)) - 1
    asked = jnp.where(after[:, None], traces.readout, low)
    hit = jnp.argmax(max_over_time(asked)) == trial.label
    numbers = (hit, jnp.sum(traces.hidden[0].spikes), jnp.zeros(()))
    loss = membrane_loss(asked, trial.label)
    return loss, (Measures(*(number.astype(loss.dtype) for number in numbers)), None)
