"""Generalised latent equilibrium learns twelve spoken commands online.

Ellenberger, Haider, Benitez, Jordan, Max, Jaras, Kriener & Petrovici (2025), Backpropagation
through space, time and the brain, Nat. Commun. 17, 66: the mel spectrogram of a second of sound,
32 values a time step, enters three layers of neurons in five groups of time constants. The data are
not shipped: see `plasticjax.data.speech_commands`. `Config.smoke()` takes synthetic tones instead.
Deliverable D3.11, section 2.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from plasticjax.data import augment_speech, speech_commands, speech_features, speech_noises

from ._contract import Claim, Job
from ._gle import Data, Network, Recipe, balanced, train

PAPER = "Ellenberger et al. 2025, results of the published code"
CLASSES = 12
BINS = 32  # features
TAU_M = (2.4, 0.6, 1.2, 1.8, 2.4)  # of the groups of a hidden layer, in frames
TAU_R = (2.4, 0.1, 0.1, 0.1, 0.1)
TAU_OUT = 2.4
CURVE = {1: 42.9, 10: 56.6, 50: 71.2, 100: 80.5, 200: 89.8, 300: 91.2, 420: 91.44}


@dataclass(frozen=True)
class Config:
    """A fifth of the published width, and few epochs; times in frames of 25 ms."""

    seeds: int = 1
    epochs: int = 3
    data: Literal["speech commands", "synthetic tones"] = "speech commands"
    group: int = 30  # neurons of each of the five groups of a hidden layer
    hidden_layers: int = 3
    draws: int = 3072  # training samples an epoch, all classes equally likely
    validation: int = 1024  # samples at most
    dt: float = 0.05  # time step
    batch: int = 256  # samples
    learning_rate: float = 5e-4 * 0.05 * 625 / 800
    decay: float = 0.9  # of the learning rate at a plateau of the validation loss
    patience: int = 3  # looks at the validation loss
    looks: int = 2  # an epoch: the published code looks twice
    dtype: str = "float32"

    @classmethod
    def paper(cls) -> "Config":
        return cls(seeds=10, epochs=420, group=150, draws=36_900, validation=100_000)

    @classmethod
    def smoke(cls) -> "Config":
        return cls(
            seeds=2,
            epochs=2,
            data="synthetic tones",
            group=4,
            hidden_layers=2,
            draws=120,
            validation=60,
            batch=24,
            learning_rate=1e-3,
        )


class Result(NamedTuple):
    """Leading axis seeds; accuracies in percent, losses in nats."""

    accuracy: Float[np.ndarray, "seeds epochs"]
    loss: Float[np.ndarray, "seeds epochs"]
    training_loss: Float[np.ndarray, "seeds epochs"]
    learning_rate: Float[np.ndarray, "seeds epochs"]
    examples: Float[np.ndarray, "classes time features"]
    synthetic: bool


def network(config: Config) -> Network:
    hidden = config.hidden_layers
    tau_m, tau_r = np.repeat(TAU_M, config.group), np.repeat(TAU_R, config.group)
    return Network(
        widths=(BINS, *[len(TAU_M) * config.group] * hidden, CLASSES),
        tau_m=(*[tau_m] * hidden, np.array(TAU_OUT)),
        tau_r=(*[tau_r] * hidden, np.array(TAU_OUT)),
        dt=config.dt,
    )


def recipe(config: Config, noises: Float[Array, "noise samples"]) -> Recipe:
    return Recipe(
        network=network(config),
        order=balanced(config.batch, config.draws, CLASSES),
        learning_rate=config.learning_rate,
        decay=config.decay,
        patience=config.patience,
        looks=config.looks,
        test_batch=config.batch,
        read=lambda sound: speech_features(sound, steps_per_frame=round(1 / config.dt)),
        augment=lambda key, sound: augment_speech(key, sound, noises),
    )


def synthetic_tones(key: Key[Array, ""], samples: int) -> Data:
    """A second of sound each: the class sets the pitch, and whether it rises; noise on top."""
    label_key, pitch_key, noise_key = jax.random.split(key, 3)
    labels = jax.random.permutation(label_key, jnp.arange(samples) % CLASSES)
    time = jnp.arange(16_000) / 16_000
    jitter = jax.random.uniform(pitch_key, (samples, 1), minval=0.97, maxval=1.03)
    pitch = 200 * 2 ** (labels[:, None] % 6) ** 0.5 * jitter
    phase = pitch * (time + (labels[:, None] >= 6) * time**2)
    noise = jax.random.normal(noise_key, (samples, len(time)))
    return Data(jnp.sin(2 * np.pi * phase) + 0.1 * noise, labels)


def sounds(config: Config, key) -> tuple[Data, Data, Float[Array, "noise samples"]]:
    """Training and validation set, and noises. All seeds see the same unknown words."""
    train_key, validation_key, noise_key = jax.random.split(key, 3)
    if config.data == "synthetic tones":
        noises = 0.1 * jax.random.normal(noise_key, (2, 32_000))
        return (
            synthetic_tones(train_key, config.draws),
            synthetic_tones(validation_key, config.validation),
            noises,
        )
    train_set, validation = (
        Data(*map(jnp.asarray, speech_commands(split, key=split_key)))
        for split, split_key in (("train", train_key), ("validation", validation_key))
    )
    chosen = jax.random.permutation(validation_key, len(validation.labels))[: config.validation]
    return (
        train_set,
        Data(validation.inputs[chosen], validation.labels[chosen]),
        jnp.asarray(speech_noises()),
    )


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    keys = jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(config.seeds))
    data_key = jax.random.fold_in(key, config.seeds)
    train_set, validation, noises = jax.tree.map(
        lambda leaf: leaf.astype(config.dtype) if leaf.dtype.kind == "f" else leaf,
        sounds(config, data_key),
    )
    _, history = train(
        recipe(config, noises),
        train_set,
        validation,
        keys=keys,
        epochs=config.epochs,
        job=job,
        description=f"{config.data}, generalised latent equilibrium",
    )
    labels = np.asarray(validation.labels)
    first = [int(np.argmax(labels == label)) for label in range(CLASSES)]
    examples = jax.vmap(speech_features)(validation.inputs[jnp.asarray(first)])
    return Result(
        100 * np.asarray(history.accuracy),
        np.asarray(history.loss),
        np.asarray(history.training_loss),
        np.asarray(history.learning_rate),
        np.asarray(examples),
        config.data == "synthetic tones",
    )


def figure(result: Result):
    """The features of a sound of each class; validation accuracy and losses over epochs."""
    from matplotlib.figure import Figure

    from plasticjax.plotting import learning_curve

    fig = Figure(figsize=(7.2, 4.8), layout="constrained")
    (top,), (bottom,) = fig.subfigures(2, 1, squeeze=False, height_ratios=(1, 2))
    top.suptitle("synthetic tones" if result.synthetic else "speech commands", fontsize=8)
    for label, ax in enumerate(top.subplots(2, 6).flat):
        ax.imshow(result.examples[label].T, origin="lower", aspect="auto", vmin=-2, vmax=2)
        ax.set_title(str(label), fontsize=7, pad=2)
        ax.set_axis_off()
    accuracy, loss = bottom.subplots(1, 2)
    epochs = np.arange(1, result.accuracy.shape[1] + 1)
    learning_curve(
        epochs, result.accuracy, label="here", value_label="validation accuracy (%)", ax=accuracy
    )
    if not result.synthetic:
        shown = {epoch: value for epoch, value in CURVE.items() if epoch <= epochs[-1]}
        accuracy.plot(
            list(shown), list(shown.values()), "o", color="black", markersize=3, label="published"
        )
    accuracy.axhline(100 / CLASSES, color="0.6", linestyle=":", linewidth=0.8)
    accuracy.set_ylim(0, 100)
    accuracy.legend(fontsize=7, frameon=False, loc="upper left")
    learning_curve(epochs, result.loss, label="validation", ax=loss)
    learning_curve(
        epochs, result.training_loss, label="while learning", value_label="loss (nats)", ax=loss
    )
    return fig


CLAIMS = (
    Claim(
        statement="validation accuracy of 12 commands after 420 epochs (%)",
        paper_value=91.44,
        source=PAPER,
        measure=lambda result: result.accuracy[:, -1],
        # The default is a small network after few epochs: only that it learns is judged.
        accept={"default": (12.0, 90.0), "paper": (90.5, 92.5)},
    ),
)
