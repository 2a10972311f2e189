"""A chain of two lagging neurons that imitates another one, online or through time."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from plasticjax.energy import (
    BatchEnergy,
    GLEOutput,
    Learner,
    MismatchEnergy,
    Stimulus,
    gle_at_rest,
    gle_step,
    learner,
    rate_cost,
    softplus,
)

UNIT = 100  # steps of a time unit
PHASE = 2  # time units that the square wave stays up or down
TEACHER = (1.0, 2.0, 1.0, 2.0)  # membrane time constants, weights


class Pair(NamedTuple):
    """Teacher and student, and the step they are at."""

    teacher: Learner
    student: Learner
    shifts: Int[Array, " batch"]  # steps
    step: Int[Array, ""]


class Record(NamedTuple):
    """Of a time unit: parameters at its end, in the order of `TEACHER`, and the mean loss."""

    parameters: Float[Array, " 4"]
    loss: Float[Array, ""]


Step = Callable[[Pair], tuple[Pair, Float[Array, "batch 1"], GLEOutput]]
Run = Callable[[Pair, int], tuple[Pair, Record]]


def currents(rates, weights: Float[Array, " 2"], x):
    return weights[0] * x.input, weights[1] * rates[0]


ENERGY = BatchEnergy(MismatchEnergy(softplus, currents, rate_cost))


def square_wave(smoothing: float) -> Float[np.ndarray, " period"]:
    """One period, smoothed as a periodic signal by a Gaussian of a width in steps."""
    half = PHASE * UNIT
    steps = np.arange(2 * half)
    kernel = np.exp(-0.5 * (np.minimum(steps, 2 * half - steps) / smoothing) ** 2)
    spectrum = np.fft.rfft(np.where(steps < half, 1.0, -1.0)) * np.fft.rfft(kernel / kernel.sum())
    return np.fft.irfft(spectrum, 2 * half)


def theta(values: Float[Array, " 4"]):
    """What is learned: weights and membrane time constants."""
    return values[2:], (values[0], values[1])


def parameters(student: Learner) -> Float[Array, " 4"]:
    weights, tau_m = student.theta
    return jnp.concatenate([jnp.stack(tau_m), weights])


def start(key, *, batch: int, tau_min: float, dtype: str) -> Pair:
    """A student with random parameters; every sample sees the input shifted by its own time."""
    value_key, shift_key = jax.random.split(key)
    values = jax.random.uniform(value_key, (4,), dtype).at[:2].max(tau_min)
    rest = gle_at_rest((jnp.zeros((batch, 1), dtype),) * 2)
    shifts = jax.random.randint(shift_key, (batch,), 0, PHASE * UNIT)
    teacher = learner(rest, theta(jnp.asarray(TEACHER, dtype)))
    student = learner(rest, theta(values), optax.adam(1.0))
    return Pair(teacher, student, shifts, jnp.asarray(0))


def follow(
    wave: Float[Array, " period"],
    *,
    beta: float,
    tau_r: float,
    tau_min: float,
    optimiser: optax.GradientTransformation | None = None,
    prospective_errors: bool = True,
) -> Step:
    """One step of teacher and student; the student is nudged towards the teacher's output."""
    make = partial(gle_step, ENERGY, tau_m=None, tau_r=tau_r, dt=1 / UNIT, tau_min=tau_min)
    lead, learn = make(), make(optimiser=optimiser, prospective_errors=prospective_errors)

    def step(pair: Pair):
        x = wave[(pair.step + pair.shifts) % wave.size][:, None]
        teacher, shown = lead(pair.teacher, Stimulus(x, x, jnp.zeros((), wave.dtype)))
        target = shown.rate[-1]
        student, own = learn(pair.student, Stimulus(x, target, jnp.asarray(beta, wave.dtype)))
        return Pair(teacher, student, pair.shifts, pair.step + 1), target, own

    return step


def losses(step: Step, pair: Pair, steps: int) -> tuple[Pair, Float[Array, " steps"]]:
    def one(pair, _):
        pair, target, own = step(pair)
        return pair, jnp.mean((target - own.rate[-1]) ** 2)

    return jax.lax.scan(one, pair, length=steps)


def online(step: Step) -> Run:
    """Learning in every step, as it does itself; a record of each time unit."""

    def unit(pair, _):
        pair, loss = losses(step, pair, UNIT)
        return pair, Record(parameters(pair.student), loss.mean())

    return lambda pair, units: jax.lax.scan(unit, pair, length=units)


def through_time(
    step: Step, optimiser: optax.GradientTransformation, window: int, tau_min: float
) -> Run:
    """Learning after every window of time units by backpropagation through it."""

    def loss(theta, pair: Pair):
        pair = eqx.tree_at(lambda pair: pair.student.theta, pair, theta)
        pair, loss = losses(step, pair, window * UNIT)
        return loss.mean(), (pair, loss)

    def one(pair, _):
        old = pair.student.theta
        gradient, (pair, loss_of_steps) = jax.grad(loss, has_aux=True)(old, pair)
        updates, memory = optimiser.update(gradient, pair.student.memory, old)
        weights, tau_m = eqx.apply_updates(old, updates)
        bounded = jax.tree.map(lambda tau: jnp.maximum(tau, tau_min), tau_m)
        student = Learner(pair.student.neurons, (weights, bounded), memory)
        repeated = jnp.broadcast_to(parameters(student), (window, 4))
        record = Record(repeated, loss_of_steps.reshape(window, UNIT).mean(axis=1))
        return pair._replace(student=student), record

    def run(pair, units):
        pair, records = jax.lax.scan(one, pair, length=units // window)
        return pair, jax.tree.map(lambda leaf: leaf.reshape(units, *leaf.shape[2:]), records)

    return run
