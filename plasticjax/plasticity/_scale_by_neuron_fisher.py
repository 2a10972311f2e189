"""The natural gradient of whole layers, as a step of an optax chain."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import ArrayLike, Float

from ._poisson_fisher import UspKernel, inverse_fisher, potential_statistics
from ._transfer import AbstractTransfer


def scale_by_neuron_fisher(
    transfer: AbstractTransfer,
    kernel: UspKernel | None = None,
    *,
    gamma_s_max: Float[ArrayLike, ""] | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Multiplies the gradient of each neuron by the inverse of its own Fisher matrix.

    The Fisher matrix of a layer is taken block by block, one neuron a block; all neurons of a layer
    share their inputs. Each block is inverted in closed form, at the cost of a few sums over the
    inputs. Parameters are matrices of somatic weights [post, pre], and `update` takes their
    presynaptic rates by name: `optimizer.update(gradient, state, weights, rates=rates)`, with
    one [pre] (Hz) per matrix. Source: Kreutzer, Senn & Petrovici (2022), eLife 11, e66526, for one
    neuron; Ollivier (2015), Information and Inference 4, 108, for the blocks.

    Args:
        transfer: of all neurons.
        kernel: of all inputs; None: `UspKernel()`.
        gamma_s_max: largest allowed global gain, scalar (mV² s); None: no limit.

    Returns:
        The transformation. Its updates have the unit of the gradients times s, and no sign change.
    """
    kernel = UspKernel() if kernel is None else kernel

    def of_neuron(change, w, rate):
        inverse = inverse_fisher(
            transfer, potential_statistics(kernel, w, rate), gamma_s_max=gamma_s_max
        )
        return inverse.precondition(kernel, w, rate, change)

    def of_layer(change, w, rate):
        if jnp.ndim(w) != 2 or jnp.shape(rate) != jnp.shape(w)[1:]:
            raise ValueError(
                "weights must be [post, pre] and rates [pre], got shapes "
                f"{jnp.shape(w)} and {jnp.shape(rate)}"
            )
        return jax.vmap(of_neuron, (0, 0, None))(change, w, rate)

    def update(updates, state, params=None, *, rates=None, **_):
        if params is None or rates is None:
            raise ValueError(
                "update must be given the weights as params, and their presynaptic rates by name"
            )
        return jax.tree.map(of_layer, updates, params, rates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
