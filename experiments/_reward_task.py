"""A spiking neuron learns from reward whether to answer a pattern, with rules of a trial's summary.

Jordan et al. (2021), reward-driven task: one neuron with escape noise sees frozen patterns. It
should spike for those of one class and be silent for the others. After each trial all weights
change by `10 rule(R, E, B, P, M)` pA: the reward +-1, the eligibility of the synapse, and the
expected reward, its positive and its negative part.

Weights change only between trials. So the potential without resets is a matrix product, a reset
subtracts one decaying exponential, and the eligibility is a second matrix product.
"""

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from ._point_neuron import REST, poisson, propagators, steps_of, unit_psp

INPUTS = ("R", "E", "B", "P", "M")
DURATION = 500.0  # ms of a trial
INPUT_RATE = 0.006  # kHz
CONNECTED = 0.8  # probability
THRESHOLD = -55.0  # mV
SHARPNESS = 0.2  # mV, of the escape noise
ESCAPE = 1e-5  # kHz, at the threshold
REFRACTORY = 2.0  # ms
DELAY = 2.0  # ms: synapse and relay
WEIGHT_SD = 1000.0  # pA
ELIGIBILITY = 500.0  # ms
LEARNING_RATE = 10.0  # pA
AVERAGED = 100.0  # trials, of the expected reward
MOST_SPIKES = 24  # of an input in a pattern; more have a probability of 1e-14
_LARGEST_EXPONENT = 50.0  # weights that explode must not overflow the intensity

Eligibility = Literal["code", "no drift", "paper"]


class Trace(NamedTuple):
    """Constants of the eligibility: width (mV), intensity at threshold (kHz), scale, drift."""

    width: float
    intensity: float
    scale: float
    drift: float


# The published results come from the constants of the code, not from those of the text. The scale
# of the code is 1e9 times its step of 0.01 ms over the width.
TRACES: dict[str, Trace] = {
    "code": Trace(5.0, 0.01, 1e7 / 5.0, 1.0),
    "no drift": Trace(5.0, 0.01, 1e7 / 5.0, 0.0),
    "paper": Trace(SHARPNESS, ESCAPE, 1e7 / SHARPNESS, 1.0),
}


class Patterns(NamedTuple):
    """One experiment, drawn before any rule is known.

    `psp` [patterns, steps, inputs] are postsynaptic potentials of unit weights (mV/pA), 0 where
    `connected` [inputs] is false; `label` [patterns] is +-1; `shown` [trials] the pattern of each
    trial; `level` [trials, steps] the potential above rest from which the neuron spikes (mV): the
    escape noise, solved for the potential; `weights` [inputs] are the first weights (pA).
    """

    psp: Float[Array, "patterns steps inputs"]
    connected: Bool[Array, " inputs"]
    label: Float[Array, " patterns"]
    shown: Int[Array, " trials"]
    level: Float[Array, "trials steps"]
    weights: Float[Array, " inputs"]


class Played(NamedTuple):
    """Rewards [trials], spikes [trials, steps], and weights after each trial [trials, inputs]."""

    reward: Float[Array, " trials"]
    spikes: Bool[Array, "trials steps"]
    weights: Float[Array, "trials inputs"]


def prepare(
    spikes: Int[Array, "patterns steps inputs"],
    label: Float[Array, " patterns"],
    shown: Int[Array, " trials"],
    noise: Float[Array, "trials steps"],
    weights: Float[Array, " inputs"],
    *,
    dt: float,
    connected: Bool[Array, " inputs"] | None = None,
) -> Patterns:
    """The experiment of given spike counts, classes, order, uniform noise and weights (pA)."""
    if connected is None:
        connected = jnp.ones(len(weights), bool)
    late = round(DELAY / dt)
    arrivals = jnp.pad(spikes, ((0, 0), (late, 0), (0, 0)))[:, : spikes.shape[1]] * connected
    psp = jax.vmap(lambda one: unit_psp(one, dt, weights.dtype))(arrivals)
    level = THRESHOLD - REST + SHARPNESS * (jnp.log(noise) - math.log(ESCAPE * dt))
    return Patterns(psp, connected, label, shown, level, weights)


def draw(
    key: Key[Array, ""],
    *,
    dt: float,
    trials: int = 500,
    patterns: int = 30,
    inputs: int = 50,
    duration: float = DURATION,
) -> Patterns:
    """A random experiment; `dt` and `duration` of a trial in ms."""
    keys = jax.random.split(key, 7)
    steps = steps_of(duration, dt, "duration")
    count = poisson(keys[0], INPUT_RATE * duration, (patterns, inputs), MOST_SPIKES)
    times = jax.random.uniform(keys[1], (patterns, inputs, MOST_SPIKES), maxval=duration)
    place = jnp.floor(times / dt).astype(int)
    place = jnp.where(jnp.arange(MOST_SPIKES) < count[..., None], place, steps)
    own = jnp.broadcast_to(jnp.arange(inputs)[:, None], place.shape[1:])
    spikes = jax.vmap(
        lambda one: jnp.zeros((steps, inputs), jnp.int8).at[one, own].add(1, mode="drop")
    )(place)
    weights = WEIGHT_SD * jax.random.normal(keys[6], (inputs,))
    smallest = jnp.finfo(weights.dtype).tiny
    return prepare(
        spikes,
        jax.random.rademacher(keys[4], (patterns,)).astype(weights.dtype),
        jax.random.randint(keys[5], (trials,), 0, patterns),
        jax.random.uniform(keys[3], (trials, steps), minval=smallest),
        weights,
        dt=dt,
        connected=jax.random.bernoulli(keys[2], CONNECTED, (inputs,)),
    )


def spike_train(
    free: Float[Array, " steps"], level: Float[Array, " steps"], dt: float
) -> tuple[Float[Array, " steps"], Bool[Array, " steps"]]:
    """Potential above rest before resets (mV), and spikes.

    `free` is the potential without resets (mV), `level` where the neuron spikes. In refractoriness
    the potential rests, and what has been lost until its end decays with the membrane.
    """
    decay, refractory = propagators(dt).potential, round(REFRACTORY / dt)

    def step(carry, seen):
        lost, wait = carry
        free, level = seen
        lost = jnp.where(wait > 0, free, decay * lost)
        potential = jnp.where(wait > 0, 0, free - lost)
        spike = potential > level
        wait = jnp.where(spike, refractory, jnp.maximum(wait - 1, 0))
        return (lost, wait), (potential, spike)

    start = (jnp.zeros((), free.dtype), jnp.zeros((), jnp.int32))
    return jax.lax.scan(step, start, (free, level))[1]


def eligibility(
    psp: Float[Array, "steps inputs"],
    potential: Float[Array, " steps"],
    spikes: Bool[Array, " steps"],
    dt: float,
    trace: Trace,
) -> Float[Array, " inputs"]:
    """The filtered product of PSP and surprise at the end of a trial."""
    exponent = (potential + REST - THRESHOLD) / trace.width
    intensity = trace.intensity * jnp.exp(jnp.minimum(exponent, _LARGEST_EXPONENT))
    surprise = spikes / dt - trace.drift * intensity
    left = jnp.exp(-dt / ELIGIBILITY * jnp.arange(len(psp) - 1, -1, -1, dtype=psp.dtype))
    return trace.scale * (1 - math.exp(-dt / ELIGIBILITY)) * (psp.T @ (left * surprise))


def play(rule, experiment: Patterns, *, dt: float, constants: Eligibility = "code") -> Played:
    """All trials of an experiment under a rule of `[R, E, B, P, M]`."""
    trace = TRACES[constants]

    def trial(state, seen):
        weights, positive, negative = state
        pattern, level = seen
        psp = experiment.psp[pattern]
        potential, spikes = spike_train(psp @ weights, level, dt)
        eligible = eligibility(psp, potential, spikes, dt, trace)
        answer = jnp.where(jnp.any(spikes), 1.0, -1.0).astype(weights.dtype)
        reward = answer * experiment.label[pattern]
        seen = (reward, eligible, positive + negative, positive, negative)
        change = rule(jnp.stack(jnp.broadcast_arrays(*seen), axis=-1))[..., 0]
        weights += LEARNING_RATE * jnp.where(experiment.connected, change, 0)
        positive += (jnp.maximum(reward, 0) - positive) / AVERAGED
        negative += (jnp.minimum(reward, 0) - negative) / AVERAGED
        return (weights, positive, negative), Played(reward, spikes, weights)

    nothing = jnp.zeros((), experiment.weights.dtype)
    start = (experiment.weights, nothing, nothing)
    return jax.lax.scan(trial, start, (experiment.shown, experiment.level))[1]


def total(played: Played) -> Float[Array, ""]:
    """The sum of rewards, the fitness; -inf if a weight is not finite in the end."""
    finite = jnp.all(jnp.isfinite(played.weights[-1]))
    return jnp.where(finite, jnp.sum(played.reward), -jnp.inf)
