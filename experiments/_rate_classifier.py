"""A network of rate neurons learns Yin-Yang with one rule for each layer.

Five inputs (two coordinates and their mirror images, from -1 to 1, and a constant) reach hidden
neurons of rate `max(0, u)`, and these three output neurons, whose error is the target minus the
softmax of their potentials. A hidden neuron receives the errors through fixed random weights, or
the weighted sum that is broadcast to all.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from plasticjax.data import yin_yang_split

CLASSES = 3
HIDDEN_INPUTS = ("x", "a", "u", "e")
OUTPUT_INPUTS = ("x", "u", "e")
Feedback = Literal["random", "broadcast"]


class Samples(NamedTuple):
    """Features and a constant [samples, 5], and labels [samples]."""

    features: Float[Array, "samples features"]
    labels: Int[Array, " samples"]


class Network(NamedTuple):
    """Weights [post, pre] of both layers; dimensionless."""

    hidden: Float[Array, "hidden features"]
    output: Float[Array, "classes hidden"]


class Start(NamedTuple):
    """A seed: first weights, weights of the feedback, and the samples of each step."""

    network: Network
    feedback: Float[Array, "hidden classes"]
    order: Int[Array, "steps batch"]


def samples_of(split: str, dtype) -> Samples:
    """A published split, with the centre of the disc at 0."""
    features, labels = yin_yang_split(split)
    features = 2 * jnp.asarray(features, dtype) - 1
    return Samples(jnp.pad(features, ((0, 0), (0, 1)), constant_values=1), jnp.asarray(labels))


def draw(
    key: Key[Array, ""],
    *,
    hidden: int,
    steps: int,
    batch: int,
    size: int,
    feedback: Feedback,
) -> Start:
    """A random network for `steps` batches out of `size` samples."""
    first, second, third, fourth = jax.random.split(key, 4)
    features = 5
    network = Network(
        jax.random.normal(first, (hidden, features)) / jnp.sqrt(features),
        jax.random.normal(second, (CLASSES, hidden)) / jnp.sqrt(hidden),
    )
    # Errors sum to 0, so a broadcast needs weights that differ between classes.
    own = hidden if feedback == "random" else 1
    back = jnp.broadcast_to(jax.random.normal(third, (own, CLASSES)), (hidden, CLASSES))
    return Start(network, back, jax.random.randint(fourth, (steps, batch), 0, size))


def potentials(network: Network, features: Float[Array, "samples features"]):
    """Potentials of the hidden and of the output neurons."""
    hidden = features @ network.hidden.T
    return hidden, jax.nn.relu(hidden) @ network.output.T


def classify(network: Network, features: Float[Array, "samples features"]):
    """The neuron with the largest potential, for each sample."""
    return jnp.argmax(potentials(network, features)[1], axis=-1)


def train(
    rules: tuple, start: Start, samples: Samples, *, hidden_rate: float, output_rate: float
) -> Network:
    """The network after all steps.

    Weights change by a learning rate times the batch's mean of `hidden(x, a, u, e)` and of
    `output(x, u, e)`: the input's rate, whether the neuron is active (1 or 0), its potential, and
    its error. The neuron's rate is `a u`.
    """
    hidden_rule, output_rule = rules

    def step(network, chosen):
        features, labels = samples.features[chosen], samples.labels[chosen]
        hidden, output = potentials(network, features)
        rate = jax.nn.relu(hidden)
        error = jax.nn.one_hot(labels, CLASSES, dtype=rate.dtype) - jax.nn.softmax(output)
        received = error @ start.feedback.T
        active = (hidden > 0).astype(rate.dtype)
        below = mean_change(hidden_rule, features, active, hidden, received)
        above = mean_change(output_rule, rate, output, error)
        return Network(
            network.hidden + hidden_rate * below, network.output + output_rate * above
        ), None

    return jax.lax.scan(step, start.network, start.order)[0]


def mean_change(
    rule, pre: Float[Array, "samples pre"], *post: Float[Array, "samples post"]
) -> Float[Array, "post pre"]:
    """The mean over samples of what a rule does to each synapse."""
    seen = jnp.broadcast_arrays(pre[:, None, :], *(one[:, :, None] for one in post))
    return jnp.mean(rule(jnp.stack(seen, axis=-1))[..., 0], axis=0)


def accuracy(network: Network, samples: Samples) -> Float[Array, ""]:
    """Percent of the samples; NaN if a weight is not finite."""
    right = 100 * jnp.mean(classify(network, samples.features) == samples.labels)
    finite = jnp.all(jnp.isfinite(network.hidden)) & jnp.all(jnp.isfinite(network.output))
    return jnp.where(finite, right, jnp.nan)
