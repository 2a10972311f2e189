"""Losses on first spikes as a softmax, and on whole spike trains."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from plasticjax.simulate import double_exponential


def latency_loss(
    times: Float[Array, " class"],
    label: Int[Array, ""],
    *,
    nu: float = 2.0,
    silent: float | Float[Array, ""] = jnp.inf,
) -> Float[Array, ""]:
    r"""Cross-entropy of first spikes, $-\ln \mathrm{softmax}_y(-\tau / \nu)$.

    Its derivative by $\tau_k$ is $(y_k - a_k) / \nu$, so a common shift of all times changes
    nothing.

    Args:
        times: first spike times of the label neurons, [class], `inf` for silent (ms).
        label: the true class, scalar.
        nu: width of the softmax (ms).
        silent: time that counts for a silent neuron, without gradient (ms); `inf` leaves it out,
            and makes the loss infinite if it is the label's.

    Returns:
        The loss, scalar (nats).

    Source: Gardner & Grüning (2021), Front. Comput. Neurosci. 15, 617862.
    """
    fired = jnp.isfinite(times)
    logits = jnp.where(fired, -jnp.where(fired, times, 0) / nu, -jnp.asarray(silent) / nu)
    return jax.nn.logsumexp(logits) - logits[label]


def van_rossum_loss(
    spikes: Float[Array, "steps units"],
    targets: Float[Array, "steps units"],
    *,
    rise: float = 5.0,
    decay: float = 10.0,
    dt: float = 1.0,
) -> Float[Array, ""]:
    r"""Distance of spike trains, $\frac12 \sum_{k, t} dt\, (\alpha * (\hat S_k - S_k))^2$.

    Args:
        spikes: 1 for a spike, else 0, [steps, units] (dimensionless).
        targets: the same for the target trains, [steps, units] (dimensionless).
        rise: time constant of the rise of the kernel (ms).
        decay: time constant of its decay (ms).
        dt: step (ms).

    Returns:
        The loss, scalar (kHz).

    Source: van Rossum (2001), Neural Comput. 13, 751; kernel as in Zenke & Ganguli (2018).
    """
    error = double_exponential(targets - spikes, rise=rise, decay=decay, dt=dt)
    return 0.5 * dt * jnp.sum(error**2)


def synaptic_scaling(
    weights: Float[Array, "post pre"],
    counts: Float[Array, " post"],
    *,
    lower: float,
    upper: float,
    rate: float,
) -> Float[Array, "post pre"]:
    r"""Change of the weights that brings the number of spikes between two bounds.

    $+\gamma |w|$ for all synapses of a neuron that fires less often than `lower`, $-\gamma |w|$ for
    one that fires more often than `upper`.

    Args:
        weights: [post, pre] (any unit).
        counts: spikes of each neuron in a sample, [post] (dimensionless).
        lower: least number of spikes (dimensionless).
        upper: highest number of spikes (dimensionless).
        rate: $\gamma$ (dimensionless).

    Returns:
        The change, [post, pre], in the unit of `weights`.

    Source: Gardner & Grüning (2021), Front. Comput. Neurosci. 15, 617862.
    """
    sign = (counts < lower).astype(weights.dtype) - (counts > upper)
    return rate * sign[:, None] * jnp.abs(weights)
