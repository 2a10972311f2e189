"""What keeps neurons of a network active, but not too much: rates, or moments of their input."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from plasticjax.plasticity import InputBalance, InputStatistics


class InputMoments(NamedTuple):
    """Raw moments of the input of each neuron over samples and steps.

    Attributes:
        first: mean, [post] (units of the threshold).
        second: mean square, [post] (its square).
        third: mean cube, [post] (its cube).
    """

    first: Float[Array, " post"]
    second: Float[Array, " post"]
    third: Float[Array, " post"]


def input_moments(current: Float[Array, "batch steps post"]) -> InputMoments:
    """The first three moments of the weighted input of each neuron.

    Args:
        current: weighted input, such as the synaptic current, [batch, steps, post] (units of the
            threshold).

    Returns:
        The moments, leaves [post].

    Source: deliverable D3.11, section 1.2.1.6 (Mackwood & Grüning).
    """
    return InputMoments(*(jnp.mean(current**k, axis=(0, 1)) for k in (1, 2, 3)))


def moment_penalty(
    current: Float[Array, "batch steps post"],
    *,
    target: float | Float[Array, "..."],
    strength: float | Float[Array, "..."] = 0.1,
) -> Float[Array, ""]:
    r"""How far the moments of the input are from 0, a target, and 0.

    $$\frac{1}{N} \sum_i \lambda_1 \frac{M_{1i}^2}{v} + \lambda_2 \Big(\frac{M_{2i}}{v} - 1\Big)^2
    + \lambda_3 \frac{M_{3i}^2}{v^3}$$

    Balanced input of the right size keeps a neuron sensitive without any choice of a rate, and it
    has a gradient where a neuron is silent.

    Args:
        current: weighted input, [batch, steps, post] (units of the threshold).
        target: v, the desired mean square, scalar or [post] (square of that).
        strength: the factors of the three terms, scalar or [3] (dimensionless).

    Returns:
        The penalty, scalar (dimensionless).

    Source: deliverable D3.11, section 1.2.1.6; the formula is ours, since none is published.
    """
    moments = input_moments(current)
    first, second, third = jnp.broadcast_to(jnp.asarray(strength, current.dtype), (3,))
    terms = first * moments.first**2 / target
    terms += second * (moments.second / target - 1) ** 2
    terms += third * moments.third**2 / target**3
    return jnp.mean(terms)


def moment_gradient(
    current: Float[Array, "batch steps post"],
    traces: Float[Array, "batch steps pre"],
    *,
    target: float | Float[Array, "..."],
    strength: float | Float[Array, "..."] = 0.1,
) -> Float[Array, "post pre"]:
    r"""The gradient of `moment_penalty` by the weights, where presynaptic traces stay as they are.

    Local: the sum over all samples and steps of what `plasticity.InputBalance` does.

    Args:
        current: weighted input, $\sum_j w_{ij} s_j$, [batch, steps, post] (units of the threshold).
        traces: filtered presynaptic spikes s, [batch, steps, pre] (dimensionless).
        target: as for `moment_penalty`, scalar or [post] (square of the unit).
        strength: as for `moment_penalty` (dimensionless).

    Returns:
        The gradient, [post, pre] (1 / unit of the weights).

    Source: deliverable D3.11, section 1.2.1.6; derived from `moment_penalty`.
    """
    rule = InputBalance(target, *jnp.broadcast_to(jnp.asarray(strength, current.dtype), (3,)))
    factor = rule.imbalance(InputStatistics(current, *input_moments(current)))
    batch, steps, post = current.shape
    return jnp.einsum("bti,btj->ij", factor, traces) / (batch * steps * post)


def rate_penalty(
    counts: Float[Array, "batch units"],
    *,
    lower: float | Float[Array, ""] = 0.0,
    lower_strength: float | Float[Array, ""] = 0.0,
    upper: float | Float[Array, ""] = 0.0,
    upper_strength: float | Float[Array, ""] = 0.0,
    power: int = 1,
) -> Float[Array, ""]:
    r"""Penalty for units that fire too rarely and for samples in which there are too many spikes.

    $$s_l \frac1N \sum_i [\theta_l - \bar n_i]_+^2 + s_u \frac1B \sum_b \Big[\frac1N \sum_i n_i^b -
    \theta_u\Big]_+^L$$

    Args:
        counts: spikes of each unit in each sample, [batch, units] (dimensionless).
        lower: least mean count of a unit, over the batch (dimensionless).
        lower_strength: its factor (dimensionless).
        upper: highest mean count in a sample, over the units (dimensionless).
        upper_strength: its factor (dimensionless).
        power: L, 1 or 2.

    Returns:
        The penalty, scalar (dimensionless).

    Source: Zenke & Vogels (2021), Neural Comput. 33, 899.
    """
    rare = jnp.maximum(lower - counts.mean(axis=0), 0) ** 2
    many = jnp.maximum(counts.mean(axis=1) - upper, 0) ** power
    return lower_strength * rare.mean() + upper_strength * many.mean()
