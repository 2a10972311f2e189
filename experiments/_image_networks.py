"""Images for convolutional networks, and backpropagation as their yardstick."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt8

from plasticjax.energy import hard_sigmoid, resting_state

from ._latent_equilibrium import Protocol, Task, Trained, one_hot_split
from ._presentation import Split, hits, rates_of


def random_split(
    images: UInt8[np.ndarray, "n height width channels"],
    labels: Int[np.ndarray, " n"],
    sizes: tuple[int, int, int],
    *,
    key: Key[Array, ""],
    dtype: str,
) -> Task:
    """Training, validation and test sets of given sizes, the same for all seeds.

    Pixels are 0 to 1, channels come first.
    """
    if sum(sizes) > len(labels):
        raise ValueError(f"sizes={sizes} must not add up to more than the {len(labels)} images")
    order = np.asarray(jax.random.permutation(key, len(labels)))
    parts = np.split(order[: sum(sizes)], np.cumsum(sizes)[:-1])
    return Task(*(image_split(images[part], labels[part], dtype) for part in parts))


def image_split(images, labels, dtype: str) -> Split:
    return one_hot_split(np.moveaxis(images, 3, 1) / np.asarray(255, dtype), labels, 10, dtype)


def outputs(layers, image: Float[Array, "channels height width"]) -> Float[Array, " outputs"]:
    """Hard sigmoid in the hidden layers, linear outputs, as in `energy_of`."""
    *hidden, last = layers
    rates = image
    for layer in hidden:
        rates = hard_sigmoid(layer(rates))
    return last(rates)


def backpropagate(
    protocol: Protocol,
    make_layers: Callable[[Key[Array, ""]], tuple],
    task: Task,
    *,
    epochs: int,
    keys: Key[Array, " seeds"],
) -> Trained:
    """Gradient descent on the squared error from the same weights in the same order of samples.

    Each batch is descended as often as latent equilibrium learns from it: in every step of the
    presentation. The learning rate of a step is that of latent equilibrium times the nudging
    strength, to which its errors are proportional.
    """
    batch, rate = protocol.batch, protocol.beta * protocol.learning_rate / protocol.steps
    example = task.train.inputs[0]

    def loss(layers, inputs, targets):
        shown = jax.vmap(lambda image: outputs(layers, image))(inputs)
        return jnp.mean(jnp.sum((targets - shown) ** 2, axis=1)) / 2

    def accuracy(layers, split: Split):
        batches = len(split.labels) // batch
        inputs = split.inputs[: batches * batch].reshape(batches, batch, *split.inputs.shape[1:])
        labels = split.labels[: batches * batch].reshape(batches, batch)
        shown = jax.lax.map(jax.vmap(lambda image: outputs(layers, image)), inputs)
        return jnp.mean(jax.vmap(hits)(shown, labels), dtype=inputs.dtype)

    def descend(layers, gradient):
        state = resting_state(layers, example)
        rates = tuple(
            rates_of(layer, rate * factor, one)
            for layer, factor, one in zip(layers, protocol.factors, state, strict=True)
        )
        each = jax.tree.broadcast(rates, gradient)
        return jax.tree.map(lambda leaf, rate, slope: leaf - rate * slope, layers, each, gradient)

    @jax.jit
    def train(key, task: Task):
        layers = make_layers(jax.random.split(key, 3)[0])

        def epoch(layers, index):
            order = jnp.arange(len(task.train.labels))
            if protocol.shuffle:
                order = jax.random.permutation(jax.random.fold_in(key, index), order)
            batches = len(order) // batch

            def one(layers, picked):
                shown = task.train.inputs[picked], task.train.targets[picked]

                def step(layers, _):
                    return descend(layers, jax.grad(loss)(layers, *shown)), None

                return jax.lax.scan(step, layers, length=protocol.steps)[0], None

            layers, _ = jax.lax.scan(one, layers, order[: batches * batch].reshape(batches, batch))
            return layers, accuracy(layers, task.validation)

        begin = accuracy(layers, task.validation)
        layers, curve = jax.lax.scan(epoch, layers, jnp.arange(1, epochs + 1))
        return accuracy(layers, task.test), jnp.concatenate([begin[None], curve])

    seeds = [train(key, task) for key in keys]
    test, curve = (np.stack(each) for each in zip(*seeds, strict=True))
    return Trained(test, curve)
