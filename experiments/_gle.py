"""Training of classifiers by generalised latent equilibrium, shared by the experiments on it.

Neurons, errors and weights move in every time step. The state of the neurons persists over samples,
batches, and the change between training and test. The class is that whose output, summed over all
time steps of a sample, is largest.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from plasticjax.energy import (
    Activation,
    BatchEnergy,
    GLEState,
    Learner,
    MismatchEnergy,
    Stimulus,
    cross_entropy_cost,
    feed_forward,
    gle_at_rest,
    gle_step,
    learner,
    linear,
    tanh,
)

from ._contract import Job

SAVE_EVERY = 5  # epochs


class Network(NamedTuple):
    """A layered network: the last layer is linear, those between it and the first are tanh."""

    widths: tuple[int, ...]  # inputs, hidden layers, classes
    tau_m: tuple[Float[np.ndarray, "..."], ...]  # per layer, scalar or [neurons]
    tau_r: tuple[Float[np.ndarray, "..."], ...]
    dt: float
    first: Activation = linear  # rates of the first layer

    def initial_layers(self, key: Key[Array, ""], dtype: str) -> tuple[eqx.nn.Linear, ...]:
        """Weights and biases uniform within +-1/sqrt(fan-in)."""
        keys = jax.random.split(key, len(self.widths) - 1)
        sizes = zip(self.widths[:-1], self.widths[1:], keys, strict=True)
        return tuple(
            eqx.nn.Linear(pre, post, dtype=jnp.dtype(dtype), key=each) for pre, post, each in sizes
        )

    def initial_neurons(self, samples: int, dtype: str) -> GLEState:
        return gle_at_rest(tuple(jnp.zeros((samples, n), dtype) for n in self.widths[1:]))

    def step(self, optimiser: optax.GradientTransformation | None):
        """Errors stay out of the soma: it is only through the weights that they matter."""
        rates = (self.first, *[tanh] * (len(self.widths) - 3), linear)
        energy = BatchEnergy(MismatchEnergy(rates, feed_forward, cross_entropy_cost))
        return gle_step(
            energy, tau_m=self.tau_m, tau_r=self.tau_r, dt=self.dt, gamma=0.0, optimiser=optimiser
        )


class Data(NamedTuple):
    """Sequences, or sounds that the recipe turns into sequences, and their classes."""

    inputs: Float[Array, "samples ..."]
    labels: Int[Array, " samples"]


class Recipe(NamedTuple):
    """How a network is trained."""

    network: Network
    order: Callable[[Key[Array, ""], Array], Int[Array, "batches batch"]]  # key, labels -> samples
    learning_rate: float  # of Adam, which acts in every time step
    decay: float  # factor on the learning rate at a plateau of the test loss
    patience: int  # looks at the test loss that bring no progress and are let pass
    looks: int  # at the test loss in every epoch
    test_batch: int  # samples
    read: Callable[[Array], Array] = lambda one: one  # a sample as [time, features]
    augment: Callable[[Key[Array, ""], Array], Array] = lambda key, one: one  # of training samples

    @property
    def schedule(self) -> optax.GradientTransformationExtraArgs:
        return optax.contrib.reduce_on_plateau(self.decay, self.patience + 1)


class History(NamedTuple):
    """Course of training, after each epoch; losses are cross entropies in nats."""

    accuracy: Float[Array, " epochs"]  # of the test set, fraction
    loss: Float[Array, " epochs"]  # of the test set
    training_loss: Float[Array, " epochs"]  # while the weights adapt
    learning_rate: Float[Array, " epochs"]


class State(NamedTuple):
    carry: Learner
    plateau: PyTree
    history: History


def shuffled(batch: int) -> Callable[[Key[Array, ""], Array], Int[Array, "batches batch"]]:
    """Every sample once; what does not fill a batch is left out."""

    def order(key, labels):
        batches = len(labels) // batch
        return jax.random.permutation(key, len(labels))[: batches * batch].reshape(batches, batch)

    return order


def balanced(
    batch: int, draws: int, classes: int
) -> Callable[[Key[Array, ""], Array], Int[Array, "batches batch"]]:
    """Samples drawn with replacement, all classes equally likely; the last batch is filled up."""

    def order(key, labels):
        frequency = jnp.bincount(labels, length=classes)[labels]
        shape = (-(-draws // batch), batch)
        return jax.random.choice(
            key, len(labels), shape, p=(1 / frequency) / jnp.sum(1 / frequency)
        )

    return order


def present(step, carry: Learner, inputs, labels, beta: float):
    """Show a batch [samples, time, features].

    Returns the carry after it, the summed outputs [samples, classes] and losses [samples].
    """
    classes = carry.neurons.rate[-1].shape[-1]
    target = jax.nn.one_hot(labels, classes, dtype=inputs.dtype)

    def one(carry, now):
        (inner, total, loss) = carry
        inner, output = step(inner, Stimulus(now, target, jnp.asarray(beta, inputs.dtype)))
        shown = output.rate[-1]
        loss += optax.losses.softmax_cross_entropy_with_integer_labels(shown, labels)
        return (inner, total + shown, loss), None

    start = (carry, jnp.zeros_like(target), jnp.zeros(len(labels), inputs.dtype))
    (carry, total, loss), _ = jax.lax.scan(one, start, jnp.moveaxis(inputs, 1, 0))
    return carry, total, loss / inputs.shape[1]


def with_rows(neurons: GLEState, samples: int) -> GLEState:
    """The state of the neurons for another number of samples: rows repeated or left out."""
    rows = jnp.arange(samples)
    return jax.tree.map(lambda leaf: leaf[rows % leaf.shape[0]], neurons)


def test(recipe: Recipe, carry: Learner, data: Data):
    """The carry afterwards, the fraction of hits and the mean loss; no target, no plasticity."""
    step = recipe.network.step(None)
    batch, samples = carry.neurons.rate[-1].shape[0], len(data.labels)
    look = Learner(with_rows(carry.neurons, recipe.test_batch), carry.theta)

    def one(look, rows):
        inputs, labels = jax.vmap(recipe.read)(data.inputs[rows]), data.labels[rows]
        look, total, loss = present(step, look, inputs, labels, 0.0)
        return look, (jnp.argmax(total, axis=1) == labels, loss)

    batches = -(-samples // recipe.test_batch)
    rows = jnp.arange(batches * recipe.test_batch)
    look, (hits, losses) = jax.lax.scan(one, look, (rows % samples).reshape(batches, -1))
    real = (rows < samples).reshape(batches, -1)
    carry = Learner(with_rows(look.neurons, batch), carry.theta, carry.memory)
    return carry, jnp.mean(hits, where=real), jnp.mean(losses, where=real)


def one_epoch(recipe: Recipe, state: State, key, epoch, train: Data, held_out: Data) -> State:
    rate = recipe.learning_rate * state.plateau.scale
    step = recipe.network.step(optax.adam(rate))
    order_key, sample_key = jax.random.split(jax.random.fold_in(key, epoch))

    def one(carry, batch):
        rows, key = batch
        keys = jax.random.split(key, len(rows))
        inputs = jax.vmap(recipe.augment)(keys, train.inputs[rows])
        inputs, labels = jax.vmap(recipe.read)(inputs), train.labels[rows]
        carry, _, loss = present(step, carry, inputs, labels, 1.0)
        return carry, jnp.mean(loss)

    order = recipe.order(order_key, train.labels)
    batches = order, jax.random.split(sample_key, len(order))
    carry, losses = jax.lax.scan(one, state.carry, batches)
    carry, accuracy, loss = test(recipe, carry, held_out)
    plateau = state.plateau
    for _ in range(recipe.looks):
        _, plateau = recipe.schedule.update((), plateau, value=loss)
    row = History(accuracy, loss, jnp.mean(losses), rate)
    history = jax.tree.map(lambda curve, value: curve.at[epoch].set(value), state.history, row)
    return State(carry, plateau, history)


def train(
    recipe: Recipe,
    train_set: Data,
    test_set: Data,
    *,
    keys: Key[Array, " seeds"],
    epochs: int,
    job: Job,
    description: str,
) -> tuple[Learner, History]:
    """Trains one network a key, all side by side, with a checkpoint every `SAVE_EVERY` epochs.

    Returns carries and histories, [seeds, ...].
    """
    dtype = str(train_set.inputs.dtype)
    batch = jax.eval_shape(recipe.order, keys[0], train_set.labels).shape[1]

    def begin(key):
        layers = recipe.network.initial_layers(jax.random.fold_in(key, epochs), dtype)
        neurons = recipe.network.initial_neurons(batch, dtype)
        carry = learner(neurons, layers, optax.adam(recipe.learning_rate))
        curve = jnp.full(epochs, jnp.nan, dtype)
        plateau = recipe.schedule.init(jnp.zeros((), dtype))
        return State(carry, plateau, History(curve, curve, curve, curve))

    states = eqx.filter_vmap(begin)(keys)
    arrays, static = eqx.partition(states, eqx.is_array)

    @partial(jax.jit, donate_argnums=0)
    def advance(arrays, epoch, train, held_out):
        def one_seed(arrays, key):
            state = one_epoch(recipe, eqx.combine(arrays, static), key, epoch, train, held_out)
            return eqx.filter(state, eqx.is_array)

        return jax.vmap(one_seed)(arrays, keys)

    start, arrays = job.restore(arrays) or (0, arrays)
    with job.progress(epochs - start, description) as bar:
        for epoch in range(start, epochs):
            arrays = advance(arrays, epoch, train_set, test_set)
            losses = np.asarray(arrays.history.training_loss)[:, epoch]
            if not np.all(np.isfinite(losses)):
                seed = int(np.argmin(np.isfinite(losses)))
                raise FloatingPointError(
                    f"the loss of seed {seed} is {losses[seed]} in epoch {epoch + 1}"
                )
            accuracy = np.asarray(arrays.history.accuracy)[:, epoch]
            bar.advance(loss=float(losses.mean()), accuracy=float(accuracy.mean()))
            if (epoch + 1) % SAVE_EVERY == 0 and epoch + 1 < epochs:
                job.save(epoch + 1, arrays)
    states = eqx.combine(arrays, static)
    return states.carry, jax.tree.map(np.asarray, states.history)
