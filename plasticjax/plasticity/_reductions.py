"""Sums over neurons that a rule may read: what a neuron collects from all its synapses."""

from jax import lax
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float

# Names of the axes over which `over_synapses` spreads a rule.
PRE, POST = "pre", "post"


def sum_pre(x: Float[ArrayLike, ""]) -> Float[Array, ""]:
    """The sum of a value over all synapses of the postsynaptic neuron, for use inside of a rule.

    The rule must be spread by `over_synapses` over all synapses, without mask or edges. On the
    chip the values of all rows are summed before the rows are visited again.

    Args:
        x: a value of the synapse or the presynaptic neuron, scalar (any unit).

    Returns:
        The sum, scalar, one for each postsynaptic neuron (unit of `x`).

    Raises:
        ValueError: if the rule is not spread over all synapses, or the value is a constant.
    """
    return _sum(x, PRE, "sum_pre")


def sum_post(x: Float[ArrayLike, ""]) -> Float[Array, ""]:
    """The sum of a value over all postsynaptic neurons, for use inside of a rule.

    The rule must be spread by `over_synapses` over all synapses, without mask or edges. The chip
    sums values of neurons, not of synapses, and each half of the chip sums its own.

    Args:
        x: a value of the postsynaptic neuron, scalar (any unit).

    Returns:
        The sum, scalar, one for all synapses (unit of `x`).

    Raises:
        ValueError: if the rule is not spread over all synapses, or the value is a constant.
    """
    return _sum(x, POST, "sum_post")


def _sum(x, axis: str, name: str):
    if not isinstance(x, Tracer):
        raise ValueError(f"{name} sums what differs between synapses, got the constant {x}")
    try:
        return lax.psum(x, axis)
    except NameError:
        raise ValueError(
            f"{name} sums over all synapses: spread the rule with over_synapses(rule), without "
            "mask or edges"
        ) from None
