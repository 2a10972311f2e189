"""Supervised training by latent equilibrium, shared by the experiments on data sets.

Every sample is presented for some Euler steps; plasticity acts in each of them. Neurons keep their
state from one presentation to the next, and between training and evaluation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from plasticjax.energy import (
    BatchEnergy,
    Learner,
    MismatchEnergy,
    Stimulus,
    at_rest,
    feed_forward,
    hard_sigmoid,
    latent_equilibrium_step,
    learner,
    linear,
    local_rates,
    rate_cost,
    resting_state,
)
from plasticjax.models import PooledConvolution, redrawn

from ._contract import Job


class Split(NamedTuple):
    """Inputs [samples, ...], targets [samples, outputs] and labels [samples]."""

    inputs: Float[Array, "samples ..."]
    targets: Float[Array, "samples outputs"]
    labels: Int[Array, " samples"]


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
    synaptic_tau: float | None = None


class History(NamedTuple):
    """Validation and training accuracy before training and after each epoch."""

    validation: Float[Array, " epochs"]


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


def hits(
    outputs: Float[Array, "samples outputs"], labels: Int[Array, " samples"]
) -> Bool[Array, " samples"]:
    """Largest output, or for a single output whether it exceeds one half."""
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > 0.5) == (labels == 1)
    return jnp.argmax(outputs, axis=1) == labels


def energy_of(layers: Sequence[Any]) -> BatchEnergy:
    """Hard sigmoid in the hidden layers, linear outputs, squared error of the output rates."""
    activations = (hard_sigmoid,) * (len(layers) - 1) + (linear,)
    return BatchEnergy(MismatchEnergy(activations, feed_forward, rate_cost))


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
) -> list[Trained]:
    """Trains one network for each protocol and seed; one checkpoint every `save_every` epochs."""
    runs = [_Run(protocol, make_layers, task) for protocol in protocols]
    carries = tuple(jax.jit(run.begin)(keys) for run in runs)
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
            if not np.all(np.isfinite(accuracy)):
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
    """One protocol, compiled; every method maps over the seeds one after the other."""

    def __init__(self, protocol: Protocol, make_layers, task: Task):
        samples = len(task.train.labels)
        for name, split in task._asdict().items():
            if len(split.labels) < protocol.batch:
                raise ValueError(
                    f"batch={protocol.batch} must not exceed the {len(split.labels)} samples of "
                    f"the {name} split"
                )
        self.protocol, self.make_layers = protocol, make_layers
        self.batches = samples // protocol.batch
        epoch = partial(_each_seed, self._learn)
        self._epoch = jax.jit(epoch, donate_argnums=0)
        self._judge = jax.jit(partial(_each_seed, self._evaluate))
        self.task = task

    def begin(self, keys) -> Any:
        return jax.vmap(self._begin)(keys)

    def learn(self, carry, keys, epoch: int):
        return self._epoch(carry, keys, self.task.train, jnp.asarray(epoch))

    def validate(self, carry, keys):
        return self._judge(carry, keys, self.task.validation, jnp.asarray(0))

    def test(self, carry, keys):
        return self._judge(carry, keys, self.task.test, jnp.asarray(1))[1]

    def _begin(self, key):
        protocol = self.protocol
        weights, fixed, times = jax.random.split(key, 3)
        layers = self.make_layers(weights)
        example = self.task.train.inputs[0]
        s = jax.tree.map(
            lambda leaf: jnp.zeros((protocol.batch, *leaf.shape), leaf.dtype),
            resting_state(layers, example),
        )
        carry = learner(at_rest(s), layers, self._optimiser(layers, s))
        feedback = redrawn(layers, 0.05, fixed) if protocol.feedback_alignment else None
        taus = _draw_taus(protocol, s, times)
        if protocol.homeostasis:
            taus = (self._homeostasis(carry, taus), taus[1])
        return carry, feedback, taus

    def _optimiser(self, layers, s):
        rate = self.protocol.learning_rate / self.protocol.steps
        if len(self.protocol.factors) != len(layers):
            raise ValueError(
                f"factors={self.protocol.factors} must have one entry for each of {len(layers)} "
                "layers"
            )
        return local_rates(
            tuple(
                _rates_of(layer, rate * factor, state)
                for layer, factor, state in zip(layers, self.protocol.factors, s, strict=True)
            )
        )

    def _step(self, carry: Learner, feedback, taus, *, plastic: bool):
        protocol = self.protocol
        return latent_equilibrium_step(
            energy_of(carry.theta),
            tau_m=taus[0],
            tau_r=taus[1],
            dt=protocol.dt,
            optimiser=self._optimiser(carry.theta, carry.neurons.membrane) if plastic else None,
            feedback=feedback,
            errors_from=protocol.errors_from,  # pyright: ignore[reportArgumentType]
            rate_noise=protocol.rate_noise,
            synaptic_tau=protocol.synaptic_tau,
        )

    def _present(self, step, carry: Learner, x: Stimulus, key) -> Learner:
        def advance(index, carry):
            if self.protocol.rate_noise:
                return step(carry, (x, jax.random.fold_in(key, index)))[0]
            return step(carry, x)[0]

        return jax.lax.fori_loop(0, self.protocol.steps, advance, carry)

    def _learn(self, state, key, split: Split, epoch):
        carry, feedback, taus = state
        step = self._step(carry, feedback, taus, plastic=True)
        key = jax.random.fold_in(key, epoch)
        order = jnp.arange(len(split.labels))
        if self.protocol.shuffle:
            order = jax.random.permutation(key, order)
        order = order[: self.batches * self.protocol.batch].reshape(self.batches, -1)
        beta = jnp.asarray(self.protocol.beta, split.inputs.dtype)

        def one(carry, visit):
            index, picked = visit
            x = Stimulus(split.inputs[picked], split.targets[picked], beta)
            return self._present(step, carry, x, jax.random.fold_in(key, index)), None

        carry, _ = jax.lax.scan(one, carry, (jnp.arange(self.batches), order))
        return carry, feedback, taus

    def _evaluate(self, state, key, split: Split, salt):
        carry, feedback, taus = state
        step = self._step(carry, feedback, taus, plastic=False)
        batches = len(split.labels) // self.protocol.batch
        used = batches * self.protocol.batch
        inputs, targets, labels = jax.tree.map(
            lambda leaf: leaf[:used].reshape(batches, self.protocol.batch, *leaf.shape[1:]), split
        )
        off = jnp.zeros((), inputs.dtype)
        key = jax.random.fold_in(key, salt)

        def one(carry, visit):
            index, inputs, targets, labels = visit
            carry = self._present(
                step, carry, Stimulus(inputs, targets, off), jax.random.fold_in(key, index)
            )
            outputs = carry.neurons.rate[-1]
            correct = jnp.mean(hits(outputs, labels), dtype=inputs.dtype)
            return carry, jnp.where(jnp.all(jnp.isfinite(outputs)), correct, jnp.nan)

        carry, correct = jax.lax.scan(one, carry, (jnp.arange(batches), inputs, targets, labels))
        return (carry, feedback, taus), jnp.mean(correct)

    def _homeostasis(self, carry: Learner, taus):
        """Membrane time constants learn to equal the prospective ones while inputs pass by
        (sheet, "Time-constant homeostasis"); all layers at once."""
        protocol, split = self.protocol, self.task.train
        tau_m, tau_r = taus
        rate = 10 * protocol.learning_rate
        picked = split.inputs[: self.batches * protocol.batch]
        picked = picked.reshape(self.batches, protocol.batch, *picked.shape[1:])
        off = jnp.zeros((), split.inputs.dtype)
        targets = split.targets[: protocol.batch]

        def one(state, inputs):
            def advance(_, state):
                carry, tau_m = state
                step = self._step(carry, None, (tau_m, tau_r), plastic=False)
                carry, seen = step(carry, Stimulus(inputs, targets, off))
                tau_m = jax.tree.map(
                    lambda tau, ahead, current, velocity: (
                        tau + rate * jnp.mean((ahead - current) * velocity, axis=0)
                    ),
                    tau_m,
                    seen.neurons.prospective,
                    seen.current,
                    seen.velocity,
                )
                return carry, tau_m

            return jax.lax.fori_loop(0, 10, advance, state), None

        (_, tau_m), _ = jax.lax.scan(one, (carry, tau_m), picked)
        return tau_m


def _each_seed(function, state, keys, *shared):
    return jax.lax.map(lambda one: function(*one, *shared), (state, keys))


def _rates_of(layer, rate: float, state):
    """The bias of a convolution learns with the mean error over positions, not the sum."""
    if not isinstance(layer, PooledConvolution):
        return rate
    positions = int(np.prod(state.shape[-2:]))
    rates = jax.tree.map(lambda _: rate, eqx.filter(layer, eqx.is_inexact_array))
    return eqx.tree_at(lambda rates: rates.convolution.bias, rates, rate / positions)


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
