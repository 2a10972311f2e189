"""What every spiking neuron offers to the simulators."""

import abc
from typing import Generic, TypeVar

import equinox as eqx
from jaxtyping import Array, Float, PyTree

State = TypeVar("State")


class AbstractSpikingNeuron(eqx.Module, Generic[State]):
    """A spiking neuron: smooth dynamics between spikes, and what happens at one.

    All methods are pure and unbatched. Simulators own delays, refractoriness and wiring; a neuron
    only says how its state flows, when it fires, how it is reset and what an arriving spike does.
    `State` is any pytree of arrays; its units are the concrete neuron's.
    """

    clamped: eqx.AbstractClassVar[PyTree[bool]]
    threshold: eqx.AbstractVar[float | Float[Array, "..."]]

    @abc.abstractmethod
    def vector_field(self, t, y: State, drive) -> State:
        """Time derivative of the state `y` at time `t` under `drive`, as diffrax expects it."""

    @abc.abstractmethod
    def threshold_margin(self, y: State) -> Float[Array, "..."]:
        """Distance above threshold; a spike is its upward crossing of zero."""

    @abc.abstractmethod
    def reset(self, y: State) -> State:
        """State right after a spike."""

    @abc.abstractmethod
    def receive(self, y: State, jump) -> State:
        """State right after the arrival of a spike of summed weight `jump`."""

    @abc.abstractmethod
    def initial(self) -> State:
        """State at rest."""
