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

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from ._contract import Claim, Job
from ._lag_line import (
    PHASE,
    TEACHER,
    UNIT,
    Pair,
    Record,
    Run,
    follow,
    online,
    square_wave,
    start,
    through_time,
)

SOURCE = "Ellenberger et al. 2025, Fig. 5"
REPEATED = "independent re-implementation of Ellenberger et al. 2025, Fig. 5"
NAMES = (r"$\tau_{\mathrm{m},0}$", r"$\tau_{\mathrm{m},1}$", "$w_0$", "$w_1$")
WARM_UP = 50  # time units without learning
PERIOD = 2 * PHASE  # time units
CHUNK = 100  # time units between checkpoints, a multiple of the period and of all windows
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

    target: Float[Array, "seeds time"]
    output: Float[Array, "seeds time"]
    error: Float[Array, "seeds time 2"]


class Result(NamedTuple):
    """Algorithms: GLE, instantaneous errors, then one of each window of BPTT.

    Parameters are ordered as `NAMES`; one record a time unit of learning."""

    parameters: Float[np.ndarray, "seeds algorithms records 4"]
    loss: Float[np.ndarray, "seeds algorithms records"]
    before: Traces
    after: Traces
    windows: Int[np.ndarray, " windows"]


def algorithms(config: Config) -> list[Run]:
    wave = jnp.asarray(square_wave(config.smoothing), config.dtype)
    rate, bound = config.learning_rate, config.tau_min
    step = partial(follow, wave, tau_r=config.tau_r, tau_min=bound)
    learn = partial(step, beta=config.beta, optimiser=optax.adam(rate))
    return [
        online(learn(prospective_errors=True)),
        online(learn(prospective_errors=False)),
        *(
            through_time(step(beta=0.0), optax.adam(rate * window * UNIT), window, bound)
            for window in config.windows
        ),
    ]


def look(config: Config, pair: Pair, units: int) -> tuple[Pair, Traces]:
    """Teacher and student without learning."""
    wave = jnp.asarray(square_wave(config.smoothing), config.dtype)
    step = follow(wave, beta=config.beta, tau_r=config.tau_r, tau_min=config.tau_min)

    def one(pair, _):
        pair, target, own = step(pair)
        errors = jnp.stack([error[0, 0] for error in own.error])
        return pair, Traces(target[0, 0], own.rate[-1][0, 0], errors)

    return jax.lax.scan(one, pair, length=units * UNIT)


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    if config.duration % CHUNK:
        raise ValueError(f"duration is {config.duration}; a multiple of {CHUNK} is required")
    if any(CHUNK % window for window in config.windows):
        raise ValueError(f"windows are {config.windows}; divisors of {CHUNK} are required")
    runs = algorithms(config)
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(config.seeds))
    begin = partial(start, batch=config.batch, tau_min=config.tau_min, dtype=config.dtype)
    seeds = jax.vmap(begin)(keys)
    seeds, before = jax.jit(jax.vmap(lambda pair: look(config, pair, WARM_UP)))(seeds)
    count = len(runs)
    empty = Record(
        jnp.full((config.seeds, count, config.duration, 4), jnp.nan, config.dtype),
        jnp.full((config.seeds, count, config.duration), jnp.nan, config.dtype),
    )
    advance = [jax.jit(jax.vmap(lambda pair, run=run: run(pair, CHUNK))) for run in runs]
    fresh = ((seeds,) * count, empty)
    done, (pairs, history) = job.restore(fresh) or (0, fresh)
    chunks = config.duration // CHUNK
    with job.progress(chunks - done, "lag line") as bar:
        for chunk in range(done, chunks):
            pairs, records = zip(
                *(step(pair) for step, pair in zip(advance, pairs, strict=True)), strict=True
            )
            at = slice(chunk * CHUNK, (chunk + 1) * CHUNK)
            new = jax.tree.map(lambda *leaves: jnp.stack(leaves, axis=1), *records)
            history = Record(
                history.parameters.at[:, :, at].set(new.parameters),
                history.loss.at[:, :, at].set(new.loss),
            )
            losses = np.asarray(new.loss[:, :, -1])
            if not np.all(np.isfinite(losses)):
                raise FloatingPointError(f"the loss is {losses} at chunk {chunk + 1}")
            bar.advance(loss=float(losses[:, 0].mean()), instantaneous=float(losses[:, 1].mean()))
            if chunk + 1 < chunks and (chunk + 1) % 10 == 0:
                job.save(chunk + 1, (pairs, history))
    _, after = jax.jit(jax.vmap(lambda pair: look(config, pair, SHOWN)))(pairs[0])
    before = jax.tree.map(lambda trace: trace[:, -SHOWN * UNIT :], before)
    loss, values = np.asarray(history.loss), np.asarray(history.parameters)
    result = Result(values, loss, before, after, np.asarray(config.windows))
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
        periods = result.loss[:, a].reshape(len(result.loss), -1, PERIOD).mean(axis=-1)
        (line, *_) = loss.plot(times[::PERIOD], periods.T, color=class_color(a), linewidth=0.8)
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
        errors.axhline(0, color="0.8", linewidth=0.5, zorder=0)
        errors.set(ylabel="prospective error", xlabel="time")
    grid[4, 1].legend(fontsize=7, frameon=False)
    for row in (3, 4):
        low = min(ax.get_ylim()[0] for ax in grid[row])
        low -= 0.1 * abs(low)
        high = max(ax.get_ylim()[1] for ax in grid[row])
        for ax in grid[row]:
            ax.set_ylim(low, high)
    for ax in fig.axes:
        ax.tick_params(labelsize=7)
        ax.title.set_fontsize(8)
        ax.xaxis.label.set_fontsize(8)
        ax.yaxis.label.set_fontsize(8)
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
