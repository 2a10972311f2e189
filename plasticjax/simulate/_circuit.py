"""What `solve_events` and `solve_layer` simulate: neurons, their synapses and their input."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from plasticjax.neurons import CurrentLIF, CurrentLIFState

from ._circuit_checks import Values, check_input, check_shape, check_value, delay_rows
from ._crossing import known_ratio
from ._membrane import Membrane


class InputSpikes(NamedTuple):
    """Spikes that enter a circuit.

    Attributes:
        times: spike times, [spikes], in any order, not negative, `inf` for no spike (unit of the
            time constants).
        sources: index of the input each spike comes from, [spikes]; `None`: spike k comes from
            input k.
    """

    times: Float[Array, " spikes"]
    sources: Int[Array, " spikes"] | None = None


class SpikingCircuit(eqx.Module):
    r"""Current-based neurons that may fire many times, and the synapses that reach them.

    $$C_i \dot V_i = g_i (E_i - V_i) + I_i + b_i, \qquad \tau_s \dot I_i = -I_i$$

    A spike of source k at time t adds its weight to $I_i$ at $t + d_{ik}$. When $V_i$ crosses the
    threshold from below, neuron i fires; $V_i$ is set to the reset potential and held there for the
    refractory time, while $I_i$ goes on. Source: Wunderlich & Pehle (2021), Sci. Rep. 11, 12829;
    delays as in Göltz et al. (2025), Nat. Commun. 16.

    Attributes:
        neuron: the neurons; each parameter is a scalar or [post], `tau_mem` finite.
        weights: input synapses, [post, inputs], in the convention of `neuron` (current).
        recurrent: synapses between the neurons, [post, post]; `None`: a layer (current).
        delays: delays of the input synapses, scalar, [inputs] or [post, inputs] (time).
        recurrent_delays: delays between the neurons, scalar, [post] per presynaptic neuron, or
            [post, post] (time).
        bias: constant current, scalar or [post] (current).
        refractory: refractory time, scalar or [post] (time).
        initial: state at time zero, leaves scalar or [post]; `None`: leak potential, no current.
    """

    neuron: CurrentLIF
    weights: Float[Array, "post inputs"]
    recurrent: Float[Array, "post post"] | None = None
    delays: Values = 0.0
    recurrent_delays: Values = 0.0
    bias: Values = 0.0
    refractory: Values = 0.0
    initial: CurrentLIFState | None = None

    def __check_init__(self):
        """Refuses shapes that do not fit, and concrete values outside their range.

        Raises:
            ValueError: naming the argument, its shape or value, and what is valid.
        """
        if not hasattr(self.weights, "ndim"):
            return  # a tree of something else than arrays, such as specifications of axes
        if self.weights.ndim != 2:
            raise ValueError(
                f"weights has shape {self.weights.shape}; expected [post, inputs]. Use jax.vmap "
                "for batches"
            )
        post, inputs = self.weights.shape
        if self.recurrent is not None and self.recurrent.shape != (post, post):
            raise ValueError(
                f"recurrent has shape {self.recurrent.shape}; expected [post, post] = "
                f"{(post, post)}"
            )
        check_shape("delays", self.delays, [(), (inputs,), (post, inputs)])
        check_shape("recurrent_delays", self.recurrent_delays, [(), (post,), (post, post)])
        for name in ("bias", "refractory"):
            check_shape(name, getattr(self, name), [(), (post,)])
        for name in ("tau_mem", "tau_syn", "threshold", "leak", "g_leak", "reset_voltage"):
            check_shape(f"neuron.{name}", getattr(self.neuron, name), [(), (post,)])
        check_value("neuron.tau_mem", self.neuron.tau_mem, np.isfinite, "finite")
        for name in ("weights", "recurrent", "bias"):
            check_value(name, getattr(self, name), np.isfinite, "finite")
        for name in ("delays", "recurrent_delays", "refractory"):
            value = getattr(self, name)
            check_value(name, value, lambda x: (x >= 0) & (x < np.inf), "finite and not negative")
        if self.initial is not None:
            for name, value in self.initial._asdict().items():
                check_shape(f"initial.{name}", value, [(), (post,)])
                check_value(f"initial.{name}", value, np.isfinite, "finite")
            if not isinstance(self.neuron.threshold, Tracer):
                threshold = np.asarray(self.neuron.threshold)
                check_value(
                    "initial.voltage",
                    self.initial.voltage,
                    lambda x: x <= threshold,
                    f"at most the threshold {self.neuron.threshold}",
                )


class Problem(NamedTuple):
    """A circuit and its input in the terms of the solvers; sources count inputs, then neurons."""

    membrane: Membrane  # leaves [post]
    weights: Float[Array, "post pre"]  # over the capacitance
    delays: Float[Array, "rows pre"]  # one row if all targets share the delays
    times: Float[Array, " spikes"]  # of the input


def pose(circuit: SpikingCircuit, inputs: InputSpikes) -> tuple[Problem, Int[Array, " spikes"]]:
    """The problem, differentiable in everything that it is made of, and the sources of the input.

    Values that only show inside of `jit` and are invalid make the times of the problem NaN.
    """
    times = jnp.asarray(inputs.times)
    count = circuit.weights.shape[1]
    sources = jnp.arange(count) if inputs.sources is None else jnp.asarray(inputs.sources)
    check_input(times, sources, count, given=inputs.sources is not None)
    dtype = jnp.result_type(circuit.weights, times)
    dtype = dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.result_type(float)

    post = circuit.weights.shape[0]

    def per_neuron(value):
        return jnp.broadcast_to(jnp.asarray(value, dtype), (post,))

    neuron = circuit.neuron
    capacitance = per_neuron(neuron.capacitance)
    tau_mem, tau_syn = per_neuron(neuron.tau_mem), per_neuron(neuron.tau_syn)
    rest = per_neuron(resting(circuit))
    reset = neuron.leak if neuron.reset_voltage is None else neuron.reset_voltage
    state = CurrentLIFState(neuron.leak, 0.0) if circuit.initial is None else circuit.initial
    ratio = known_ratio(neuron)
    if ratio != 1 and ratio is not None and 2 / 3 < ratio < 3 / 2:
        ratio = None  # differences of the time constants need care
    membrane = Membrane(
        tau_mem,
        tau_syn,
        per_neuron(neuron.threshold) - rest,
        per_neuron(reset) - rest,
        per_neuron(state.voltage) - rest,
        per_neuron(state.current) / capacitance,
        per_neuron(circuit.refractory),
        ratio,
    )
    weights = circuit.weights.astype(dtype)
    delays = delay_rows(circuit.delays, count, dtype)
    if circuit.recurrent is not None:
        weights = jnp.concatenate([weights, circuit.recurrent.astype(dtype)], axis=1)
        between = delay_rows(circuit.recurrent_delays, post, dtype)
        rows = max(delays.shape[0], between.shape[0])
        pair = (jnp.broadcast_to(d, (rows, d.shape[1])) for d in (delays, between))
        delays = jnp.concatenate(list(pair), axis=1)
    problem = Problem(membrane, weights / capacitance[:, None], delays, times.astype(dtype))
    valid = jnp.all(times >= 0) & jnp.all(delays >= 0) & jnp.all(membrane.refractory >= 0)
    finite = [jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves((membrane, weights, delays))]
    valid &= jnp.all(jnp.stack(finite)) & jnp.all(membrane.reset < membrane.threshold)
    return problem._replace(times=jnp.where(valid, problem.times, jnp.nan)), sources


def resting(circuit: SpikingCircuit):
    """Potential at which the neurons rest without synaptic current, scalar or [post]."""
    neuron = circuit.neuron
    g_leak = jnp.asarray(neuron.capacitance) / neuron.tau_mem
    return neuron.leak + circuit.bias / g_leak
