"""A small network of lagging and instantaneous neurons, 1-2-2-1, that imitates another one.

Only its first weights are learned; time constants and the other weights are the teacher's.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from plasticjax.energy import (
    GLEOutput,
    Learner,
    MismatchEnergy,
    Stimulus,
    gle_at_rest,
    gle_step,
    learner,
    linear,
    rate_cost,
    tanh,
)

DT = 0.01  # time units of the paper, as all times here
TEACHER = (-0.5, 1.0)  # first weights
SECOND = np.array([[0.5, 0.0], [0.0, 1.0]])
THIRD = np.array([[0.5, 1.0]])
TAU_M = 1.0
TAU_R = (1.0, 0.1)  # of the instantaneous and of the lagging neuron of a hidden layer
FREQUENCIES = (0.49, 1.07, 1.98)  # of the input, per time unit, angular


def currents(rates, first: Float[Array, " 2"], x: Stimulus):
    """The currents of both hidden layers and of the output."""
    second, third = (jnp.asarray(w, first.dtype) for w in (SECOND, THIRD))
    return first * x.input, second @ rates[0], third @ rates[1]


ENERGY = MismatchEnergy((tanh, tanh, linear), currents, rate_cost)


class Pair(NamedTuple):
    """Teacher and student, and the step they are at."""

    teacher: Learner
    student: Learner
    step: Int[Array, ""]


class Shown(NamedTuple):
    """Of one step: input, teacher's output and the student, which still shows the step before."""

    input: Float[Array, ""]
    target: Float[Array, ""]
    output: Float[Array, ""]
    weights: Float[Array, " 2"]
    slopes: tuple[Float[Array, " 2"], Float[Array, " 2"]]  # of the rates, hidden layers
    errors: tuple[Float[Array, " 2"], Float[Array, " 2"]]  # prospective, hidden layers


def signal(step: Int[Array, ""], dtype) -> Float[Array, ""]:
    return jnp.sum(jnp.sin(jnp.asarray(FREQUENCIES, dtype) * (DT * step).astype(dtype)))


def start(first: Float[Array, " 2"], optimiser: optax.GradientTransformation | None) -> Pair:
    rest = gle_at_rest(tuple(jnp.zeros(n, first.dtype) for n in (2, 2, 1)))
    teacher = learner(rest, jnp.asarray(TEACHER, first.dtype))
    return Pair(teacher, learner(rest, first, optimiser), jnp.asarray(0))


def follow(
    *,
    gamma: float,
    beta: float = 1.0,
    optimiser: optax.GradientTransformation | None = None,
    prospective_errors: bool = True,
) -> Callable[[Pair], tuple[Pair, Shown]]:
    """One step of teacher and student, whose errors enter hidden somata with strength `gamma`."""

    def make(gamma, **options) -> Callable[[Learner, Stimulus], tuple[Learner, GLEOutput]]:
        hidden = np.array(TAU_R)
        return gle_step(
            ENERGY,
            tau_m=TAU_M,
            tau_r=(hidden, hidden, np.array(1.0)),
            dt=DT,
            gamma=(gamma, gamma, 0.0),
            **options,
        )

    lead = make(0.0)  # the teacher has no errors
    learn = make(gamma, optimiser=optimiser, prospective_errors=prospective_errors)

    def step(pair: Pair):
        first = pair.student.theta
        x = signal(pair.step, first.dtype)
        seen = x[None]
        teacher, told = lead(pair.teacher, Stimulus(seen, seen, jnp.zeros((), x.dtype)))
        target = told.rate[-1]
        slopes = pair.student.neurons.slope
        student, own = learn(pair.student, Stimulus(seen, target, jnp.asarray(beta, first.dtype)))
        shown = Shown(x, target[0], own.rate[-1][0], first, slopes[:2], own.error[:2])
        return Pair(teacher, student, pair.step + 1), shown

    return step


def adjoint(shown: Shown) -> tuple[Float[Array, "time 2"], Float[Array, "time 2"]]:
    """The exact errors of a window, backwards in time: `lambda` of both hidden layers.

    With `a = slope * (W^T lambda of the layer above)`, which begins with `target - output`:
    `lambda[T] = tau_r / tau_m a[T]`, and
    `lambda[t] = dt / tau_m (a[t+1] - tau_r (a[t+1] - a[t]) / dt) + exp(-dt / tau_m) lambda[t+1]`.
    """
    third, second = (jnp.asarray(w, shown.output.dtype) for w in (THIRD, SECOND))
    top = _backwards((shown.target - shown.output)[:, None], jnp.ones(1, shown.output.dtype))
    tau_r = jnp.asarray(TAU_R, shown.output.dtype)
    upper = _backwards(shown.slopes[1] * (top @ third), tau_r)
    return _backwards(shown.slopes[0] * (upper @ second), tau_r), upper


def _backwards(a: Float[Array, "time n"], tau_r: Float[Array, " n"]) -> Float[Array, "time n"]:
    last = tau_r / TAU_M * a[-1]

    def one(later, neighbours):
        now, then = neighbours
        value = DT / TAU_M * (then - tau_r * (then - now) / DT) + np.exp(-DT / TAU_M) * later
        return value, value

    _, before = jax.lax.scan(one, last, (a[:-1], a[1:]), reverse=True)
    return jnp.concatenate([before, last[None]])
