"""The natural gradient learns faster, because it sees an isotropic cost (Kreutzer et al. 2022).

A Poisson neuron with 100 inputs of 10 and 50 Hz learns to fire as a teacher of the same kind does.
At first the Euclidean gradient is ahead, since it only follows the strong direction of the cost;
the natural gradient follows all, and arrives first. Kreutzer, Senn & Petrovici (2022), eLife 11,
e66526, Fig. 3 and 9; D3.11, section 1.1.1.6, Fig. 7 a to c.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from plasticjax.plasticity import (
    EuclideanGradient,
    NaturalGradient,
    PoissonInput,
    SigmoidTransfer,
    inverse_fisher,
    over_synapses,
    potential_statistics,
)

from ._contract import Claim, Job, Size
from ._cost_plane import Plane, draw_plane, plane
from ._poisson_neuron import (
    KERNEL,
    STEP,
    Usps,
    approximate_output,
    divergence,
    natural_output,
    shown,
    spikes,
    usp_samples,
)

RULES = ("natural", "approximated", "Euclidean")
SECOND = round(1.0 / STEP)  # steps
SAVED = 10  # tests between two checkpoints


@dataclass(frozen=True)
class Config:
    """Fig. 3 F and 9, shortened; the learning rates are those of the code divided by beta.

    Seeds and duration were raised after runs of ours. With 8 seeds the initial divergence, 1.23e-3,
    was outside its interval: means of 8 teachers vary between 1e-3 and 3.5e-3. With 32 seeds and
    1200 s the natural rule reached 5e-5 nats only in the last test.
    """

    seeds: int = 32
    duration: int = 1400  # s; the natural rule needs about 1200
    every: int = 20  # s, between two tests
    inputs: int = 100
    rates: tuple[float, float] = (10.0, 50.0)  # Hz, one half of the inputs each
    natural: float = 2.0e-3  # learning rates
    approximated: float = 1.5e-3
    euclidean: float = 1.5e-6
    tests: int = 50  # samples of synaptic potentials
    warm: float = 0.25  # s, before a sample is taken
    nodes: int = 33  # of the quadrature, enough up to 4.2 mV; the potential varies by 2
    samples: int = 2000  # of the plane of two weights
    plane_nodes: int = 257
    dtype: str = "float32"

    @classmethod
    def paper(cls) -> "Config":
        return cls(seeds=1000, duration=8000, every=100)

    @classmethod
    def smoke(cls) -> "Config":
        return cls(seeds=2, duration=40, samples=100)


class Network(NamedTuple):
    """One student per rule, with the inputs in common."""

    usps: Usps
    natural: Float[Array, "two pre"]  # the exact and the approximated rule
    euclidean: Float[Array, "one pre"]


class Scores(NamedTuple):
    divergence: Float[Array, "seeds rules times"]  # nats in a step of 0.5 ms
    error: Float[Array, "seeds rules times"]  # root mean square of the rate, Hz


class Result(NamedTuple):
    times: Float[np.ndarray, " times"]  # s
    scores: Scores
    plane: Plane


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    if config.duration % config.every or config.inputs % 2:
        raise ValueError(
            f"duration={config.duration} must be a multiple of every={config.every}, and "
            f"inputs={config.inputs} even"
        )
    tests = config.duration // config.every
    test_key, plane_key, own_key = jax.random.split(key, 3)
    keys = jax.vmap(partial(jax.random.fold_in, own_key))(jnp.arange(config.seeds))
    rates = jnp.repeat(jnp.asarray(config.rates, config.dtype), config.inputs // 2)
    usps = usp_samples(test_key, rates, KERNEL, config.warm, config.tests)
    transfer = SigmoidTransfer(nodes=config.nodes)

    @jax.jit
    def score(teachers, network):
        students = jnp.concatenate([network.natural, network.euclidean], axis=1)
        taught = jnp.einsum("sn,tn->st", teachers, usps)
        potential = jnp.einsum("srn,tn->srt", students, usps)
        over_rules = jax.vmap(partial(divergence, transfer), (None, 0))
        gap = transfer.rate(taught)[:, None] - transfer.rate(potential)
        return Scores(jax.vmap(over_rules)(taught, potential), jnp.sqrt(jnp.mean(gap**2, axis=-1)))

    teachers, network = jax.vmap(partial(draw, config))(keys)
    learn = jax.jit(jax.vmap(partial(interval, config, transfer, rates), (0, 0, 0, None)))
    blank = jnp.full((config.seeds, len(RULES), tests + 1), jnp.nan, config.dtype)
    scores = put(Scores(blank, blank), 0, score(teachers, network))
    done, (network, scores) = job.restore((network, scores)) or (0, (network, scores))
    with job.progress(tests, "seeds") as bar:
        bar.advance(done)
        for index in range(done, tests):
            network = learn(teachers, keys, network, index)
            scores = put(scores, index + 1, score(teachers, network))
            if (index + 1) % SAVED == 0 or index + 1 == tests:
                job.save(index + 1, (network, scores))
            bar.advance(nats=float(jnp.mean(scores.divergence[:, 0, index + 1])))
    if not np.all(np.isfinite(scores.divergence)):
        raise FloatingPointError("a student diverged; lower the learning rates")
    times = config.every * np.arange(tests + 1.0)
    found = plane(
        config.rates,
        config.dtype,
        warm=config.warm,
        samples=config.samples,
        nodes=config.plane_nodes,
        key=plane_key,
    )
    return Result(times, jax.tree.map(np.asarray, scores), found)


def draw(config: Config, key: Key[Array, ""]) -> tuple[Float[Array, " pre"], Network]:
    """A teacher, and the students of all rules, which start from the same weights."""
    width = 1.0 / config.inputs
    shape = (2, config.inputs)
    teacher, start = jax.random.uniform(key, shape, config.dtype, minval=-width, maxval=width)
    usps = Usps.silent(config.inputs, config.dtype)
    return teacher, Network(usps, jnp.stack([start, start]), start[None])


def put(scores: Scores, index: int, new: Scores) -> Scores:
    return jax.tree.map(lambda all_, one: all_.at[..., index].set(one), scores, new)


def interval(config: Config, transfer, rates, teacher, key, network: Network, index) -> Network:
    """Learning between two tests, in stretches of one second."""
    key = jax.random.fold_in(key, index)
    step = partial(learning_step, config, transfer, rates, teacher)

    def second(network, key):
        arriving, taught = jax.random.split(key)
        noise = jax.random.uniform(taught, (SECOND,), config.dtype)
        return jax.lax.scan(step, network, (spikes(arriving, rates, SECOND), noise))[0], None

    return jax.lax.scan(second, network, jax.random.split(key, config.every))[0]


def learning_step(config: Config, transfer, rates, teacher, network: Network, drawn):
    arriving, noise = drawn
    usps = network.usps.follow(arriving, KERNEL)
    usp = usps.potentials(KERNEL)
    pre = PoissonInput(usp, rates)
    target = (noise < transfer.rate(teacher @ usp) * STEP).astype(usp.dtype)

    exact, approximated = (
        inverse_fisher(transfer, potential_statistics(KERNEL, w, rates)) for w in network.natural
    )
    potential = network.natural @ usp
    natural_posts = (
        natural_output(transfer, KERNEL, exact, target, jnp.sum(usp), potential[0]),
        approximate_output(transfer, KERNEL, approximated, target, potential[1]),
    )
    natural_post = jax.tree.map(lambda *leaves: jnp.stack(leaves), *natural_posts)
    rates_of_learning = jnp.asarray([[config.natural], [config.approximated]], usp.dtype)
    change = over_synapses(NaturalGradient(1.0, KERNEL))(network.natural, pre, natural_post, None)
    natural = network.natural + rates_of_learning * change

    none = jnp.zeros(1, usp.dtype)
    euclidean_post = shown(transfer, target, network.euclidean @ usp, none, (none, none))
    euclidean = network.euclidean + over_synapses(EuclideanGradient(config.euclidean))(
        network.euclidean, pre, euclidean_post, None
    )
    return Network(usps, natural, euclidean), None


def figure(result: Result):
    from matplotlib.figure import Figure

    from plasticjax.plotting import class_color

    fig = Figure(figsize=(8.0, 6.4), layout="constrained")
    top, bottom = fig.subplots(2, 2, height_ratios=(4, 3))
    for index, (ax, name) in enumerate(zip(top, ("Euclidean", "natural"), strict=True)):
        draw_plane(ax, result.plane, index, class_color(1 - index))
        ax.set_title(f"{name} gradient: direction and mean path", fontsize=9)
    names = ("divergence (nats / 0.5 ms)", "rate error (Hz)")
    minutes = result.times / 60
    for ax, values, label in zip(bottom, result.scores, names, strict=True):
        for rule, name in enumerate(RULES):
            color = class_color((0, 2, 1)[rule])
            low, high = np.quantile(values[:, rule], (0.1, 0.9), axis=0)
            ax.fill_between(minutes, low, high, color=color, alpha=0.2, linewidth=0)
            mean = values[:, rule].mean(axis=0)
            ax.plot(minutes, mean, color=color, linewidth=1.2, label=name)
        ax.set_xlabel("time (min)", fontsize=8)
        ax.set_ylabel(label, fontsize=8)
        ax.tick_params(labelsize=7)
    bottom[1].legend(title="mean; 10 to 90 %", title_fontsize=7, fontsize=7, frameon=False)
    bottom[0].set(yscale="log", ylim=(1e-5, None))
    bottom[1].set(ylim=(0, None))
    return fig


def at(rule: str, seconds: int, result: Result):
    """The divergence at a time, 1e-5 nats."""
    index = np.flatnonzero(result.times == seconds)
    return 1e5 * result.scores.divergence[:, RULES.index(rule), index[0]] if len(index) else None


def euclidean_over_natural(seconds: int, result: Result):
    """Ratio of the mean divergences, the same for all seeds."""
    euclidean, natural = (at(rule, seconds, result) for rule in ("Euclidean", "natural"))
    if euclidean is None or natural is None:
        return None
    return np.full(len(natural), np.mean(euclidean) / np.mean(natural))


def first_below(rule: str, result: Result):
    """Seconds until the mean divergence is below 5e-5 nats; past the end if it never is."""
    mean = result.scores.divergence[:, RULES.index(rule)].mean(axis=0)
    times = result.times[mean < 5e-5]
    never = 2 * result.times[-1] - result.times[-2]
    return np.full(len(result.scores.divergence), times[0] if len(times) else never)


def _curve(rule: str, seconds: int, value: float, *sizes: Size) -> Claim:
    interval = (value / 1.5, value * 1.5)
    return Claim(
        statement=f"{rule} rule: divergence after {seconds} s (1e-5 nats in 0.5 ms)",
        paper_value=value,
        source="independent simulation of the published protocol, 8 runs; interval: factor 1.5; "
        "with 8 seeds our initial divergence was 123, not reproduced, so the default has 32",
        measure=partial(at, rule, seconds),
        accept=dict.fromkeys(sizes, interval),
    )


_TIMES = (
    "the same: 1040, 1160 and 2600 s; interval: factor 1.5, at the default up to the end of the "
    "run, which was moved from 1200 to 1400 s after a run of ours that took 1200 s"
)
_BOTH: tuple[Size, ...] = ("default", "paper")
CLAIMS = (
    _curve("natural", 0, 195.0, *_BOTH),
    _curve("natural", 100, 115.0, *_BOTH),
    _curve("natural", 300, 47.0, *_BOTH),
    _curve("natural", 1200, 3.7, "default"),
    _curve("approximated", 1200, 4.7, "default"),
    _curve("Euclidean", 100, 75.0, *_BOTH),
    _curve("Euclidean", 300, 47.0, *_BOTH),
    _curve("Euclidean", 1200, 13.3, "default"),
    Claim(
        statement="Euclidean over natural divergence after 100 s: Euclidean is ahead",
        paper_value=0.65,
        source="independent simulation: 7.5e-4 over 1.15e-3; interval: below 1",
        measure=partial(euclidean_over_natural, 100),
        accept=dict.fromkeys(_BOTH, (0.3, 1.0)),
    ),
    Claim(
        statement="Euclidean over natural divergence after 1200 s: natural is ahead",
        paper_value=3.6,
        source="independent simulation: 1.33e-4 over 3.7e-5; interval: above 2",
        measure=partial(euclidean_over_natural, 1200),
        accept=dict.fromkeys(_BOTH, (2.0, 8.0)),
    ),
    Claim(
        statement="natural rule: time until the divergence is below 5e-5 nats (s)",
        paper_value=1040.0,
        source=_TIMES,
        measure=partial(first_below, "natural"),
        accept={"default": (690.0, 1400.0), "paper": (690.0, 1560.0)},
    ),
    Claim(
        statement="approximated rule: the same time (s)",
        paper_value=1160.0,
        source=_TIMES,
        measure=partial(first_below, "approximated"),
        accept={"paper": (770.0, 1740.0)},
    ),
    Claim(
        statement="Euclidean rule: the same time (s)",
        paper_value=2600.0,
        source=_TIMES,
        measure=partial(first_below, "Euclidean"),
        accept={"paper": (1730.0, 3900.0)},
    ),
    Claim(
        statement="natural rule: divergence at the end over that at the start",
        paper_value=0.9,
        source="a short run; interval: learning goes the right way",
        measure=lambda result: (
            result.scores.divergence[:, 0, -1] / result.scores.divergence[:, 0, 0]
        ),
        accept={"smoke": (0.5, 0.98)},
    ),
)
