"""A walk of random steps, slow enough to be killed.

Not a result of anyone.
"""

import time
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from experiments._contract import Claim


@dataclass(frozen=True)
class Config:
    steps: int = 30
    pause: float = 0.0  # s
    scales: tuple[float, ...] = (1.0, 0.5)
    broken_seed: int | None = None
    kind: Literal["normal", "uniform"] = "normal"
    centred: bool = False
    seeds: int = 3
    dtype: str = "float64"

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; at least 1 is required")

    @classmethod
    def paper(cls):
        return cls(steps=60)

    @classmethod
    def smoke(cls):
        return cls(steps=4)


class Result(NamedTuple):
    positions: Float[Array, "seeds"]


def run(config, *, key, job):
    keys = jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(config.seeds))
    state = {"positions": jnp.zeros(config.seeds), "keys": keys}
    start, state = job.restore(state) or (0, state)
    with job.progress(config.steps - start, "walk") as progress:
        for step in range(start, config.steps):
            state = _step(state)
            time.sleep(config.pause)
            job.save(step + 1, state)
            progress.advance(mean=state["positions"].mean())
    positions = state["positions"]
    if config.broken_seed is not None:
        positions = positions.at[config.broken_seed].set(jnp.nan)
    return Result(positions)


@jax.jit
def _step(state):
    keys = jax.vmap(jax.random.split)(state["keys"])
    steps = jax.vmap(jax.random.normal)(keys[:, 1])
    return {"positions": state["positions"] + jnp.sin(steps), "keys": keys[:, 0]}


def files(result):
    return {"walk.txt": f"{len(result.positions)} walks\n"}


def figure(result):
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(2, 2))
    ax.plot(result.positions)
    return figure


CLAIMS = (
    Claim(
        "distance (m) | here",
        0.0,
        "nobody, Fig. 1",
        lambda result: result.positions,
        {"smoke": (-100.0, 100.0), "default": (-1e3, 1e3)},
    ),
    Claim("bits", 64.0, "nobody", lambda result: 8 * _width(result), {"smoke": (64.0, 64.0)}),
    Claim("never", 1.0, "nobody", lambda result: result.positions * 0, {"default": (1.0, 2.0)}),
)


def _width(result):
    return jnp.full(result.positions.shape, result.positions.dtype.itemsize)
