"""Losses and predictions on first spike times, one sample each."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

SILENT_LABEL_LOSS = 100.0


def first_spike_loss(
    times: Float[Array, " class"],
    label: Int[Array, ""],
    *,
    xi: float = 0.2,
    alpha: float = 0.005,
    beta: float = 1.0,
    tau_syn: float = 1.0,
) -> Float[Array, ""]:
    r"""Cross-entropy that makes the label neuron fire first, and early.

    $$L = \ln \sum_n e^{-(T_n - T_*) / \xi \tau_s} + \alpha e^{T_* / \beta \tau_s}$$

    A silent neuron other than the label's adds nothing. Source: Göltz, Kriener et al. (2021), Nat.
    Mach. Intell. 3, 823, Eq. 11.

    Args:
        times: first spike times of the label neurons, [class], `inf` for silent (unit of
            `tau_syn`).
        label: the true class, scalar.
        xi: width of the softmax, in units of `tau_syn`.
        alpha: weight of the early-spike term (dimensionless).
        beta: time scale of the early-spike term, in units of `tau_syn`.
        tau_syn: synaptic time constant (time).

    Returns:
        The loss, scalar; the constant 100 without gradient if the label neuron is silent; NaN
        if a time is NaN.
    """
    own = times[label]
    fired = jnp.isfinite(own)
    reference = jnp.where(fired, own, 0)
    spiking = jnp.isfinite(times) & fired
    logits = -(jnp.where(spiking, times, 0) - reference) / (xi * tau_syn)
    spread = jax.nn.logsumexp(logits, where=spiking | (jnp.arange(times.size) == label))
    early = alpha * jnp.exp(reference / (beta * tau_syn))
    return _settle(times, fired, spread + early)


def spike_time_mse(
    times: Float[Array, " class"],
    label: Int[Array, ""],
    *,
    correct: float,
    wrong: float,
) -> Float[Array, ""]:
    r"""Squared distance to target times, $\frac12 \sum_n (T_n - t_n)^2$.

    Args:
        times: first spike times of the label neurons, [class], `inf` for silent (time).
        label: the true class, scalar.
        correct: target time of the label neuron (unit of `times`).
        wrong: target time of the others (time).

    Returns:
        The loss, scalar (time squared); the constant 100 without gradient if a neuron is
        silent; NaN if a time is NaN.
    """
    target = jnp.where(jnp.arange(times.size) == label, correct, wrong)
    return _half_square(times, target)


def shift_invariant_mse(
    times: Float[Array, " class"], label: Int[Array, ""], *, delta: float
) -> Float[Array, ""]:
    r"""Squared distance of the other neurons to a fixed delay after the label neuron,
    $\frac12 \sum_{n \ne *} (T_n - T_* - \Delta)^2$. Source: Göltz et al. (2025), DelGrad.

    Args:
        times: first spike times of the label neurons, [class], `inf` for silent (time).
        label: the true class, scalar.
        delta: desired delay (unit of `times`).

    Returns:
        The loss, scalar (time squared); the constant 100 without gradient if a neuron is
        silent; NaN if a time is NaN.
    """
    target = times[label] + delta * (jnp.arange(times.size) != label)
    return _half_square(times, target)


def _half_square(times, target):
    complete = jnp.all(jnp.isfinite(times))
    distance = jnp.where(complete, times, 0) - jnp.where(complete, target, 0)
    return _settle(times, complete, 0.5 * jnp.sum(distance**2))


def _settle(times, spiked, loss):
    """The loss if the neurons it needs spiked, else the constant; NaN times are not silence."""
    return jnp.where(jnp.any(jnp.isnan(times)), jnp.nan, jnp.where(spiked, loss, SILENT_LABEL_LOSS))


def first_spike_class(times: Float[Array, " class"]) -> Int[Array, ""]:
    """The class whose neuron fires first.

    Args:
        times: first spike times of the label neurons, [class], `inf` for silent (time).

    Returns:
        The class, scalar; -1 if all neurons are silent (dimensionless).
    """
    return jnp.where(jnp.isfinite(jnp.min(times)), jnp.argmin(times), -1)


def nearest_spike_class(times: Float[Array, " class"], *, correct: float) -> Int[Array, ""]:
    """The class whose neuron fires closest to the target time, for `spike_time_mse`.

    Args:
        times: first spike times of the label neurons, [class], `inf` for silent (time).
        correct: target time of the label neuron (unit of `times`).

    Returns:
        The class, scalar; -1 if all neurons are silent (dimensionless).
    """
    return first_spike_class(jnp.abs(times - correct))
