"""Spike trains as the event-driven solvers return them."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ._circuit import InputSpikes


class SpikeTrains(eqx.Module):
    """Spikes of all neurons of a circuit in the order of their times.

    Attributes:
        times: spike times, [spikes], padded with `inf`; differentiable (unit of the time
            constants).
        sources: which neuron fired, [spikes], padded with -1.
        overflow: whether a spike found no room, scalar; then later spikes are missing.
    """

    times: Float[Array, " spikes"]
    sources: Int[Array, " spikes"]
    overflow: Bool[Array, ""]

    def counts(self, post: int) -> Int[Array, " post"]:
        """Number of spikes of each neuron.

        Args:
            post: number of neurons.

        Returns:
            The counts, [post] (dimensionless).
        """
        return jnp.sum(self.sources == jnp.arange(post)[:, None], axis=1)

    def first(self, post: int) -> Float[Array, " post"]:
        """First spike of each neuron.

        Args:
            post: number of neurons.

        Returns:
            First spike times, [post], `inf` for a silent neuron (unit of `times`).
        """
        own = self.sources == jnp.arange(post)[:, None]
        first = jnp.argmax(own, axis=1)
        return jnp.where(jnp.any(own, axis=1), self.times[first], jnp.inf)


class LayerSpikes(eqx.Module):
    """Spikes of each neuron of a layer.

    Attributes:
        times: spike times, [post, spikes], ascending along the last axis, padded with `inf`;
            differentiable (unit of the time constants).
        overflow: whether a spike of the neuron found no room, [post].
    """

    times: Float[Array, "post spikes"]
    overflow: Bool[Array, " post"]

    def counts(self) -> Int[Array, " post"]:
        """Number of spikes of each neuron.

        Returns:
            The counts, [post] (dimensionless).
        """
        return jnp.sum(jnp.isfinite(self.times), axis=1)

    def as_input(self) -> InputSpikes:
        """The same spikes as the input of a next layer.

        Returns:
            Input spikes, [post * spikes] (unit of `times`).
        """
        post, spikes = self.times.shape
        return InputSpikes(self.times.reshape(-1), jnp.repeat(jnp.arange(post), spikes))
