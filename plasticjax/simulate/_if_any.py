"""What only some samples of a batch need."""

import jax
import jax.numpy as jnp


def if_any(needed, compute, default, given):
    """`compute(*given)` if it is needed, else `default`.

    A loop of at most one turn: under `vmap` it is left out where no sample needs it, while both
    branches of `lax.cond` would be computed. What is given depends on the turn, or XLA would take
    the computation out of the loop and do it always.
    """

    def turn(carry):
        now, _ = carry
        shown = jax.tree.map(lambda x: jnp.where(now, x, jnp.zeros_like(x)), given)
        return jnp.zeros_like(now), compute(*shown)

    return jax.lax.while_loop(lambda carry: carry[0], turn, (needed, default))[1]
