"""The task of detecting a frozen pattern by spike timing: inputs, and what is measured.

Jordan et al. (2021), eLife 10:e66273: a pattern of 100 ms comes back every 500 ms in inputs whose
mean rates tell nothing.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from ._correlation_neuron import NEVER, STEP, TAU_MEMBRANE, Learned, Task, free_potential, learn

INPUTS = ("w", "K")

BACKGROUND = 3.0  # Hz
FIRST, PERIOD, WINDOW = 4000, 5000, 1000  # steps: first pattern, onset to onset, length
KEPT = 1 / 6  # of the other spikes of neurons in the pattern, so that all fire at 2.4 Hz


def in_pattern(steps: int) -> Bool[np.ndarray, " steps"]:
    """Which of the steps 1, 2, ... belong to a presentation of the pattern."""
    since = np.arange(1, steps + 1) - FIRST
    return (since >= 0) & (since % PERIOD < WINDOW)


def signal_to_noise(potential: Float[Array, " steps"]) -> Float[Array, ""]:
    """How far the peak in the pattern rises above the potential outside, in its deviations."""
    inside = in_pattern(len(potential))
    starts = np.flatnonzero(np.diff(inside, prepend=False) & inside)
    starts = starts[starts + WINDOW <= len(potential)]
    peaks = jnp.max(potential[starts[:, None] + np.arange(WINDOW)], axis=1)
    outside = potential[~inside]
    return (jnp.mean(peaks) - jnp.mean(outside)) / jnp.std(outside)


class Setting(NamedTuple):
    """How many inputs, how long they are learned and watched without threshold after that (s).

    The threshold is 20 mV for 1,000 inputs, and in proportion for others.
    """

    inputs: int
    duration: float
    free: float

    @property
    def threshold(self) -> float:
        return 0.02 * self.inputs

    @property
    def steps(self) -> int:
        return steps_of(self.duration)

    def tasks(
        self, key: Key[Array, ""], *, count: int, dtype: str, weight: float | None = None
    ) -> Task:
        """Tasks [count]; all weights of one start at `weight`, or at one draw."""
        steps = steps_of(max(self.duration, self.free))
        seeds = np.asarray(jax.random.key_data(jax.random.split(key, count)))
        drawn = [_draw(np.random.default_rng(seed), self.inputs, steps) for seed in seeds]
        longest = max(len(times) for times, _ in drawn)
        weight_key, voltage_key = jax.random.split(jax.random.fold_in(key, count))
        if weight is None:
            weights = self.first_weight() + 0.1 * jax.random.normal(weight_key, (count,), dtype)
        else:
            weights = jnp.full(count, weight, dtype)

        def padded(values, fill):
            return jnp.asarray(
                [np.pad(one, (0, longest - len(one)), constant_values=fill) for one in values],
                jnp.int32,
            )

        return Task(
            padded([times for times, _ in drawn], NEVER),
            padded([synapses for _, synapses in drawn], 0),
            weights,
            self.threshold / 2 * jax.random.normal(voltage_key, (count,), dtype),
        )

    def first_weight(self) -> float:
        """The weight that reaches the threshold at two deviations below the mean input."""
        spikes = BACKGROUND * self.inputs
        return self.threshold / (spikes - 2 * np.sqrt(spikes)) / (TAU_MEMBRANE / 1000)

    def learn(self, rules, task: Task, lowest: float | Float[Array, ""] = -np.inf) -> Learned:
        """See `learn`."""
        return learn(
            rules,
            task,
            synapses=self.inputs,
            steps=self.steps,
            threshold=self.threshold,
            lowest=lowest,
        )

    def ratio(self, weights: Float[Array, " synapses"], task: Task) -> Float[Array, ""]:
        """Signal-to-noise ratio of frozen weights."""
        return signal_to_noise(free_potential(weights, task, steps=steps_of(self.free)))


def steps_of(seconds: float) -> int:
    return round(1000 * seconds / STEP)


def _draw(random: np.random.Generator, inputs: int, steps: int):
    """Spike steps and neurons of one input, in order of time."""
    duration = steps * STEP / 1000
    onsets = np.arange(FIRST + 1, steps, PERIOD)
    isi = random.exponential(1000 / BACKGROUND / STEP, inputs)
    member = isi < WINDOW
    pattern = np.flatnonzero(member)
    times, neurons = [], []
    for neuron in range(inputs):
        own = random.uniform(0, steps, random.poisson(BACKGROUND * duration))
        own = own[~((own >= onsets[0]) & ((own - onsets[0]) % PERIOD < WINDOW))]
        if member[neuron]:
            own = random.choice(own, int(KEPT * len(own))) if len(own) else own
        times.append(own)
        neurons.append(np.full(len(own), neuron))
    times.append((onsets[:, None] + isi[pattern]).ravel())
    neurons.append(np.tile(pattern, len(onsets)))
    # A spike belongs to the step in which it falls.
    grid = np.ceil(np.concatenate(times)).astype(np.int64)
    order = np.argsort(grid, kind="stable")
    grid, neuron = grid[order], np.concatenate(neurons)[order]
    kept = (grid >= 1) & (grid <= steps)
    return grid[kept], neuron[kept]
