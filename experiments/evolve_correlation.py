"""Evolution finds pairs of rules that make a neuron detect a frozen spike pattern.

Jordan et al. (2021), eLife 10:e66273: depression at presynaptic and facilitation at postsynaptic
spikes evolve together, as functions of the weight and a trace. The published champions are
simulated again on fresh inputs, beside no rule and a hand-made homeostatic STDP. Deliverable D3.11,
sections 1.1.1.7 and 1.2.3.2.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from plasticjax.evolution import (
    ADD,
    DIV,
    MUL,
    POW,
    SUB,
    GenomeSpec,
    MuPlusLambda,
    Objective,
    Program,
    Search,
    compact,
    constant,
    evolve,
    to_latex,
)

from ._contract import Claim, Job
from ._correlation_figure import Traces, draw_formulas, draw_kernel, draw_potential, potential
from ._correlation_task import (
    INPUTS,
    LEARNING_RATE,
    NEVER,
    PUBLISHED,
    RULES,
    STEP,
    Task,
    draw,
    free_potential,
    learn,
    published,
    signal_to_noise,
)
from ._evolution import fitness_curves

PRIMITIVES = (ADD, SUB, MUL, DIV, POW, constant(0.1), constant(1.0), constant(10.0))


@dataclass(frozen=True)
class Config:
    """A search on few inputs and a validation on 1,000; seeds are islands."""

    seeds: int = 4
    generations: int = 200
    target: float = 10.0  # a search that reaches this signal-to-noise ratio stops
    nodes: int = 5  # of each of the two genomes
    mu: int = 8  # parents
    lam: int = 8  # offspring
    rate: float = 0.05  # probability that a gene mutates
    power: str = "complex_real"  # as published; "nan": powers of real numbers
    inputs: int = 200
    duration: float = 20.0  # s of learning
    free: float = 11.0  # s without threshold after it
    tasks: int = 3  # the least ratio of these is the fitness
    validation_inputs: int = 1000
    validation_duration: float = 40.0  # s
    validation_free: float = 11.0  # s
    validation_tasks: int = 2  # for each seed
    block: int = 5  # generations between checkpoints
    dtype: str = "float64"

    @classmethod
    def paper(cls) -> "Config":
        return cls(
            seeds=20,
            generations=2000,
            inputs=1000,
            duration=100.0,
            tasks=8,
            validation_duration=100.0,
            validation_free=31.0,
            validation_tasks=1,
            block=1,
        )

    @classmethod
    def smoke(cls) -> "Config":
        return cls(
            seeds=2,
            generations=4,
            mu=3,
            lam=3,
            nodes=4,
            inputs=100,
            duration=4.0,
            free=3.0,
            tasks=2,
            validation_inputs=300,
            validation_duration=20.0,
            validation_free=6.0,
            validation_tasks=1,
        )


class Result(NamedTuple):
    """Champions of the searches, and signal-to-noise ratios on other, larger tasks.

    `history` [generations, seeds] is the fitness of the champions, `champions` [seeds] the last of
    them, and `nothing` the fitness of no rule. `ratios` and `rates` (Hz) [rules, seeds, tasks] are
    those of `PUBLISHED` on the validation tasks, `evolved` [seeds, tasks] that of the champions.
    `traces` shows the potential under the best published rule.
    """

    history: Float[np.ndarray, "generations seeds"]
    champions: PyTree
    nothing: float
    ratios: Float[np.ndarray, "rules seeds tasks"]
    rates: Float[np.ndarray, "rules seeds tasks"]
    evolved: Float[np.ndarray, "seeds tasks"]
    traces: Traces
    shown: str
    power: str


def spec(nodes: int, power: str) -> GenomeSpec:
    return GenomeSpec(INPUTS, PRIMITIVES, nodes, power=power)


def steps_of(seconds: float) -> int:
    return round(1000 * seconds / STEP)


def threshold_of(inputs: int) -> float:
    """20 mV for 1,000 inputs, in proportion for others."""
    return 0.02 * inputs


def snr(learned, task: Task, free: float) -> Float[Array, ""]:
    return signal_to_noise(free_potential(learned.frozen, task, steps=steps_of(free)))


def objective(config: Config, key: Key[Array, ""]) -> Objective:
    """The least signal-to-noise ratio of several inputs."""
    size = {"inputs": config.inputs, "threshold": threshold_of(config.inputs)}
    longest = steps_of(max(config.duration, config.free))
    tasks = draw(key, count=config.tasks, steps=longest, dtype=config.dtype, **size)

    def fitness(rules, task, key):
        learned = learn(
            rules,
            task,
            synapses=config.inputs,
            steps=steps_of(config.duration),
            threshold=threshold_of(config.inputs),
        )
        return snr(learned, task, config.free)

    both = (spec(config.nodes, config.power),) * 2
    # Each individual keeps its own event loop, so nothing is gained by running several at once.
    return Objective(fitness, both, tasks, reduce="min", batch=1)


def search(config: Config) -> Search:
    strategy = MuPlusLambda(mu=config.mu, lam=config.lam, rate=config.rate, tournament=1)
    both = (spec(config.nodes, config.power),) * 2
    return Search(both, strategy, target=config.target, memory=128)


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    task_key, search_key, validation_key = jax.random.split(key, 3)
    here = objective(config, task_key)
    found = evolve(
        here,
        search(config),
        key=search_key,
        generations=config.generations,
        islands=config.seeds,
        block=config.block,
        mesh=job.mesh,
        checkpoints=job.part("search"),
        progress=job.progress,
        description="rules of correlation",
    )
    champions = jax.tree.map(jnp.asarray, found.state.champions)
    tasks = validation_tasks(config, validation_key)
    ratios, rates = [], []

    @jax.jit
    def again(index):
        return jax.vmap(lambda seed: validate(config, *published(index), seed))(tasks)

    with job.progress(len(RULES) + 1, "validation") as bar:
        for index, name in enumerate(RULES):
            ratio, rate = map(np.asarray, again(jnp.asarray(index)))
            ratios.append(ratio)
            rates.append(rate)
            bar.advance(rule=name, ratio=float(np.mean(ratio)))
        own = spec(config.nodes, config.power)
        programs = jax.vmap(
            lambda pair: tuple(compact(own, genome, config.nodes) for genome in pair)
        )(champions)
        pairs = tuple(Program(genome, own, "scan_switch") for genome in programs)
        evolved, _ = jax.jit(jax.vmap(lambda rules, seed: validate(config, rules, -jnp.inf, seed)))(
            pairs, tasks
        )
        bar.advance()
    best = list(RULES)[int(np.argmax(np.median(ratios, axis=(1, 2))))]
    return Result(
        carried(found.history.fitness),
        champions,
        float(jax.jit(partial(no_rule, config))(here.environments)),
        np.asarray(ratios),
        np.asarray(rates),
        np.asarray(evolved),
        watch(config, RULES[best], jax.tree.map(lambda leaf: leaf[0, 0], tasks)),
        best,
        config.power,
    )


def carried(history: Float[np.ndarray, "generations seeds"]):
    """The history up to the generation after which all searches had stopped."""
    return history[~np.isnan(history).all(axis=1)]


def no_rule(config: Config, tasks: Task) -> Float[Array, ""]:
    """Fitness of weights that never change."""
    return jnp.min(
        jax.vmap(
            lambda task: signal_to_noise(
                free_potential(
                    jnp.full(config.inputs, task.weight), task, steps=steps_of(config.free)
                )
            )
        )(tasks)
    )


def validation_tasks(config: Config, key: Key[Array, ""]) -> Task:
    """Fresh inputs [seeds, tasks]; all weights start at 0.5."""
    drawn = draw(
        key,
        count=config.seeds * config.validation_tasks,
        inputs=config.validation_inputs,
        steps=steps_of(max(config.validation_duration, config.validation_free)),
        threshold=threshold_of(config.validation_inputs),
        dtype=config.dtype,
        weight=0.5,
    )
    shape = config.seeds, config.validation_tasks
    return jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), drawn)


def validate(config: Config, rules, lowest: float | Float[Array, ""], tasks: Task):
    """Ratios and rates (Hz) [tasks] of a pair of rules."""

    def one(task):
        learned = learn(
            rules,
            task,
            synapses=config.validation_inputs,
            steps=steps_of(config.validation_duration),
            threshold=threshold_of(config.validation_inputs),
            lowest=lowest,
        )
        ratio = snr(learned, task, config.validation_free)
        # A rule that drives the weights to infinity, or all of them to 0, detects nothing.
        ratio = jnp.where(jnp.isfinite(ratio), ratio, 0.0)
        return ratio, jnp.sum(learned.spikes < NEVER) / config.validation_duration

    return jax.vmap(one)(tasks)


def watch(config: Config, rules, task: Task) -> Traces:
    """The potential in the first and the last second of learning."""
    steps = steps_of(config.validation_duration)
    threshold = threshold_of(config.validation_inputs)
    learned = jax.jit(
        lambda task: learn(
            rules, task, synapses=config.validation_inputs, steps=steps, threshold=threshold
        )
    )(task)
    return Traces(
        potential(task, learned, 0, steps_of(1.0)),
        potential(task, learned, steps - steps_of(1.0), steps),
        threshold,
        (steps - steps_of(1.0)) * STEP,
    )


def figure(result: Result):
    from matplotlib.figure import Figure

    fig = Figure(figsize=(10.0, 8.2), layout="constrained")
    axes = fig.subplots(3, 3)
    traces = result.traces
    for ax, when, trace, start in (
        (axes[0, 0], "early", traces.early, 0.0),
        (axes[0, 1], "late", traces.late, traces.start),
    ):
        draw_potential(ax, trace, start, traces.threshold)
        ax.set_title(f"potential, {when}, {result.shown}", fontsize=8)
    best = fitness_curves(axes[0, 2], result.history, {"no rule": result.nothing})
    axes[0, 2].set_title("search, few inputs", fontsize=8)
    draw_validation(axes[1, 0], result, best)
    own = spec(result.champions[0].op.shape[-1], result.power)
    champion = tuple(
        Program(jax.tree.map(lambda leaf: leaf[best], genome), own) for genome in result.champions
    )
    shown = {name: RULES[name] for name in ("homeostatic STDP", "run 9", "run 18")}
    for ax, (name, rules) in zip(
        (axes[1, 1], axes[1, 2], axes[2, 0], axes[2, 1]),
        {**shown, "best search": champion}.items(),
        strict=True,
    ):
        draw_kernel(ax, rules, LEARNING_RATE)
        ax.set_title(name, fontsize=8)
    formulas = {name: PUBLISHED[name] for name in shown}
    formulas["best search"] = tuple(to_latex(one, simplify=True) for one in champion)
    draw_formulas(axes[2, 2], formulas)
    return fig


def draw_validation(ax, result: Result, best: int) -> None:
    """Signal-to-noise ratios of all rules on fresh inputs; bars are means."""
    names = [*PUBLISHED, "best search"]
    values = [*result.ratios.reshape(len(PUBLISHED), -1), result.evolved[best].ravel()]
    for row, ratios in enumerate(values):
        ax.barh(row, ratios.mean(), color="0.85")
        ax.plot(ratios, np.full(len(ratios), row), ".", ms=3, color="C0")
    ax.set_yticks(range(len(names)), names, fontsize=6)
    ax.invert_yaxis()
    ax.set(xlabel="signal-to-noise ratio, fresh inputs")


def ratio_of(name: str, result: Result):
    """Mean signal-to-noise ratio of a published rule over the tasks of each seed."""
    return result.ratios[list(PUBLISHED).index(name)].mean(axis=1)


def rate_of(name: str, result: Result):
    """Rate (Hz) under a published rule over the tasks of each seed."""
    return result.rates[list(PUBLISHED).index(name)].mean(axis=1)


def succeeded(result: Result):
    """100 for each search that reached a ratio of 10, else 0."""
    return 100.0 * (result.history[-1] >= 10)


def improved(result: Result):
    """Fitness of the champions in units of that of no rule."""
    return result.history[-1] / result.nothing


CLAIMS = (
    Claim(
        statement="run 18, signal-to-noise ratio",
        paper_value=23.55,
        source="validation on 20 tasks, Jordan et al. 2021, standard deviation 12.2; interval: "
        "within one; two peaks, failures near 1",
        measure=partial(ratio_of, "run 18"),
        accept={"default": (11.3, 35.8), "paper": (11.3, 35.8)},
    ),
    Claim(
        statement="run 9, signal-to-noise ratio",
        paper_value=14.93,
        source="validation on 20 tasks, Jordan et al. 2021, standard deviation 7.1; interval: "
        "within one at 40 s; at 100 s up to an earlier re-simulation, 21.6 with deviation 6.2",
        measure=partial(ratio_of, "run 9"),
        accept={"default": (7.8, 22.1), "paper": (7.8, 27.8)},
    ),
    Claim(
        statement="run 9, rate after learning (Hz)",
        paper_value=5.7,
        source="an earlier re-simulation, 4 tasks of 100 s; interval set after a first run of ours",
        measure=partial(rate_of, "run 9"),
        accept={"default": (4.0, 7.0), "paper": (4.0, 7.0)},
    ),
    Claim(
        statement="no rule, signal-to-noise ratio",
        paper_value=2.0,
        source="first champions of the searches, 1.9 to 2.6 as the least of 8 tasks; interval set "
        "after a first run of ours, which gives means over tasks",
        measure=partial(ratio_of, "no rule"),
        accept={"default": (1.5, 4.5), "paper": (1.5, 4.5)},
    ),
    Claim(
        statement="homeostatic STDP, signal-to-noise ratio",
        paper_value=18.36,
        source="Jordan et al. 2021, standard deviation 5.7; unconfirmed: an earlier re-simulation "
        "gives 48 with deviation 18",
        measure=partial(ratio_of, "homeostatic STDP"),
        accept={},
    ),
    Claim(
        statement="searches that reach a signal-to-noise ratio of 10 (%)",
        paper_value=50.0,
        source="10 of 20 searches of 2,000 generations on 1,000 inputs",
        measure=succeeded,
        accept={"paper": (25.0, 75.0)},
    ),
    Claim(
        statement="fitness of the champions relative to no rule",
        paper_value=5.0,
        source="10 or more against 1.9 to 2.6",
        measure=improved,
        accept={"smoke": (0.8, 10.0)},
    ),
)
