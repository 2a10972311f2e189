"""Layers of current-based neurons on a time grid, with surrogate derivatives."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from plasticjax.neurons import AbstractSurrogate, FastSigmoidSurrogate, surrogate_spike

Time = float | Float[Array, "..."]


class LayerTrace(NamedTuple):
    """What happens in a layer at each step, before the step changes the state.

    Attributes:
        voltage: membrane potential, [steps, post] (units of the threshold).
        current: synaptic current, [steps, post] (units of the threshold).
        spikes: 1 for a spike, else 0, [steps, post] (dimensionless).
    """

    voltage: Float[Array, "steps post"]
    current: Float[Array, "steps post"]
    spikes: Float[Array, "steps post"]


class NetworkTrace(NamedTuple):
    """What happens in a network.

    Attributes:
        hidden: traces of the layers.
        readout: potential of the readout, [steps + 1, classes] (dimensionless).
    """

    hidden: tuple[LayerTrace, ...]
    readout: Float[Array, "steps_and_one classes"]


class SurrogateLayer(eqx.Module):
    r"""Leaky integrate-and-fire neurons in steps of `dt`, in the order of Neftci et al. (2019).

    $$z_t = \Theta(V_t - 1), \quad I_{t+1} = \alpha I_t + W x_t + R z_{t-1}, \quad
    V_{t+1} = (\beta V_t + I_t)(1 - z_t)$$

    with $\alpha = e^{-dt/\tau_s}$ and $\beta = e^{-dt/\tau_m}$: the reset discards the current of
    its step. What arrives at step t reaches the potential at t + 2.

    Attributes:
        weights: input synapses, [post, pre] (units of the threshold).
        recurrent: synapses between the neurons, [post, post]; `None`: a feed-forward layer.
        tau_mem: membrane time constant, scalar or [post] (ms).
        tau_syn: synaptic time constant, scalar or [post] (ms).
        surrogate: what replaces the derivative of a spike.
        dt: step (ms).
        normalised: whether the current enters as $(1 - \beta) I_t$.
        attached_reset: whether gradients flow through the reset.
    """

    weights: Float[Array, "post pre"]
    recurrent: Float[Array, "post post"] | None = None
    tau_mem: Time = 10.0
    tau_syn: Time = 5.0
    surrogate: AbstractSurrogate = FastSigmoidSurrogate()
    dt: float = eqx.field(static=True, default=1.0)
    normalised: bool = eqx.field(static=True, default=False)
    attached_reset: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        """Raises: ValueError for a step that is not positive."""
        if not self.dt > 0:
            raise ValueError(f"dt={self.dt} must be positive")

    @property
    def decays(self) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """Factors of one step for current and potential (dimensionless)."""
        dtype = self.weights.dtype
        return decay(self.dt, self.tau_syn, dtype), decay(self.dt, self.tau_mem, dtype)

    def __call__(
        self, spikes: Float[Array, "steps pre"], *, chunk: int | None = None
    ) -> LayerTrace:
        """Runs the layer from rest.

        Args:
            spikes: what arrives in each step, [steps, pre] (dimensionless).
            chunk: keep for the backward pass only every `chunk`-th state and compute the rest
                again: less memory, more time. A divisor of the number of steps; `None`: keep all.

        Returns:
            The trace.

        Raises:
            ValueError: if the number of inputs does not fit, or `chunk` does not divide the steps.
        """
        if spikes.ndim != 2 or spikes.shape[1] != self.weights.shape[1]:
            raise ValueError(
                f"spikes has shape {spikes.shape}; expected [steps, pre] with pre = "
                f"{self.weights.shape[1]}. Use jax.vmap for batches"
            )
        arriving = spikes @ self.weights.T
        alpha, beta = self.decays
        gain = 1 - beta if self.normalised else jnp.ones_like(beta)

        def step(carry, arriving):
            voltage, current, before = carry
            fired = surrogate_spike(voltage - 1, self.surrogate)
            reset = fired if self.attached_reset else jax.lax.stop_gradient(fired)
            if self.recurrent is not None:
                arriving = arriving + self.recurrent @ before
            moved = (beta * voltage + gain * current) * (1 - reset)
            after = (moved, alpha * current + arriving, fired)
            return after, LayerTrace(voltage, current, fired)

        zero = jnp.zeros(self.weights.shape[0], arriving.dtype)
        return _checkpointed_scan(step, (zero, zero, zero), arriving, chunk)


class LeakyReadout(eqx.Module):
    r"""Neurons that integrate spikes and never fire,
    $I_{t+1} = \alpha I_t + W z_t$, $V_{t+1} = \beta V_t + I_t$.

    Attributes:
        weights: synapses, [classes, pre] (dimensionless).
        tau_mem: membrane time constant, scalar or [classes] (ms).
        tau_syn: synaptic time constant, scalar or [classes] (ms).
        dt: step (ms).
    """

    weights: Float[Array, "classes pre"]
    tau_mem: Time = 10.0
    tau_syn: Time = 5.0
    dt: float = eqx.field(static=True, default=1.0)

    @property
    def decays(self) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """Factors of one step for current and potential (dimensionless)."""
        dtype = self.weights.dtype
        return decay(self.dt, self.tau_syn, dtype), decay(self.dt, self.tau_mem, dtype)

    def __call__(self, spikes: Float[Array, "steps pre"]) -> Float[Array, "steps_and_one classes"]:
        """Potentials before each step and after the last; the first are zero.

        Args:
            spikes: what arrives in each step, [steps, pre] (dimensionless).

        Returns:
            Potentials, [steps + 1, classes] (dimensionless).
        """
        return self.filter(spikes @ self.weights.T)

    def filter(self, arriving: Float[Array, "steps ..."]) -> Float[Array, "steps_and_one ..."]:
        """The response to what arrives already weighted.

        Args:
            arriving: [steps, ...] (dimensionless).

        Returns:
            Potentials, [steps + 1, ...] (dimensionless).
        """
        alpha, beta = self.decays

        def step(carry, arriving):
            voltage, current = carry
            after = (beta * voltage + current, alpha * current + arriving)
            return after, after[0]

        zero = jnp.zeros(arriving.shape[1:], arriving.dtype)
        _, voltages = jax.lax.scan(step, (zero, zero), arriving)
        return jnp.concatenate([zero[None], voltages])


class SurrogateNetwork(eqx.Module):
    """Spiking layers one after the other, and a readout of potentials.

    Attributes:
        hidden: the spiking layers, from the input on.
        readout: the readout.
    """

    hidden: tuple[SurrogateLayer, ...]
    readout: LeakyReadout

    def __call__(
        self, spikes: Float[Array, "steps pre"], *, chunk: int | None = None
    ) -> NetworkTrace:
        """Runs the network from rest.

        Args:
            spikes: input, [steps, pre] (dimensionless).
            chunk: as for `SurrogateLayer`.

        Returns:
            Traces of all layers.
        """
        traces = []
        for layer in self.hidden:
            traces.append(layer(spikes, chunk=chunk))
            spikes = traces[-1].spikes
        return NetworkTrace(tuple(traces), self.readout(spikes))


def surrogate_network(
    sizes: Sequence[int],
    *,
    key: Key[Array, ""],
    recurrent: bool = False,
    tau_mem: float = 10.0,
    tau_syn: float = 5.0,
    surrogate: AbstractSurrogate | None = None,
    dt: float = 1.0,
    scale: float | None = None,
    dtype: str = "float32",
) -> SurrogateNetwork:
    r"""A network with random weights, $W \sim N(0, c^2 / n)$ for n inputs.

    Args:
        sizes: numbers of inputs, of neurons in each hidden layer, and of classes.
        key: scalar random key.
        recurrent: whether hidden layers have synapses between their neurons.
        tau_mem: membrane time constant (ms).
        tau_syn: synaptic time constant (ms).
        surrogate: what replaces the derivative of a spike; default: a fast sigmoid of scale 100.
        dt: step (ms).
        scale: c; default: $7 (1 - e^{-dt / \tau_m})$, as in Neftci et al. (2019).
        dtype: of the weights.

    Returns:
        The network, weights [post, pre].

    Raises:
        ValueError: for less than three sizes or sizes below 1.
    """
    if len(sizes) < 3 or min(sizes) < 1:
        raise ValueError(
            f"sizes is {tuple(sizes)}; inputs, at least one hidden layer and classes are required, "
            "all at least 1"
        )
    surrogate = FastSigmoidSurrogate() if surrogate is None else surrogate
    scale = 7 * (1 - np.exp(-dt / tau_mem)) if scale is None else scale

    def weights(number, post, pre):
        own = jax.random.fold_in(key, number)
        return jax.random.normal(own, (post, pre), dtype) * jnp.asarray(scale / pre**0.5, dtype)

    layers = []
    for number, (pre, post) in enumerate(pairwise(sizes[:-1])):
        between = weights(len(sizes) + number, post, post) if recurrent else None
        own = weights(number, post, pre)
        layers.append(SurrogateLayer(own, between, tau_mem, tau_syn, surrogate, dt))
    last = weights(len(sizes) - 2, sizes[-1], sizes[-2])
    return SurrogateNetwork(tuple(layers), LeakyReadout(last, tau_mem, tau_syn, dt))


def decay(dt: float, tau: Time, dtype) -> Float[Array, "..."]:
    return jnp.exp(-dt / jnp.asarray(tau, dtype))


def _checkpointed_scan(step, carry, inputs, chunk):
    # Slopes and resets are cheaper to compute again from the potential than to store.
    step = jax.checkpoint(step, prevent_cse=False)
    if chunk is None:
        return jax.lax.scan(step, carry, inputs)[1]
    steps = len(inputs)
    if chunk < 1 or steps % chunk:
        raise ValueError(f"chunk={chunk} must divide the {steps} steps")
    pieces = inputs.reshape(steps // chunk, chunk, *inputs.shape[1:])
    inner = jax.checkpoint(lambda carry, piece: jax.lax.scan(step, carry, piece))
    _, traces = jax.lax.scan(inner, carry, pieces)
    return jax.tree.map(lambda leaf: leaf.reshape(steps, *leaf.shape[2:]), traces)
