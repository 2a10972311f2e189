"""Which rules of the catalogue run on the chip, found out by lowering them."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import plasticity as pl
from ._cost import cost
from ._lower import lower
from ._signals import (
    anticausal,
    causal,
    column_table,
    membrane,
    rate,
    row_table,
    state,
    symbol,
    weight,
)
from ._unsupported import UnsupportedOnPPU


class CatalogueEntry(NamedTuple):
    """One rule of `plasticjax.plasticity` on the chip.

    Attributes:
        name: of the rule.
        signals: what it reads, in words.
        lowers: whether it becomes a program.
        operations: operations of each synapse; 0 if refused.
        microseconds: of a call with 256 rows (us); 0 if refused.
        reason: why it is refused.
    """

    name: str
    signals: str
    lowers: bool
    operations: int
    microseconds: float
    reason: str


def catalogue() -> list[CatalogueEntry]:
    """Lowers every rule of `plasticjax.plasticity` with signals that suit it.

    Changes per time are multiplied by a period of 1 ms; weights are in units of 64 LSB.

    Returns:
        One entry per rule.
    """
    return [_entry(*case) for case in _cases()]


def catalogue_table() -> str:
    """The catalogue as a Markdown table.

    Returns:
        Its text.
    """
    lines = [
        "| rule | reads | on the chip |",
        "|---|---|---|",
    ]
    for entry in catalogue():
        verdict = (
            f"{entry.operations} operations per synapse, {entry.microseconds:.0f} µs for 256 rows"
            if entry.lowers
            else f"refused: {entry.reason}"
        )
        lines.append(f"| `{entry.name}` | {entry.signals} | {verdict} |")
    return "\n".join(lines) + "\n"


def _entry(name: str, words: str, update: Any, signals: dict[str, Any] | str) -> CatalogueEntry:
    if isinstance(signals, str):
        return CatalogueEntry(name, words, False, 0, 0.0, signals)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = lower(update, name=name, **signals)
    except UnsupportedOnPPU as refusal:
        reason = f"{refusal.primitive}: {refusal.reason}"
        return CatalogueEntry(name, words, False, 0, 0.0, reason)
    return CatalogueEntry(name, words, True, program.values("SYN"), cost(program).microseconds, "")


def _per_period(rule: Any) -> Any:
    """A change per ms, applied once in a period of 1 ms."""

    def update(syn, pre, post, third, obs):
        import jax

        change = rule(syn, pre, post, third, obs)
        return jax.tree.map(lambda old, more: old + more, syn, change)

    return pl.Update(update)


def _cases() -> list[tuple[str, str, Any, Any]]:
    w = weight(scale=1 / 64)
    x = row_table("pre", 0.0, 1.0)
    y = rate(scale=1 / 256)
    trace_table: Callable[..., Any] = lambda name: column_table(name, 0.0, 2.0)  # noqa: E731
    eligible = pl.EligibleSynapse(w, state(-1.0, 1.0, name="eligibility"))
    pre_spiking = pl.Spiking(row_table("pre_spike", 0.0, 1.0), row_table("pre_trace", 0.0, 2.0))
    post_spiking = pl.Spiking(column_table("post_spike", 0.0, 1.0), trace_table("post_trace"))
    pre_slow = pl.Spiking(*pre_spiking[:2], row_table("pre_slow", 0.0, 2.0))
    post_slow = pl.Spiking(*post_spiking[:2], trace_table("post_slow"))
    bound = pl.HardBound(0.0, 1.0)
    rates = {"syn": w, "pre": x, "post": y}
    traces = {"syn": w, "pre": pre_spiking, "post": post_spiking}
    slow = {"syn": w, "pre": pre_slow, "post": post_slow}
    reward = symbol("reward", -1.0, 1.0)
    soma = pl.SomaDendrite(rate(scale=1 / 256), membrane(scale=1 / 128))
    voltage = pl.ClopathPost(
        column_table("u", -80.0, 20.0),
        column_table("u_minus", -80.0, 20.0),
        column_table("u_plus", -80.0, 20.0),
        column_table("mean_square", 0.0, 120.0),
    )
    spikes = pl.ClopathPre(row_table("train", 0.0, 1.0), row_table("x_trace", 0.0, 1.0))
    usp = pl.PoissonInput(row_table("usp", 0.0, 60.0), row_table("input_rate", 1.0, 100.0))
    taught = pl.PoissonOutput(
        column_table("error", -1.0, 1.0),
        column_table("log_slope", 0.0, 0.3),
        column_table("gamma_s", 0.0, 8.0),
        column_table("gamma_u", -1.0, 1.0),
        column_table("gamma_w", -1.0, 1.0),
    )
    errors = {"syn": w, "pre": usp, "post": taught}
    propagated = pl.EPropSynapse(
        w,
        *(state(0.0, 4.0, name=name) for name in ("trace", "propagated")),
        *(state(-4.0, 4.0, name=name) for name in ("eligible_current", "eligible_potential")),
    )
    learning = pl.EPropNeuron(
        column_table("error", -1.0, 1.0),
        column_table("slope", 0.0, 1.0),
        column_table("reset", 0.0, 1.0),
    )
    statistics = pl.InputStatistics(
        column_table("input", -1.0, 1.0),
        column_table("first", -0.5, 0.5),
        column_table("second", 0.0, 0.5),
        column_table("third", -0.5, 0.5),
    )
    increment = pl.increment
    stdp, triplet, inhibitory = pl.pair_stdp(), pl.triplet_stdp(), pl.inhibitory_stdp()
    tagged = pl.event_rule(pl.ToEligibility(stdp.on_pre), pl.ToEligibility(stdp.on_post))
    rated, traced = "pre table, post rate", "pre and post tables of spikes and traces"
    nobody = "its observable is a sum over other neurons, which no signal of the chip carries"
    return [
        ("Hebb", rated, increment(pl.Hebb(), bound=bound), rates),
        ("AntiHebb", rated, increment(pl.AntiHebb(), bound=bound), rates),
        ("Oja", rated, increment(pl.Oja(), bound=bound), rates),
        ("Sanger", rated, None, nobody),
        (
            "BCM", "pre table, post rate and threshold table", _per_period(pl.BCM()),
            {**rates, "post": pl.SlidingRate(y, column_table("threshold", 0.0, 1.0))},
        ),
        ("pair_stdp", traced, stdp.update(bound), traces),
        ("pair_stdp, soft bound", traced, stdp.update(pl.SoftBound()), traces),
        ("PairPotentiation", traced, increment(pl.PairPotentiation()), traces),
        ("PairDepression", traced, increment(pl.PairDepression()), traces),
        ("triplet_stdp", traced, triplet.update(bound), slow),
        ("TripletPotentiation", traced, increment(pl.TripletPotentiation()), slow),
        ("TripletDepression", traced, increment(pl.TripletDepression()), slow),
        ("inhibitory_stdp", traced, inhibitory.update(bound), traces),
        ("InhibitoryDepression", traced, increment(pl.InhibitoryDepression()), traces),
        ("ToEligibility", f"state, {traced}", tagged, {**traces, "syn": eligible}),
        (
            "RewardModulated", "state, reward symbol", _per_period(pl.RewardModulated()),
            {"syn": eligible, "third": reward},
        ),
        (
            "EpisodicReward", "state, reward symbol", increment(pl.EpisodicReward()),
            {"syn": eligible, "third": reward},
        ),
        (
            "Filtered", f"state, {rated}", _per_period(pl.Filtered(pl.Hebb(per="time"))),
            {**rates, "syn": eligible},
        ),
        (
            "UrbanczikSenn", "pre table, post rate and membrane",
            _per_period(pl.UrbanczikSenn(eta=0.1)), {"syn": w, "pre": x, "post": soma},
        ),
        (
            "ClopathSTDP", "pre tables, post tables of potentials", _per_period(pl.ClopathSTDP()),
            {"syn": w, "pre": spikes, "post": voltage},
        ),
        (
            "SynapticScaling", "post rate", _per_period(pl.SynapticScaling()),
            {"syn": w, "post": y},
        ),
        (
            "EProp", "states, pre table, post tables of errors, slopes and resets",
            increment(pl.EProp(0.8, 0.9, 1.0, 0.8, 0.9, eta=0.1)),
            {"syn": propagated, "pre": row_table("spike", 0.0, 1.0), "post": learning},
        ),
        (
            "InputBalance", "pre table, post tables of input and moments",
            increment(pl.InputBalance(0.25, eta=0.1), bound=bound),
            {"syn": w, "pre": row_table("trace", 0.0, 4.0), "post": statistics},
        ),
        (
            "EuclideanGradient", "pre and post tables of potentials and errors",
            increment(pl.EuclideanGradient(eta=0.01), bound=bound), errors,
        ),
        (
            "NaturalGradient", "pre and post tables of potentials, errors and gains",
            increment(pl.NaturalGradient(eta=0.01), bound=bound), errors,
        ),
        (
            "SoftBound with exponent 0.5", rated,
            increment(pl.Hebb(), bound=pl.SoftBound(mu_plus=0.5)), rates,
        ),
        (
            "Hebb with causal correlation", "correlations of each synapse",
            increment(_sensor_hebb, bound=bound),
            {"syn": w, "obs": (causal(scale=1 / 256), anticausal(scale=1 / 256))},
        ),
    ]  # fmt: skip


def _sensor_hebb(syn, pre, post, third, obs):
    return 0.1 * (obs[0] - obs[1])
