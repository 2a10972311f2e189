"""Neuronal least action classifies images that come faster than its neurons (Senn et al., Fig. 4).

Streams of images are shown without pause, each for a presentation time; the targets switch at the
same moment and plasticity is always on. Inputs and targets are low-passed with the membrane time
constant (exactly, as they are constant within a step), so that no jump enters the finite
differences. The control has the same energy, but its neurons slide down it (`tau du/dt = -dL/du`)
instead of looking ahead. Senn et al. (2024); D3.11, section 1.1.2.7.

The published text leaves open how inputs and targets enter the finite differences. Of about nine
readings we kept the one that comes closest to the recorded accuracies. The literal one, where
targets jump, learns poorly here (0.11, 0.26, 0.09 and 0.24 at 0.5, 1, 5 and 20 tau): agreement with
the recorded numbers is consistency, not an independent confirmation.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from plasticjax.data import digits, mnist
from plasticjax.energy import (
    BatchEnergy,
    ConstantDrive,
    LayeredCurvature,
    Learner,
    LeastActionState,
    MismatchEnergy,
    Stimulus,
    feed_forward,
    gradient_flow,
    hard_sigmoid,
    learner,
    least_action_step,
    linear,
    local_rates,
    param_rule,
    voltage_cost,
)
from plasticjax.models import dense_layers

from ._contract import Claim, Job

DYNAMICS = ("look-ahead", "no look-ahead")
ENERGY = BatchEnergy(MismatchEnergy((hard_sigmoid, linear), feed_forward, voltage_cost))


@dataclass(frozen=True)
class Config:
    """The 8 x 8 digits protocol of the sheet, item 6."""

    seeds: int = 3
    images: str = "digits"  # digits (8 x 8) or mnist (28 x 28)
    hidden: int = 60  # neurons
    presentations: tuple[float, ...] = (0.5, 1.0, 5.0, 20.0)  # units of tau
    steps: int = 50  # Euler steps a presentation
    streams: int = 32  # side by side; plasticity is averaged over them
    epochs: int = 12
    tau: float = 10.0  # ms, of neurons and of the low-pass on inputs
    beta: float = 0.1  # nudging strength
    learning_rate: float = 3.0  # of a whole presentation
    width: float = 0.1  # standard deviation of initial weights
    clip: float = 0.3  # their largest size
    dtype: str = "float64"

    @classmethod
    def paper(cls) -> "Config":
        """The network of Fig. 4 on all of MNIST, as batched streams."""
        return cls(
            images="mnist",
            hidden=500,
            steps=100,
            streams=128,
            epochs=10,
            width=0.01,
            clip=0.03,
            dtype="float32",
        )

    @classmethod
    def smoke(cls) -> "Config":
        return cls(seeds=1, epochs=2)


class Result(NamedTuple):
    presentations: tuple[float, ...]  # units of tau
    accuracy: Float[np.ndarray, "seeds dynamics presentations epochs"]  # held out, no nudging


class Images(NamedTuple):
    """All images and how many of them, in the order of a seed, are for training."""

    pixels: Float[Array, "samples pixels"]
    labels: Int[Array, " samples"]
    train: int
    shuffled: bool  # whether each seed draws its own training set


class Streams(NamedTuple):
    """Networks that share their weights, each at its place in its own stream."""

    learner: Learner
    drive: Stimulus  # low-passed


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    images = load(config)
    seeds, count = config.seeds, len(config.presentations)
    keys = jnp.tile(jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(seeds)), count)
    times = config.tau * jnp.repeat(jnp.asarray(config.presentations, config.dtype), seeds)

    begin = jax.jit(jax.vmap(partial(begin_streams, config, images.pixels[0])))
    epochs = [one_epoch(config, images, dynamics) for dynamics in DYNAMICS]
    streams = tuple(begin(keys) for _ in DYNAMICS)
    curve = np.full((len(DYNAMICS), count * seeds, config.epochs), np.nan)
    restored = job.restore((streams, curve))
    start, (streams, curve) = restored if restored is not None else (0, (streams, curve))
    streams = list(streams)
    with job.progress(len(DYNAMICS) * config.epochs - start, "presentation time") as bar:
        for step in range(start, len(DYNAMICS) * config.epochs):
            which, epoch = divmod(step, config.epochs)
            streams[which], accuracy = epochs[which](streams[which], keys, times, epoch)
            curve[which, :, epoch] = accuracy
            bar.advance(dynamics=DYNAMICS[which], accuracy=float(np.mean(accuracy)))
            job.save(step + 1, (tuple(streams), curve))
    curve = curve.reshape(len(DYNAMICS), count, seeds, config.epochs)
    return Result(config.presentations, np.moveaxis(curve, 2, 0))


def load(config: Config) -> Images:
    if config.images == "digits":
        pixels, labels = digits()
        train, white = 1408, 16
    elif config.images == "mnist":
        (pixels, labels), (more, names) = mnist("train"), mnist("test")
        train, white = len(pixels), 255
        pixels, labels = np.concatenate([pixels, more]), np.concatenate([labels, names])
    else:
        raise ValueError(f"images is {config.images!r}; valid: 'digits', 'mnist'")
    pixels = jnp.asarray(pixels.reshape(len(pixels), -1) / white, config.dtype)
    return Images(pixels, jnp.asarray(labels, jnp.int32), train, config.images == "digits")


def begin_streams(config: Config, example: Float[Array, " pixels"], key: Key[Array, ""]) -> Streams:
    sizes = (len(example), config.hidden, 10)
    drawn = dense_layers(sizes, width=config.width, dtype=example.dtype, key=key)
    theta = jax.tree.map(lambda leaf: jnp.clip(leaf, -config.clip, config.clip), drawn)
    return at_rest(config, len(example), theta)


def at_rest(config: Config, pixels: int, theta) -> Streams:
    dtype = theta[0].weight.dtype
    zeros = lambda size: jnp.zeros((config.streams, size), dtype)  # noqa: E731
    stimulus = Stimulus(zeros(pixels), zeros(10), jnp.zeros((), dtype))
    neurons = LeastActionState((zeros(config.hidden), zeros(10)), stimulus)
    return Streams(learner(neurons, theta, local_rates(0.0)), stimulus)


def one_epoch(config: Config, images: Images, dynamics: str):
    """Learns all training images once, then tests without nudging or plasticity."""

    def presented(indices):
        used = len(indices) // config.streams * config.streams
        return indices[:used].reshape(-1, config.streams)

    def epoch_of_one(streams: Streams, key, duration, epoch):
        split_key, epoch_key = jax.random.split(key)
        order = jnp.arange(len(images.labels))
        if images.shuffled:
            order = jax.random.permutation(split_key, order)
        learned, tested = order[: images.train], order[images.train :]
        learned = jax.random.permutation(jax.random.fold_in(epoch_key, epoch), learned)

        present = presentation(config, images, dynamics, duration, plastic=True)
        streams, _ = jax.lax.scan(present, streams, presented(learned))
        judge = presentation(config, images, dynamics, duration, plastic=False)
        fresh = at_rest(config, images.pixels.shape[1], streams.learner.theta)
        _, hits = jax.lax.scan(judge, fresh, presented(tested))
        return streams, jnp.mean(hits)

    @partial(jax.jit, donate_argnums=0)
    def epoch_of_all(streams, keys, times, epoch):
        return jax.lax.map(
            lambda one: epoch_of_one(one[0], one[1], one[2], epoch), (streams, keys, times)
        )

    return epoch_of_all


def presentation(config: Config, images: Images, dynamics: str, duration, *, plastic: bool):
    """Shows one image to each stream; the decision is taken at the end."""
    dt = duration / config.steps
    optimiser = local_rates(config.learning_rate / config.steps) if plastic else None
    step = (look_ahead if dynamics == "look-ahead" else slide)(config.tau, dt, optimiser)
    passed = -jnp.expm1(-dt / config.tau)
    beta = jnp.asarray(config.beta if plastic else 0.0, images.pixels.dtype)

    def present(streams: Streams, picked):
        pixels = images.pixels[picked]
        shown = Stimulus(pixels, jax.nn.one_hot(images.labels[picked], 10, dtype=beta.dtype), beta)

        def advance(_, streams: Streams) -> Streams:
            drive = jax.tree.map(lambda x, new: x + passed * (new - x), streams.drive, shown)
            drive = eqx.tree_at(lambda x: x.beta, drive, beta)
            return Streams(step(streams.learner, drive)[0], drive)

        streams = jax.lax.fori_loop(0, config.steps, advance, streams)
        outputs = streams.learner.neurons.voltage[-1]
        right = jnp.argmax(outputs, axis=-1) == images.labels[picked]
        # NaN voltages have an argmax too.
        return streams, jnp.where(jnp.all(jnp.isfinite(outputs), axis=-1), right, jnp.nan)

    return present


def look_ahead(tau: float, dt, optimiser):
    solver = LayeredCurvature(rtol=1e-5, atol=1e-7)
    return least_action_step(
        ENERGY, tau=tau, dt=dt, solver=solver, optimiser=optimiser, inputs_clamped=True
    )


def slide(tau: float, dt, optimiser):
    """The control: `tau du/dt = -u + W rate(u) + errors`, with the same plasticity."""
    flow, rule = gradient_flow(ENERGY, tau), param_rule(ENERGY)

    def step(carry: Learner, x: Stimulus):
        u, theta = carry.neurons.voltage, carry.theta
        velocity = flow(0.0, u, (theta, ConstantDrive(value=x)))
        voltage = jax.tree.map(lambda u, du: u + dt * du, u, velocity)
        if optimiser is not None:
            descent = jax.tree.map(lambda change: -change / len(x.target), rule(u, theta, x))
            updates, _ = optimiser.update(descent, carry.memory, theta)
            theta = eqx.apply_updates(theta, updates)
        return Learner(LeastActionState(voltage, x), theta, carry.memory), velocity

    return step


def figure(result: Result):
    from matplotlib.figure import Figure

    from plasticjax.plotting import class_color, learning_curve

    fig = Figure(figsize=(7.0, 2.8), layout="constrained")
    left, right = fig.subplots(1, 2)
    last = 100 * (1 - result.accuracy[..., -1])
    for index, name in enumerate(DYNAMICS):
        spread = last[:, index].std(axis=0, ddof=1) if len(last) > 1 else None
        left.errorbar(
            result.presentations,
            last[:, index].mean(axis=0),
            spread,
            color=class_color(index),
            marker="o",
            markersize=3,
            linewidth=1.2,
            label=name,
        )
        for which, duration in enumerate(result.presentations):
            learning_curve(
                np.arange(result.accuracy.shape[-1]) + 1,
                100 * result.accuracy[:, index, which],
                color=class_color(index),
                ax=right,
            )
            end = 100 * result.accuracy[:, index, which, -1].mean()
            right.annotate(
                f"{duration:g} tau",
                (result.accuracy.shape[-1], end),
                (3, 0),
                textcoords="offset points",
                fontsize=6,
                va="center",
                color=class_color(index),
            )
    left.set_xscale("log")
    left.set_xlabel("presentation time (membrane time constants)", fontsize=8)
    left.set_ylabel("test error (%)", fontsize=8)
    left.tick_params(labelsize=7)
    left.legend(fontsize=7, frameon=False)
    return fig


def accuracy(dynamics: str, duration: float, result: Result):
    """Test accuracy of each seed; NaN if the presentation time was left out."""
    if duration not in result.presentations:
        return np.full(len(result.accuracy), np.nan)
    where = DYNAMICS.index(dynamics), result.presentations.index(duration)
    return result.accuracy[(slice(None), *where, -1)]


def _claims():
    published = {0.5: (0.73, 0.10), 1.0: (0.88, 0.14), 5.0: (0.97, 0.76), 20.0: (0.97, 0.92)}
    for duration, values in published.items():
        tolerance = 0.1 if duration == 0.5 else 0.05
        for dynamics, value in zip(DYNAMICS, values, strict=True):
            yield Claim(
                statement=f"accuracy at {duration:g} tau, {dynamics}",
                paper_value=value,
                source="Senn et al. 2024, Fig. 4c; number of an independent script on 8 x 8 digits",
                measure=partial(accuracy, dynamics, duration),
                accept={"default": (value - tolerance, value + tolerance)},
            )


CLAIMS = tuple(_claims())
