"""Microcircuits with latent equilibrium learn from presentations shorter than their time constant.

Haider et al. (2021), NeurIPS, Fig. 3: a dendritic microcircuit, 9-30-3, learns to tell horizontal,
vertical and diagonal bars in 3x3 images. Plasticity is always on, and potentials are not reset
between images. The original model of Sacramento et al. (2018) needs presentations of many membrane
time constants, in which its transients are forgotten. Deliverable D3.11, section 1.2.3.1, Fig. 23d.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from plasticjax.data import bars
from plasticjax.models import (
    DendriticMicrocircuit,
    MicrocircuitCarry,
    MicrocircuitInputs,
    MicrocircuitLearningRates,
)

from ._contract import Claim, Job, Size

EPOCHS_PER_CALL = 10
SAVE_EVERY = 50  # epochs
AVERAGED = 50  # validations at the end of training; a third of all in short runs
CHANCE = 37.5  # percent, three of eight images
TAU_EFF = 1 / 0.19  # ms, of all cells
# Time at the start of a presentation that the output of the original model is given to settle, by
# duration. Both in steps.
LAGS = {3: 0, 5: 2, 10: 5, 20: 10, 50: 20, 100: 50, 200: 150, 500: 400}
LAGS |= {1000: 800, 2000: 800, 5000: 800}
MODELS = {"latent equilibrium": True, "original": False}


@dataclass(frozen=True)
class Config:
    """Values of the published configurations; training and validation images are the same."""

    seeds: int = 3
    epochs: int = 300  # each shows 8 images for training and 8 for validation
    hidden: int = 30  # pyramidal cells of the hidden layer
    durations: tuple[int, ...] = tuple(LAGS)  # of a presentation, steps
    dt: float = 0.1  # ms
    # Learning rates times the steps of a presentation, 1/ms: weights up to the hidden and to the
    # output cells, and those to the interneurons.
    rates: tuple[float, float, float] = (5.0, 1.0, 2.0)
    targets: tuple[float, float] = (1.0, 0.1)  # potentials of the right and the other output cells
    dtype: str = "float32"

    @classmethod
    def paper(cls) -> "Config":
        return cls(seeds=10, epochs=1000)

    @classmethod
    def smoke(cls) -> "Config":
        return cls(durations=(10, 20))


class Result(NamedTuple):
    """Validation after each epoch: accuracy in percent, squared error of the output potentials."""

    accuracy: Float[np.ndarray, "seeds models durations epochs"]
    error: Float[np.ndarray, "seeds models durations epochs"]
    durations: Int[np.ndarray, " durations"]  # steps
    dt: float  # ms


class State(NamedTuple):
    circuits: MicrocircuitCarry  # leaves [seeds, models, ...], of the duration in progress
    accuracy: Float[Array, "seeds models durations epochs"]  # NaN for epochs to come
    error: Float[Array, "seeds models durations epochs"]


_IMAGES, _TARGETS = bars()
IMAGES, LABELS = _IMAGES.reshape(8, 9), _TARGETS.argmax(axis=1)


def target_potentials(config: Config) -> Float[Array, "8 3"]:
    right, other = config.targets
    return jnp.where(np.eye(3, dtype=bool)[LABELS], right, other).astype(config.dtype)


@partial(jax.jit, static_argnames="config")
def initial_circuits(keys: Key[Array, " seeds"], config: Config) -> MicrocircuitCarry:
    """At rest; both models of a seed have the same weights. Leaves [seeds, models, ...]."""
    circuit = DendriticMicrocircuit(dt=config.dt)

    def of_seed(key):
        weights = circuit.init_weights((9, config.hidden, 3), key=jax.random.fold_in(key, 0))
        carry = circuit.initial(jax.tree.map(lambda w: w.astype(config.dtype), weights))
        return jax.tree.map(lambda leaf: jnp.stack([leaf] * len(MODELS)), carry)

    return jax.vmap(of_seed)(keys)


def present(circuit, carry, image, *, taught: bool, steps, lag, config: Config):
    """Shows one image; returns the carry and the output potentials, averaged from `lag` on."""
    rates = jnp.asarray(IMAGES, config.dtype)[image]
    inputs = MicrocircuitInputs(rates, target_potentials(config)[image], taught)

    def step(k, state):
        carry, total = state
        carry, shown = circuit(carry, inputs)
        return carry, total + jnp.where(k >= lag, shown.pyramids[-1], 0)

    # The number of steps is an argument, so that one program serves all durations.
    carry, total = jax.lax.fori_loop(0, steps, step, (carry, jnp.zeros(3, config.dtype)))
    return carry, total / (steps - lag)


def train(carry, key, prospective, first, steps, lag, *, config: Config):
    """Some epochs of one circuit from number `first` on; accuracy and squared error of each."""
    hidden, output, interneurons = (jnp.asarray(rate / steps) for rate in config.rates)
    eta = MicrocircuitLearningRates((hidden, output), ip=(interneurons,))
    fixed = DendriticMicrocircuit(prospective, dt=config.dt)
    plastic = DendriticMicrocircuit(prospective, eta, dt=config.dt)
    show = partial(present, steps=steps, lag=lag, config=config)

    def epoch(carry, number):
        order, again = jax.random.split(jax.random.fold_in(key, number))
        images = jax.random.permutation(order, 8)
        carry, _ = jax.lax.scan(partial(show, plastic, taught=True), carry, images)
        images = jax.random.permutation(again, 8)
        carry, outputs = jax.lax.scan(partial(show, fixed, taught=False), carry, images)
        hits = 100.0 * jnp.mean(outputs.argmax(axis=1) == jnp.asarray(LABELS)[images])
        return carry, (hits, jnp.mean((outputs - target_potentials(config)[images]) ** 2))

    return jax.lax.scan(epoch, carry, first + jnp.arange(EPOCHS_PER_CALL))


@partial(jax.jit, static_argnames="config")
def train_all(
    state: State, keys: Key[Array, " seeds"], first: int, place: int, *, config: Config
) -> State:
    """`EPOCHS_PER_CALL` epochs of all seeds and models with the duration at index `place`."""
    steps = jnp.asarray(config.durations)[place]
    settle = jnp.asarray([LAGS[duration] for duration in config.durations])[place]
    prospective = jnp.array(list(MODELS.values()))
    lags = jnp.where(prospective, 0, settle)

    def one(carry, key, prospective, lag):
        return train(carry, key, prospective, first, steps, lag, config=config)

    each_model = jax.vmap(one, (0, None, 0, 0))
    each_seed = jax.vmap(each_model, (0, 0, None, None))
    circuits, scores = each_seed(
        state.circuits, jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys), prospective, lags
    )
    accuracy, error = (
        jax.lax.dynamic_update_slice(
            curves, new[:, :, None].astype(curves.dtype), (0, 0, place, first)
        )
        for curves, new in zip(state[1:], scores, strict=True)
    )
    return State(circuits, accuracy, error)


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    _check(config)
    with jax.enable_x64(config.dtype == "float64"):
        keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(config.seeds))
        state = train_durations(config, keys, job)
    accuracy, error = np.asarray(state.accuracy), np.asarray(state.error)
    return Result(accuracy, error, np.asarray(config.durations), config.dt)


def train_durations(config: Config, keys: Key[Array, " seeds"], job: Job) -> State:
    """Trains new circuits for each duration, one duration after the other."""
    initial = initial_circuits(keys, config)
    shape = (config.seeds, len(MODELS), len(config.durations), config.epochs)
    state = State(initial, *[jnp.full(shape, jnp.nan, config.dtype)] * 2)
    done, state = job.restore(state) or (0, state)

    calls = config.epochs // EPOCHS_PER_CALL
    images = 16 * EPOCHS_PER_CALL
    with job.progress(images * calls * sum(config.durations), "steps") as bar:
        for call in range(calls * len(config.durations)):
            place, first = call // calls, call % calls * EPOCHS_PER_CALL
            if call >= done:
                if first == 0:
                    state = state._replace(circuits=initial)
                state = train_all(state, keys, first, place, config=config)
            last = first + EPOCHS_PER_CALL - 1
            error = np.asarray(state.error)[:, :, place, last]
            if not np.isfinite(error).all():
                raise FloatingPointError(
                    f"the squared error is {error.max()} after {last + 1} epochs with "
                    f"presentations of {config.durations[place]} steps"
                )
            if call >= done and ((last + 1) % SAVE_EVERY == 0 or last + 1 == config.epochs):
                job.save(call + 1, state)
            accuracy = np.asarray(state.accuracy)[:, :, place, last].mean(axis=0)
            bar.advance(
                images * config.durations[place],
                duration=config.durations[place],
                epoch=last + 1,
                le=accuracy[0],
                original=accuracy[1],
            )
    return state


def _check(config: Config) -> None:
    for name in ("seeds", "hidden"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} is {getattr(config, name)}; a whole number >= 1 is required")
    if config.epochs < 1 or config.epochs % EPOCHS_PER_CALL:
        raise ValueError(f"epochs is {config.epochs}; a multiple of {EPOCHS_PER_CALL} is required")
    if not {10, 20} <= set(config.durations) <= set(LAGS):
        raise ValueError(
            f"durations is {config.durations}; 10 and 20 are required, valid: {tuple(LAGS)}"
        )
    if config.dtype not in ("float32", "float64"):
        raise ValueError(f"dtype is {config.dtype!r}; valid: 'float32', 'float64'")


def final(result: Result) -> Float[np.ndarray, "seeds models durations"]:
    """Accuracy after training: mean of the last validations."""
    epochs = result.accuracy.shape[-1]
    return result.accuracy[..., -min(AVERAGED, epochs // 3) :].mean(axis=-1)


def figure(result: Result):
    """Fig. 3 of the paper: accuracy after training over the duration of a presentation; and its
    course, in means over ten epochs, for presentations of 10 steps and for the longest."""
    from matplotlib.figure import Figure

    from plasticjax.plotting import class_color, learning_curve

    fig = Figure(figsize=(7.2, 3.2), layout="constrained")
    main, course = fig.subplots(1, 2, width_ratios=(1.4, 1), sharey=True)
    durations = result.durations * result.dt / TAU_EFF
    seeds, models, _, epochs = result.accuracy.shape
    smooth = result.accuracy.reshape(seeds, models, len(durations), -1, 10).mean(axis=-1)
    places = np.flatnonzero(result.durations == 10)[0], np.argmax(result.durations)
    for k, (name, values) in enumerate(zip(MODELS, final(result).swapaxes(0, 1), strict=True)):
        colour = class_color(k)
        learning_curve(durations, values, label=name, color=colour, ax=main)
        main.plot(durations, values.T, ".", color=colour, markersize=4)
        for place, style in zip(places, ("-", "--"), strict=True):
            label = f"{name}, {durations[place]:.2g} $\\tau$"
            learning_curve(np.arange(5, epochs, 10), smooth[:, k, place], color=colour, ax=course)
            course.lines[-1].set(linestyle=style, label=label)
    main.set(xscale="log", xlabel=r"duration of a presentation ($\tau_\mathrm{eff}$)")
    main.set(ylabel="accuracy after training (%)", ylim=(20, 103))
    course.set(xlim=(0, epochs), ylabel="accuracy, mean of 10 epochs (%)")
    for ax, place in ((main, (0.65, 0.75)), (course, (1, 0.5))):
        ax.axhline(CHANCE, color="0.5", linestyle=":", linewidth=0.8)
        ax.legend(fontsize=7, frameon=False, loc="center right", bbox_to_anchor=place)
    return fig


PAPER = "Haider et al. 2021, Fig. 3"
PERFECT: dict[Size, tuple[float, float]]
PERFECT = {"smoke": (90.0, 100.0), "default": (95.0, 100.0), "paper": (99.0, 100.0)}
AT_CHANCE = (30.0, 45.0)

CLAIMS = (
    Claim(
        "latent equilibrium, presentations of 10 steps = 0.19 tau: accuracy (%)",
        100.0,
        PAPER,
        lambda result: final(result)[:, 0, result.durations == 10].mean(axis=-1),
        PERFECT,
    ),
    Claim(
        "latent equilibrium, presentations of 20 steps = 0.38 tau: accuracy (%)",
        100.0,
        PAPER,
        lambda result: final(result)[:, 0, result.durations == 20].mean(axis=-1),
        PERFECT,
    ),
    Claim(
        "original model, presentations up to 20 steps = 0.38 tau: accuracy (%)",
        CHANCE,
        PAPER,
        lambda result: final(result)[:, 1, result.durations <= 20].mean(axis=-1),
        {"smoke": AT_CHANCE, "default": AT_CHANCE, "paper": AT_CHANCE},
    ),
    Claim(
        "original model, longest presentations (5000 steps = 95 tau): accuracy (%)",
        100.0,
        PAPER,
        lambda result: final(result)[:, 1, np.argmax(result.durations)],
        {"default": (70.0, 100.0), "paper": (90.0, 100.0)},
    ),
)
