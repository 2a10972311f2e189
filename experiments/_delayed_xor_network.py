"""A recurrent network with delays that answers by which of two neurons fires first after GO."""

from functools import partial
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from plasticjax.data import DelayedXorTrial
from plasticjax.neurons import CurrentLIF
from plasticjax.simulate import (
    InputSpikes,
    LayerSpikes,
    SpikeTrains,
    SpikingCircuit,
    membrane_state,
    solve_events,
    solve_layer,
)
from plasticjax.training import first_spike_class, first_spike_loss

GRID = 2.0  # distance of the points at which potentials enter the loss, ms
HALF = 0.5  # potential above which an output neuron is too early, thresholds


class Setting(Protocol):
    """What the configuration of the experiment says about the network."""

    @property
    def hidden(self) -> int: ...
    @property
    def tau_mem(self) -> float: ...
    @property
    def tau_syn(self) -> float: ...
    @property
    def refractory(self) -> float: ...
    @property
    def delays(self) -> tuple[float, float]: ...
    @property
    def input_weights(self) -> tuple[float, float]: ...
    @property
    def recurrent_scale(self) -> float: ...
    @property
    def output_weights(self) -> tuple[float, float]: ...
    @property
    def t_end(self) -> float: ...
    @property
    def spikes(self) -> int: ...
    @property
    def output_spikes(self) -> int: ...
    @property
    def tau_0(self) -> float: ...
    @property
    def tau_1(self) -> float: ...
    @property
    def alpha(self) -> float: ...
    @property
    def early(self) -> float: ...
    @property
    def pull(self) -> float: ...
    @property
    def window(self) -> float: ...
    @property
    def dtype(self) -> str: ...


class Parameters(NamedTuple):
    """Weights [post, pre], and where each delay lies between the least and the longest (logits).

    Only recurrent synapses have delays. Delays of input synapses would carry the bits through a
    good part of the pause without any recurrence.
    """

    inputs: Float[Array, "hidden channels"]
    recurrent: Float[Array, "hidden hidden"]
    output: Float[Array, "two hidden"]
    delays: Float[Array, " hidden"]  # of each presynaptic neuron


class Activity(NamedTuple):
    hidden: SpikeTrains
    output: LayerSpikes
    first: Float[Array, " two"]  # first spike of each output neuron after GO, ms
    potentials: Float[Array, "points two"]  # of the output neurons


class Measures(NamedTuple):
    """Of one trial."""

    hit: Float[Array, ""]
    spikes: Float[Array, ""]  # of all hidden neurons
    overflow: Float[Array, ""]  # whether there was no room for all


def draw(key: Key[Array, ""], dtype: str, number: int, shape, mean=0.0, sd=1.0):
    """Normal numbers for the parameters with this number."""
    return mean + sd * jax.random.normal(jax.random.fold_in(key, number), shape, dtype)


def initial(key: Key[Array, ""], config: Setting) -> Parameters:
    size = config.hidden
    normal = partial(draw, key, config.dtype)
    return Parameters(
        normal(0, (size, 3), *config.input_weights),
        normal(1, (size, size), 0.0, config.recurrent_scale / size**0.5),
        normal(2, (2, size), *config.output_weights),
        normal(3, (size,)),
    )


def delays_of(logits, config: Setting):
    """Delays (ms)."""
    low, high = config.delays
    return low + (high - low) * jax.nn.sigmoid(logits)


def points(config: Setting) -> Float[Array, " points"]:
    """Where potentials enter the loss (ms)."""
    return jnp.arange(GRID / 2, config.t_end, GRID, config.dtype)


def simulate(parameters: Parameters, trial: DelayedXorTrial, config: Setting) -> Activity:
    """The hidden neurons as a recurrent circuit, then the output neurons as a layer."""
    neuron = CurrentLIF.event_prop(config.tau_mem, config.tau_syn)
    circuit = SpikingCircuit(
        neuron,
        parameters.inputs,
        parameters.recurrent,
        recurrent_delays=delays_of(parameters.delays, config),
        refractory=config.refractory,
    )
    hidden = solve_events(
        circuit,
        InputSpikes(trial.times, trial.sources),
        t_end=config.t_end,
        max_spikes=config.spikes,
    )
    readout = SpikingCircuit(neuron, parameters.output, refractory=config.refractory)
    seen = InputSpikes(hidden.times, jnp.maximum(hidden.sources, 0))
    output = solve_layer(readout, seen, t_end=config.t_end, max_spikes=config.output_spikes)
    first = jnp.min(jnp.where(output.times > trial.go, output.times, jnp.inf), axis=1)
    voltages = jax.vmap(lambda t: jnp.asarray(membrane_state(readout, seen, output, t).voltage))
    return Activity(hidden, output, first, voltages(points(config)))


def trial_loss(
    parameters: Parameters, trial: DelayedXorTrial, config: Setting
) -> tuple[Float[Array, ""], tuple[Measures, Activity]]:
    """Cross-entropy of the first spikes after GO, against answers before GO, against silence.

    A trial with more spikes than there is room for gives no error and counts as wrong.
    """
    activity = simulate(parameters, trial, config)
    answer = first_spike_loss(
        activity.first - trial.go,
        trial.label,
        xi=config.tau_0 / config.tau_syn,
        alpha=config.alpha,
        beta=config.tau_1 / config.tau_syn,
        tau_syn=config.tau_syn,
    )
    at = points(config)
    own = activity.potentials[:, trial.label]
    asked = (at > trial.go) & (at < trial.go + config.window)
    below = jnp.where(asked, jnp.maximum(1 - own, 0) ** 2, 0)
    silence = config.pull * GRID / config.window * jnp.sum(below)
    answer = jnp.where(jnp.isfinite(activity.first[trial.label]), answer, silence)
    high = jnp.maximum(activity.potentials - HALF, 0) ** 2
    early = GRID * jnp.sum(jnp.where((at < trial.go)[:, None], high, 0))
    overflow = activity.hidden.overflow | jnp.any(activity.output.overflow)
    loss = jnp.where(overflow, 0, answer + config.early * early)
    hit = (first_spike_class(activity.first) == trial.label) & ~overflow
    numbers = (hit, jnp.sum(activity.hidden.sources >= 0), overflow)
    return loss, (Measures(*(number.astype(loss.dtype) for number in numbers)), activity)
