"""What the figure of the correlation experiment shows: potentials, kernels, formulas."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ._correlation_task import (
    DELAY,
    FIRST,
    NEVER,
    PERIOD,
    REFRACTORY,
    STEP,
    TAU_MEMBRANE,
    TAU_TRACE,
    WINDOW,
)

WEIGHTS = (0.2, 0.5, 0.8)  # at which kernels are shown


class Traces(NamedTuple):
    """Potentials (mV) in the first and the last second, threshold (mV), start of the last (ms)."""

    early: Float[np.ndarray, " steps"]
    late: Float[np.ndarray, " steps"]
    threshold: float
    start: float


def potential(task, learned, first: int, last: int) -> Float[np.ndarray, " steps"]:
    """The potential at the steps from `first` + 1 to `last`, from what was sent and the spikes."""
    # What came ten membrane time constants before is forgotten.
    start = max(0, first - round(10 * TAU_MEMBRANE / STEP))
    steps, sent = np.asarray(task.steps), np.asarray(learned.sent)
    arrivals = np.zeros(last + 1)
    real = steps < NEVER
    arriving = steps[real] + DELAY
    inside = arriving <= last
    np.add.at(arrivals, arriving[inside], sent[real][inside])
    spikes = set(np.asarray(learned.spikes).tolist())
    deaf = max((spike for spike in spikes if spike <= start), default=-NEVER) + REFRACTORY
    value = float(task.voltage) if start == 0 else 0.0
    trace = []
    for step in range(start + 1, last + 1):
        value = value * np.exp(-STEP / TAU_MEMBRANE) + arrivals[step] if step > deaf else 0.0
        trace.append(value)
        if step in spikes:
            value, deaf = 0.0, step + REFRACTORY
    return np.asarray(trace)[first - start :]


def draw_potential(ax, trace, start: float, threshold: float) -> None:
    """A potential from `start` (ms) on, with presentations of the pattern in grey."""
    times = start + STEP * np.arange(1, len(trace) + 1)
    ax.plot(times / 1000, trace, lw=0.6)
    ax.axhline(threshold, color="0.5", lw=0.6, ls=":")
    onsets = np.arange(FIRST, times[-1] / STEP, PERIOD) * STEP
    for onset in onsets[onsets + WINDOW * STEP > start]:
        ax.axvspan(onset / 1000, (onset + WINDOW * STEP) / 1000, color="0.85", lw=0)
    ax.set(xlabel="time (s)", ylabel="potential (mV)", xlim=(times[0] / 1000, times[-1] / 1000))
    ax.set_ylim(min(0.0, trace.min()), 1.5 * threshold)


def draw_kernel(ax, rules, rate: float) -> None:
    """Changes by a pair of spikes, without the parts that need no partner; those as an inset."""
    depression, facilitation = rules
    lags = np.linspace(0.5, 100, 200)
    traces = np.exp(-lags / TAU_TRACE)

    def changes(rule, weight, trace):
        seen = np.stack([np.full_like(trace, weight), trace], -1)
        return rate * np.asarray(rule(seen))[..., 0]

    for index, weight in enumerate(WEIGHTS):
        alone = np.zeros(1)
        late = changes(facilitation, weight, traces) - changes(facilitation, weight, alone)
        early = -changes(depression, weight, traces) + changes(depression, weight, alone)
        ax.plot(lags, late, color=f"C{index}", lw=1.2, label=f"w = {weight}")
        ax.plot(-lags, early, color=f"C{index}", lw=1.2)
    ax.axhline(0, color="0.5", lw=0.5)
    ax.axvline(0, color="0.5", lw=0.5)
    ax.set(xlabel="$t_{post} - t_{pre}$ (ms)", ylabel="change of weight")
    ax.ticklabel_format(axis="y", scilimits=(-2, 2))
    inset = ax.inset_axes((0.09, 0.62, 0.3, 0.34))
    weights = np.linspace(0.01, 0.99, 99)
    for rule, sign, style, label in ((depression, -1, "-", "pre"), (facilitation, 1, "--", "post")):
        alone = [sign * changes(rule, weight, np.zeros(1))[0] for weight in weights]
        inset.plot(weights, alone, style, color="k", lw=0.8, label=label)
    inset.axhline(0, color="0.5", lw=0.4)
    inset.tick_params(labelsize=5)
    inset.set_xlabel("w, one spike", fontsize=5, labelpad=0)
    inset.legend(fontsize=5, frameon=False, handlelength=1.5)
    ax.legend(fontsize=6, frameon=False, loc="lower right")


def draw_formulas(ax, formulas: dict[str, tuple[str, str]]) -> None:
    ax.set_axis_off()
    for row, (name, (depression, facilitation)) in enumerate(formulas.items()):
        text = f"{name}\n  pre  $\\Delta w \\propto -({depression})$\n"
        text += f"  post $\\Delta w \\propto {facilitation}$"
        ax.text(0, 1 - row / len(formulas), text, fontsize=7, va="top", transform=ax.transAxes)
