"""First-spike networks on imperfect substrates: trained in the loop, or perturbed after training.

Göltz, Kriener et al. (2021), Nat. Mach. Intell. 3, 823, Fig. 5: coarse or clipped weights, fixed
mismatch of synapses and thresholds, and jitter cost little if they are there during training, and
much if they come afterwards. The second part emulates the chip BrainScaleS-2 with 30 hidden neurons
(`yin_yang_hwAware` of the DelGrad code without its delays). Deliverable D3.11, section 1.2.1.2.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from plasticjax.data import encode_first_spike, yin_yang_split
from plasticjax.models import AnalogChip, AnalogImperfections, FirstSpikeNetwork
from plasticjax.neurons import CurrentLIF
from plasticjax.training import FirstSpikeUpdate, shift_invariant_mse, step_schedule

from ._contract import Claim, Job
from ._first_spikes import Evaluation, Fleet, History, Split, evaluate, train
from .yin_yang_first_spike import (
    T_EARLY,
    T_LATE,
    initial_weights,
    network,
    split,
    update,
)
from .yin_yang_first_spike import Config as IdealConfig

# Accuracy (%) of the published 120-neuron network perturbed after training, own evaluation by the
# authors of the specification; unperturbed 96.0.
SWEEPS: tuple[tuple[str, str, tuple[float, ...], tuple[float, ...]], ...] = (
    ("weight bits", "weight_levels", (3, 4, 5), (57.4, 78.1, 85.4)),
    ("weight mismatch (relative)", "weight_mismatch", (0.1, 0.2), (86.7, 78.3)),
    ("threshold mismatch", "threshold_mismatch", (0.1, 0.2), (84.9, 74.0)),
    ("input jitter (tau_s)", "input_jitter", (0.1, 0.2), (80.2, 67.3)),
    ("weight limit", "weight_limit", (2.0,), ()),
)
CHIP_COPIES = 5  # of each input
CHIP_DELTA = 0.3  # tau_syn, desired lead of the label neuron


@dataclass(frozen=True)
class Config:
    """Times in tau_syn; what is not here is as in `yin-yang-first-spike`."""

    seeds: int = 1
    epochs: int = 40
    hidden: int = 120  # neurons of the swept networks
    chip_hidden: int = 30  # neurons on the emulated chip
    chip_batch: int = 40  # samples
    chip_learning_rate: float = 0.002  # weight
    dtype: str = "float64"

    @classmethod
    def paper(cls) -> "Config":
        return cls(seeds=3, epochs=300)

    @classmethod
    def smoke(cls) -> "Config":
        return cls(epochs=4, hidden=40)


class Result(NamedTuple):
    """Leading axis seeds; condition 0 is the ideal substrate; accuracies as fractions."""

    retrained: Float[np.ndarray, "seeds conditions"]
    perturbed: Float[np.ndarray, "seeds conditions"]
    history: History
    chip: Evaluation
    chip_history: History


def conditions() -> list[AnalogImperfections]:
    """The ideal substrate, then every level of every sweep."""
    found = [AnalogImperfections()]
    for _, field, levels, _ in SWEEPS:
        for level in levels:
            value = 2.0 ** (level - 1) - 1 if field == "weight_levels" else level
            found.append(AnalogImperfections(**{field: value}))
    return found


def on_chip(net: FirstSpikeNetwork, chip: AnalogChip, times, sample_key, batch_key):
    return net(times, chip=chip.recalibrate(batch_key), key=sample_key)


def swept_update(chip: AnalogChip, config: IdealConfig) -> FirstSpikeUpdate:
    def forward(weights, times, sample_key, batch_key):
        return on_chip(network(weights, config), chip, times, sample_key, batch_key)

    return replace(update(config), forward=forward)


def chip_network(weights) -> FirstSpikeNetwork:
    return FirstSpikeNetwork(weights, CurrentLIF(threshold=2.6), bias_times=((), ()))


def chip_update(chip: AnalogChip, config: Config) -> FirstSpikeUpdate:
    def forward(weights, times, sample_key, batch_key):
        return on_chip(chip_network(weights), chip, times, sample_key, batch_key)

    return FirstSpikeUpdate(
        forward=forward,
        learning_rate=step_schedule(config.chip_learning_rate, every=20, factor=0.95),
        max_silent=(0.05, 0.05),
        loss=partial(shift_invariant_mse, delta=CHIP_DELTA),
        weight_limit=63 / 30,
    )


def chip_split(name: str) -> Split:
    values, labels = yin_yang_split(name)
    times = encode_first_spike(values, t_early=T_EARLY, t_late=T_LATE, repeat=CHIP_COPIES)
    return Split(jnp.asarray(times), jnp.asarray(labels))


def chip_weights(key: Key[Array, ""], config: Config):
    net = FirstSpikeNetwork.init(
        (4 * CHIP_COPIES, config.chip_hidden, 3),
        weight_means=(1.0, 0.075),
        weight_stds=(0.12, 0.15),
        key=key,
    )
    return net.weights


def fabricate(imperfections, weights, key) -> AnalogChip:
    shapes = [w.shape for w in weights]
    return AnalogChip.fabricate(imperfections, shapes, key=jax.random.fold_in(key, 1_000_000))


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    ideal = IdealConfig(hidden=config.hidden)
    kinds = conditions()
    stacked = jax.tree.map(lambda *levels: jnp.asarray(levels, float), *kinds)
    keys = jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(config.seeds))
    # Runs are seeds x conditions: every condition of a seed starts from the same weights.
    run_keys = jnp.repeat(keys, len(kinds))
    run_kinds = jax.tree.map(lambda leaf: jnp.tile(leaf, config.seeds), stacked)
    initial = jax.vmap(partial(initial_weights, config=ideal))(run_keys)
    chips = jax.vmap(fabricate)(run_kinds, initial, run_keys)
    swept = Fleet(
        lambda chip: swept_update(chip, ideal),
        initial,
        chips,
        run_keys,
        split("train"),
        split("validation"),
        ideal.batch,
    )
    board_weights = jax.vmap(partial(chip_weights, config=config))(keys)
    boards = jax.vmap(partial(fabricate, AnalogImperfections.brainscales2()))(board_weights, keys)
    board = Fleet(
        lambda chip: chip_update(chip, config),
        board_weights,
        boards,
        keys,
        chip_split("train"),
        chip_split("validation"),
        config.chip_batch,
    )
    (weights, history), (board_weights, board_history) = train(
        [swept, board], epochs=config.epochs, job=job, description="robustness"
    )

    test = split("test")

    def accuracy(weights, chip, key):
        return evaluate(swept_update(chip, ideal), weights, test, key).accuracy

    judge = jax.jit(jax.vmap(accuracy))
    shape = (config.seeds, len(kinds))
    unperturbed = jax.tree.map(
        lambda w: jnp.repeat(w.reshape(*shape, *w.shape[1:])[:, 0], len(kinds), axis=0), weights
    )
    retrained = judge(weights, chips, run_keys).reshape(shape)
    perturbed = judge(unperturbed, chips, run_keys).reshape(shape)

    board_test = chip_split("test")
    chip = jax.jit(jax.vmap(lambda w, c, k: evaluate(chip_update(c, config), w, board_test, k)))(
        board_weights, boards, keys
    )
    history = jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), history)
    result = Result(retrained, perturbed, history, chip, board_history)
    return jax.tree.map(np.asarray, result)


def figure(result: Result):
    from matplotlib.figure import Figure

    from plasticjax.plotting import class_color, learning_curve

    fig = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = fig.subplots(2, 3)
    first = 1
    for ax, (name, _, levels, _) in zip(axes.flat, SWEEPS, strict=False):
        these = slice(first, first + len(levels))
        for k, (label, values) in enumerate(
            (("trained in the loop", result.retrained), ("perturbed after", result.perturbed))
        ):
            mean, sd = (100 * f(values[:, these], axis=0) for f in (np.mean, np.std))
            ax.errorbar(
                levels,
                mean,
                sd,
                fmt="o-",
                markersize=3,
                linewidth=1,
                color=class_color(k),
                label=label,
            )
        ax.axhline(100 * result.retrained[:, 0].mean(), color="black", linewidth=0.7, dashes=(4, 2))
        ax.set_xlabel(name, fontsize=8)
        ax.set_ylabel("test accuracy (%)", fontsize=8)
        ax.tick_params(labelsize=7)
        ax.set_ylim(20, 100)
        first += len(levels)
    axes.flat[0].legend(fontsize=7, frameon=False, loc="lower right")
    curve = 100 * result.chip_history.validation.accuracy
    ax = learning_curve(
        np.arange(curve.shape[1]), curve, label="emulated chip, validation", ax=axes.flat[5]
    )
    ax.axhline(84.9, color="black", linewidth=0.7, dashes=(1, 2))
    return fig


def _advantage(result: Result) -> Float[np.ndarray, " seeds"]:
    return 100 * np.mean((result.retrained - result.perturbed)[:, 1:], axis=1)


def _loss_in_the_loop(result: Result) -> Float[np.ndarray, " seeds"]:
    five_bits = 1 + SWEEPS[0][2].index(5)
    return 100 * (result.retrained[:, 0] - result.retrained[:, five_bits])


PUBLISHED = [value for _, _, _, values in SWEEPS for value in values]

CLAIMS = (
    Claim(
        statement="test accuracy on the emulated chip, 30 hidden neurons, no delays (%)",
        paper_value=84.9,
        source="recorded runs hwAware_W and hxpynn_W, fastAndDeep main",
        measure=lambda result: 100 * result.chip.accuracy,
        accept={"smoke": (34.0, 90.0), "default": (70.0, 90.0), "paper": (81.0, 89.0)},
    ),
    Claim(
        statement="advantage of training in the loop over perturbing, mean of conditions (points)",
        paper_value=round(95.0 - sum(PUBLISHED) / len(PUBLISHED), 1),
        source="Göltz et al. 2021, Fig. 5 (loses about 1); recorded network, perturbed",
        measure=_advantage,
        accept={"default": (2.0, 25.0), "paper": (4.0, 25.0)},
    ),
    Claim(
        statement="accuracy lost with 5-bit weights in the loop (points)",
        paper_value=1.0,
        source="Göltz et al. 2021, Fig. 5",
        measure=_loss_in_the_loop,
        # After 40 epochs single networks differ by 2 points from epoch to epoch.
        accept={"default": (-6.0, 6.0), "paper": (-2.0, 2.5)},
    ),
)
