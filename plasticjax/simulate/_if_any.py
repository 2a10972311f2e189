"""What only some samples of a batch need."""

import jax
import jax.numpy as jnp


def if_any(needed, compute, default):
    """`compute()` if it is needed, else `default`.

    A loop of at most one turn: under `vmap` it is left out where no sample needs it, while both
    branches of `lax.cond` would be computed.
    """
    return jax.lax.while_loop(
        lambda carry: carry[0],
        lambda carry: (jnp.zeros_like(carry[0]), compute()),
        (needed, default),
    )[1]
