"""Evolution rediscovers the error-driven rule of Urbanczik and Senn: PSP times teacher's lead.

Jordan et al. (2021), eLife 10:e66273: a student neuron learns a teacher's potential, and evolution
searches rules of the two potentials and of the postsynaptic potential of a unit weight. All
published champions run as fixed rules beside what a search of ours finds. Deliverable D3.11,
section 1.1.1.7.
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
    SUB,
    GenomeSpec,
    MuPlusLambda,
    Objective,
    Program,
    Search,
    constant,
    evolve,
)

from ._contract import Claim, Job
from ._error_task import INPUTS, Course, Task, draw, error_fitness, learn
from ._evolution import (
    champions_of,
    fitness_bars,
    fitness_curves,
    fitness_each,
    known_rules,
    last_fitness,
    latex_formula,
)

PRIMITIVES = (ADD, SUB, MUL, DIV, constant(1.0))

KNOWN = {
    "s (v - u)": "s * (v - u)",
    "2 s (v - u)": "2 * s * (v - u)",
    "run 0": "s * (v - u) * (2 * u - 1) / v",
    "run 1": "u * (u - v) / (2 * (v * s + u * u))",
    "run 2": "s * (v + u) * (v * (v - u) - s) / (v * v)",
    "run 3": "v * s * (v - u) * (u - 1) / (v * v - u * s * (u - 1))",
    "no s": "(u - v) / v",
    "no learning": "v - v",
}
# Formulas of the literature need more room than a search.
ROOMY = GenomeSpec(INPUTS, PRIMITIVES, columns=24)


@dataclass(frozen=True)
class Config:
    """A search of one parent on few, short tasks; seeds are islands."""

    seeds: int = 6
    generations: int = 500
    nodes: int = 12
    mu: int = 1  # parents
    lam: int = 4  # offspring
    rate: float = 0.045  # probability that a gene mutates
    tournament: int = 1
    tasks: int = 6
    duration: float = 6000.0  # ms of each
    fresh_tasks: int = 15  # on which known rules and champions are compared
    fresh_duration: float = 10_000.0  # ms
    shown: float = 20_000.0  # ms of learning in the figure
    dt: float = 0.1  # ms, fresh tasks; 0.01 in the publication, which gives the same statistics
    search_dt: float = 0.25  # ms
    both_signs: bool = False  # teachers of either sign: the paper's text, not its code
    batch: int = 12  # individuals side by side
    dtype: str = "float64"  # v - u has few digits beside 70 mV

    @classmethod
    def paper(cls) -> "Config":
        return cls(generations=1000, mu=4, tasks=15, duration=10_000.0, search_dt=0.1, batch=16)

    @classmethod
    def smoke(cls) -> "Config":
        return cls(
            seeds=2,
            generations=8,
            nodes=4,
            tasks=2,
            duration=300.0,
            fresh_tasks=3,
            fresh_duration=2000.0,
            shown=1000.0,
            dt=0.5,
            search_dt=0.5,
        )


class Result(NamedTuple):
    """Fitness of champions and of known rules, and how the best of them learn.

    `history` [generations, seeds] is the fitness of the champions on the tasks of the search,
    `reference` [1] that of `s (v - u)` there. `champions` [seeds] are the last ones, `validation`
    [seeds, tasks] and `known` [rules, tasks] what they and the rules of `KNOWN` reach on fresh
    tasks. `task`, `by_hand` and `by_champion` are one long task and how `s (v - u)` and the best
    champion learn it.
    """

    history: Float[np.ndarray, "generations seeds"]
    reference: Float[Array, "1 tasks"]
    champions: PyTree
    validation: Float[Array, "seeds fresh"]
    known: Float[Array, "rules fresh"]
    task: Task
    by_hand: Course
    by_champion: Course


def objective(config: Config, spec: GenomeSpec, tasks: Task, dt: float) -> Objective:
    def fitness(rule, task, key):
        return error_fitness(rule, task, dt)

    return Objective(fitness, spec, tasks, batch=config.batch)


def tasks_of(config: Config, key: Key[Array, ""], count: int, duration: float, dt: float) -> Task:
    one = partial(draw, duration=duration, dt=dt, both_signs=config.both_signs)
    return jax.jit(jax.vmap(one))(jax.random.split(key, count))


def space(nodes: int) -> GenomeSpec:
    return GenomeSpec(INPUTS, PRIMITIVES, columns=nodes)


def search(config: Config) -> Search:
    strategy = MuPlusLambda(
        mu=config.mu, lam=config.lam, rate=config.rate, tournament=config.tournament
    )
    return Search(space(config.nodes), strategy, target=0.0, memory=128)


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    spec = space(config.nodes)
    task_key, fresh_key, shown_key, search_key = jax.random.split(key, 4)
    tasks = tasks_of(config, task_key, config.tasks, config.duration, config.search_dt)
    found = evolve(
        objective(config, spec, tasks, config.search_dt),
        search(config),
        key=search_key,
        generations=config.generations,
        islands=config.seeds,
        mesh=job.mesh,
        checkpoints=job,
        progress=job.progress,
        description="rules of the error task",
    )
    champions = champions_of(found, spec)
    fresh = tasks_of(config, fresh_key, config.fresh_tasks, config.fresh_duration, config.dt)
    rules = known_rules(ROOMY, list(KNOWN.values()))
    hand = jax.tree.map(lambda leaf: leaf[:1], rules)
    shown = draw(shown_key, duration=config.shown, dt=config.dt, both_signs=config.both_signs)

    def watch(genome, spec):
        return jax.jit(lambda task: learn(Program(genome, spec), task, dt=config.dt))(shown)

    return Result(
        np.asarray(found.history.fitness),
        fitness_each(objective(config, ROOMY, tasks, config.search_dt), hand),
        champions,
        fitness_each(objective(config, spec, fresh, config.dt), champions),
        fitness_each(objective(config, ROOMY, fresh, config.dt), rules),
        shown,
        watch(jax.tree.map(lambda leaf: leaf[0], hand), ROOMY),
        watch(found.best, spec),
    )


def figure(result: Result):
    from matplotlib.figure import Figure

    fig = Figure(figsize=(9.5, 6.0), layout="constrained")
    (curves, rules), (error, weights) = fig.subplots(2, 2)
    best = fitness_curves(curves, result.history, {"s (v − u)": float(jnp.mean(result.reference))})
    curves.set_yscale("symlog", linthresh=10)
    curves.set(ylim=(-1e5, -5), yticks=[-1e5, -1e4, -1e3, -1e2, -1e1])
    curves.set_title("search", fontsize=9)
    champion = jax.tree.map(lambda leaf: leaf[best], result.champions)
    latex = latex_formula(champion, space(champion.op.shape[-1]))
    fig.suptitle(f"best champion: $\\Delta w \\propto {latex}$", fontsize=10)

    known = dict(zip(KNOWN, -np.asarray(result.known), strict=True))
    new = {f"seed {seed}": -np.asarray(one) for seed, one in enumerate(result.validation)}
    colours = {**dict.fromkeys(known, "C1"), **dict.fromkeys(new, "C0")}
    fitness_bars(rules, {**known, **new}, colours)
    rules.set(xscale="log", xlabel="minus fitness on fresh tasks, mean and SD")

    seconds = np.arange(1, len(result.task.wanted) + 1) / 1000
    courses = {"s (v − u)": result.by_hand, "champion": result.by_champion}
    for (name, course), colour in zip(courses.items(), ("C1", "C0"), strict=True):
        squared = np.asarray(course.potential - result.task.wanted) ** 2
        window = max(1, len(squared) // 100)
        squared = squared[: len(squared) // window * window].reshape(-1, window)
        error.plot(seconds[window - 1 :: window], np.sqrt(squared.mean(axis=1)), color=colour)
        error.lines[-1].set_label(name)
        style = "-" if colour == "C0" else ":"
        for number, one in enumerate(np.asarray(course.weights).T):
            weights.plot(seconds[::10], one[::10], color=f"C{number + 2}", ls=style, lw=1.2)
    for number, one in enumerate(np.asarray(result.task.teacher)):
        weights.axhline(one, color=f"C{number + 2}", lw=0.6, ls="--")
    error.set(yscale="log", xlabel="time (s)", ylabel="error of the potential, RMS (mV)")
    error.legend(frameon=False, fontsize=8)
    weights.set(xlabel="time (s)", ylabel="weight (pA)")
    weights.set_title("dotted: s (v − u), solid: champion, dashed: teacher", fontsize=9)
    return fig


def of_rule(name: str, result: Result):
    """Mean fitness of a known rule on fresh tasks, for each seed the same."""
    mean = float(jnp.mean(result.known[list(KNOWN).index(name)]))
    return np.full(len(result.validation), mean)


def found_factor(result: Result):
    """100 for each search whose champion is about as good as `s (v - u)` or better, else 0.

    On fresh, long tasks: on short ones `(u - v) / v`, which ignores the PSP, does as well.
    """
    return 100.0 * (jnp.mean(result.validation, axis=1) >= 1.05 * of_rule("s (v - u)", result))


def best_on_fresh_tasks(result: Result):
    """Fitness of the best champion of the search on fresh tasks, for each seed the same."""
    best = int(np.argmax(last_fitness(result.history)))
    return np.full(len(result.validation), float(jnp.mean(result.validation[best])))


def left_over(result: Result):
    """RMS error (mV) under `s (v - u)` in the last quarter of the long task, for each seed."""
    error = result.by_hand.potential - result.task.wanted
    last = error[3 * len(error) // 4 :]
    return np.full(len(result.validation), float(jnp.sqrt(jnp.mean(last**2))))


def _claims():
    # Mean and standard deviation over 15 tasks of an independent simulation with steps of 0.1 ms.
    simulated = {
        "s (v - u)": (-12.3, 4.0),
        "2 s (v - u)": (-11.0, 3.5),
        "run 0": (-11.0, 3.6),
        "run 1": (-22.1, 6.8),
        "run 2": (-11.0, 3.6),
        "run 3": (-11.9, 3.9),
        "no learning": (-218.0, 117.0),
    }
    for name, (mean, spread) in simulated.items():
        around = (mean - spread, mean + spread)
        yield Claim(
            statement=f"fitness of {name}, 15 tasks",
            paper_value=mean,
            source="independent simulation, steps of 0.1 ms; interval: its SD over tasks",
            measure=partial(of_rule, name),
            accept={"default": around, "paper": around},
        )
    yield Claim(
        statement="fitness of s (v - u) minus that of no learning",
        paper_value=206.0,
        source="independent simulation; smoke: it learns",
        measure=lambda result: of_rule("s (v - u)", result) - of_rule("no learning", result),
        accept={"smoke": (5.0, 400.0), "default": (89.0, 323.0), "paper": (89.0, 323.0)},
    )
    yield Claim(
        statement="searches that reach 1.05 times the error of s (v - u) or less (%)",
        paper_value=83.3,
        source="repository: 5 of 6 runs in 1,000 generations; the default has half of them and "
        "short tasks: at least one of six, set after a first run of ours",
        measure=found_factor,
        accept={"default": (16.0, 100.0), "paper": (50.0, 100.0)},
    )
    yield Claim(
        statement="best champion on fresh tasks",
        paper_value=-11.44,
        source="repository, validation of run 0: -11.44 with SD 3.02 over tasks",
        measure=best_on_fresh_tasks,
        accept={"default": (-14.5, -8.4), "paper": (-14.5, -8.4)},
    )
    yield Claim(
        statement="error left under s (v - u) after 15 s (mV, RMS)",
        paper_value=0.05,
        source="Jordan et al. 2021, Fig. 4B, read off: below 0.1 mV; depends on the task",
        measure=left_over,
        accept={"default": (0.0, 0.15), "paper": (0.0, 0.15)},
    )


CLAIMS = tuple(_claims())
