"""A recurrent network follows many channels in real time and fills in those it cannot see.

Neuronal least action, Fig. 3 of Senn et al. (2024); D3.11, section 1.1.2.7. All outputs are nudged
while the weights learn; in the test the observed channels are clamped strongly and the others are
read out. With `recording` the channels are those of an intracranial recording; without it they are
a SYNTHETIC stand-in: more channels than the oscillations they are mixed from.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Float, Key

from plasticjax.data import ieeg, multichannel_oscillations
from plasticjax.energy import (
    LeastActionState,
    MismatchEnergy,
    RecurrentWeights,
    Stimulus,
    learner,
    least_action_step,
    local_rates,
    logistic,
    recurrent,
    voltage_cost,
)

from ._contract import Claim, Job

ENERGY = MismatchEnergy(logistic, recurrent, voltage_cost)
SETTLE = 100  # ms at the beginning of a test that are not judged


@dataclass(frozen=True)
class Config:
    """Fig. 3c of the paper at a smaller size; times in ms."""

    seeds: int = 3
    recording: str = ""  # file for `plasticjax.data.ieeg`; empty: the synthetic stand-in
    channels: int = 20
    hidden: int = 16  # neurons
    hidden_from_test: int = 5  # channels that are not observed in the test
    sources: int = 5  # oscillations behind the synthetic channels
    slowing: float = 8.0  # factor on their periods of 6, 8, ... ms
    duration: int = 2000  # ms of each segment, one for training and one held out
    repetitions: int = 60  # of the training segment
    tau: float = 10.0
    dt: float = 1.0
    beta: float = 0.1  # nudging while learning
    clamping: float = 10.0  # nudging of the observed channels in the test
    learning_rate: float = 1e-3  # per ms
    width: float = 0.1  # of the initial weights, clipped at three widths
    dtype: str = "float64"

    @classmethod
    def paper(cls) -> "Config":
        return cls(
            channels=56, hidden=40, hidden_from_test=14, sources=14, duration=8000, repetitions=1000
        )

    @classmethod
    def smoke(cls) -> "Config":
        return cls(seeds=2, duration=500, repetitions=6)


class Result(NamedTuple):
    """Squared errors [seeds, repetitions + 1] of the channels that are not observed, in units of
    their variance; row 0 is before learning. Traces are those of the held-out segment."""

    train: Float[np.ndarray, "seeds repetitions"]
    held_out: Float[np.ndarray, "seeds repetitions"]
    force: Float[np.ndarray, " seeds"]  # largest |dL/du| while learning in the last repetition
    target: Float[np.ndarray, "seeds time channels"]
    before: Float[np.ndarray, "seeds time channels"]
    after: Float[np.ndarray, "seeds time channels"]
    synthetic: bool


def segments(config: Config, key) -> Float[Array, "segment time channel"]:
    if config.recording:
        return jnp.asarray(
            ieeg(
                config.recording,
                starts=(0, config.duration),
                duration=config.duration,
                channels=config.channels,
            ),
            config.dtype,
        )
    drawn, mixed = jax.random.split(key)
    times = jnp.arange(2 * config.duration, dtype=config.dtype) / config.slowing
    sources = multichannel_oscillations(drawn, times, channels=config.sources)
    mixing = jax.random.normal(mixed, (config.sources, config.channels), config.dtype)
    channels = sources @ mixing / np.sqrt(config.sources)
    return channels.reshape(2, config.duration, config.channels)


def initial_weights(config: Config, key) -> RecurrentWeights:
    neurons = config.hidden + config.channels
    weight = config.width * jax.random.normal(key, (neurons, neurons), config.dtype)
    weight = jnp.clip(weight, -3 * config.width, 3 * config.width)
    zeros = partial(jnp.zeros, dtype=config.dtype)
    return RecurrentWeights(
        weight - jnp.diag(jnp.diag(weight)), zeros((neurons, 0)), zeros(neurons)
    )


def rates_of(config: Config, theta: RecurrentWeights) -> RecurrentWeights:
    """Learning rate of every parameter in a step; no self loops, no biases."""
    neurons = config.hidden + config.channels
    rate = config.dt * config.learning_rate
    return RecurrentWeights(
        rate * (1 - jnp.eye(neurons, dtype=config.dtype)), theta.input_weight, theta.bias
    )


def stimuli(config: Config, channels, beta) -> Stimulus:
    """Targets and nudging of all neurons [time, neurons]; hidden neurons have neither."""
    padding = ((0, 0), (config.hidden, 0))
    time = len(channels)
    beta = jnp.pad(jnp.broadcast_to(beta, channels.shape), padding)
    return Stimulus(jnp.zeros((time, 0), channels.dtype), jnp.pad(channels, padding), beta)


def run_segment(config: Config, theta, x: Stimulus, *, plastic: bool):
    """Parameters afterwards, output voltages [time, channels] and the largest force."""
    optimiser = local_rates(rates_of(config, theta)) if plastic else None
    step = least_action_step(
        ENERGY, tau=config.tau, dt=config.dt, solver=lx.LU(), optimiser=optimiser
    )
    first = jax.tree.map(lambda leaf: leaf[0], x)
    neurons = LeastActionState(jnp.zeros_like(first.target), first)
    carry, seen = jax.lax.scan(step, learner(neurons, theta, optimiser), x)
    force = jnp.max(jnp.abs(seen.force[SETTLE:]))
    return carry.theta, seen.voltage[:, config.hidden :], force


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    if not 0 < config.hidden_from_test < config.channels:
        raise ValueError(
            f"hidden_from_test={config.hidden_from_test} must lie between 1 and "
            f"{config.channels - 1}"
        )
    if config.duration <= SETTLE:
        raise ValueError(f"duration={config.duration} must exceed {SETTLE} ms")
    with jax.enable_x64(config.dtype == "float64"):
        return _run(config, key, job)


def _run(config: Config, key, job: Job) -> Result:
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(config.seeds))
    observed = np.arange(config.channels) < config.channels - config.hidden_from_test
    clamp = jnp.asarray(config.clamping * observed, config.dtype)

    def begin(key):
        course, weights = jax.random.split(key)
        return initial_weights(config, weights), segments(config, course)

    def examine(theta, data):
        def test(channels):
            _, outputs, _ = run_segment(
                config, theta, stimuli(config, channels, clamp), plastic=False
            )
            miss = (outputs - channels)[SETTLE:, ~observed]
            return jnp.mean(miss**2) / jnp.var(channels[SETTLE:, ~observed]), outputs

        error, outputs = jax.lax.map(test, data)
        return error, outputs[1]

    def learn(theta, data):
        x = stimuli(config, data[0], jnp.asarray(config.beta, config.dtype))
        theta, _, force = run_segment(config, theta, x, plastic=True)
        return theta, force

    learn, examine = jax.jit(jax.vmap(learn)), jax.jit(jax.vmap(examine))
    theta, data = jax.jit(jax.vmap(begin))(keys)
    errors = np.full((config.repetitions + 1, config.seeds, 2), np.nan)
    errors[0], before = map(np.asarray, examine(theta, data))
    force = jnp.zeros(config.seeds, config.dtype)
    restored = job.restore((theta, errors, force))
    start, (theta, errors, force) = (
        restored if restored is not None else (0, (theta, errors, force))
    )
    after = before
    with job.progress(config.repetitions - start, "least action, many channels") as bar:
        for repetition in range(start, config.repetitions):
            theta, force = learn(theta, data)
            errors[repetition + 1], after = map(np.asarray, examine(theta, data))
            if not np.all(np.isfinite(errors[repetition + 1])):
                raise FloatingPointError(f"an error is not finite in repetition {repetition + 1}")
            bar.advance(held_out=float(errors[repetition + 1, :, 1].mean()))
            job.save(repetition + 1, (theta, errors, force))
    if start == config.repetitions:
        after = np.asarray(examine(theta, data)[1])
    return Result(
        errors[:, :, 0].T,
        errors[:, :, 1].T,
        np.asarray(force),
        np.asarray(data[:, 1]),
        before,
        after,
        not config.recording,
    )


def figure(result: Result):
    from matplotlib.figure import Figure

    from plasticjax.plotting import class_color, learning_curve

    fig = Figure(figsize=(7.2, 4.4), layout="constrained")
    fig.suptitle(
        "synthetic stand-in for a recording" if result.synthetic else "intracranial recording",
        fontsize=9,
    )
    axes = fig.subplot_mosaic([["0", "curve"], ["1", "curve"], ["2", "curve"]])
    shown = slice(SETTLE, SETTLE + 400)
    for row in range(3):
        ax, channel = axes[str(row)], -1 - row
        for trace, color, name in (
            (result.before, "lightgrey", "before learning"),
            (result.after, class_color(0), "after learning"),
        ):
            ax.plot(trace[0, shown, channel], color=color, linewidth=1.2, label=name)
        ax.plot(
            result.target[0, shown, channel], "--", color="black", linewidth=0.8, label="channel"
        )
        ax.set_ylabel(f"unseen {row + 1}", fontsize=8)
        ax.tick_params(labelsize=7)
    axes["0"].legend(fontsize=6, frameon=False, ncols=3, loc="upper right")
    axes["2"].set_xlabel("time in the held-out segment (ms)", fontsize=8)
    steps = np.arange(result.train.shape[1])
    options = {"ax": axes["curve"], "step_label": "repetition"}
    label = "squared error of unseen channels (variance)"
    learning_curve(steps, result.train, label="training segment", value_label=label, **options)
    learning_curve(steps, result.held_out, label="held-out segment", value_label=label, **options)
    axes["curve"].set_ylim(bottom=0)
    return fig


_SOURCE = "Senn et al. 2024, Fig. 3c: the direction; no numbers are published"
CLAIMS = (
    Claim(
        statement="error of unseen channels after / before learning, training segment",
        paper_value=0.0,
        source=_SOURCE,
        measure=lambda result: result.train[:, -1] / result.train[:, 0],
        accept={"smoke": (0.0, 0.98), "default": (0.0, 0.6), "paper": (0.0, 0.6)},
    ),
    Claim(
        statement="error of unseen channels after / before learning, held-out segment",
        paper_value=0.0,
        source=_SOURCE,
        measure=lambda result: result.held_out[:, -1] / result.held_out[:, 0],
        accept={"smoke": (0.0, 0.98), "default": (0.0, 0.6), "paper": (0.0, 0.6)},
    ),
    Claim(
        statement="largest force |dL/du| while learning",
        paper_value=0.0,
        source="Senn et al. 2024: the moving equilibrium, up to the time step",
        measure=lambda result: result.force,
        accept={"smoke": (0.0, 0.05), "default": (0.0, 0.05), "paper": (0.0, 0.05)},
    ),
)
