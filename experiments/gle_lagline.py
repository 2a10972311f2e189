"""Two lagging neurons learn the weights and time constants of their teacher, online.

Ellenberger, Haider, Benitez, Jordan, Max, Jaras, Kriener & Petrovici (2025), Backpropagation
through space, time and the brain, Nat. Commun. 17, 66, Fig. 5: a chain of two neurons with slow
membranes sees a square wave. By generalised latent equilibrium it finds the teacher's parameters in
every time step a little better. Controls: errors that are passed on at once, which neglect the lag
of the neurons, and truncated backpropagation through time. Deliverable D3.11, section 2.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from plasticjax.energy import (
    BatchEnergy,
    Learner,
    MismatchEnergy,
    Stimulus,
    feed_forward,
    gle_at_rest,
    gle_step,
    learner,
    rate_cost,
    softplus,
)

from ._contract import Claim, Job

SOURCE = "Ellenberger et al. 2025, Fig. 5"
REPEATED = "independent re-implementation of Ellenberger et al. 2025, Fig. 5"
NAMES = (r"$\tau_0$", r"$\tau_1$", "$w_0$", "$w_1$")
TEACHER = (1.0, 2.0, 1.0, 2.0)  # membrane time constants, weights
PHASE = 2.0  # time units that the square wave stays up or down
UNIT = 100  # steps of a time unit; one record a time unit
WARM_UP = 50  # time units without learning
CHUNK = 100  # time units between checkpoints, a multiple of all windows
SHOWN = 8  # time units of the traces that are drawn


@dataclass(frozen=True)
class Config:
    """Times in the time unit of the paper."""

    seeds: int = 5
    duration: int = 4000  # of learning
    batch: int = 20  # shifted copies of the input
    windows: tuple[int, ...] = (4, 2, 1)  # of backpropagation through time
    tau_r: float = 0.1
    beta: float = 0.01  # nudging strength
    learning_rate: float = 1e-4  # of Adam, per step: 1e-6 / beta
    tau_min: float = 0.1  # learned time constants stay above it
    smoothing: float = 5.0  # steps, of the input's edges
    dtype: str = "float32"

    @classmethod
    def paper(cls) -> "Config":
        return cls(batch=100)

    @classmethod
    def smoke(cls) -> "Config":
        return cls(seeds=2, duration=200, batch=4, windows=(1,))


class Traces(NamedTuple):
    """Of the first copy of the input; neuron 0 and neuron 1."""

    target: Float[np.ndarray, "seeds time"]
    output: Float[np.ndarray, "seeds time"]
    error: Float[np.ndarray, "seeds time 2"]


class Result(NamedTuple):
    """Algorithms: GLE, instantaneous errors, then one of each window of BPTT.

    Parameters are ordered as `NAMES`; one record a time unit of learning."""

    parameters: Float[np.ndarray, "seeds algorithms records 4"]
    loss: Float[np.ndarray, "seeds algorithms records"]
    before: Traces
    after: Traces
    windows: Int[np.ndarray, " windows"]


class Pair(NamedTuple):
    """Teacher and student, and the step they are at."""

    teacher: Learner
    student: Learner
    shifts: Int[Array, " batch"]  # steps
    step: Int[Array, ""]


class Record(NamedTuple):
    parameters: Float[Array, " 4"]
    loss: Float[Array, ""]


DT = 1 / UNIT
ENERGY = BatchEnergy(MismatchEnergy(softplus, feed_forward, rate_cost))


def square_wave(config: Config) -> Float[np.ndarray, " period"]:
    """One period, smoothed as a periodic signal by a Gaussian."""
    half = round(PHASE * UNIT)
    steps = np.arange(2 * half)
    distance = np.minimum(steps, 2 * half - steps)
    kernel = np.exp(-0.5 * (distance / config.smoothing) ** 2)
    spectrum = np.fft.rfft(np.where(steps < half, 1.0, -1.0)) * np.fft.rfft(kernel / kernel.sum())
    return np.fft.irfft(spectrum, 2 * half)


def chain(values: Float[Array, " 4"]):
    """Weights without biases and membrane time constants, as learned together."""
    weights = tuple(
        eqx.tree_at(lambda layer: layer.weight, _UNWEIGHTED, values[k].reshape(1, 1))
        for k in (2, 3)
    )
    return weights, (values[0], values[1])


_UNWEIGHTED = eqx.nn.Linear(1, 1, use_bias=False, key=jax.random.key(0))


def parameters(theta) -> Float[Array, " 4"]:
    layers, tau_m = theta
    return jnp.stack([*tau_m, *(layer.weight[0, 0] for layer in layers)])


def start(key, config: Config, optimiser) -> Pair:
    value_key, shift_key = jax.random.split(key)
    values = jax.random.uniform(value_key, (4,), config.dtype)
    values = values.at[:2].max(config.tau_min)
    rest = gle_at_rest((jnp.zeros((config.batch, 1), config.dtype),) * 2)
    shifts = jax.random.randint(shift_key, (config.batch,), 0, round(PHASE * UNIT))
    teacher = learner(rest, chain(jnp.asarray(TEACHER, config.dtype)))
    return Pair(teacher, learner(rest, chain(values), optimiser), shifts, jnp.asarray(0))


def follow(config: Config, optimiser, prospective_errors: bool):
    """One step of teacher and student; the student is nudged towards the teacher's output."""
    wave = jnp.asarray(square_wave(config), config.dtype)
    make = partial(gle_step, ENERGY, tau_m=None, tau_r=config.tau_r, dt=DT, tau_min=config.tau_min)
    lead = make()
    learn = make(optimiser=optimiser, prospective_errors=prospective_errors)

    def step(pair: Pair, _):
        x = wave[(pair.step + pair.shifts) % wave.size][:, None]
        off = jnp.zeros((), config.dtype)
        teacher, shown = lead(pair.teacher, Stimulus(x, x, off))
        target = shown.rate[-1]
        beta = jnp.asarray(config.beta, config.dtype)
        student, own = learn(pair.student, Stimulus(x, target, beta))
        return Pair(teacher, student, pair.shifts, pair.step + 1), (target, own)

    return step


def squared(target, own) -> Float[Array, ""]:
    return jnp.mean((target - own.rate[-1]) ** 2)


def online(config: Config, prospective_errors: bool):
    """Learning in every step: the pair after `units`, and a record of each."""
    step = follow(config, optax.adam(config.learning_rate), prospective_errors)

    def unit(pair: Pair, _):
        pair, losses = jax.lax.scan(_only_loss(step), pair, length=UNIT)
        return pair, Record(parameters(pair.student.theta), losses.mean())

    return lambda pair, units: jax.lax.scan(unit, pair, length=units)


def through_time(config: Config, window: int):
    """Learning by backpropagation through windows; the errors of the neurons are switched off."""
    optimiser = optax.adam(config.learning_rate * window * UNIT)
    step = follow(replace_beta(config, 0.0), None, True)

    def loss(theta, pair: Pair):
        pair = eqx.tree_at(lambda pair: pair.student.theta, pair, theta)
        pair, losses = jax.lax.scan(_only_loss(step), pair, length=window * UNIT)
        return losses.mean(), (pair, losses)

    def one(pair: Pair, _):
        theta = pair.student.theta
        gradient, (pair, losses) = eqx.filter_grad(loss, has_aux=True)(theta, pair)
        trained = eqx.filter(theta, eqx.is_inexact_array)
        updates, memory = optimiser.update(gradient, pair.student.memory, trained)
        layers, tau_m = eqx.apply_updates(theta, updates)
        theta = layers, jax.tree.map(lambda tau: jnp.maximum(tau, config.tau_min), tau_m)
        pair = pair._replace(student=Learner(pair.student.neurons, theta, memory))
        records = jnp.broadcast_to(parameters(theta), (window, 4))
        return pair, Record(records, losses.reshape(window, UNIT).mean(axis=1))

    def run_units(pair: Pair, units: int):
        pair, records = jax.lax.scan(one, pair, length=units // window)
        return pair, jax.tree.map(lambda leaf: leaf.reshape(units, *leaf.shape[2:]), records)

    return run_units


def replace_beta(config: Config, beta: float) -> Config:
    return Config(**{**vars(config), "beta": beta})


def _only_loss(step):
    def reduced(pair, _):
        pair, shown = step(pair, None)
        return pair, squared(*shown)

    return reduced


def look(config: Config, pair: Pair, units: int) -> tuple[Pair, Traces]:
    """Teacher and student without learning."""
    pair, (target, own) = jax.lax.scan(follow(config, None, True), pair, length=units * UNIT)
    errors = jnp.concatenate([error[:, 0] for error in own.error], axis=1)
    return pair, Traces(target[:, 0, 0], own.rate[-1][:, 0, 0], errors)


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    if config.duration % CHUNK:
        raise ValueError(f"duration is {config.duration}; a multiple of {CHUNK} is required")
    if any(CHUNK % window for window in config.windows):
        raise ValueError(f"windows are {config.windows}; divisors of {CHUNK} are required")
    algorithms = (
        online(config, prospective_errors=True),
        online(config, prospective_errors=False),
        *(through_time(config, window) for window in config.windows),
    )
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(config.seeds))
    seeds = jax.vmap(lambda key: start(key, config, optax.adam(config.learning_rate)))(keys)
    seeds, before = jax.jit(jax.vmap(lambda pair: look(config, pair, WARM_UP)))(seeds)
    count = len(algorithms)
    empty = Record(
        jnp.full((config.seeds, count, config.duration, 4), jnp.nan, config.dtype),
        jnp.full((config.seeds, count, config.duration), jnp.nan, config.dtype),
    )
    advance = [jax.jit(jax.vmap(lambda pair, a=a: a(pair, CHUNK))) for a in algorithms]
    done, (pairs, history) = job.restore(((seeds,) * count, empty)) or (
        0,
        ((seeds,) * count, empty),
    )
    chunks = config.duration // CHUNK
    with job.progress(chunks - done, "lag line") as bar:
        for chunk in range(done, chunks):
            pairs, records = zip(
                *(step(pair) for step, pair in zip(advance, pairs, strict=True)), strict=True
            )
            at = slice(chunk * CHUNK, (chunk + 1) * CHUNK)
            new = jax.tree.map(lambda *leaves: jnp.stack(leaves, axis=1), *records)
            history = jax.tree.map(lambda old, new: old.at[:, :, at].set(new), history, new)
            losses = np.asarray(new.loss[:, :, -1])
            if not np.all(np.isfinite(losses)):
                raise FloatingPointError(f"the loss is {losses} at chunk {chunk + 1}")
            bar.advance(loss=float(losses[:, 0].mean()), instantaneous=float(losses[:, 1].mean()))
            if chunk + 1 < chunks and (chunk + 1) % 10 == 0:
                job.save(chunk + 1, (pairs, history))
    _, after = jax.jit(jax.vmap(lambda pair: look(config, pair, SHOWN)))(pairs[0])
    before = jax.tree.map(lambda trace: trace[:, -SHOWN * UNIT :], before)
    result = Result(*history, before, after, np.asarray(config.windows))
    return jax.tree.map(np.asarray, result)


def figure(result: Result):
    """Fig. 5 of the paper: parameters and loss of all seeds over time, for every algorithm; below,
    what the first student shows before and after learning, and its errors."""
    from matplotlib.figure import Figure

    from plasticjax.plotting import class_color

    names = ["GLE", "instantaneous errors", *(f"BPTT, window {w}" for w in result.windows)]
    times = WARM_UP + 1 + np.arange(result.loss.shape[2])
    fig = Figure(figsize=(7.2, 9.0), layout="constrained")
    grid = fig.subplots(5, 2)
    for ax, k in zip(grid[:2].flat, range(4), strict=True):
        for a in range(len(names)):
            ax.plot(times, result.parameters[:, a, :, k].T, color=class_color(a), linewidth=0.8)
        ax.axhline(TEACHER[k], color="black", linestyle="--", linewidth=0.8)
        ax.set(xscale="log", xlabel="time", ylabel=NAMES[k])
    loss, key = grid[2]
    for a, name in enumerate(names):
        (line, *_) = loss.plot(times, result.loss[:, a].T, color=class_color(a), linewidth=0.6)
        key.plot([], [], color=line.get_color(), label=name)
    key.plot([], [], color="black", linestyle="--", label="teacher")
    key.legend(loc="center", fontsize=8, frameon=False)
    key.set_axis_off()
    loss.set(xscale="log", yscale="log", xlabel="time", ylabel="squared error")
    at = np.arange(result.before.target.shape[1]) / UNIT
    for column, (when, traces) in enumerate(
        (("before learning", result.before), ("after learning (GLE)", result.after))
    ):
        outputs, errors = grid[3:, column]
        outputs.plot(at, traces.output[0], color=class_color(0))
        outputs.plot(at, traces.target[0], color="black", linestyle="--", linewidth=0.8)
        outputs.set(title=when, ylabel="rate of neuron 1", xlabel="time")
        for neuron in (1, 0):
            style = {"color": "0.6" if neuron else class_color(0), "linewidth": 0.9}
            errors.plot(at, traces.error[0, :, neuron], label=f"neuron {neuron}", **style)
        errors.set(ylabel="prospective error", xlabel="time")
        errors.legend(fontsize=7, frameon=False, loc="upper right")
    for row in (3, 4):
        low = min(ax.get_ylim()[0] for ax in grid[row])
        high = max(ax.get_ylim()[1] for ax in grid[row])
        for ax in grid[row]:
            ax.set_ylim(low, high)
    for ax in fig.axes:
        ax.tick_params(labelsize=7)
        ax.title.set_fontsize(8)
    return fig


def _final(k: int, algorithm: int = 0):
    return lambda result: result.parameters[:, algorithm, -1, k]


def _learned(k: int, name: str) -> Claim:
    value = TEACHER[k]
    near = (value - 0.002, value + 0.002)
    return Claim(
        statement=f"GLE: {name} of the teacher ({value:g}) is found",
        paper_value=value,
        source=SOURCE,
        measure=_final(k),
        accept={"default": near, "paper": near},
    )


CLAIMS = (
    *(_learned(k, name) for k, name in enumerate(("tau_m of neuron 0", "tau_m of neuron 1"))),
    *(_learned(k + 2, name) for k, name in enumerate(("weight 0", "weight 1"))),
    Claim(
        statement="GLE: squared error at time 500",
        paper_value=1e-4,
        source=REPEATED,
        measure=lambda result: result.loss[:, 0, min(500 - WARM_UP, result.loss.shape[2]) - 1],
        accept={"smoke": (0.0, 0.1), "default": (0.0, 1e-4), "paper": (0.0, 1e-4)},
    ),
    Claim(
        statement="instantaneous errors: the longer learned tau_m, at its lower bound",
        paper_value=0.1,
        source=REPEATED,
        measure=lambda result: result.parameters[:, 1, -1, :2].max(axis=-1),
        accept={"default": (0.0999, 0.1001), "paper": (0.0999, 0.1001)},
    ),
    Claim(
        statement="instantaneous errors: weight 1 (teacher: 2)",
        paper_value=2.09,
        source=REPEATED,
        measure=_final(3, algorithm=1),
        accept={"default": (2.05, 2.13), "paper": (2.05, 2.13)},
    ),
    Claim(
        statement="instantaneous errors: squared error in the end",
        paper_value=0.0127,
        source=REPEATED,
        measure=lambda result: result.loss[:, 1, -100:].mean(axis=-1),
        accept={"default": (0.0107, 0.0147), "paper": (0.0107, 0.0147)},
    ),
)
