"""A student neuron follows a teacher on the emulated chip: signals, trials, runs, fitness.

One Poisson source drives two neurons that do not spike: column 0 is the teacher with a fixed
weight, column 1 the student. The plasticity processor reads both membranes and changes the weight
of the student. Times are those of the hardware (us), potentials in LSB of the converter.
"""

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt8

from plasticjax.hardware import (
    BackgroundGenerator,
    ChipEvents,
    ChipProfile,
    EmulatorSettings,
    IntegerProgram,
    NeuronSettings,
    Plasticity,
    RuleCode,
    UnsupportedOnPPU,
    batch_tables,
    chip_rule,
    column_table,
    configure,
    draw_chip,
    encode,
    event_word,
    lower,
    membrane,
    row_table,
    rule_code,
    run_chip,
    weight,
)

PERIOD = 50.0  # us between calls
SOURCE = 100.0  # kHz
GAIN = 3.175  # LSB that an input adds to the current, per LSB of the weight
UNIT = 64.0  # LSB of the potentials that rules see as 1
MOST = 32.0  # spikes per call that rules can see
LATER = 2**30  # ticks of events that never come
LENGTHS = (16, 16, 48)  # of the code, so that most rules need no compilation


class Source(NamedTuple):
    """What the source shows: its spikes since the last call (dimensionless)."""

    n: Any


class Membranes(NamedTuple):
    """Potentials of the teacher and the student (64 LSB)."""

    u_t: Any
    u_s: Any


SIGNALS: dict[str, Any] = {
    "syn": weight(),
    "pre": Source(row_table("n", 0.0, MOST)),
    "post": Membranes(column_table("u_t", 0.0, 256 / UNIT), membrane(scale=1 / UNIT)),
}


def lowered(change, name: str) -> IntegerProgram | None:
    """The program of a rule `change(syn, pre, post, third, obs)`; None if it cannot be lowered."""

    def update(syn, pre, post, third, obs):
        return syn + change(syn, pre, post, third, obs)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return lower(update, **SIGNALS, name=name)
        except UnsupportedOnPPU:
            return None


class Trials(NamedTuple):
    """Weights (LSB), the relative gain of the student, and the spikes of the source, per trial.

    `ticks` [trials, events] are sorted (8 ns), `counts` [trials, calls] the spikes before a call.
    """

    teacher: Int[Array, " trials"]
    start: Int[Array, " trials"]
    gain: Float[Array, " trials"]
    ticks: Int[Array, "trials events"]
    counts: Int[Array, "trials calls"]

    @property
    def goals(self) -> Float[Array, " trials"]:
        """The weight with which the student has the mean potential of the teacher."""
        return jnp.minimum(self.teacher / self.gain, 63.0)


def draw_trials(key: Key[Array, ""], number: int, calls: int) -> Trials:
    """Teachers between 10 and 45, students that start anywhere."""
    teacher_key, start_key, source_key = jax.random.split(key, 3)
    source = BackgroundGenerator.poisson(event_word(0), SOURCE)
    duration = PERIOD * (calls + 1)
    # One long train of spikes, cut into trials.
    events = np.asarray(source.events(number * duration, key=source_key).ticks)
    own, ticks = np.divmod(events, round(125 * duration))
    expected = SOURCE / 1000 * duration
    longest = int(expected + 10 * np.sqrt(expected))
    trains = [ticks[own == trial] for trial in range(number)]
    padded = [np.pad(t, (0, longest - len(t)), constant_values=LATER) for t in trains]
    edges = 125 * PERIOD * np.arange(calls + 1)
    return Trials(
        jax.random.randint(teacher_key, (number,), 10, 46),
        jax.random.randint(start_key, (number,), 0, 64),
        jnp.ones(number),
        jnp.asarray(np.stack(padded)),
        jnp.asarray([np.histogram(train, edges)[0] for train in trains], jnp.int32),
    )


class Course(NamedTuple):
    """Membranes as they are and as they are read (LSB), and the weight, after each call."""

    voltages: Float[Array, "*batch calls 2"]
    readings: Int[Array, "*batch calls 2"]
    weights: UInt8[Array, "*batch calls"]


class _Prepare(eqx.Module):
    """Before the row: the processor looks up the teacher's membrane and the host's spike count."""

    def __call__(self, columns, symbols, key):
        seen = int(encode(SIGNALS["post"].u_t, 1 / UNIT)) * columns.membranes[0, 0]
        count = symbols["counts"][columns.call]
        return {**symbols, "post.u_t": seen, "pre.n": count}


def course(rule: Any, trial: Trials, key: Key[Array, ""], dt: float = 0.5) -> Course:
    """One trial under a rule of the chip."""
    profile = ChipProfile.ideal(psp=GAIN * 63 / np.e, cadc_noise=1.5)
    chip = draw_chip(profile, hemispheres=1, columns=2, rows=2, key=jax.random.key(0))
    gain = jnp.stack([jnp.ones_like(trial.gain), trial.gain])[None]
    chip = eqx.tree_at(lambda chip: chip.neuron_gain, chip, gain)
    weights = jnp.zeros((1, 2, 2), jnp.int32)
    weights = weights.at[0, :, 0].set(jnp.stack([trial.teacher, trial.start]))
    config = configure(
        chip,
        weights=weights,
        row_modes=np.array([[1, 0]]),
        neurons=NeuronSettings(threshold=1e6, tau_exc=5.0),
    )
    calls = trial.counts.shape[0]
    one_spike = int(encode(SIGNALS["pre"].n, 1.0))
    plasticity = Plasticity(
        *(rule, PERIOD, PERIOD, calls),
        rows=(0,),
        row_us=20.0,
        prepare=_Prepare(),
        symbols={
            "counts": one_spike * jnp.minimum(trial.counts, int(MOST) - 1),
            "pre.n": jnp.int32(0),
            "post.u_t": jnp.int32(0),
        },
        columns=jnp.array([[False, True]]),
    )
    settings = EmulatorSettings(
        dt_us=dt, sensors=False, max_spikes=1, record=(0, 1), sample_us=PERIOD, events_per_step=8
    )
    events = ChipEvents(trial.ticks, jnp.full_like(trial.ticks, event_word(0)))
    duration = PERIOD * (calls + 1)
    run = run_chip(chip, config, events, duration, key=key, rules=[plasticity], settings=settings)
    return Course(run.voltages[1:], run.readings[1:], run.weights[:, 0, 1, 0])


def run_rules(
    programs: Sequence[IntegerProgram],
    trials: Trials,
    key: Key[Array, ""],
    dt: float,
    at_once: int,
) -> Course:
    """All programs in all trials [rules, trials, ...], `at_once` pairs of them at a time.

    Other programs and trials need no compilation. A trial has the same noise whatever the rule.
    """
    code = rule_code(batch_tables(programs), lengths=LENGTHS)
    shape = len(programs), len(trials.teacher)
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(shape[1]))
    rule, trial = (place.ravel() for place in np.indices(shape))
    parts = []
    for first in range(0, len(rule), at_once):
        some = np.arange(first, first + at_once) % len(rule)
        pair = jax.tree.map(lambda leaf, n=rule[some]: leaf[n], code)
        own = jax.tree.map(lambda leaf, n=trial[some]: leaf[n], trials)
        parts.append(jax.tree.map(np.asarray, _courses(pair, own, keys[trial[some]], dt)))
    whole = jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(rule)], *parts)
    return jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), whole)


@partial(jax.jit, static_argnums=3)
def _courses(code: RuleCode, trials: Trials, keys: Key[Array, " pairs"], dt: float) -> Course:
    one = lambda code, trial, key: course(chip_rule(code), trial, key, dt)  # noqa: E731
    return jax.vmap(one)(code, trials, keys)


def fitness(found: Course) -> Float[np.ndarray, "*batch"]:
    """Minus the mean distance of the readings (LSB) and the variance of weight changes (LSB^2)."""
    readings, weights = np.asarray(found.readings), np.asarray(found.weights, float)
    distance = np.abs(readings[..., 0] - readings[..., 1]).mean(-1)
    return -distance - np.diff(weights, axis=-1).var(-1)
