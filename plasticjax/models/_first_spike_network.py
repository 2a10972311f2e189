"""Feed-forward networks that compute with the time of each neuron's first spike."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from plasticjax.neurons import CurrentLIF
from plasticjax.simulate import first_spike_times, measured_spike_times

from ._analog_chip import AnalogChip


class FirstSpikeNetwork(eqx.Module):
    """Layers of current-based LIF neurons, each of which fires at most once per sample.

    Layer k sees the spikes of layer k - 1 and its own bias spikes at fixed times; the last columns
    of its weights belong to the biases. Source: Göltz, Kriener et al. (2021), Nat. Mach. Intell. 3,
    823.

    Attributes:
        weights: one array [post, pre + biases] per layer, in the convention of `neuron`.
        neuron: the neurons of all layers, scalar parameters.
        bias_times: bias spike times of each layer (unit of the time constants).
    """

    weights: tuple[Float[Array, "_post _pre"], ...]
    neuron: CurrentLIF
    bias_times: tuple[tuple[float, ...], ...] = eqx.field(static=True)

    def __check_init__(self):
        """Raises ValueError if layers, biases and weights do not fit each other."""
        if len(self.bias_times) != len(self.weights):
            raise ValueError(
                f"bias_times has {len(self.bias_times)} entries; expected one tuple for each of "
                f"the {len(self.weights)} layers (an empty one for no bias)"
            )
        for k in range(1, len(self.weights)):
            pre = self.weights[k - 1].shape[0] + len(self.bias_times[k])
            if self.weights[k].shape[1] != pre:
                raise ValueError(
                    f"weights[{k}] has shape {self.weights[k].shape}; expected {pre} columns, one "
                    f"for each neuron of the layer below and each bias"
                )

    @classmethod
    def init(
        cls,
        sizes: Sequence[int],
        *,
        weight_means: Sequence[float | int],
        weight_stds: Sequence[float | int],
        bias_times: Sequence[Sequence[float | int]] | None = None,
        neuron: CurrentLIF | None = None,
        key: Key[Array, ""],
    ) -> "FirstSpikeNetwork":
        """Network with normally distributed weights, bias weights included.

        Args:
            sizes: number of inputs, then of neurons per layer.
            weight_means: mean weight of each layer (unit of the weights).
            weight_stds: standard deviation of the weights of each layer (same unit).
            bias_times: bias spike times of each layer (unit of the time constants); `None`: none.
            neuron: the neurons; default `CurrentLIF()`, dimensionless with equal time constants.
            key: random key, scalar; layer k uses `fold_in(key, k)`.

        Returns:
            The network; weights in the default float dtype of JAX.

        Raises:
            ValueError: if the lengths of the arguments do not fit.
        """
        layers = len(sizes) - 1
        bias_times = ((),) * layers if bias_times is None else bias_times
        for name, value in (
            ("weight_means", weight_means),
            ("weight_stds", weight_stds),
            ("bias_times", bias_times),
        ):
            if len(value) != layers:
                raise ValueError(
                    f"{name}={value!r} has {len(value)} entries; sizes={tuple(sizes)} has "
                    f"{layers} layers"
                )
        weights = tuple(
            mean
            + std
            * jax.random.normal(jax.random.fold_in(key, k), (sizes[k + 1], sizes[k] + len(biases)))
            for k, (mean, std, biases) in enumerate(
                zip(weight_means, weight_stds, bias_times, strict=True)
            )
        )
        biases = tuple(tuple(float(t) for t in times) for times in bias_times)
        return cls(weights, CurrentLIF() if neuron is None else neuron, biases)

    def __call__(
        self,
        times: Float[Array, " inputs"],
        *,
        chip: AnalogChip | None = None,
        key: Key[Array, ""] | None = None,
    ) -> tuple[Float[Array, "_post"], ...]:
        """First spike times of all layers.

        Args:
            times: input spike times, [inputs], `inf` for silent (unit of the time constants).
            chip: imperfect substrate that emulates the network; its spike times are returned, with
                the derivatives of the ideal network at these times (in-the-loop training).
            key: random key for the chip's trial-to-trial noise; needed if `chip` is given.

        Returns:
            One array [post] per layer, `inf` for silent neurons.

        Raises:
            ValueError: if `chip` is given without `key`.
        """
        if chip is None:
            layers = []
            for weights, biases in zip(self.weights, self.bias_times, strict=True):
                times = first_spike_times(self.neuron, weights, _append(times, biases))
                layers.append(times)
            return tuple(layers)
        if key is None:
            raise ValueError("key=None: the emulation on a chip needs a random key")
        times = chip.inputs(times, jax.random.fold_in(key, 0))
        layers = []
        for k, (weights, biases) in enumerate(zip(self.weights, self.bias_times, strict=True)):
            arriving = _append(times, biases)
            programmed = chip.program(weights)
            analog, neuron = chip.layer(k, programmed, self.neuron)
            ideal = first_spike_times(neuron, analog, arriving)
            measured = chip.outputs(ideal, jax.random.fold_in(key, k + 1))
            times = measured_spike_times(self.neuron, programmed, arriving, measured)
            layers.append(times)
        return tuple(layers)


def _append(times, biases):
    return jnp.append(times, np.asarray(biases, times.dtype)) if biases else times
