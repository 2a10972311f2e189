"""Circuits of spiking neurons of any kind, whose dynamics are smooth between events."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from plasticjax.neurons import AbstractSpikingNeuron

from ._circuit import InputSpikes
from ._circuit_checks import Values, check_input, check_shape, check_value, delay_rows


class SmoothCircuit(eqx.Module):
    """Spiking neurons of any kind that may fire many times, and the synapses that reach them.

    Between events the neurons follow their vector field. A spike of source k at time t arrives at
    neuron i at $t + d_{ik}$, where the neuron receives its weight. When the margin of a neuron
    crosses zero from below, it fires and is reset; what it declares as `clamped` stays as it is for
    the refractory time, while the rest goes on. An arrival must not change the margin by a jump.

    Attributes:
        neuron: the neurons; each parameter is a scalar or [post]. The methods see one neuron.
        weights: input synapses, [post, inputs]; for several receptors a pytree of such arrays, in
            the structure that `neuron.receive` takes (units of the neuron).
        recurrent: synapses between the neurons, leaves [post, post]; `None`: a layer.
        delays: delays of the input synapses, scalar, [inputs] or [post, inputs] (time).
        recurrent_delays: delays between the neurons, scalar, [post] per presynaptic neuron, or
            [post, post] (time).
        drive: what `neuron.vector_field` takes as constant drive, leaves scalar or [post], or
            `None` (units of the neuron).
        refractory: refractory time, scalar or [post] (time).
        initial: state at time zero, leaves scalar or [post]; `None`: `neuron.initial()`.
    """

    neuron: AbstractSpikingNeuron
    weights: PyTree[Float[Array, "post inputs"]]
    recurrent: PyTree[Float[Array, "post post"]] | None = None
    delays: Values = 0.0
    recurrent_delays: Values = 0.0
    drive: PyTree = None
    refractory: Values = 0.0
    initial: PyTree = None

    def __check_init__(self):
        """Refuses shapes that do not fit, and concrete values outside their range.

        Raises:
            ValueError: naming the argument, its shape or value, and what is valid.
        """
        leaves = jax.tree.leaves(self.weights)
        if not all(hasattr(leaf, "ndim") for leaf in leaves):
            return  # a tree of something else than arrays, such as specifications of axes
        shapes = {leaf.shape for leaf in leaves}
        if len(shapes) != 1 or len(next(iter(shapes))) != 2:
            raise ValueError(
                f"weights has leaves of shapes {sorted(shapes)}; expected [post, inputs] for each. "
                "Use jax.vmap for batches"
            )
        post, inputs = next(iter(shapes))
        if self.recurrent is not None:
            if jax.tree.structure(self.recurrent) != jax.tree.structure(self.weights):
                raise ValueError(
                    f"recurrent has the structure {jax.tree.structure(self.recurrent)}; expected "
                    f"that of weights, {jax.tree.structure(self.weights)}"
                )
            for leaf in jax.tree.leaves(self.recurrent):
                check_shape("recurrent", leaf, [(post, post)])
        check_shape("delays", self.delays, [(), (inputs,), (post, inputs)])
        check_shape("recurrent_delays", self.recurrent_delays, [(), (post,), (post, post)])
        check_shape("refractory", self.refractory, [(), (post,)])
        for leaf in jax.tree.leaves(self.neuron):
            if eqx.is_array_like(leaf):
                check_shape("a parameter of neuron", leaf, [(), (post,)])
                check_value(
                    "a parameter of neuron", leaf, lambda x: ~np.isnan(x), "a number, not NaN"
                )
        for name in ("weights", "recurrent", "drive", "initial"):
            for leaf in jax.tree.leaves(getattr(self, name)):
                check_value(name, leaf, np.isfinite, "finite")
        for leaf in jax.tree.leaves(self.drive):
            check_shape("drive", leaf, [(), (post,)])
        for name in ("delays", "recurrent_delays", "refractory"):
            value = getattr(self, name)
            check_value(name, value, lambda x: (x >= 0) & (x < np.inf), "finite and not negative")

    @property
    def size(self) -> tuple[int, int]:
        """Numbers of neurons and of inputs (dimensionless)."""
        post, inputs = jax.tree.leaves(self.weights)[0].shape
        return post, inputs


class SmoothProblem(NamedTuple):
    """A circuit and its input in the terms of the solver; sources count inputs, then neurons."""

    neuron: AbstractSpikingNeuron  # leaves [post]
    weights: PyTree[Float[Array, "post pre"]]
    delays: Float[Array, "rows pre"]  # one row if all targets share the delays
    times: Float[Array, " spikes"]  # of the input
    refractory: Float[Array, " post"]
    drive: PyTree  # leaves [post]
    initial: PyTree  # leaves [post, ...]


def pose_smooth(
    circuit: SmoothCircuit, inputs: InputSpikes
) -> tuple[SmoothProblem, Int[Array, " spikes"]]:
    """The problem, differentiable in everything that it is made of, and the sources of the input.

    Values that only show inside of `jit` and are invalid make the times of the problem NaN.
    """
    post, count = circuit.size
    times = jnp.asarray(inputs.times)
    sources = jnp.arange(count) if inputs.sources is None else jnp.asarray(inputs.sources)
    check_input(times, sources, count, given=inputs.sources is not None)
    dtype = jnp.result_type(times, *jax.tree.leaves(circuit.weights))
    dtype = dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.result_type(float)

    def per_neuron(value):
        return jnp.broadcast_to(jnp.asarray(value, dtype), (post,))

    values, rest = eqx.partition(circuit.neuron, eqx.is_array_like)
    neuron = eqx.combine(jax.tree.map(per_neuron, values), rest)
    initial = jax.vmap(lambda neuron: neuron.initial())(neuron)
    initial = jax.tree.map(lambda leaf: leaf.astype(dtype), initial)
    if circuit.initial is not None:
        initial = jax.tree.map(_start, circuit.initial, initial)
    margins = jax.vmap(lambda neuron, y: neuron.threshold_margin(y))(neuron, initial)
    check_value("the margin at time zero", margins, lambda m: ~(m > 0), "not above threshold, <= 0")
    weights = jax.tree.map(lambda w: w.astype(dtype), circuit.weights)
    delays = delay_rows(circuit.delays, count, dtype)
    if not times.size:  # one that never comes, so that there is something to wait for
        times, sources = jnp.full(1, jnp.inf), jnp.zeros(1, jnp.int32)
    if not count:
        weights = jax.tree.map(lambda w: jnp.zeros((post, 1), dtype), weights)
        delays = jnp.zeros((1, 1), dtype)
    if circuit.recurrent is not None:
        weights = jax.tree.map(
            lambda w, r: jnp.concatenate([w, r.astype(dtype)], axis=1), weights, circuit.recurrent
        )
        between = delay_rows(circuit.recurrent_delays, post, dtype)
        rows = max(delays.shape[0], between.shape[0])
        pair = (jnp.broadcast_to(d, (rows, d.shape[1])) for d in (delays, between))
        delays = jnp.concatenate(list(pair), axis=1)
    drive = jax.tree.map(per_neuron, circuit.drive)
    refractory = per_neuron(circuit.refractory)
    problem = SmoothProblem(
        neuron, weights, delays, times.astype(dtype), refractory, drive, initial
    )
    finite = jax.tree.leaves((weights, delays, refractory, drive, initial))
    valid = [jnp.all(jnp.isfinite(leaf)) for leaf in finite]
    valid += [
        ~jnp.any(jnp.isnan(leaf)) for leaf in jax.tree.leaves(eqx.filter(neuron, eqx.is_array))
    ]
    valid += [jnp.all(times >= 0), jnp.all(delays >= 0), jnp.all(refractory >= 0)]
    times = jnp.where(jnp.all(jnp.stack(valid)), problem.times, jnp.nan)
    return problem._replace(times=times), sources


def _start(given, resting):
    valid = [(), resting.shape[:1], resting.shape]
    check_shape("a leaf of initial", given, valid)
    given = jnp.asarray(given, resting.dtype)
    given = given.reshape(given.shape + (1,) * (resting.ndim - given.ndim) * bool(given.ndim))
    return jnp.broadcast_to(given, resting.shape)
