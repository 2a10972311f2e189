"""Islands that exchange their best individuals along a ring."""

import jax
import jax.numpy as jnp

from ._state import SearchState


def migrate(state: SearchState, migrants: int) -> SearchState:
    """Copies of the best of each island replace the worst of the next one.

    Args:
        state: a state whose islands share one search space.
        migrants: how many move, 1 to mu; parents are ordered, so the last ones are replaced.

    Returns:
        The state with its parents in order again; the newcomers come first among equals.
    """

    def move(leaf):
        return jnp.concatenate(
            [jnp.roll(leaf[:, :migrants], 1, axis=0), leaf[:, : leaf.shape[1] - migrants]], axis=1
        )

    parents, fitness = jax.tree.map(move, (state.parents, state.fitness))
    order = jax.vmap(lambda one: jnp.lexsort(tuple(-column for column in one.T)))(fitness)
    parents, fitness = jax.tree.map(
        lambda leaf: jax.vmap(lambda one, index: one[index])(leaf, order), (parents, fitness)
    )
    return state._replace(parents=parents, fitness=fitness)
