"""A student neuron learns to follow a teacher, with rules of two potentials and a PSP.

Jordan et al. (2021), error-driven task: Poisson inputs reach two neurons that do not spike, a
teacher with fixed and a student with plastic weights. The student's weights follow a low-pass
filter of `rule(v, u, s)`: `v` is the teacher's potential, read now and then and held in between,
`u` the student's potential (both mV), and `s` the postsynaptic potential of a unit weight (mV/pA).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from ._point_neuron import REST, poisson, propagators, steps_of, unit_psp

INPUTS = ("v", "u", "s")
HOLD = 5.0  # ms between two looks at the teacher
FILTER = 100.0  # ms, of the changes
LEARNING_RATE = 1.7  # 1/ms
FIRST_WEIGHT = 5.0  # pA, of the student
MOST_SPIKES = 10  # of an input in a step
SHIFT = 15.0  # pA, of the teacher's weights


class Task(NamedTuple):
    """What both neurons receive, and all of the teacher, since it does not depend on the rule.

    Potentials are deviations from rest. `arrivals` and `psp` [steps, inputs] are numbers of spikes
    and potentials of unit weights (mV/pA), `held` [steps] is the teacher's potential that the rule
    sees, `wanted` [milliseconds] that at the end of each millisecond (mV), and `teacher` [inputs]
    are its weights (pA).
    """

    arrivals: Int[Array, "steps inputs"]
    psp: Float[Array, "steps inputs"]
    held: Float[Array, " steps"]
    wanted: Float[Array, " milliseconds"]
    teacher: Float[Array, " inputs"]


class Course(NamedTuple):
    """The student at the end of each millisecond: potential above rest (mV), weights (pA)."""

    potential: Float[Array, " milliseconds"]
    weights: Float[Array, "milliseconds inputs"]


def prepare(
    arrivals: Int[Array, "steps inputs"],
    teacher: Float[Array, " inputs"],
    *,
    dt: float,
    hold: float = HOLD,
) -> Task:
    """The task of given spikes and teacher weights (pA); `dt` and `hold` in ms."""
    psp = unit_psp(arrivals, dt, teacher.dtype)
    potential = psp @ teacher
    every = steps_of(hold, dt, "hold")
    held = jnp.repeat(potential[::every], every)[: len(potential)]
    millisecond = steps_of(1.0, dt, "1 ms")
    return Task(arrivals, psp, held, potential[millisecond - 1 :: millisecond], teacher)


def draw(
    key: Key[Array, ""],
    *,
    duration: float,
    dt: float,
    inputs: int = 5,
    both_signs: bool = False,
    hold: float = HOLD,
) -> Task:
    """A random task of `duration` ms: rates of 150 to 850 Hz, weights of -5 to 35 pA.

    With `both_signs` half of the teachers have weights of -35 to 5 pA, as the paper's text says.
    """
    rate_key, spike_key, weight_key, sign_key = jax.random.split(key, 4)
    rates = jax.random.uniform(rate_key, (inputs,), minval=0.150, maxval=0.850)
    steps = steps_of(duration, dt, "duration")
    arrivals = poisson(spike_key, rates * dt, (steps, inputs), MOST_SPIKES)
    teacher = jax.random.uniform(weight_key, (inputs,), minval=-20.0, maxval=20.0)
    sign = jax.random.rademacher(sign_key, ()) if both_signs else 1
    return prepare(arrivals, teacher + SHIFT * sign, dt=dt, hold=hold)


def learn(rule, task: Task, *, dt: float, first: Float[Array, " inputs"] | None = None) -> Course:
    """The student under a rule of `[v, u, s]`, from `first` weights on (pA)."""
    decay = propagators(dt)
    keep = jnp.exp(-dt / FILTER).astype(task.psp.dtype)
    millisecond = steps_of(1.0, dt, "1 ms")

    def step(state, seen):
        potential, current, change, weights = state
        arrived, psp, held = seen
        potential = decay.potential * potential + decay.transfer * current
        current = decay.current * current + weights @ arrived.astype(weights.dtype)
        inputs = jnp.stack(jnp.broadcast_arrays(REST + held, REST + potential, psp), axis=-1)
        change = keep * change + (1 - keep) * rule(inputs)[..., 0]
        return (potential, current, change, weights + LEARNING_RATE * dt * change), None

    def one_millisecond(state, seen):
        state, _ = jax.lax.scan(step, state, seen)
        return state, Course(state[0], state[3])

    nothing = jnp.zeros((), task.psp.dtype)
    weights = jnp.full_like(task.teacher, FIRST_WEIGHT) if first is None else first
    start = (nothing, nothing, jnp.zeros_like(weights), weights)
    seen = jax.tree.map(
        lambda leaf: leaf.reshape(-1, millisecond, *leaf.shape[1:]),
        (task.arrivals, task.psp, task.held),
    )
    return jax.lax.scan(one_millisecond, start, seen)[1]


def error_fitness(rule, task: Task, dt: float) -> Float[Array, ""]:
    """Minus the root of the summed squared error (mV) after the first tenth of the task."""
    error = learn(rule, task, dt=dt).potential - task.wanted
    return -jnp.sqrt(jnp.sum(error[len(error) // 10 :] ** 2))
