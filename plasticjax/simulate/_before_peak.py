"""How long before its maximum the potential of a current-based neuron is at a given height."""

import jax
import jax.numpy as jnp

from ._crossing import scaled_log1p


def before_peak(height, ratio):
    r"""The time before the peak at which the potential is $e^{-h}$ of it, for any height h >= 0.

    Relative to its peak and to the slower of its time constants, every potential is
    $(\rho e^q - e^{\rho q}) / (\rho - 1)$ a time q before the peak, where $\rho \ge 1$ is the ratio
    of the time constants; it does not matter which of the two is the slower. With
    $p = (e^{(\rho - 1) q} - 1) / (\rho - 1)$, between 0 and 1,

    $$-\frac{\ln(1 + (\rho - 1) p)}{\rho - 1} - \ln(1 - p) = h ,$$

    whose derivatives are rational. For $\rho = 1$ the solution is a Lambert function, for 2 it is
    $p^2 = 1 - e^{-h}$. The start has that form, with the right leading terms at both ends, and is
    wrong by 0.01 at most. Each step of fourth order (Householder) takes the error to its fourth
    power, so a fixed number reaches machine precision for every height and ratio. The loop is a
    real one, so that XLA does not repeat the solution.
    """
    excess = ratio - 1
    width = jnp.sqrt(2 / ratio * height)
    bend = (2 / ratio - 1) / (1 + 4 / 3 * width + (0.98 + 0.8 / ratio) * height)
    start = jnp.sqrt(-jnp.expm1(-height * (1 + bend)))

    def improve(_, p):
        usable = (p > 0) & (p < 1)
        safe = jnp.where(usable, p, 0.5)
        above, rest = 1 + excess * safe, 1 - safe
        per_slope = 1 / (ratio * safe)
        error = (-_scaled_log(safe, excess) - jnp.log(rest) - height) * per_slope
        second = error * per_slope * (excess * rest**2 + above**2) / 2
        third = error**2 * per_slope * (above**3 - excess**2 * rest**3) / 3
        step = error * above * rest * (1 - second) / (1 - 2 * second + third)
        return jnp.where(usable, jnp.clip(safe - step, 0, 1), p)

    steps = 1 if start.dtype == jnp.float32 else 2
    return _scaled_log(jax.lax.fori_loop(0, steps, improve, start), excess)


def _scaled_log(p, excess):
    """ln(1 + excess p) / excess, which is p if there is no excess."""
    if isinstance(excess, float):
        return jnp.log(1 + excess * p) / excess if excess else p
    return scaled_log1p(p, excess)
