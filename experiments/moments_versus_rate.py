"""Regularising the input of neurons instead of their rates, on random smooth manifolds.

Mackwood & Grüning, deliverable D3.11, section 1.2.1.6: if the first three moments of the input of
each neuron are held at 0, a target, and 0, rates need no target of their own. Networks of one
hidden layer learn RandMan (Zenke & Vogels 2021) by surrogate gradients, without regularisation,
with rates kept in bounds, and with moments of four sizes; and with a local rule, forwards in time.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Key

from plasticjax.models import NetworkTrace, SurrogateNetwork
from plasticjax.neurons import FastSigmoidSurrogate, OwnSpikeSurrogate
from plasticjax.training import (
    Batch,
    moment_penalty,
    rate_penalty,
)

from ._contract import Claim, Job
from ._randman_networks import Numbers, loss, train_side_by_side

# Of each condition, seed and epoch.
Result = Numbers


class Condition(NamedTuple):
    """A regulariser and a rule; strengths are 0 where a term is off."""

    lower: float = 0.0  # of rates, per unit
    upper: float = 0.0  # of rates, per sample
    moments: float = 0.0
    target: float = 1.0  # mean square of the input


BACKWARD = {
    "none": Condition(),
    "rate": Condition(lower=0.1, upper=1e-4),
    "moments 0.01": Condition(moments=0.1, target=0.01),
    "moments 0.03": Condition(moments=0.1, target=0.03),
    "moments 0.1": Condition(moments=0.1, target=0.1),
    "moments 0.3": Condition(moments=0.1, target=0.3),
}
# The same regularisers with the local rule.
LOCAL = {f"local, {name}": BACKWARD[name] for name in ("rate", "moments 0.03")}
CONDITIONS = {**BACKWARD, **LOCAL}


@dataclass(frozen=True)
class Config:
    """The small setting of the sheet; the data are drawn for each seed."""

    seeds: int = 3
    epochs: int = 15
    classes: int = 10
    samples: int = 500  # of each class; a fifth of all is for the test
    units: int = 20  # inputs
    dimensions: int = 1  # of the manifolds
    alpha: float = 2.0  # their smoothness
    steps: int = 100  # of 1 ms
    hidden: int = 64
    surrogate: float = 100.0  # scale
    width: float = 1.0  # of the escape noise that the local rule assumes, in thresholds
    learning_rate: float = 5e-3
    batch: int = 200
    dtype: str = "float32"

    @classmethod
    def paper(cls) -> "Config":
        return cls(seeds=5, epochs=50, samples=1000, hidden=100, learning_rate=2e-3, batch=250)

    @classmethod
    def smoke(cls) -> "Config":
        return cls(
            seeds=2, epochs=2, classes=3, samples=100, units=10, steps=40, hidden=16, batch=20
        )


def penalty(condition: Condition, traces: NetworkTrace) -> Float[Array, ""]:
    """The regulariser of the condition, for a batch."""
    (hidden,) = traces.hidden
    rates = rate_penalty(
        hidden.spikes.sum(axis=1),
        lower=1.0,
        lower_strength=condition.lower,
        # The reference sums over units.
        upper_strength=condition.upper * hidden.spikes.shape[2],
    )
    moments = moment_penalty(hidden.current, target=condition.target, strength=condition.moments)
    return rates + moments


class Slopes(Protocol):
    """What `gradient` must know."""

    @property
    def surrogate(self) -> float: ...
    @property
    def width(self) -> float: ...


def gradient(
    config: Slopes, condition: Condition, network: SurrogateNetwork, batch: Batch, *, local: bool
):
    """Of loss and regulariser, by backpropagation through time or by the local rule.

    For one hidden layer the rule is the gradient with another surrogate (see `forward_gradient`,
    which computes it forwards in time).
    """
    scaled = FastSigmoidSurrogate(config.surrogate)
    surrogate = OwnSpikeSurrogate(config.width) if local else scaled

    def total(network):
        value, traces = loss(network, surrogate, batch)
        return value + penalty(condition, traces)

    return eqx.filter_grad(total)(network)


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    groups = [
        (
            Condition(*np.array(list(conditions.values()), config.dtype).T),
            partial(gradient, config, local=local),
        )
        for conditions, local in ((BACKWARD, False), (LOCAL, True))
    ]
    shown = {"none": 0, "moments": 3}
    return train_side_by_side(config, groups, key=key, job=job, shown=shown)


def figure(result: Result):
    from matplotlib.figure import Figure

    fig = Figure(figsize=(11.0, 9.2), layout="constrained")
    curves, below = fig.subfigures(2, 1, height_ratios=(2, 1), squeeze=False)[:, 0]
    (accuracy, spikes, last), (first, second, third) = curves.subplots(2, 3)
    _histograms(below, result)
    epochs = np.arange(1, len(result.accuracy) + 1)
    for number, (name, condition) in enumerate(CONDITIONS.items()):
        style = {"color": f"C{number}", "ls": "--" if name in LOCAL else "-"}
        for ax, curves in (
            (accuracy, result.accuracy),
            (spikes, result.spikes),
            (first, result.first),
            (second, result.second),
            (third, result.third),
        ):
            mean, sd = curves[:, number].mean(axis=1), curves[:, number].std(axis=1)
            ax.plot(epochs, mean, label=name, **style)
            ax.fill_between(epochs, mean - sd, mean + sd, color=style["color"], alpha=0.15, lw=0)
        if condition.moments and name in BACKWARD:
            second.axhline(condition.target, color=style["color"], lw=0.7, ls=":")
        last.plot(
            result.spikes[-1, number], result.accuracy[-1, number], "o", color=style["color"], ms=4
        )
    accuracy.set(ylabel="test accuracy (%)")
    accuracy.legend(frameon=False, fontsize=7)
    spikes.set(ylabel="spikes of a hidden neuron")
    last.set(xlabel="spikes of a hidden neuron", ylabel="test accuracy (%)")
    last.set_title("after the last epoch, each seed", fontsize=9)
    for ax, name in ((first, "rms $M_1$"), (second, "mean $M_2$"), (third, "rms $M_3$")):
        ax.set(yscale="log", ylabel=f"{name} of the input")
    second.set_title("dotted: target", fontsize=9)
    for ax in (accuracy, spikes, first, second, third):
        ax.set(xlabel="epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
    return fig


def _histograms(fig, result: Result) -> None:
    """How often hidden neurons fire after the last epoch, for each regulariser, over all seeds."""
    axes = fig.subplots(1, len(BACKWARD), sharex=True, sharey=True)
    rates = result.rates[: len(BACKWARD)]
    bins = np.linspace(0, float(np.quantile(rates, 0.99)), 16)
    for number, (ax, name) in enumerate(zip(axes, BACKWARD, strict=True)):
        own = rates[number].ravel()
        ax.hist(np.minimum(own, bins[-1]), bins, color=f"C{number}")
        ax.axvline(own.mean(), color="0.3", lw=0.8)
        ax.set_title(name, fontsize=9)
        ax.set(xlabel="spikes in a sample")
    axes[0].set(ylabel="hidden neurons")


def last_of(name: str, what: str, result: Result):
    """A number of a condition after the last epoch, by seed."""
    return getattr(result, what)[-1, list(CONDITIONS).index(name)]


def monotone(result: Result):
    """100 for each seed whose mean square of the input rises with its target, else 0."""
    names = [name for name in BACKWARD if name.startswith("moments")]
    values = np.stack([last_of(name, "second", result) for name in names])
    return 100.0 * np.all(np.diff(values, axis=0) > 0, axis=0)


_HOUSE = "the sheet's own run, one seed, other data; interval chosen before our first run: "
_TABLE = {
    # Accuracy (%) and spikes of a neuron after 15 epochs, in the sheet.
    "none": (98.8, 1.24),
    "rate": (98.8, 1.36),
    "moments 0.01": (97.2, 0.53),
    "moments 0.03": (97.9, 1.63),
    "moments 0.1": (97.8, 2.10),
    "moments 0.3": (98.3, 1.43),
}


def _claims():
    for name, (accuracy, spikes) in _TABLE.items():
        yield Claim(
            statement=f"{name}: test accuracy (%)",
            paper_value=accuracy,
            source=f"{_HOUSE}2 points",
            measure=partial(last_of, name, "accuracy"),
            accept={"default": (accuracy - 2.0, 100.0)},
        )
        yield Claim(
            statement=f"{name}: spikes of a hidden neuron",
            paper_value=spikes,
            source=f"{_HOUSE}a factor of 2",
            measure=partial(last_of, name, "spikes"),
            accept={"default": (0.5 * spikes, 2.0 * spikes)},
        )
    yield Claim(
        statement="moments 0.01: mean square of the input",
        paper_value=0.0109,
        source="the sheet's own run; interval: 30 % around the target",
        measure=partial(last_of, "moments 0.01", "second"),
        accept={"default": (0.007, 0.013), "paper": (0.007, 0.013)},
    )
    yield Claim(
        statement="moments 0.03: mean square of the input",
        paper_value=0.0299,
        source="the sheet's own run; interval: 30 % around the target",
        measure=partial(last_of, "moments 0.03", "second"),
        accept={"default": (0.021, 0.039), "paper": (0.021, 0.039)},
    )
    yield Claim(
        statement="seeds whose mean square of the input rises with its target (%)",
        paper_value=100.0,
        source="the sheet's own run",
        measure=monotone,
        accept={"smoke": (0.0, 100.0), "default": (99.0, 100.0), "paper": (99.0, 100.0)},
    )
    yield Claim(
        statement="what backpropagation gains over the local rule, both with moments 0.03 (points)",
        paper_value=1.4,
        source="D3.11, section 1.2.1.6: 98.8 against 97.4 % on N-MNIST; interval: the sign, and "
        "at most 5 points, set after a first run of ours",
        measure=lambda result: (
            last_of("moments 0.03", "accuracy", result)
            - last_of("local, moments 0.03", "accuracy", result)
        ),
        accept={"default": (0.0, 5.0), "paper": (0.0, 5.0)},
    )


CLAIMS = tuple(_claims())
