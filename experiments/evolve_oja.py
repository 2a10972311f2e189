"""Evolution rediscovers Oja's rule, and better rules for special statistics.

Mettler et al. (2021): one linear neuron, ten data sets, and rules of input, weight and output. On
general covariances the search finds Oja's rule or an equal; where all inputs have one variance and
positive correlation it finds rules that no longer look at the input. Deliverable D3.11, sections
1.1.1.7 and 1.2.3.2.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from plasticjax.evolution import (
    ADD,
    MUL,
    SUB,
    GenomeSpec,
    MuPlusLambda,
    Objective,
    Program,
    Search,
    constant,
    evolve,
    to_latex,
)

from ._contract import Claim, Job
from ._evolution import fitness_curves, judge
from ._principal_component import INPUTS, Learned, angle_fitness, learn, streams

OJA = "y * (x - y * w)"


@dataclass(frozen=True)
class Config:
    """The repository's 1 + 4 search; seeds are islands."""

    seeds: int = 12
    generations: int = 2000  # as in the repository
    special_generations: int = 500  # for one variance and positive correlation
    nodes: int = 100
    lam: int = 4  # offspring
    rate: float = 0.05  # probability that a gene mutates
    sets: int = 10  # data sets
    samples: int = 1800  # 90 % of 2,000
    learning_rate: float = 0.01
    penalty: float = 2.0  # of weights that are no unit vector: inputs times largest variance
    batch: int = 16  # individuals side by side
    short: int = 4  # programs of as many nodes run without a loop over them
    dtype: str = "float64"

    @classmethod
    def paper(cls) -> "Config":
        return cls(seeds=20, special_generations=2000)

    @classmethod
    def smoke(cls) -> "Config":
        return cls(seeds=4, generations=60, special_generations=30, sets=3, samples=300)


class Found(NamedTuple):
    """Champions and what they and the known rules reach on one family.

    `history` [generations, seeds] is the fitness of the champions, `champions` [seeds] the last of
    them, `oja` and `nothing` are fitness of Oja's rule and of no learning, `elsewhere` [seeds] is
    that of the champions on the other family, and `course` [seeds, sets] shows their learning.
    """

    history: Float[np.ndarray, "generations seeds"]
    champions: PyTree
    oja: Float[Array, ""]
    nothing: Float[Array, ""]
    elsewhere: Float[Array, " seeds"]
    course: Learned


class Result(NamedTuple):
    general: Found
    special: Found


def specs(config: Config) -> dict[str, GenomeSpec]:
    return {
        "general": GenomeSpec(INPUTS, (SUB, MUL), config.nodes),
        "positive": GenomeSpec(INPUTS, (ADD, SUB, MUL, constant(1.0)), config.nodes),
    }


def objective(config: Config, spec: GenomeSpec, family: str, key: Key[Array, ""]) -> Objective:
    """Fitness summed over data sets, at most their number."""
    data = streams(family, count=config.sets, samples=config.samples, key=key)

    def fitness(rule, stream, key):
        return config.sets * angle_fitness(
            rule, stream, learning_rate=config.learning_rate, penalty=config.penalty
        )

    return Objective(fitness, spec, data, batch=config.batch, short=config.short)


def search(config: Config, spec: GenomeSpec) -> Search:
    return Search(spec, MuPlusLambda(mu=1, lam=config.lam, rate=config.rate), memory=128)


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    own = specs(config)
    budget = {"general": config.generations, "positive": config.special_generations}
    keys = dict(zip(own, jax.random.split(key, len(own)), strict=True))

    def explore(family: str, other: str) -> Found:
        spec = own[family]
        data_key, search_key = jax.random.split(keys[family])
        here = objective(config, spec, family, data_key)
        part = job.part(family)
        found = evolve(
            here,
            search(config, spec),
            key=search_key,
            generations=budget[family],
            islands=config.seeds,
            mesh=job.mesh,
            checkpoints=part,
            progress=job.progress,
            description=f"rules, {family} statistics",
        )
        champions = jax.tree.map(jnp.asarray, found.state.champions)
        there = objective(config, spec, other, jax.random.split(keys[other])[0])
        none = jax.random.split(key, config.seeds)
        course = jax.vmap(
            lambda genome: jax.vmap(
                lambda stream: learn(Program(genome, spec), stream, config.learning_rate)
            )(here.environments)
        )(champions)
        oja, nothing = judge(here, [OJA, "x - x"])
        return Found(
            np.asarray(found.history.fitness),
            champions,
            oja,
            nothing,
            jax.jit(lambda genomes: there.evaluate(genomes, none))(champions),
            course,
        )

    return Result(explore("general", "positive"), explore("positive", "general"))


def figure(result: Result):
    from matplotlib.figure import Figure

    fig = Figure(figsize=(9.0, 5.0), layout="constrained")
    axes = fig.subplots(2, 2, width_ratios=(3, 2))
    spaces = specs(Config(nodes=result.general.champions.op.shape[-1]))
    for row, (family, found) in zip(
        axes, (("general", result.general), ("positive", result.special)), strict=True
    ):
        known = {"Oja's rule": float(found.oja), "no learning": float(found.nothing)}
        best = fitness_curves(row[0], found.history, known)
        lowest = min(float(found.nothing), 0.8 * float(found.oja))
        row[0].set(ylim=(lowest - 0.3, max(float(found.oja), np.max(found.history[-1])) + 0.3))
        champion = jax.tree.map(lambda leaf, best=best: leaf[best], found.champions)
        formula = to_latex(Program(champion, spaces[family]), simplify=True)
        row[0].set_title(f"{family}: $\\Delta w \\propto {formula}$", fontsize=9)
        for weights in np.asarray(found.course.weights[best]):
            row[1].plot(weights[::20, 0], weights[::20, 1], lw=0.7)
        circle = np.linspace(0, 2 * np.pi, 100)
        row[1].plot(np.cos(circle), np.sin(circle), color="0.7", lw=0.7, ls=":")
        row[1].set(xlabel="$w_1$", ylabel="$w_2$", aspect="equal")
        row[1].set_title("weights under the best rule", fontsize=9)
    return fig


def rediscovered(result: Result):
    """100 for each seed whose champion is as good as Oja's rule, else 0."""
    return 100.0 * (result.general.history[-1] >= float(result.general.oja) - 1e-6)


def oja(result: Result):
    """Fitness of Oja's rule for each seed."""
    return np.full(result.general.history.shape[1], float(result.general.oja))


def better(result: Result):
    """100 for each seed whose champion beats Oja's rule where correlations are positive."""
    return 100.0 * (result.special.history[-1] > float(result.special.oja))


def gain(found: Found):
    """What evolution added to the fitness of no learning, as a share of what Oja's rule adds."""
    return 100 * (found.history[-1] - float(found.nothing)) / float(found.oja - found.nothing)


def lost(result: Result):
    """Fitness that the special rules lose on general statistics, all of it where they diverge."""
    return result.special.history[-1] - np.maximum(result.special.elsewhere, 0)


_SOURCE = "hal-cgp on ten data sets of the same kind"
CLAIMS = (
    Claim(
        statement="fitness of Oja's rule, general statistics",
        paper_value=9.661,
        source=_SOURCE + "; depends on the data sets",
        measure=oja,
        accept={"default": (9.4, 9.9), "paper": (9.4, 9.9)},
    ),
    Claim(
        statement="searches that find Oja's rule or a better one (%)",
        paper_value=50.0,
        source=_SOURCE + ": 2 of 4 seeds within 600 generations. Ours: 13 of 44 within 600, "
        "13 of 20 within the 2,000 of the repository, which is the budget here",
        measure=rediscovered,
        accept={"default": (50.0, 100.0), "paper": (50.0, 100.0)},
    ),
    Claim(
        statement="positive correlation: searches that beat Oja's rule (%)",
        paper_value=100.0,
        source=_SOURCE + ": 3 of 3 seeds within 500 generations",
        measure=better,
        accept={"default": (75.0, 100.0), "paper": (75.0, 100.0)},
    ),
    Claim(
        statement="positive correlation: fitness that special rules lose on general statistics",
        paper_value=2.9,
        source=_SOURCE + ": 9.89 against 6.97",
        measure=lost,
        accept={"default": (1.0, 6.0), "paper": (1.0, 6.0)},
    ),
    Claim(
        statement="general statistics: gain over no learning, relative to Oja's rule (%)",
        paper_value=100.0,
        source=_SOURCE + "; a short search: more than half",
        measure=lambda result: gain(result.general),
        accept={"smoke": (40.0, 150.0)},
    ),
)
