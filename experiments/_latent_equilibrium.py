"""Supervised training by latent equilibrium, shared by the experiments on data sets.

Every sample is presented for some Euler steps; plasticity acts in each of them. Neurons keep their
state from one presentation to the next, and between training and evaluation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from plasticjax.energy import at_rest, learner, resting_state
from plasticjax.models import redrawn

from ._contract import Job
from ._presentation import Kind, Network, Numbers, Split, equalise, judge, learn, optimiser_of


class Task(NamedTuple):
    train: Split
    validation: Split
    test: Split


@dataclass(frozen=True)
class Protocol:
    """How a network is presented with samples (sheet of Haider et al. 2021); times in ms."""

    name: str = "latent equilibrium"
    tau_m: float = 20.0
    tau_r: float | None = None  # None: equal to tau_m
    dt: float = 0.01
    steps: int = 100  # Euler steps a presentation
    batch: int = 512  # samples side by side
    beta: float = 0.1  # nudging strength
    learning_rate: float = 16.0  # of a whole presentation
    factors: tuple[float, ...] = (1.0, 0.2, 0.1)  # learning rate of each layer
    feedback_alignment: bool = False
    errors_from: str = "membrane"
    shuffle: bool = False
    tau_width: float = 0.0  # relative spread of both time constants over neurons
    homeostasis: bool = False  # tau_m is learned before training
    rate_noise: float = 0.0  # standard deviation
    synaptic_tau: float | None = None  # of a low-pass on rates; targets pass one a layer slower


class Trained(NamedTuple):
    """Leading axis seeds; rows of the history are epochs, the first before training."""

    test: Float[np.ndarray, " seeds"]
    validation: Float[np.ndarray, "seeds epochs"]


def one_hot_split(inputs, labels, classes: int, dtype) -> Split:
    labels = jnp.asarray(labels, jnp.int32)
    return Split(jnp.asarray(inputs, dtype), jax.nn.one_hot(labels, classes, dtype=dtype), labels)


def shuffled_protocol(config: Any) -> Protocol:
    """The protocol that the fields of a `Config` state, with samples in a new order every epoch."""
    return Protocol(
        tau_m=config.tau,
        dt=config.dt,
        steps=config.steps,
        batch=config.batch,
        beta=config.beta,
        learning_rate=config.learning_rate,
        factors=config.factors,
        shuffle=True,
    )


def error_figure(curves: Mapping[str, Trained]):
    """Validation error over epochs, one curve for each name; a figure with one axis."""
    from matplotlib.figure import Figure

    from plasticjax.plotting import learning_curve

    fig = Figure(figsize=(4.5, 3.0), layout="constrained")
    ax = fig.subplots()
    for label, trained in curves.items():
        errors = 100 * (1 - trained.validation)
        epochs = np.arange(errors.shape[1])
        learning_curve(epochs, errors, label=label, ax=ax, value_label="validation error (%)")
    ax.legend(fontsize=7, frameon=False)
    return fig


def train(
    protocols: Sequence[Protocol],
    make_layers: Callable[[Key[Array, ""]], tuple],
    task: Task,
    *,
    epochs: int,
    keys: Key[Array, " seeds"],
    job: Job,
    description: str,
    save_every: int = 1,
    may_diverge: bool = False,
) -> list[Trained]:
    """Trains one network for each protocol and seed; one checkpoint every `save_every` epochs.

    A network whose rates are not finite is an error, or has NaN as accuracy if it `may_diverge`."""
    runs = [_Run(protocol, make_layers, task) for protocol in protocols]
    carries = tuple(run.begin(keys) for run in runs)
    curve = np.full((len(runs), len(keys), epochs + 1), np.nan)
    restored = job.restore((carries, curve))
    start, (carries, curve) = restored if restored is not None else (0, (carries, curve))
    carries = list(carries)
    with job.progress(len(runs) * (epochs + 1) - start, description) as bar:
        for step in range(start, len(runs) * (epochs + 1)):
            which, epoch = divmod(step, epochs + 1)
            run = runs[which]
            if epoch:
                carries[which] = run.learn(carries[which], keys, epoch)
            carries[which], accuracy = run.validate(carries[which], keys)
            accuracy = np.asarray(accuracy)
            if not (may_diverge or np.all(np.isfinite(accuracy))):
                raise FloatingPointError(
                    f"the rates of seed {int(np.argmin(np.isfinite(accuracy)))} of "
                    f"{run.protocol.name!r} are not finite in epoch {epoch}"
                )
            curve[which, :, epoch] = accuracy
            bar.advance(condition=run.protocol.name, validation=float(accuracy.mean()))
            if (step + 1) % save_every == 0:
                job.save(step + 1, (tuple(carries), curve))
    return [
        Trained(np.asarray(run.test(carry, keys)), curve[index])
        for index, (run, carry) in enumerate(zip(runs, carries, strict=True))
    ]


class _Run:
    """A network under one protocol; every method handles all seeds."""

    def __init__(self, protocol: Protocol, make_layers, task: Task):
        for name, split in task._asdict().items():
            if len(split.labels) < protocol.batch:
                raise ValueError(
                    f"batch={protocol.batch} must not exceed the {len(split.labels)} samples of "
                    f"the {name} split"
                )
        self.protocol, self.make_layers, self.task = protocol, make_layers, task
        self.kind = Kind(
            batch=protocol.batch,
            beta=protocol.beta,
            factors=protocol.factors,
            errors_from=protocol.errors_from,
            shuffle=protocol.shuffle,
            rate_noise=protocol.rate_noise,
        )

    def begin(self, keys) -> Network:
        return jax.vmap(self._begin)(keys)

    def learn(self, networks: Network, keys, epoch: int) -> Network:
        return learn(self.kind, networks, keys, self.task.train, jnp.asarray(epoch))

    def validate(self, networks: Network, keys):
        return judge(self.kind, networks, keys, self.task.validation, jnp.asarray(0))

    def test(self, networks: Network, keys):
        return judge(self.kind, networks, keys, self.task.test, jnp.asarray(1))[1]

    def _begin(self, key: Key[Array, ""]) -> Network:
        protocol = self.protocol
        weights, fixed, times = jax.random.split(key, 3)
        layers = self.make_layers(weights)
        example = self.task.train.inputs[0]
        s = jax.tree.map(
            lambda leaf: jnp.zeros((protocol.batch, *leaf.shape), leaf.dtype),
            resting_state(layers, example),
        )
        number = lambda value: jnp.asarray(value, example.dtype)  # noqa: E731
        tau_m, tau_r = jax.tree.map(number, _draw_taus(protocol, s, times))
        filtered = protocol.synaptic_tau is not None
        numbers = Numbers(
            tau_m=tau_m,
            tau_r=tau_r,
            dt=number(protocol.dt),
            synaptic_tau=number(protocol.synaptic_tau) if filtered else None,
            steps=jnp.asarray(protocol.steps),
            rate=number(protocol.learning_rate / protocol.steps),
        )
        optimiser = optimiser_of(self.kind, numbers.rate, layers, s)
        feedback = redrawn(layers, 0.05, fixed) if protocol.feedback_alignment else None
        network = Network(learner(at_rest(s), layers, optimiser), feedback, numbers)
        if protocol.homeostasis:
            rate = number(10 * protocol.learning_rate)
            return equalise(self.kind, network, self.task.train, rate)
        return network


def _draw_taus(protocol: Protocol, s: PyTree, key: Key[Array, ""]) -> tuple[PyTree, PyTree]:
    tau_r = protocol.tau_m if protocol.tau_r is None else protocol.tau_r
    if not protocol.tau_width:
        return protocol.tau_m, tau_r

    def draw(mean, key):
        leaves, structure = jax.tree.flatten(s)
        keys = jax.random.split(key, len(leaves))
        drawn = [
            jnp.clip(
                mean
                * (1 + protocol.tau_width * jax.random.normal(each, leaf.shape[1:], leaf.dtype)),
                1,
                1000,
            )
            for leaf, each in zip(leaves, keys, strict=True)
        ]
        return structure.unflatten(drawn)

    slow, fast = jax.random.split(key)
    return draw(protocol.tau_m, slow), draw(tau_r, fast)
