"""A student neuron follows a teacher, in the units of a chip: conditions, device, and trial.

Deliverable D3.11, section 1.2.1.5: one spike source drives a teacher through a fixed weight and a
student through a plastic one. Details are not published; those here are our own. Times are
biological, 1,000 times longer than on the chip.
"""

from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

PERIOD = 5.0  # ms between readings of the potentials, each followed by one change of the weight
SUBSTEPS = 10  # of the input, in a period
LARGEST = 63.0  # 6-bit weight
TEACHERS = (10.0, 25.0, 40.0, 55.0)  # LSB
STARTS = (0.0, 63.0)  # LSB
INSTANCES = 2  # of mismatch


class Mismatch(NamedTuple):
    """Factors on the gain and the time constants, and offsets of the leak, of both neurons [2]."""

    gain: Float[Array, " 2"]
    tau_mem: Float[Array, " 2"]
    tau_syn: Float[Array, " 2"]
    leak: Float[Array, " 2"]  # LSB


class Condition(NamedTuple):
    """What a trial is given: weights (LSB), neurons, and input spikes in each substep."""

    teacher: Float[Array, ""]
    start: Float[Array, ""]
    mismatch: Mismatch
    spikes: Int[Array, "periods substeps"]


class Seen(NamedTuple):
    """What a rule can read after a period: potentials (LSB above leak), presynaptic trace."""

    teacher: Float[Array, ""]
    student: Float[Array, ""]
    pre: Float[Array, ""]


class Device(Protocol):
    """Two neurons and a spike source: software here, an emulated chip or another one elsewhere."""

    def start(self, condition: Condition, key: Key[Array, ""]) -> Any:
        """The state before a trial."""
        ...

    def period(
        self, state: Any, spikes: Int[Array, " substeps"], weight: Float[Array, ""]
    ) -> tuple[Any, Seen]:
        """Runs one period with an integer weight of the student and reads what there is."""
        ...


class Software(eqx.Module):
    """Leaky integrators without threshold, exact between the substeps of the input.

    The current of a synapse jumps by `gain` times its weight and decays with `tau_syn`; the
    potential follows the current with `tau_mem`. Readings have 8 bits and noise. The presynaptic
    trace is the potential that a weight of 1 would cause, or with `counts` the spikes of the
    period.
    """

    gain: float = 3.175  # LSB
    tau_mem: float = 15.0  # ms
    tau_syn: float = 5.0  # ms
    leak: float = 80.0  # LSB
    noise: float = 1.0  # LSB
    counts: bool = eqx.field(static=True, default=False)

    def start(self, condition, key):
        # The third neuron has weight 1 and no mismatch.
        def each(nominal, factor):
            return nominal * jnp.append(factor, jnp.ones(1, factor.dtype))

        mismatch = condition.mismatch
        tau_mem = each(self.tau_mem, mismatch.tau_mem)
        tau_syn = each(self.tau_syn, mismatch.tau_syn)
        gain = each(self.gain, mismatch.gain)
        # Spikes come at the start of a substep and are seen at the end of the period.
        left = PERIOD * (1 - jnp.arange(SUBSTEPS, dtype=gain.dtype) / SUBSTEPS)[:, None]
        propagator = _Propagator(
            jnp.exp(-PERIOD / tau_mem),
            jnp.exp(-PERIOD / tau_syn),
            _response(PERIOD, tau_mem, tau_syn),
            gain * _response(left, tau_mem, tau_syn),
            gain * jnp.exp(-left / tau_syn),
        )
        rest = jnp.zeros_like(gain)
        leak = self.leak + mismatch.leak
        return _State(rest, rest, propagator, leak, condition.teacher, key)

    def period(self, state, spikes, weight):
        way = state.propagator
        weights = jnp.stack([state.teacher, weight, jnp.ones_like(weight)])
        counts = spikes.astype(weight.dtype)
        membrane = way.membrane * state.membrane + way.response * state.current
        membrane += weights * (counts @ way.spike_membrane)
        current = way.current * state.current + weights * (counts @ way.spike_current)
        key, draw = jax.random.split(state.key)
        noise = self.noise * jax.random.normal(draw, (2,), membrane.dtype)
        reading = jnp.clip(jnp.round(state.leak + membrane[:2] + noise), 0, 255)
        centred = reading - jnp.round(state.leak)
        pre = jnp.sum(counts) if self.counts else membrane[2]
        seen = Seen(centred[0], centred[1], pre)
        return state._replace(membrane=membrane, current=current, key=key), seen


class _Propagator(NamedTuple):
    """What a period does to the state, and each spike of unit weight in its substeps."""

    membrane: Float[Array, " 3"]
    current: Float[Array, " 3"]
    response: Float[Array, " 3"]
    spike_membrane: Float[Array, "substeps 3"]
    spike_current: Float[Array, "substeps 3"]


class _State(NamedTuple):
    membrane: Float[Array, " 3"]
    current: Float[Array, " 3"]
    propagator: _Propagator
    leak: Float[Array, " 2"]
    teacher: Float[Array, ""]
    key: Key[Array, ""]


def _response(time, tau_mem, tau_syn):
    """Potential after some time by a unit current that decays."""
    return tau_syn / (tau_mem - tau_syn) * (jnp.exp(-time / tau_mem) - jnp.exp(-time / tau_syn))


class Trace(NamedTuple):
    """Readings (LSB above leak) and the written weight (LSB) of all periods."""

    teacher: Float[Array, " periods"]
    student: Float[Array, " periods"]
    weight: Float[Array, " periods"]


def trial(rule, device: Device, condition: Condition, key, *, learning_rate: float) -> Trace:
    """The student learns: a float weight in [0, 63] is kept, and written as an integer."""

    def step(carry, spikes):
        state, shadow = carry
        weight = jnp.round(shadow)
        state, seen = device.period(state, spikes, weight)
        change = rule(jnp.stack([seen.teacher, seen.student, seen.pre]))[0]
        shadow = jnp.clip(shadow + learning_rate * change, 0, LARGEST)
        return (state, shadow), Trace(seen.teacher, seen.student, weight)

    start = device.start(condition, key), condition.start
    return jax.lax.scan(step, start, condition.spikes)[1]


def fitness(trace: Trace) -> Float[Array, ""]:
    """Minus the mean distance of the potentials (LSB), the first tenth of the trial left out."""
    distance = jnp.abs(trace.student - trace.teacher)
    return -jnp.mean(distance[len(distance) // 10 :])


def conditions(key: Key[Array, ""], *, duration: float, mismatch: float, dtype: str) -> Condition:
    """All teachers, starts and instances [conditions]; the input has a rate of 20 to 80 Hz.

    `duration` is in s, `mismatch` is the relative standard deviation of gain and time constants.
    """
    grid = np.stack(np.meshgrid(TEACHERS, STARTS, np.arange(INSTANCES), indexing="ij"), -1)
    teacher, start, instance = grid.reshape(-1, 3).T
    mismatch_key, leak_key, rate_key, spike_key = jax.random.split(key, 4)
    factors = 1 + mismatch * jax.random.normal(mismatch_key, (3, INSTANCES, 2), dtype)
    offsets = jax.random.uniform(leak_key, (INSTANCES, 2), dtype, -3, 3)
    chosen = instance.astype(int)
    count, periods = len(teacher), round(1000 * duration / PERIOD)
    rates = jax.random.uniform(rate_key, (count, 1, 1), dtype, 0.02, 0.08)  # kHz
    mean = jnp.broadcast_to(rates * PERIOD / SUBSTEPS, (count, periods, SUBSTEPS))
    return Condition(
        jnp.asarray(teacher, dtype),
        jnp.asarray(start, dtype),
        Mismatch(factors[0, chosen], factors[1, chosen], factors[2, chosen], offsets[chosen]),
        jax.random.poisson(spike_key, mean, dtype=jnp.int32),
    )


def goals(condition: Condition) -> Float[Array, "*conditions"]:
    """The weight (LSB) with which the student has the mean potential of the teacher."""
    drive = condition.mismatch.gain * condition.mismatch.tau_syn
    return jnp.minimum(condition.teacher * drive[..., 0] / drive[..., 1], LARGEST)
