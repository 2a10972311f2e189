"""The cost of a Poisson neuron with two weights, and where gradient rules go on it.

Kreutzer, Senn & Petrovici (2022), Fig. 3 D and E.
"""

from typing import NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from plasticjax.plasticity import SigmoidTransfer, inverse_fisher, potential_statistics

from ._poisson_neuron import KERNEL, divergence, usp_samples

# The plane of Fig. 3 D and E, in weights times inputs: start, teacher, and where arrows stand.
START, TEACHER = (-0.3, 0.5), (0.15, 0.15)
ARROWS = ((-0.28, -0.1, 0.08, 0.26, 0.44), (-0.22, -0.02, 0.26, 0.5))


class Plane(NamedTuple):
    """The cost over two weights, and where the rules go; weights are times the inputs."""

    axis: Float[Array, " axis"]
    cost: Float[Array, "second first"]  # nats in a step
    points: Float[Array, "points two"]
    arrows: Float[Array, "rules points two"]  # Euclidean, natural
    paths: Float[Array, "rules times two"]


def plane(
    input_rates: tuple[float, float],
    dtype: str,
    *,
    warm: float,
    samples: int,
    nodes: int,
    key: Key[Array, ""],
) -> Plane:
    """The cost of two weights, the mean directions of learning, and the mean paths."""
    inputs = len(START)
    rates = jnp.asarray(input_rates, dtype)
    usps = usp_samples(key, rates, KERNEL, warm, samples)
    transfer = SigmoidTransfer(nodes=nodes)
    taught = usps @ (jnp.asarray(TEACHER, dtype) / inputs)

    def cost(point):
        return divergence(transfer, taught, usps @ (point / inputs))

    def euclidean(point):
        potential = usps @ (point / inputs)
        gap = (transfer.rate(taught) - transfer.rate(potential)) * transfer.log_slope(potential)
        return jnp.dot(gap, usps) / len(usps)

    def natural(point):
        w = point / inputs
        inverse = inverse_fisher(transfer, potential_statistics(KERNEL, w, rates))
        return inverse.precondition(KERNEL, w, rates, euclidean(point)) * inputs

    def path(field, until):
        start = jnp.asarray(START, dtype)
        saved = diffrax.SaveAt(ts=until * jnp.linspace(0.0, 1.0, 201, dtype=dtype) ** 4)
        return diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, args: field(y)),
            diffrax.Tsit5(),
            *(0.0, until, 1e-4 * until, start),
            saveat=saved,
            stepsize_controller=diffrax.PIDController(rtol=1e-3, atol=1e-4),
            max_steps=None,
        )

    axis = jnp.arange(-0.4, 0.6, 0.006, dtype)
    rows = jax.jit(
        lambda: jax.lax.map(
            lambda second: jax.vmap(lambda first: cost(jnp.stack([first, second])))(axis), axis
        )
    )
    points = jnp.stack([each.ravel() for each in jnp.meshgrid(*map(jnp.array, ARROWS))], axis=-1)
    arrows = jnp.stack([jax.jit(jax.vmap(field))(points) for field in (euclidean, natural)])
    arrows /= jnp.linalg.norm(arrows, axis=-1, keepdims=True)
    # The natural gradient takes 1 s for all directions; the Euclidean one up to 1 / its weakest.
    weakest = jnp.linalg.eigvalsh(euclidean_rates(transfer, usps, taught))[0] / inputs
    paths = [path(euclidean, 8.0 / weakest).ys, path(natural, 8.0).ys]
    return jax.tree.map(
        np.asarray, Plane(axis, rows(), points, arrows, jnp.stack(jax.tree.leaves(paths)))
    )


def euclidean_rates(transfer, usps, taught) -> Float[Array, "two two"]:
    """The curvature of the cost at the teacher, whose eigenvalues are rates of learning."""
    return jnp.einsum("t,ti,tj->ij", transfer.information(taught).value, usps, usps) / len(usps)


def draw_plane(ax, drawn: Plane, rule: int, color) -> None:
    """Draws the cost, the directions of one rule, and its mean path."""
    levels = (0.001, 0.003, 0.005, 0.009, 0.015, 0.02, 0.03, 0.04)
    ax.contour(drawn.axis, drawn.axis, drawn.cost, levels, colors="0.7", linewidths=0.7)
    ax.quiver(
        *drawn.points.T, *drawn.arrows[rule].T, color="0.3", angles="xy", scale=16, width=0.007
    )
    ax.plot(*drawn.paths[rule].T, color=color, linewidth=1.5)
    ax.plot(*START, "o", color="black", markersize=4)
    ax.plot(*TEACHER, "*", color="black", markersize=8)
    ax.set_xlabel("$w_1 n$ (input of 10 Hz)", fontsize=8)
    ax.set_ylabel("$w_2 n$ (input of 50 Hz)", fontsize=8)
    ax.tick_params(labelsize=7)
    ax.set_aspect("equal")
