"""How the derivatives of spike times are computed."""

import abc

import equinox as eqx
from jaxtyping import Array, Float

from ._eventprop_adjoint import eventprop_times
from ._eventprop_train import eventprop_train
from ._implicit_adjoint import implicit_times
from ._implicit_train import implicit_train


class AbstractSpikeAdjoint(eqx.Module):
    """A way to differentiate spike times; all ways give the same exact derivatives."""

    @abc.abstractmethod
    def attach(
        self, problem, times: Float[Array, " spikes"], sources, input_sources, inputs: int | None
    ) -> Float[Array, " spikes"]:
        """The same spike times with derivatives with respect to the problem.

        Args:
            problem: circuit and input in the terms of the solver.
            times: spike times, [spikes] (unit of the time constants).
            sources: which neuron fired, [spikes].
            input_sources: which input each input spike comes from, [input spikes].
            inputs: number of inputs of a recurrent circuit; `None`: a layer.

        Returns:
            The spike times, [spikes].
        """

    @abc.abstractmethod
    def attach_train(
        self,
        membrane,
        arrivals,
        weights,
        times: Float[Array, " spikes"],
        currents: Float[Array, " spikes"],
    ) -> Float[Array, " spikes"]:
        """The same spike times of one neuron of a layer, with derivatives.

        Args:
            membrane: the neuron in the terms of the solver, scalar leaves.
            arrivals: when input arrives, [arrivals] (unit of the time constants).
            weights: of each arrival, over the capacitance, [arrivals].
            times: spike times, [spikes] (unit of the time constants).
            currents: synaptic current then, over the capacitance, [spikes].

        Returns:
            The spike times, [spikes].
        """


class ImplicitAdjoint(AbstractSpikeAdjoint):
    """The implicit function theorem for all spikes at once, one triangular system.

    Forward and reverse mode, and derivatives of any order. Memory and time grow with the square of
    the number of spikes, but everything is parallel. Source: Lee, Haghighatshoar & Karbasi (2023),
    AISTATS.
    """

    def attach(self, problem, times, sources, input_sources, inputs):
        """The same spike times, with derivatives.

        Args:
            problem: circuit and input in the terms of the solver.
            times: spike times, [spikes] (unit of the time constants).
            sources: which neuron fired, [spikes].
            input_sources: which input each input spike comes from, [input spikes].
            inputs: number of inputs of a recurrent circuit; `None`: a layer.

        Returns:
            The spike times, [spikes].
        """
        return implicit_times(problem, times, sources, input_sources, inputs=inputs)

    def attach_train(
        self,
        membrane,
        arrivals,
        weights,
        times: Float[Array, " spikes"],
        currents: Float[Array, " spikes"],
    ) -> Float[Array, " spikes"]:
        """The same spike times of one neuron of a layer, with derivatives.

        Args:
            membrane: the neuron in the terms of the solver, scalar leaves.
            arrivals: when input arrives, [arrivals] (unit of the time constants).
            weights: of each arrival, over the capacitance, [arrivals].
            times: spike times, [spikes] (unit of the time constants).
            currents: synaptic current then, over the capacitance, [spikes].

        Returns:
            The spike times, [spikes].
        """
        return implicit_train(membrane, arrivals, weights, times)


class EventPropAdjoint(AbstractSpikeAdjoint):
    """The adjoint equations of EventProp, spike by spike backwards in time.

    Reverse mode only, first derivatives only. Memory grows with the number of spikes, beside the
    parameters; in a layer, time too grows with spikes plus arrivals. Source: Wunderlich & Pehle
    (2021), Sci. Rep. 11, 12829.
    """

    def attach(self, problem, times, sources, input_sources, inputs):
        """The same spike times, with derivatives.

        Args:
            problem: circuit and input in the terms of the solver.
            times: spike times, [spikes] (unit of the time constants).
            sources: which neuron fired, [spikes].
            input_sources: which input each input spike comes from, [input spikes].
            inputs: number of inputs of a recurrent circuit; `None`: a layer.

        Returns:
            The spike times, [spikes].
        """
        return eventprop_times(problem, times, sources, input_sources, inputs)

    def attach_train(
        self,
        membrane,
        arrivals,
        weights,
        times: Float[Array, " spikes"],
        currents: Float[Array, " spikes"],
    ) -> Float[Array, " spikes"]:
        """The same spike times of one neuron of a layer, with derivatives.

        Args:
            membrane: the neuron in the terms of the solver, scalar leaves.
            arrivals: when input arrives, [arrivals] (unit of the time constants).
            weights: of each arrival, over the capacitance, [arrivals].
            times: spike times, [spikes] (unit of the time constants).
            currents: synaptic current then, over the capacitance, [spikes].

        Returns:
            The spike times, [spikes].
        """
        return eventprop_train(membrane, arrivals, weights, times, currents)
