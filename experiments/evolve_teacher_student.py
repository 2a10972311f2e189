"""Evolution finds the rule by which a student neuron follows its teacher on a chip.

The fitness of a rule is the distance of two membrane potentials, read with 8 bits, while a 6-bit
weight learns. The found rules are compared with the one that follows from minimising the distance.
Deliverable D3.11, section 1.2.1.5, Fig. 20; details of the task are our own.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

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
from ._teacher_student_task import (
    PERIOD,
    Condition,
    Device,
    Software,
    Trace,
    conditions,
    fitness,
    goals,
    trial,
)

INPUTS = ("u_t", "u_s", "s")
HAND = "(u_t - u_s) * s"


@dataclass(frozen=True)
class Config:
    """A 1 + 4 search with the operations of the plasticity processor; seeds are islands."""

    seeds: int = 5
    generations: int = 300
    nodes: int = 12
    lam: int = 4  # offspring
    rate: float = 0.05  # probability that a gene mutates
    duration: float = 10.0  # s of a trial
    learning_rate: float = 0.02
    counts: bool = False  # rules read spike counts of the last period instead of potentials
    mismatch: float = 0.03  # relative, of gain and time constants
    batch: int = 8  # individuals side by side
    dtype: str = "float32"

    @classmethod
    def paper(cls) -> "Config":
        return cls(seeds=20, generations=1000)

    @classmethod
    def smoke(cls) -> "Config":
        return cls(seeds=2, generations=15, nodes=8, duration=2.0)


class Result(NamedTuple):
    """Champions, and how the weights (LSB) move under them and under the rule made by hand.

    `history` [generations, seeds] is the fitness of the champions, `champions` [seeds] the last of
    them, `hand` and `nothing` the fitness (LSB) of the rule made by hand and of no learning.
    `weights` [seeds, conditions, periods], `hand_weights` [conditions, periods], `goals` and
    `teachers` [conditions].
    """

    history: Float[np.ndarray, "generations seeds"]
    champions: PyTree
    hand: float
    nothing: float
    weights: Float[np.ndarray, "seeds conditions periods"]
    hand_weights: Float[np.ndarray, "conditions periods"]
    goals: Float[np.ndarray, " conditions"]
    teachers: Float[np.ndarray, " conditions"]


def spec(nodes: int, inputs: tuple[str, ...] = INPUTS) -> GenomeSpec:
    """What the plasticity processor can do."""
    return GenomeSpec(inputs, (ADD, SUB, MUL, constant(1.0)), nodes)


def objective(config: Config, device: Device, each: Condition) -> Objective:
    """Mean fitness over all conditions on a device that JAX can trace."""

    def tested(rule, condition, key):
        return fitness(trial(rule, device, condition, key, learning_rate=config.learning_rate))

    return Objective(tested, spec(config.nodes), each, batch=config.batch)


def explore(
    tested: Any, config: Any, *, space: GenomeSpec | None = None, key: Key[Array, ""], job: Job
):
    """The search; `tested.evaluate(genomes, keys)` may also run on a chip or an emulated one.

    `config` says nodes, lam, rate, generations and seeds; what rules see is in `space`.
    """
    strategy = MuPlusLambda(mu=1, lam=config.lam, rate=config.rate)
    return evolve(
        tested,
        Search(spec(config.nodes) if space is None else space, strategy, memory=128),
        key=key,
        generations=config.generations,
        islands=config.seeds,
        mesh=job.mesh if isinstance(tested, Objective) else None,
        checkpoints=job.part("search"),
        progress=job.progress,
        description="rules of a student",
    )


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    condition_key, search_key, noise_key = jax.random.split(key, 3)
    device = Software(counts=config.counts)
    each = conditions(
        condition_key,
        duration=config.duration,
        mismatch=config.mismatch,
        dtype=config.dtype,
    )
    tested = objective(config, device, each)
    found = explore(tested, config, key=search_key, job=job)
    champions = jax.tree.map(jnp.asarray, found.state.champions)
    hand, nothing = judge(tested, [HAND, "s - s"])

    def watch(rule) -> Trace:
        keys = jax.random.split(noise_key, len(each.teacher))
        return jax.vmap(
            lambda condition, key: trial(
                rule, device, condition, key, learning_rate=config.learning_rate
            )
        )(each, keys)

    own = spec(config.nodes)
    course = jax.jit(jax.vmap(lambda genome: watch(Program(genome, own)).weight))(champions)
    by_hand = jax.jit(lambda: watch(hand_rule).weight)()
    return Result(
        np.asarray(found.history.fitness),
        champions,
        float(hand),
        float(nothing),
        np.asarray(course),
        np.asarray(by_hand),
        np.asarray(goals(each)),
        np.asarray(each.teacher),
    )


def hand_rule(seen: Float[Array, "*points 3"]) -> Float[Array, "*points 1"]:
    """Descent of the squared distance of the potentials."""
    return ((seen[..., 0] - seen[..., 1]) * seen[..., 2])[..., None]


def figure(result: Result):
    from matplotlib.figure import Figure

    fig = Figure(figsize=(9.0, 3.6), layout="constrained")
    axes = fig.subplots(1, 3, width_ratios=(4, 3, 3))
    known = {"$(u_t - u_s)\\, s$": result.hand, "no learning": result.nothing}
    best = fitness_curves(axes[0], result.history, known)
    axes[0].set(yscale="symlog", ylabel="fitness of the champion (LSB)")
    axes[0].set(ylim=(-60, -0.8))
    axes[0].legend(frameon=False, fontsize=7, loc="center right")
    axes[0].set_yticks([-30, -10, -3, -1], ["-30", "-10", "-3", "-1"])
    program = Program(
        jax.tree.map(lambda leaf: leaf[best], result.champions),
        spec(result.champions.op.shape[-1]),
    )
    axes[0].set_title(f"best: $\\Delta w \\propto {to_latex(program)}$", fontsize=9)
    for ax, weights, name in (
        (axes[1], result.weights[best], "best rule"),
        (axes[2], result.hand_weights, "rule made by hand"),
    ):
        draw_weights(ax, weights, result.goals)
        ax.set_title(name, fontsize=9)
    return fig


def draw_weights(ax, weights, goal) -> None:
    """Weights over a trial in all conditions, with the goals at the right margin."""
    times = PERIOD / 1000 * np.arange(weights.shape[1])
    colors = {value: f"C{place}" for place, value in enumerate(sorted(set(goal.tolist())))}
    for one, wanted in zip(weights, goal, strict=True):
        ax.plot(times, one, lw=0.7, color=colors[wanted])
        ax.plot(1.02 * times[-1], wanted, "<", ms=4, color=colors[wanted], clip_on=False)
    ax.set(xlabel="time (s)", ylabel="weight (LSB)", ylim=(-1, 64))


def close(weights, wanted):
    """Share (%) of conditions whose weight is within 2 LSB of the wanted one in the last tenth."""
    last = weights[..., -(weights.shape[-1] // 10) :].mean(axis=-1)
    return 100.0 * (np.abs(last - wanted) <= 2).mean(axis=-1)


def reached(result: Result):
    """100 for each search whose champion comes within 10 % of the rule made by hand, else 0."""
    return 100.0 * (result.history[-1] >= 1.1 * result.hand)


def same_sign(result: Result):
    """Share (%) of readings at which the champions change the weight towards the teacher."""
    drawn = np.random.default_rng(0).uniform((0, 0, 0.1), (150, 150, 4), (1000, 3))
    own = spec(result.champions.op.shape[-1])
    change = jax.vmap(lambda genome: Program(genome, own, "scan_switch")(jnp.asarray(drawn)))(
        result.champions
    )
    wanted = np.sign(drawn[:, 0] - drawn[:, 1])
    return 100.0 * (np.sign(change[..., 0]) == wanted).mean(axis=1)


def gain(result: Result):
    """What evolution added to the fitness of no learning (%), relative to the rule made by hand."""
    return 100 * (result.history[-1] - result.nothing) / (result.hand - result.nothing)


_SOURCE = "deliverable D3.11, section 1.2.1.5 and Fig. 20c, without numbers; "
CLAIMS = (
    Claim(
        statement="searches that come within 10 % of the rule made by hand (%)",
        paper_value=60.0,
        source=_SOURCE + "our criterion: 3 of 5 in 300 generations",
        measure=reached,
        accept={"default": (60.0, 100.0), "paper": (60.0, 100.0)},
    ),
    Claim(
        statement="conditions in which the weight ends within 2 LSB of the teacher's (%)",
        paper_value=90.0,
        source=_SOURCE + "our criterion, set before the first run; fails for rules that follow "
        "the potentials, because mismatch moves large weights further than that",
        measure=lambda result: close(result.weights, result.teachers),
        accept={"default": (90.0, 100.0), "paper": (90.0, 100.0)},
    ),
    Claim(
        statement="conditions in which the weight ends within 2 LSB of the teacher's, corrected "
        "for mismatch (%)",
        paper_value=90.0,
        source=_SOURCE + "the criterion above with the teacher's weight times the ratio of gains",
        measure=lambda result: close(result.weights, result.goals),
        accept={"default": (90.0, 100.0), "paper": (90.0, 100.0)},
    ),
    Claim(
        statement="readings at which the found rules move towards the teacher (%)",
        paper_value=100.0,
        source=_SOURCE + "found rules resemble (v - u) s; interval set after a first run of ours",
        measure=same_sign,
        accept={"default": (90.0, 100.0), "paper": (90.0, 100.0)},
    ),
    Claim(
        statement="gain over no learning, relative to the rule made by hand (%)",
        paper_value=100.0,
        source=_SOURCE + "intervals set after a first run of ours",
        measure=gain,
        accept={"smoke": (1.0, 110.0), "default": (90.0, 110.0), "paper": (90.0, 110.0)},
    ),
)
