"""Rules that find principal components: Oja's for the first, Sanger's for one a neuron."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._rule import AbstractRule, Parameter, Per


class Oja(AbstractRule):
    r"""Change $\eta\, y\,(x - y w)$, Hebb's rule with the decay that keeps the norm at one.

    For a linear neuron $y = w \cdot x$ the weights converge to the first principal component of
    the inputs. It reads `pre` = x and `post` = y, scalars, and changes the bare weight. Source:
    Oja (1982), J. Math. Biol. 15, 267.

    Attributes:
        eta: learning rate, scalar (per activity squared, and per ms if `per="time"`).
        per: static; what the change is per.
    """

    eta: Parameter = 0.01
    per: Per = eqx.field(default="sample", static=True)

    def __call__(self, syn, pre, post, third=None, obs=None):
        return self.eta * post * (pre - post * syn)


class Sanger(AbstractRule):
    r"""Change $\eta\, y_i\,(x_j - \sum_{k \le i} w_{kj} y_k)$, the generalised Hebbian algorithm.

    For linear neurons $y = W x$ the rows of W converge to the principal components, in order. The
    sum runs over other neurons, which no synapse sees, so it is an observable: `obs` is the entry
    [i, j] of `sanger_reconstruction(w, y)`. It reads `pre` = x, `post` = y and `obs`, scalars, and
    changes the bare weight. Source: Sanger (1989), Neural Networks 2, 459.

    Attributes:
        eta: learning rate, scalar (per activity squared, and per ms if `per="time"`).
        per: static; what the change is per.
    """

    eta: Parameter = 0.01
    per: Per = eqx.field(default="sample", static=True)

    def __call__(self, syn, pre, post, third=None, obs=None):
        if obs is None:
            raise ValueError("obs must be sanger_reconstruction(w, y), got None")
        return self.eta * post * (pre - obs)


def sanger_reconstruction(
    w: Float[Array, "post pre"], y: Float[Array, " post"]
) -> Float[Array, "post pre"]:
    r"""What the outputs up to the i-th one say about the j-th input, $\sum_{k \le i} w_{kj} y_k$.

    Args:
        w: weights [post, pre] (dimensionless).
        y: outputs [post], in the unit of the inputs.

    Returns:
        The observable of `Sanger` [post, pre], in the unit of the inputs.
    """
    return jnp.cumsum(w * y[:, None], axis=0)
