"""Does it matter how large the first weights are, if the moments of the input are held?

Mackwood & Grüning, deliverable D3.11, section 1.2.1.6: neurons whose input has the right second
moment need neither target rates nor well chosen first weights. Networks of one hidden layer learn
random smooth manifolds from hidden weights between a tenth of and ten times the usual ones, without
regularisation, with rates kept in bounds, and with moments.
"""

from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
from jaxtyping import Array, Key

from ._contract import Claim, Job
from ._randman_networks import Numbers, train_side_by_side
from .moments_versus_rate import BACKWARD, Condition, gradient

SCALES = (0.1, 0.3, 1.0, 3.0, 10.0)  # times the usual weights
REGULARISERS = ("none", "rate", "moments 0.03")
CONDITIONS = tuple(product(REGULARISERS, SCALES))
Result = Numbers  # conditions are those above


@dataclass(frozen=True)
class Config:
    """The small setting of `moments-versus-rate`, for fewer epochs."""

    seeds: int = 2
    epochs: int = 10
    classes: int = 10
    samples: int = 500  # of each class; a fifth of all is for the test
    units: int = 20  # inputs
    dimensions: int = 1  # of the manifolds
    alpha: float = 2.0  # their smoothness
    steps: int = 100  # of 1 ms
    hidden: int = 64
    surrogate: float = 100.0  # scale
    width: float = 1.0  # of the local rule, which has no part here
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


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    rows = [BACKWARD[name] for name, _ in CONDITIONS]
    conditions = Condition(*np.array(rows, config.dtype).T)
    shown = {
        f"{name} x 10": CONDITIONS.index((name, SCALES[-1])) for name in ("none", "moments 0.03")
    }
    return train_side_by_side(
        config,
        [(conditions, partial(gradient, config, local=False))],
        key=key,
        job=job,
        shown=shown,
        scales=[scale for _, scale in CONDITIONS],
    )


def figure(result: Result):
    """Accuracy, spikes and mean square of the input over the scale, after a few and all epochs."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(10.5, 3.4), layout="constrained")
    panels = fig.subplots(1, 3)
    named = (
        ("accuracy", "test accuracy (%)", "linear"),
        ("spikes", "spikes of a hidden neuron", "log"),
        ("second", "mean square of the input", "log"),
    )
    early = max(len(result.accuracy) // 3, 1)
    for ax, (field, label, kind) in zip(panels, named, strict=True):
        for number, name in enumerate(REGULARISERS):
            for epoch, ls in ((early, ":"), (len(result.accuracy), "-")):
                values = over_scales(field, name, result, epoch)
                ax.errorbar(
                    SCALES,
                    values.mean(axis=1),
                    values.std(axis=1),
                    color=f"C{number}",
                    ls=ls,
                    marker="o",
                    ms=3,
                    capsize=2,
                    label=f"{name}, epoch {epoch}",
                )
        ax.set(xscale="log", yscale=kind, xlabel="first weights, times the usual", ylabel=label)
    panels[2].axhline(BACKWARD["moments 0.03"].target, color="0.5", lw=0.8, ls="--")
    panels[0].legend(frameon=False, fontsize=7, loc="lower center")
    return fig


def over_scales(field: str, name: str, result: Result, epoch: int | None = None):
    """A number of a regulariser after an epoch, by default the last, [scales, seeds]."""
    found = [number for number, (one, _) in enumerate(CONDITIONS) if one == name]
    return getattr(result, field)[-1 if epoch is None else epoch - 1, found]


def gap(field: str, name: str, result: Result):
    """Difference of the largest and the smallest value over all scales, by seed."""
    return np.ptp(over_scales(field, name, result), axis=0)


def saved(result: Result):
    """How much smaller the gap of accuracies is with moments than without regularisation."""
    return gap("accuracy", "none", result) - gap("accuracy", "moments 0.03", result)


def factor(result: Result):
    """The largest over the smallest mean square of the input with moments, by seed."""
    values = over_scales("second", "moments 0.03", result)
    return values.max(axis=0) / values.min(axis=0)


_SOURCE = (
    "sheet 10: moments make the first weights irrelevant; no number is given. Interval chosen "
    "before our first run"
)
CLAIMS = (
    Claim(
        statement="with moments: gap of accuracies from a tenth to ten times the weights (points)",
        paper_value=0.0,
        source=_SOURCE,
        measure=partial(gap, "accuracy", "moments 0.03"),
        accept={"default": (0.0, 5.0), "paper": (0.0, 5.0)},
    ),
    Claim(
        statement="by how much that gap is smaller than without regularisation (points)",
        paper_value=10.0,
        source=_SOURCE,
        measure=saved,
        accept={"default": (2.0, 100.0)},
    ),
    Claim(
        statement="with moments: largest over smallest mean square of the input (ratio)",
        paper_value=1.0,
        source=_SOURCE,
        measure=factor,
        accept={"default": (1.0, 1.5), "paper": (1.0, 1.5)},
    ),
)
