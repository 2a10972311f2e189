"""Published rules of the correlation experiment: champions, no rule, homeostatic STDP."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int


def real_power(base, exponent):
    """Real part of the principal value of a power.

    It is 0 where 0 is raised to a negative number: one published champion needs that.
    """
    zero = base == 0
    size = jnp.exp(exponent * jnp.log(jnp.abs(jnp.where(zero, 1.0, base))))
    turned = jnp.where(base < 0, jnp.cos(jnp.pi * exponent), 1.0)
    return jnp.where(zero, jnp.where(exponent == 0, 1.0, 0.0), size * turned)


def rule_of(function):
    """A function of `w` and `K` as a rule of `[..., (w, K)]`."""
    return lambda seen: jnp.broadcast_to(function(seen[..., 0], seen[..., 1]), seen.shape[:-1])[
        ..., None
    ]


# Jordan et al. (2021): champions of their runs as they were printed and evaluated, and what is
# compared with them. Formulas are those of depression and facilitation.
PUBLISHED = {
    "run 0": ("-w + 2K", "-w + K^2 - 1"),
    "run 2": ("-w + 0.1", "-w/(w^2 - w + 2K)"),
    "run 3": ("-w + 0.1", "-w + K^2"),
    "run 4": ("-w + K", "w - (w/(w - K))^{w - K}"),
    "run 5": ("wK(w + K)^{-w - K} - w - K", "-w + K"),
    "run 7": ("-40w + 20K", "-w/(w - 1)"),
    "run 8": ("-w + 1024K^{10}", "(wK - K^K)^{wK - K^K}"),
    "run 9": ("wK - w - K", "-w + K"),
    "run 18": ("-w + K/w", "(wK)^w - 1"),
    "no rule": ("0", "0"),
    "homeostatic STDP": ("0", "K - 0.15"),
}
_FUNCTIONS = (
    (lambda w, k: 2 * k - w, lambda w, k: k**2 - w - 1),
    (lambda w, k: 0.1 - w, lambda w, k: -w / (w**2 - w + 2 * k)),
    (lambda w, k: 0.1 - w, lambda w, k: k**2 - w),
    (lambda w, k: k - w, lambda w, k: w - real_power(w / (w - k), w - k)),
    (lambda w, k: w * k * real_power(w + k, -w - k) - w - k, lambda w, k: k - w),
    (lambda w, k: 20 * k - 40 * w, lambda w, k: -w / (w - 1)),
    (
        lambda w, k: 1024 * k**10 - w,
        lambda w, k: real_power(w * k - real_power(k, k), w * k - real_power(k, k)),
    ),
    (lambda w, k: w * k - w - k, lambda w, k: k - w),
    (lambda w, k: k / w - w, lambda w, k: real_power(w * k, w) - 1),
    (lambda w, k: 0.0 * w, lambda w, k: 0.0 * w),
    (lambda w, k: 0.0 * w, lambda w, k: k - 0.15),
)
RULES = {name: tuple(map(rule_of, pair)) for name, pair in zip(PUBLISHED, _FUNCTIONS, strict=True)}


class Published(eqx.Module):
    """One side (0: depression, 1: facilitation) of the rule of a number, chosen at run time."""

    index: Int[Array, ""]
    side: int = eqx.field(static=True)

    def __call__(self, seen):
        return jax.lax.switch(self.index, [pair[self.side] for pair in RULES.values()], seen)


def published(index: Int[Array, ""]):
    """The pair of rules of that number in `PUBLISHED` and its lower bound.

    Only the homeostatic rule of Masquelier (2018) is bounded from below after postsynaptic spikes.
    """
    bounded = index == list(RULES).index("homeostatic STDP")
    return (Published(index, 0), Published(index, 1)), jnp.where(bounded, 0.0, -jnp.inf)
