"""A network of lagging neurons learns from errors in phase with those of the exact adjoint.

Ellenberger, Haider, Benitez, Jordan, Max, Jaras, Kriener & Petrovici (2025), Backpropagation
through space, time and the brain, Nat. Commun. 17, 66, Fig. 6: a net of 1-2-2-1 neurons, one
instantaneous and one lagging in each hidden layer, sees a sum of three sines and learns its first
weights from a teacher; online by generalised latent equilibrium, and from the adjoint of windows of
three time units, which is backpropagation through time. Deliverable D3.11, section 2.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from plasticjax.energy import Learner

from ._contract import Claim, Job
from ._lag_net import DT, FREQUENCIES, TAU_M, TAU_R, TEACHER, Pair, Shown, adjoint, follow, start

WARM_UP = 8000  # steps before learning
SETTLED = 1500  # of these, after which traces are compared
WINDOW = 300  # steps of the adjoint, and between records
ALGORITHMS = ("GLE", "adjoint")


@dataclass(frozen=True)
class Config:
    """The published network and rates; times in the time unit of the paper."""

    seeds: int = 5
    windows: int = 307  # of learning, three time units each; 1001 time units with the warm-up
    gamma: float = 1e-3  # strength with which errors of GLE enter the somata of hidden neurons
    learning_rate: float = 2e-4  # of GLE, in every step: 0.02 times the time step
    adjoint_rate: float = 0.07  # of the adjoint, after every window
    momentum: float = 0.9
    dtype: str = "float32"

    @classmethod
    def paper(cls) -> "Config":
        return cls()

    @classmethod
    def smoke(cls) -> "Config":
        return cls(seeds=2, windows=60)


class Traces(NamedTuple):
    """Of the warm-up of a student, or of the same input after it has learned."""

    target: Float[Array, "seeds time"]
    output: Float[Array, "seeds time"]


class Errors(NamedTuple):
    """Of the student of GLE before it learns; neurons 0 and 1 of layer 1, then those of layer 2."""

    adjoint: Float[Array, "seeds time 4"]
    gle: Float[Array, "seeds time 4"]
    instantaneous: Float[Array, "seeds time 4"]  # without the prospective filter


class Result(NamedTuple):
    """Algorithms in the order of `ALGORITHMS`; one record a window of learning."""

    weights: Float[Array, "seeds algorithms windows+1 2"]
    loss: Float[Array, "seeds algorithms windows"]
    before: Traces
    after: Traces  # of the student of GLE
    errors: Errors


def steps_of(step, pair: Pair, count: int) -> tuple[Pair, Shown]:
    return jax.lax.scan(lambda pair, _: step(pair), pair, length=count)


def squared_error(shown: Shown) -> Float[Array, ""]:
    return jnp.mean((shown.target - shown.output) ** 2)


def learn_online(config: Config, pair: Pair):
    """GLE: the weights move in every step."""
    step = follow(gamma=config.gamma, optimiser=descent(config, config.learning_rate))

    def one(pair, _):
        pair, shown = steps_of(step, pair, WINDOW)
        return pair, (pair.student.theta, squared_error(shown))

    return jax.lax.scan(one, pair, length=config.windows)


def learn_by_adjoint(config: Config, pair: Pair):
    """The weights move after every window, along the exact gradient through it."""
    step, optimiser = follow(gamma=0.0), descent(config, config.adjoint_rate)

    def one(pair, _):
        pair, shown = steps_of(step, pair, WINDOW)
        student = pair.student
        gradient = -DT * shown.input @ adjoint(shown)[0]
        update, memory = optimiser.update(gradient, student.memory)
        weights = eqx.apply_updates(student.theta, update)
        pair = pair._replace(student=Learner(student.neurons, weights, memory))
        return pair, (weights, squared_error(shown))

    return jax.lax.scan(one, pair, length=config.windows)


def descent(config: Config, rate: float) -> optax.GradientTransformation:
    return optax.sgd(rate, momentum=config.momentum)


def one_seed(config: Config, key: Key[Array, ""]):
    first = jax.random.uniform(key, (2,), config.dtype, minval=-1, maxval=1)
    gle, instantaneous, exact = (
        steps_of(follow(gamma=gamma, prospective_errors=ahead), start(first, optimiser), WARM_UP)
        for gamma, ahead, optimiser in (
            (config.gamma, True, descent(config, config.learning_rate)),
            (config.gamma, False, None),
            (0.0, True, descent(config, config.adjoint_rate)),
        )
    )
    learned, (online, loss) = learn_online(config, gle[0])
    _, (offline, offline_loss) = learn_by_adjoint(config, exact[0])
    weights = jnp.stack(
        [jnp.concatenate([first[None], course]) for course in (online, offline)], axis=0
    )
    again = learned._replace(step=jnp.zeros_like(learned.step))  # the input of the warm-up
    _, shown = steps_of(follow(gamma=config.gamma), again, WARM_UP)
    errors = Errors(
        *(
            jnp.concatenate(each, axis=-1)[SETTLED:]
            for each in (adjoint(gle[1]), gle[1].errors, instantaneous[1].errors)
        )
    )
    return Result(
        weights,
        jnp.stack([loss, offline_loss]),
        Traces(gle[1].target[SETTLED:], gle[1].output[SETTLED:]),
        Traces(shown.target[SETTLED:], shown.output[SETTLED:]),
        errors,
    )


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(config.seeds))
    with job.progress(1, "lag net") as bar:
        result = jax.jit(jax.vmap(partial(one_seed, config)))(keys)
        result = jax.tree.map(np.asarray, result)
        if not np.all(np.isfinite(result.loss)):
            seed = int(np.argmin(np.isfinite(result.loss).all(axis=(1, 2))))
            raise FloatingPointError(f"the loss of seed {seed} is not finite")
        bar.advance(loss=float(result.loss[:, 0, -1].mean()))
    return result


def lag(
    errors: Float[np.ndarray, "seeds time"], reference: Float[np.ndarray, "seeds time"]
) -> Float[np.ndarray, " seeds"]:
    """Delay of errors behind a reference, at the peak of the cross-correlation (time units)."""
    centred = [each - each.mean(axis=1, keepdims=True) for each in (errors, reference)]
    length = errors.shape[1]
    one, other = (np.fft.rfft(each, 2 * length) for each in centred)
    correlation = np.fft.irfft(one * np.conj(other), 2 * length)
    shift = np.argmax(correlation, axis=1)
    return DT * np.where(shift < length, shift, shift - 2 * length)


def spectrum(trace: Float[np.ndarray, " time"]) -> Float[np.ndarray, " frequencies"]:
    """Amplitudes of angular frequencies."""
    window = np.hanning(trace.size)
    return 2 * np.abs(np.fft.rfft(trace * window)) / window.sum()


def figure(result: Result):
    """Fig. 6 of the paper for the first student: weights of all students over time, outputs and
    their spectra before and after learning, and the errors of the lagging neurons."""
    from matplotlib.figure import Figure

    from plasticjax.plotting import class_color

    fig = Figure(figsize=(7.2, 6.4), layout="constrained")
    grid = fig.subplots(3, 2)
    times = DT * (WARM_UP + WINDOW * np.arange(result.weights.shape[2]))
    for k, ax in enumerate(grid[0]):
        for a, name in enumerate(ALGORITHMS):
            lines = ax.plot(
                times, result.weights[:, a, :, k].T, color=class_color(a), linewidth=0.8
            )
            lines[0].set_label(name)
        ax.axhline(TEACHER[k], color="black", linestyle="--", linewidth=0.8, label="teacher")
        ax.set(xlabel="time", ylabel=f"weight {k} of layer 1")
    grid[0, 1].legend(fontsize=7, frameon=False)
    outputs, spectra = grid[1]
    at = DT * np.arange(result.before.target.shape[1])
    for ax, values in (
        (outputs, lambda trace: (at, trace)),
        (spectra, lambda trace: (2 * np.pi * np.fft.rfftfreq(trace.size, DT), spectrum(trace))),
    ):
        ax.plot(*values(result.before.output[0]), color="0.6", label="student before")
        ax.plot(*values(result.after.output[0]), color=class_color(0), label="student after (GLE)")
        ax.plot(
            *values(result.after.target[0]), "--", color="black", linewidth=0.8, label="teacher"
        )
    outputs.set(xlim=(0, 30), xlabel="time", ylabel="output")
    spectra.set(xlim=(0, 6), xlabel="angular frequency", ylabel="amplitude of the output")
    for frequency in FREQUENCIES:
        spectra.axvline(frequency, color="0.8", linestyle=":", linewidth=0.8, zorder=0)
    spectra.legend(fontsize=7, frameon=False)
    for layer, ax in enumerate(grid[2], start=1):
        neuron = 2 * layer - 1
        for color, name, errors in zip(
            ("black", class_color(0), "0.6"),
            (r"adjoint $\lambda$", "GLE", "instantaneous"),
            result.errors,
            strict=True,
        ):
            trace = errors[0, :, neuron]
            ax.plot(at, trace / np.abs(trace).max(), color=color, linewidth=0.9, label=name)
        ax.set(xlim=(0, 30), ylim=(-1.1, 1.6), xlabel="time")
        ax.set_ylabel(f"error in layer {layer}\n(lagging neuron, largest: 1)")
    grid[2, 0].legend(fontsize=7, frameon=False, ncols=3, loc="upper center")
    for ax in fig.axes:
        ax.tick_params(labelsize=7)
        ax.xaxis.label.set_fontsize(8)
        ax.yaxis.label.set_fontsize(8)
    return fig


SOURCE = "Ellenberger et al. 2025, Fig. 6 (drawn, no numbers)"
INTERVAL = "; interval set after a first run of ours"


def _weight(k: int, algorithm: int, width: float) -> Claim:
    near = (TEACHER[k] - width, TEACHER[k] + width)
    return Claim(
        statement=f"{ALGORITHMS[algorithm]}: weight {k} of the teacher ({TEACHER[k]:g}) is found",
        paper_value=TEACHER[k],
        source=SOURCE + INTERVAL,
        measure=lambda result: result.weights[:, algorithm, -1, k],
        accept={"default": near, "paper": near},
    )


def _lag(name: str, layer: int, value: float, width: float, source: str) -> Claim:
    def measure(result: Result):
        neuron = 2 * layer - 1
        errors, reference = getattr(result.errors, name.lower()), result.errors.adjoint
        return lag(*(np.asarray(each)[..., neuron] for each in (errors, reference)))

    near = (value - width, value + width)
    return Claim(
        statement=f"{name} errors: delay behind the adjoint, lagging neuron of layer {layer} "
        "(time units)",
        paper_value=value,
        source=source,
        measure=measure,
        accept={"smoke": near, "default": near, "paper": near},
    )


# Each lagging neuron shifts the adjoint by this time, at the middle frequency of the input.
SHIFT = (np.arctan(FREQUENCIES[1] * TAU_M) - np.arctan(FREQUENCIES[1] * TAU_R[1])) / FREQUENCIES[1]
CLAIMS = (
    *(_weight(k, 0, 0.03) for k in (0, 1)),
    *(_weight(k, 1, 0.1) for k in (0, 1)),
    Claim(
        statement="GLE: squared error of the output after / before learning",
        paper_value=0.0,
        source=SOURCE + INTERVAL,
        measure=lambda result: result.loss[:, 0, -1] / result.loss[:, 0, 0],
        accept={"smoke": (0.0, 0.5), "default": (0.0, 0.01), "paper": (0.0, 0.01)},
    ),
    *(_lag("GLE", layer, 0.0, 0.15, SOURCE + ": in phase" + INTERVAL) for layer in (1, 2)),
    *(
        _lag("instantaneous", layer, (3 - layer) * SHIFT, 0.3, "transfer function" + INTERVAL)
        for layer in (1, 2)
    ),
)
