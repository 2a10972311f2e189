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
    A state is any pytree of arrays, in the units of the concrete neuron.

    Attributes:
        clamped: a state of booleans: the leaves that are held during refractoriness.
        threshold: what a spike's variable is compared with, scalar or [post].
    """

    clamped: eqx.AbstractClassVar[PyTree[bool]]
    threshold: eqx.AbstractVar[float | Float[Array, "..."]]

    @abc.abstractmethod
    def vector_field(self, t, y: State, drive) -> State:
        """Time derivative of the state, as diffrax expects it.

        Args:
            t: time, scalar.
            y: state.
            drive: external input, or `None`.

        Returns:
            The derivative, in the structure of `y` and its units per unit of time.
        """

    @abc.abstractmethod
    def threshold_margin(self, y: State) -> Float[Array, "..."]:
        """Distance above threshold; a spike is its upward crossing of zero.

        Args:
            y: state.

        Returns:
            The margin, scalar or [post], in the unit of `threshold`.
        """

    @abc.abstractmethod
    def reset(self, y: State) -> State:
        """State right after a spike.

        Args:
            y: state at the spike.

        Returns:
            The reset state, in the units of `y`.
        """

    @abc.abstractmethod
    def receive(self, y: State, jump) -> State:
        """State right after the arrival of a spike.

        Args:
            y: state.
            jump: summed weight of what arrives; a pytree if there are several receptors.

        Returns:
            The state, in the units of `y`.
        """

    @abc.abstractmethod
    def initial(self) -> State:
        """State at rest.

        Returns:
            The resting state.
        """
