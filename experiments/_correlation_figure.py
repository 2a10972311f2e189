"""What the figure of the correlation experiment shows: potentials, kernels, formulas."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ._correlation_neuron import DELAY, NEVER, REFRACTORY, STEP, TAU_MEMBRANE, TAU_TRACE
from ._correlation_task import FIRST, PERIOD, WINDOW

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
    ax.set(xlabel="time (s)", ylabel="potential (mV)", xlim=(start / 1000, times[-1] / 1000))
    ax.set_ylim(min(0.0, trace.min()), 1.5 * threshold)


def changes(rule, rate: float, weights, traces):
    """The change of weights by one spike that meets traces of the other side."""
    seen = np.stack(np.broadcast_arrays(weights, traces), -1)
    return rate * np.asarray(rule(seen))[..., 0]


def draw_kernel(ax, rules, rate: float) -> None:
    """Changes by a pair of spikes, without what each spike would do alone."""
    depression, facilitation = rules
    lags = np.linspace(0.5, 100, 200)
    traces = np.exp(-lags / TAU_TRACE)
    for index, weight in enumerate(WEIGHTS):
        for rule, sign in ((facilitation, 1), (depression, -1)):
            alone = changes(rule, rate, weight, np.zeros(1))
            paired = changes(rule, rate, weight, traces)
            label = f"w = {weight}" if sign > 0 else None
            ax.plot(sign * lags, sign * (paired - alone), color=f"C{index}", lw=1.2, label=label)
    ax.axhline(0, color="0.5", lw=0.5)
    ax.axvline(0, color="0.5", lw=0.5)
    ax.set(xlabel="$t_{post} - t_{pre}$ (ms)")
    ax.ticklabel_format(axis="y", scilimits=(-2, 2))


def draw_homeostasis(ax, rules, rate: float) -> None:
    """Changes by one spike that has no partner, by weight."""
    weights = np.linspace(0.01, 0.99, 99)
    for rule, sign, style, label in (
        (rules[0], -1, "-", "pre alone"),
        (rules[1], 1, "--", "post alone"),
    ):
        alone = sign * changes(rule, rate, weights, np.zeros_like(weights))
        ax.plot(weights, alone, style, color="k", lw=0.9, label=label)
    ax.axhline(0, color="0.5", lw=0.5)
    ax.set(xlabel="w")
    ax.ticklabel_format(axis="y", scilimits=(-2, 2))


def draw_formulas(ax, formulas: dict[str, tuple[str, str]]) -> None:
    """The formulas of rules, each on the row that it has in `draw_ratios`."""
    ax.set_axis_off()
    ax.set(ylim=(len(formulas) - 0.5, -1.5), xlim=(0, 1))
    rows = [("f_{dep}(w, K)", "f_{fac}(w, K)"), *formulas.values()]
    for row, pair in enumerate(rows):
        for left, formula in zip((0.0, 0.5), pair, strict=True):
            ax.text(left, row - 1, f"${formula}$", fontsize=7.5, va="center")


def draw_ratios(ax, ratios: dict[str, Float[np.ndarray, " tasks"]]) -> None:
    """Signal-to-noise ratios of rules on several inputs; bars are means."""
    for row, values in enumerate(ratios.values()):
        ax.barh(row, values.mean(), color="0.85")
        ax.plot(values, np.full(len(values), row), ".", ms=3, color="C0")
    ax.set_yticks(range(len(ratios)), list(ratios), fontsize=7)
    ax.set_ylim(len(ratios) - 0.5, -1.5)
    ax.set(xlabel="signal-to-noise ratio, fresh inputs")
