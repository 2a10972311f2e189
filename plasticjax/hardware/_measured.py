"""Learning in the loop: values of the chip, derivatives of a model."""

import jax
from jaxtyping import Array, Float


@jax.custom_jvp
def measured(model: Float[Array, "..."], hardware: Float[Array, "..."]) -> Float[Array, "..."]:
    """The value that the chip showed, with the derivative of what a model says about it.

    Evaluate the model at what was observed, and put the observation in place of its result: so the
    gradient of a loss of chip activity becomes that of the model (Cramer et al. 2022). The chip, or
    its emulator, is never differentiated.

    Args:
        model: what an ideal, differentiable model computes, [...], in any unit.
        hardware: what was observed, same shape and unit.

    Returns:
        `hardware`; its derivative by `model` is the identity, by `hardware` zero.
    """
    return hardware


@measured.defjvp
def _measured_jvp(primals, tangents):
    return primals[1], tangents[0]
