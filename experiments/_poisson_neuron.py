"""What the experiments on natural-gradient plasticity share: inputs, outputs and their distance."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from plasticjax.plasticity import (
    AbstractTransfer,
    InverseFisher,
    PoissonOutput,
    UspKernel,
    approximate_heterosynaptic,
)

STEP = 5e-4  # s
KERNEL = UspKernel()


class Usps(NamedTuple):
    """The two exponential traces behind the synaptic potentials."""

    slow: Float[Array, " pre"]
    fast: Float[Array, " pre"]

    @classmethod
    def silent(cls, shape, dtype) -> "Usps":
        return cls(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))

    def follow(self, spikes: Bool[Array, " pre"], kernel: UspKernel) -> "Usps":
        """One exact step; a spike is not yet seen in its own."""
        decay = lambda trace, tau: trace * jnp.exp(-STEP / tau) + spikes  # noqa: E731
        return Usps(decay(self.slow, kernel.tau_m), decay(self.fast, kernel.tau_s))

    def potentials(self, kernel: UspKernel) -> Float[Array, " pre"]:
        return jnp.multiply(kernel.eps0 / (kernel.tau_m - kernel.tau_s), self.slow - self.fast)


def shown(
    transfer: AbstractTransfer,
    target: Array,
    potential: Float[Array, ""],
    gamma_s: Float[Array, ""],
    gammas: tuple[Array, Array],
) -> PoissonOutput:
    """What a neuron shows to its synapses in one step, given the spike of its teacher."""
    error = target - transfer.rate(potential) * STEP
    return PoissonOutput(error, transfer.log_slope(potential), gamma_s, *gammas)


def natural_output(
    transfer: AbstractTransfer,
    kernel: UspKernel,
    inverse: InverseFisher,
    target: Array,
    usp_sum: Float[Array, ""],
    potential: Float[Array, ""],
) -> PoissonOutput:
    gammas = inverse.heterosynaptic(kernel, usp_sum, potential)
    return shown(transfer, target, potential, inverse.gamma_s, gammas)


def approximate_output(
    transfer: AbstractTransfer,
    kernel: UspKernel,
    inverse: InverseFisher,
    target: Array,
    potential: Float[Array, ""],
) -> PoissonOutput:
    gammas = approximate_heterosynaptic(kernel, potential)
    return shown(transfer, target, potential, inverse.gamma_s, gammas)


def divergence(
    transfer: AbstractTransfer,
    taught: Float[Array, " samples"],
    potential: Float[Array, " samples"],
) -> Float[Array, ""]:
    """Mean divergence of the spikes of one step from those of the teacher (nats)."""
    a, b = (transfer.rate(each) * STEP for each in (taught, potential))
    return jnp.mean(a * jnp.log(a / b) + (1 - a) * jnp.log((1 - a) / (1 - b)))


def spikes(key, rate: Float[Array, " pre"], steps: int) -> Bool[Array, "steps pre"]:
    """Poisson spike trains, at most one spike in a step."""
    return jax.random.bernoulli(key, rate * STEP, (steps, *rate.shape))


def usp_samples(
    key, rate: Float[Array, " pre"], kernel: UspKernel, duration: float, count: int
) -> Float[Array, "count pre"]:
    """Synaptic potentials (mV) of independent trains, a `duration` in s after silence."""
    trains = jax.random.bernoulli(key, rate * STEP, (round(duration / STEP), count, rate.shape[0]))
    start = Usps.silent(trains.shape[1:], rate.dtype)
    follow = lambda usps, arriving: (usps.follow(arriving, kernel), None)  # noqa: E731
    return jax.lax.scan(follow, start, trains)[0].potentials(kernel)


def published_trains(seed: int, rates: tuple[float, ...]) -> list[Array]:
    """The trains of 5 s that the published code draws for its Fig. 4 and 5, in this order.

    The seeds are published. The generator is inferred: of `rand`, `binomial` and `poisson` this one
    comes closest to Fig. 4, and then gives all ten numbers of Fig. 5.
    """
    random = np.random.RandomState(seed)
    return [jnp.asarray(random.binomial(1, rate * STEP, 10_000)) for rate in rates]
