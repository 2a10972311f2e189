"""Recurrent spike trains with delays remember a bit and compute an exclusive or.

After Huh & Sejnowski (2018), NeurIPS 31: two bits arrive as bursts, 20 ms apart; after a pause of
about two membrane time constants a GO burst asks for their exclusive or. Two output neurons answer
by which of them fires first. The network learns weights and delays by exact gradients of its spike
times. Beside it: the same without learning of delays, without recurrence, and on a grid of 1 ms
with surrogate gradients. A network without recurrence has only its membranes to remember with; so
it is also asked after a longer pause.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from plasticjax.data import delayed_xor

from . import _delayed_xor_grid as grid
from . import _delayed_xor_network as network
from ._contract import Claim, Job

CONDITIONS = ("exact", "delays fixed", "not recurrent", "not recurrent, later GO", "surrogate")
SHOWN = ((0, 0), (1, 0), (0, 1), (1, 1))  # bits of the trials of the figure
GO_CHANNEL = 2
EVERY = 10  # updates between two points of a curve


@dataclass(frozen=True)
class Config:
    """Task and neurons of the sheet; what it leaves open, or what did not learn, is ours."""

    seeds: int = 3
    updates: int = 150
    batch: int = 64  # trials
    test_trials: int = 1000
    hidden: int = 40  # neurons
    tau_mem: float = 20.0  # ms
    tau_syn: float = 10.0  # ms
    refractory: float = 2.0  # ms
    delays: tuple[float, float] = (1.0, 20.0)  # ms
    input_weights: tuple[float, float] = (0.6, 0.3)  # mean, standard deviation
    recurrent_scale: float = 3.0  # times 1 / sqrt(hidden); 0.3 in the sheet, where nothing goes on
    output_weights: tuple[float, float] = (0.08, 0.08)  # ours
    t_end: float = 100.0  # ms
    later: float = 60.0  # by how much GO is later in one condition, ms, ours
    spikes: int = 160  # room of the hidden neurons together, ours
    output_spikes: int = 24  # room of each output neuron, ours
    tau_0: float = 2.0  # width of the softmax, ms
    tau_1: float = 20.0  # scale of the early-spike term, ms
    alpha: float = 0.01  # weight of the early-spike term
    early: float = 0.1  # weight of potentials above half the threshold before GO, 1 / ms, ours
    pull: float = 10.0  # weight of potentials below threshold of a silent label neuron, ours
    window: float = 25.0  # after GO in which they count, ms, ours
    learning_rate: float = 0.01  # of weights, ours
    delay_rate: float = 0.02  # of the logits of delays, ours
    clip: float = 3.0  # largest norm of the gradient of a trial, ours
    surrogate: float = 20.0  # scale
    surrogate_rate: float = 0.005  # learning rate of the baseline, ours
    dtype: str = "float32"

    @classmethod
    def paper(cls) -> "Config":
        return cls(seeds=5, updates=600, hidden=80, spikes=320)

    @classmethod
    def smoke(cls) -> "Config":
        return cls(
            seeds=1, updates=20, batch=16, test_trials=64, hidden=20, spikes=80, output_spikes=12
        )


class Result(NamedTuple):
    """Leading axes conditions and seeds; accuracies as fractions."""

    accuracy: Float[np.ndarray, "conditions seeds points"]  # of the trials seen in training
    spikes: Float[np.ndarray, "conditions seeds points"]  # of the hidden neurons in a trial
    test: Float[np.ndarray, "conditions seeds"]
    test_overflow: Float[np.ndarray, "conditions seeds"]  # share of trials without enough room
    delays_before: Float[np.ndarray, " hidden"]  # ms, first seed
    delays_after: Float[np.ndarray, " hidden"]
    raster_times: Float[np.ndarray, "moments trials spikes"]  # ms, before and after training
    raster_sources: Int[np.ndarray, "moments trials spikes"]
    raster_output: Float[np.ndarray, "moments trials two output_spikes"]
    raster_go: Float[np.ndarray, "moments trials"]


class State(NamedTuple):
    parameters: PyTree
    optimiser: PyTree
    curves: Float[Array, "points measures"]


class Gates(NamedTuple):
    """1 or 0: whether there is recurrence, and whether delays learn; by how much GO is later."""

    recurrence: Float[Array, "..."]
    delays: Float[Array, "..."]
    later: Float[Array, "..."]  # ms


class Learner(NamedTuple):
    """What is trained, by which loss, and how fast."""

    initial: Callable  # (key, gates) -> parameters
    loss: Callable  # (parameters, trial) -> (loss, (Measures, Activity))
    rates: Callable  # (parameters, gates) -> learning rates of all leaves


def exact(config: Config) -> Learner:
    """Exact gradients. Without recurrence its weights are zero and stay so."""

    def initial(key, gates: Gates):
        parameters = network.initial(key, config)
        return parameters._replace(recurrent=gates.recurrence * parameters.recurrent)

    def rates(parameters, gates: Gates):
        weights = jnp.asarray(config.learning_rate)
        between, delays = weights * gates.recurrence, config.delay_rate * gates.delays
        return network.Parameters(weights, between, weights, delays)

    return Learner(initial, partial(network.trial_loss, config=config), rates)


def surrogate(config: Config) -> Learner:
    """Backpropagation through time on a grid, where gates mean nothing."""
    static = eqx.filter(grid.initial(jax.random.key(0), config), eqx.is_array, inverse=True)

    def loss(plastic, trial):
        return grid.trial_loss(eqx.combine(plastic, static), trial, config)

    return Learner(
        lambda key, gates: eqx.filter(grid.initial(key, config), eqx.is_array),
        loss,
        lambda parameters, gates: jax.tree.map(lambda _: config.surrogate_rate, parameters),
    )


def trials(key: Key[Array, ""], count: int, gates: Gates, config: Config):
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(count))
    found = jax.vmap(partial(delayed_xor, dtype=config.dtype))(keys)
    times = jnp.where(found.sources == GO_CHANNEL, found.times + gates.later, found.times)
    return found._replace(times=times, go=found.go + gates.later)


def update(learner: Learner, gates: Gates, config: Config, state: State, key: Key[Array, ""]):
    """One step along the mean gradient of fresh trials, each no longer than `clip`."""
    gradients, (measures, _) = jax.vmap(jax.grad(learner.loss, has_aux=True), (None, 0))(
        state.parameters, trials(key, config.batch, gates, config)
    )
    squares = [jnp.sum(g**2, axis=tuple(range(1, g.ndim))) for g in jax.tree.leaves(gradients)]
    norm = jnp.sqrt(sum(squares))
    share = jnp.where(norm > config.clip, config.clip / jnp.where(norm > 0, norm, 1), 1)
    mean = jax.tree.map(lambda g: jnp.tensordot(share, g, 1) / config.batch, gradients)
    direction, optimiser = optax.scale_by_adam().update(mean, state.optimiser)
    rates = learner.rates(state.parameters, gates)
    parameters = jax.tree.map(lambda p, d, r: p - r * d, state.parameters, direction, rates)
    numbers = jnp.stack([jnp.mean(value) for value in measures])
    return state._replace(parameters=parameters, optimiser=optimiser), numbers


class Group(NamedTuple):
    """Conditions that are trained side by side; leaves of `gates` [conditions]."""

    name: str
    learner: Learner
    gates: Gates
    config: Config


def groups(config: Config) -> tuple[Group, ...]:
    """In the order of `CONDITIONS`. Without recurrence there are few spikes, so those networks do
    not wait for the others."""

    def gates(*rows):
        return Gates(*jnp.asarray(rows, config.dtype).T)

    longer = replace(config, t_end=config.t_end + config.later)
    return (
        Group("exact gradients", exact(config), gates((1, 1, 0), (1, 0, 0)), config),
        Group("not recurrent", exact(longer), gates((0, 1, 0), (0, 1, config.later)), longer),
        Group("surrogate", surrogate(config), gates((1, 1, 0)), config),
    )


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    check(config)
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(config.seeds))
    every = groups(config)
    states = [train(group, keys, job.part(group.name)) for group in every]
    tests = [
        evaluate(group, state.parameters, keys) for group, state in zip(every, states, strict=True)
    ]
    start = jax.vmap(partial(network.initial, config=config))(keys)
    # The compiled test takes as many conditions as were trained.
    before = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), start)
    moments = [show(evaluate(every[0], before, keys)), show(tests[0])]
    curves = np.concatenate([np.asarray(state.curves) for state in states])
    measured = [np.concatenate(found) for found in zip(*(test[0] for test in tests), strict=True)]
    after = states[0].parameters.delays[0, 0]
    return Result(
        curves[..., 0],
        curves[..., 1],
        measured[0],
        measured[2],
        *(np.asarray(network.delays_of(d, config)) for d in (start.delays[0], after)),
        *(np.stack(pair) for pair in zip(*moments, strict=True)),
    )


def check(config: Config) -> None:
    """Refuses sizes that make no sense."""
    if config.updates < EVERY or config.updates % EVERY:
        raise ValueError(f"updates is {config.updates}; a positive multiple of {EVERY} is required")


def train(group: Group, keys, job: Job) -> State:
    """The networks of a group, of all gates and seeds; leaves [gates, seeds, ...]."""
    name, learner, gates, config = group
    rows = config.updates // EVERY

    def start(gates, key):
        parameters = learner.initial(key, gates)
        curves = jnp.full((rows, len(network.Measures._fields)), jnp.nan, config.dtype)
        return State(parameters, optax.scale_by_adam().init(parameters), curves)

    def advance(row, gates, state: State, key):
        at = row * EVERY + jnp.arange(EVERY)
        own = jax.vmap(partial(jax.random.fold_in, jax.random.fold_in(key, 1)))(at)
        state, numbers = jax.lax.scan(partial(update, learner, gates, config), state, own)
        return state._replace(curves=state.curves.at[row].set(numbers.mean(axis=0)))

    @jax.jit
    def advance_all(row, state):
        over_seeds = jax.vmap(partial(advance, row), (None, 0, 0))
        return jax.vmap(over_seeds, (0, 0, None))(gates, state, keys)

    state = jax.jit(jax.vmap(jax.vmap(start, (None, 0)), (0, None)))(gates, keys)
    done, state = job.restore(state) or (0, state)
    with job.progress(rows, name) as bar:
        bar.advance(done)
        for row in range(done, rows):
            state = advance_all(row, state)
            if not all(jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(state.parameters)):
                raise FloatingPointError(f"parameters diverged before update {EVERY * (row + 1)}")
            hits, _, overflow = np.asarray(state.curves[0, :, row]).mean(axis=0)
            bar.advance(1, accuracy=float(hits), overflow=float(overflow))
            if row % 5 == 4 or row == rows - 1:
                job.save(row + 1, state)
    return state


def evaluate(group: Group, parameters, keys):
    """Means over trials that were not seen, and what happened in the first of them."""
    _, learner, gates, config = group

    def one(gates, key, parameters):
        fresh = trials(jax.random.fold_in(key, 2), config.test_trials, gates, config)
        _, (measures, activity) = jax.lax.map(
            partial(learner.loss, parameters), fresh, batch_size=config.batch
        )
        seen = jax.tree.map(lambda leaf: leaf[: config.batch], (activity, fresh))
        return jax.tree.map(jnp.mean, measures), seen

    over_seeds = jax.vmap(one, (None, 0, 0))
    return jax.jit(lambda p: jax.vmap(over_seeds, (0, None, 0))(gates, keys, p))(parameters)


def show(tested):
    """Of the first condition and seed, one trial for each pair of bits: hidden times and sources,
    output times, GO."""
    activity, fresh = jax.tree.map(lambda leaf: np.asarray(leaf[0, 0]), tested[1])
    matches = np.all(fresh.bits == np.array(SHOWN)[:, None], axis=-1)
    rows = np.argmax(matches, axis=1)
    hidden, output = activity.hidden, activity.output
    return hidden.times[rows], hidden.sources[rows], output.times[rows], fresh.go[rows]


def figure(result: Result):
    """Spikes of the four kinds of trials before and after training (first seed), accuracies of all
    conditions, and the delays."""
    from matplotlib.figure import Figure

    from plasticjax.plotting import learning_curve

    fig = Figure(figsize=(9.0, 6.6), layout="constrained")
    parts = fig.subfigures(2, 1, height_ratios=(1.6, 1), squeeze=False)
    top, bottom = parts[:, 0]
    axes = top.subplots(2, len(SHOWN), sharex=True, sharey=True)
    for moment, row in enumerate(axes):
        for trial, ax in enumerate(row):
            _raster(ax, result, moment, trial)
            ax.set_title(f"bits {SHOWN[trial][0]}, {SHOWN[trial][1]}", fontsize=9)
            if moment:
                ax.set_xlabel("time (ms)")
    for ax, name in zip(axes[:, 0], ("before", "after"), strict=True):
        ax.set_ylabel(f"{name} training")
    accuracy, tested, delays = bottom.subplots(1, 3, width_ratios=(1.4, 1, 1))
    updates = EVERY * np.arange(1, result.accuracy.shape[2] + 1)
    for name, curves in zip(CONDITIONS, 100 * result.accuracy, strict=True):
        learning_curve(updates, curves, label=name, step_label="update", ax=accuracy)
    accuracy.set(ylim=(0, 103))
    accuracy.legend(fontsize=7, frameon=False, loc="lower right")
    mean, sd = 100 * result.test.mean(axis=1), 100 * result.test.std(axis=1)
    colors = [line.get_color() for line in accuracy.lines]
    tested.bar(range(len(mean)), mean, yerr=sd, color=colors, capsize=3)
    tested.axhline(50, color="0.4", lw=0.8, ls=":")
    names = [name.replace(", ", ",\n") for name in CONDITIONS]
    tested.set_xticks(range(len(mean)), names, fontsize=7, rotation=25, ha="right")
    tested.set(ylabel="fresh trials (%)", ylim=(0, 103))
    bins = np.linspace(0, max(result.delays_before.max(), result.delays_after.max()), 12)
    delays.hist(result.delays_before, bins, histtype="step", color="0.5", label="before")
    delays.hist(result.delays_after, bins, alpha=0.6, color="tab:blue", label="after")
    delays.set(xlabel="recurrent delay (ms)", ylabel="neurons")
    delays.legend(fontsize=7, frameon=False)
    return fig


def _raster(ax, result: Result, moment: int, trial: int) -> None:
    """Hidden spikes in grey, those of the two output neurons above them, GO as a line."""
    times, sources = result.raster_times[moment, trial], result.raster_sources[moment, trial]
    real = np.isfinite(times)
    ax.plot(times[real], sources[real], ".", ms=2.5, color="0.35")
    hidden = result.delays_before.size
    for output, color in enumerate(("tab:blue", "tab:orange")):
        fired = result.raster_output[moment, trial, output]
        fired = fired[np.isfinite(fired)]
        ax.plot(fired, np.full(fired.size, hidden * (1.08 + 0.12 * output)), "|", ms=7, color=color)
        # Which of the two should be first.
        if output == SHOWN[trial][0] ^ SHOWN[trial][1]:
            ax.plot(-2, hidden * (1.08 + 0.12 * output), ">", ms=4, color=color, clip_on=False)
    ax.axvline(result.raster_go[moment, trial], color="tab:green", lw=1)
    ax.set(xlim=(-4, 104), ylim=(-1, 1.3 * hidden), yticks=[])


def accuracy_of(condition: str, result: Result):
    """Accuracy (%) on fresh trials, by seed."""
    return 100 * result.test[CONDITIONS.index(condition)]


def stays_below(bound: float, condition: str, result: Result):
    """100 for each seed that answers no more than `bound` % of fresh trials, else 0."""
    return 100.0 * (accuracy_of(condition, result) <= bound)


_SHEET = "task and criterion of ours, after Huh & Sejnowski (2018)"
CLAIMS = (
    Claim(
        statement="accuracy on fresh trials (%)",
        paper_value=95.0,
        source=_SHEET,
        measure=partial(accuracy_of, "exact"),
        accept={"default": (95.0, 100.0), "paper": (95.0, 100.0)},
    ),
    Claim(
        statement="accuracy without recurrence (%)",
        paper_value=75.0,
        source=f"{_SHEET}; at most this much is expected. Single seeds are judged, below",
        measure=partial(accuracy_of, "not recurrent"),
        accept={"paper": (0.0, 75.0)},
    ),
    Claim(
        statement="accuracy without recurrence if GO is 60 ms later (%)",
        paper_value=50.0,
        source="chance; a control of ours, whose seeds are judged below",
        measure=partial(accuracy_of, "not recurrent, later GO"),
        accept={"paper": (0.0, 75.0)},
    ),
    Claim(
        statement="seeds without recurrence of at most 75 % accuracy (%)",
        paper_value=100.0,
        # A mean would hide that single seeds solve the task.
        source=f"{_SHEET}, which expects chance to 75 %; until now the mean was judged, 74 % of a "
        "seed with 98 % and one with 50 %",
        measure=partial(stays_below, 75.0, "not recurrent"),
        accept={"default": (100.0, 100.0), "paper": (100.0, 100.0)},
    ),
    Claim(
        statement="seeds without recurrence of at most 75 % if GO is 60 ms later (%)",
        paper_value=100.0,
        source="the same criterion where a membrane has forgotten; a control of ours, the pause "
        "chosen before its first run",
        measure=partial(stays_below, 75.0, "not recurrent, later GO"),
        accept={"default": (100.0, 100.0), "paper": (100.0, 100.0)},
    ),
)
