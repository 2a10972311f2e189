"""The membrane of a current-based neuron between two events.

Everything is relative to the potential at which the neuron rests (leak plus bias), and currents
are divided by the capacitance: $\\dot u = -u / \\tau_m + y$, $\\dot y = -y / \\tau_s$.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._before_peak import before_peak
from ._crossing import scaled_log1p


class Membrane(eqx.Module):
    """Parameters of each neuron, leaves [post] or scalar.

    `ratio` is tau_mem / tau_syn if it is the same for all, known when a function is traced, and
    either 1 or not near 1, else None. The functions below then need less care, and fewer
    exponentials if it is 2. Time constants with a known ratio are constants: derivatives with
    respect to them need None.
    """

    tau_mem: Float[Array, "..."]
    tau_syn: Float[Array, "..."]
    threshold: Float[Array, "..."]  # above rest
    reset: Float[Array, "..."]  # above rest
    voltage: Float[Array, "..."]  # at time zero, above rest
    current: Float[Array, "..."]  # at time zero, over the capacitance
    refractory: Float[Array, "..."]
    ratio: float | None = eqx.field(static=True, default=None)


def kernel(membrane: Membrane, elapsed):
    r"""Potential a time `elapsed >= 0` after a unit jump of y,
    $(e^{-s/\tau_m} - e^{-s/\tau_s}) / (1/\tau_s - 1/\tau_m)$; a series where the difference would
    lose digits, such as near equal time constants.

    `CurrentLIF.kernel` is the same in another form. Here both exponentials are needed anyway, and
    that form would make a layer 1.3 times slower.
    """
    slow = leaked(membrane, elapsed)
    if membrane.ratio == 2:
        return membrane.tau_mem * slow * (1 - slow)
    difference = 1 / membrane.tau_syn - 1 / membrane.tau_mem
    x = difference * elapsed
    near = jnp.abs(x) < 0.05
    small = jnp.where(near, x, 0)
    series = jnp.ones_like(x)
    for k in range(8, 1, -1):
        series = 1 - small / k * series
    far = (slow - faded(membrane, elapsed)) / jnp.where(near, 1, difference)
    return jnp.where(near, slow * elapsed * series, far)


def leaked(membrane: Membrane, elapsed):
    return jnp.exp(-elapsed / membrane.tau_mem)


def faded(membrane: Membrane, elapsed):
    if membrane.ratio == 2:
        return leaked(membrane, elapsed) ** 2
    return jnp.exp(-elapsed / membrane.tau_syn)


def flow(membrane: Membrane, u, y, elapsed):
    """State after a time `elapsed >= 0` without events."""
    u = u * leaked(membrane, elapsed) + y * kernel(membrane, elapsed)
    return u, y * faded(membrane, elapsed)


class Rise(NamedTuple):
    """The interval in which the potential rises, and whether it crosses the threshold there."""

    low: Float[Array, "..."]
    high: Float[Array, "..."]
    bottom: Float[Array, "..."]  # potential at low
    top: Float[Array, "..."]  # potential at high
    peaks: Bool[Array, "..."]  # whether it falls again
    crosses: Bool[Array, "..."]
    at_once: Bool[Array, "..."]  # starts at or above threshold, rising


def rise_within(membrane: Membrane, u, y, gap):
    """Whether the threshold is crossed from below within `gap >= 0`, and the state at its end.

    The potential has at most one extremum, so it rises on one interval [low, high], and crosses if
    it is below threshold at `low` and not at `high`. A maximum that only touches the threshold is
    no crossing. At or above the threshold a neuron fires at once if its potential rises.
    """
    extremum = _extremum(membrane, u, y)
    inside = (extremum > 0) & (extremum < gap)
    turn = jnp.where(inside, extremum, 0)
    turning, _ = flow(membrane, u, y, turn)
    end = flow(membrane, u, y, gap)
    peaks, dips = inside & (y > 0), inside & (y < 0)
    bottom, top = jnp.where(dips, turning, u), jnp.where(peaks, turning, end[0])
    threshold = membrane.threshold
    crosses = (bottom < threshold) & ((top > threshold) | ((top == threshold) & ~peaks))
    at_once = (u >= threshold) & (y * membrane.tau_mem > u)
    low, high = jnp.where(dips, turn, 0), jnp.where(peaks, turn, gap)
    return Rise(low, high, bottom, top, peaks, crosses & ~at_once, at_once), end


def crossing_time(membrane: Membrane, u, y, rise: Rise):
    """Time of the crossing, to machine precision; `inf` if there is none."""
    driven = (y > 0) & (membrane.threshold > 0)
    direct = jnp.clip(driven_crossing(membrane, u, y), rise.low, rise.high)
    found = _bracketed_root(membrane, u, y, rise, rise.crosses & ~driven)
    found = jnp.where(driven, direct, found)
    return jnp.where(rise.at_once, 0, jnp.where(rise.crosses, found, jnp.inf))


def driven_crossing(membrane: Membrane, u, y):
    r"""Time of the upward crossing of a threshold > 0 with a current y > 0; `inf` if there is none.

    The peak is $\tau_m$ times the current at its time. Counted from there, time and height are
    those of any other neuron with the same ratio of time constants.
    """
    tau_mem, tau_syn, threshold = membrane.tau_mem, membrane.tau_syn, membrane.threshold
    peak = _extremum(membrane, u, y)
    possible = (y > 0) & (threshold > 0) & (u < threshold) & (peak > 0)
    height = jnp.log(jnp.where(possible, tau_mem * y / threshold, 1)) - peak / tau_syn
    exists = possible & (height > 0)
    slower = jnp.maximum(tau_mem, tau_syn)
    ratio = membrane.ratio
    ratio = slower / jnp.minimum(tau_mem, tau_syn) if ratio is None else max(ratio, 1 / ratio)
    time = peak - slower * before_peak(jnp.where(exists, height, 1), ratio)
    return jnp.where(exists, jnp.maximum(time, 0), jnp.inf)


def _bracketed_root(membrane, u, y, rise: Rise, active):
    """Newton's method from the chord, with bisection where it would leave the bracket; each element
    stops on its own, so that the result does not depend on its neighbours."""
    height = jnp.where(active, rise.top - rise.bottom, 1)
    part = jnp.where(active, membrane.threshold - rise.bottom, 0) / height
    low, high = rise.low, rise.high
    start = low + (high - low) * part
    tolerance = 4 * jnp.finfo(start.dtype).eps

    def unfinished(carry):
        *_, active, count = carry
        return jnp.any(active) & (count < 200)

    def improve(carry):
        s, low, high, active, count = carry
        value, current = flow(membrane, u, y, s)
        slope = current - value / membrane.tau_mem
        short = value < membrane.threshold
        low = jnp.where(active & short, s, low)
        high = jnp.where(active & ~short, s, high)
        step = (membrane.threshold - value) / jnp.where(slope > 0, slope, 1)
        close = (slope > 0) & (jnp.abs(step) <= tolerance * (s + membrane.tau_syn))
        newton = s + step
        usable = close | ((slope > 0) & (newton > low) & (newton < high))
        new = jnp.where(usable, jnp.clip(newton, low, high), (low + high) / 2)
        narrow = high - low <= tolerance * low
        s = jnp.where(active, new, s)
        return s, low, high, active & ~close & ~narrow, count + 1

    return jax.lax.while_loop(unfinished, improve, (start, low, high, active, 0))[0]


def _extremum(membrane: Membrane, u, y):
    """Time of the only extremum, a maximum for y > 0; -1 if there is none.

    Setting the slope to zero gives exp(-d s) = (1 + d u / y) / (1 + d tau_mem) with
    d = 1 / tau_syn - 1 / tau_mem; log1p(d z) / d keeps its digits as d goes to zero.
    """
    ratio = u / jnp.where(y == 0, 1, y)
    if membrane.ratio == 1:
        return jnp.where(y == 0, -1, membrane.tau_mem - ratio)
    difference = 1 / membrane.tau_syn - 1 / membrane.tau_mem
    exists = (y != 0) & (1 + difference * ratio > 0)
    ratio = jnp.where(exists, ratio, 0)
    if membrane.ratio is None:
        time = scaled_log1p(membrane.tau_mem, difference) - scaled_log1p(ratio, difference)
    else:
        time = jnp.log(membrane.ratio / (1 + difference * ratio)) / difference
    return jnp.where(exists, time, -1)


class Response(NamedTuple):
    """What the past does to a neuron at a time t, given the end r of its last clamp."""

    potential: Float[Array, "..."]  # at t, above rest
    current: Float[Array, "..."]  # at t, over the capacitance
    current_at_release: Float[Array, "..."]  # at r, likewise


def respond(membrane: Membrane, t, release, fired, arrivals, weights) -> Response:
    """State of one neuron at time t as an explicit function of everything before.

    `membrane` is scalar, `arrivals` and `weights` (over the capacitance) are [arrival]. What
    arrives at t or later counts for nothing. Until the release the potential is at the reset.
    """
    release = jnp.where(t > release, release, t)
    causal = arrivals < t
    before = arrivals < release
    start = jnp.where(causal & ~before, arrivals, release)
    inherited = jnp.where(causal & before, release - arrivals, 0)
    weights = jnp.where(causal, weights * faded(membrane, inherited), 0)
    elapsed = jnp.where(causal, t - start, 0)
    own = membrane.current * faded(membrane, release)
    initial = jnp.where(fired, membrane.reset, membrane.voltage)
    potential = initial * leaked(membrane, t - release) + own * kernel(membrane, t - release)
    potential += jnp.sum(weights * kernel(membrane, elapsed))
    current = own * faded(membrane, t - release) + jnp.sum(weights * faded(membrane, elapsed))
    at_release = own + jnp.sum(jnp.where(before, weights, 0))
    return Response(potential, current, at_release)
