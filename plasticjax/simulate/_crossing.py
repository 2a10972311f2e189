"""First threshold crossing between two input spikes, for each ratio of time constants.

Between inputs the potential above leak follows a two-dimensional linear flow. Each class below
chooses coordinates in which that flow, the test "does it reach threshold before the next input?"
and the crossing time are cheap. The test needs no logarithm and the crossing is solved once per
neuron, after the interval is known. Threshold means threshold above leak throughout.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from plasticjax.neurons import CurrentLIF


class AbstractFlow(eqx.Module):
    """Coordinates for the potential of a `CurrentLIF` after its last input.

    `x, y` are two arrays [post]; both are zero at rest and jump linearly with a weight.
    """

    threshold: eqx.AbstractVar[Array]

    @classmethod
    @abc.abstractmethod
    def of(cls, neuron: CurrentLIF) -> "AbstractFlow":
        """The coordinates for a neuron whose parameters are arrays."""

    @abc.abstractmethod
    def jump(self, weight):
        """Jumps of x and y at a spike of this weight."""

    @abc.abstractmethod
    def interval(self, gap):
        """What the methods below need to know of gaps [pre, 1] between inputs; computed once."""

    @abc.abstractmethod
    def advance(self, x, y, interval):
        """x and y at the end of an interval."""

    @abc.abstractmethod
    def crosses(self, x, y, interval):
        """Whether the threshold is reached from below within an interval, its end included."""

    @abc.abstractmethod
    def crossing(self, x, y):
        """Time of the upward crossing, given that there is one."""

    @abc.abstractmethod
    def response(self, elapsed):
        """Potential, and synaptic current over the capacitance, that a unit weight causes a time
        `elapsed` after its arrival."""

    @abc.abstractmethod
    def slope(self, potential, current):
        """Slope at the crossing of a neuron that shows this potential above leak and this current
        over its capacitance; zero if it does not cross."""


class EqualTimeConstants(AbstractFlow):
    r"""$\tau_m = \tau_s = \tau$: $V(s) = (x + y s / \tau) e^{-s / \tau}$."""

    threshold: Array
    tau: Array
    gain: Array

    @classmethod
    def of(cls, neuron: CurrentLIF):
        tau = jnp.asarray(neuron.tau_syn)
        return cls(_above_leak(neuron), tau, tau / jnp.asarray(neuron.capacitance))

    def jump(self, weight):
        return jnp.zeros_like(weight), weight * self.gain

    def interval(self, gap):
        elapsed = gap / self.tau
        decay = jnp.exp(-elapsed)
        return elapsed, decay, jnp.where(jnp.isinf(gap), 0, elapsed) * decay

    def advance(self, x, y, interval):
        _, decay, rise = interval
        return x * decay + y * rise, y * decay

    def crosses(self, x, y, interval):
        elapsed, decay, rise = interval
        positive = y > 0
        peak_time = 1 - x / jnp.where(positive, y, 1)
        peak = y * jnp.exp(-peak_time)
        peaks = positive & (peak_time > 0) & (peak_time < elapsed) & (peak >= self.threshold)
        return peaks | (x * decay + y * rise >= self.threshold)

    def crossing(self, x, y):
        peak_time = 1 - x / y
        height = jnp.log(y / self.threshold) - peak_time
        return self.tau * jnp.maximum(peak_time - _before_peak(jnp.maximum(height, 0)), 0)

    def response(self, elapsed):
        current = jnp.exp(-elapsed / self.tau) * (self.gain / self.tau)
        return elapsed * current, current

    def slope(self, potential, current):
        y = self.tau * current
        positive = y > 0
        safe = jnp.where(positive, y, self.threshold)
        height = jnp.log(safe / self.threshold) - 1 + potential / safe
        slope = safe * _before_peak(jnp.maximum(height, 0)) / self.tau
        return jnp.where(positive & (height >= 0), slope, 0)


class DoubleTimeConstant(AbstractFlow):
    r"""$\tau_m = 2 \tau_s$: $V(s) = x e^{-s / 2\tau_s} - y e^{-s / \tau_s}$."""

    threshold: Array
    tau: Array
    gain: Array

    @classmethod
    def of(cls, neuron: CurrentLIF):
        tau = 2 * jnp.asarray(neuron.tau_syn)
        return cls(_above_leak(neuron), tau, tau / jnp.asarray(neuron.capacitance))

    def jump(self, weight):
        return weight * self.gain, weight * self.gain

    def interval(self, gap):
        return (jnp.exp(-gap / self.tau),)

    def advance(self, x, y, interval):
        (decay,) = interval
        return x * decay, y * decay**2

    def crosses(self, x, y, interval):
        (decay,) = interval
        peaks = (x < 2 * y) & (x > 2 * y * decay) & (x * x >= 4 * y * self.threshold)
        return peaks | (x * decay - y * decay**2 >= self.threshold)

    def crossing(self, x, y):
        root = jnp.sqrt(jnp.maximum(x * x - 4 * y * self.threshold, 0))
        return -self.tau * jnp.log(jnp.minimum((x + root) / (2 * y), 1))

    def response(self, elapsed):
        decay = jnp.exp(-elapsed / self.tau)
        return self.gain * (decay - decay**2), self.gain / self.tau * decay**2

    def slope(self, potential, current):
        y = self.tau * current
        x = potential + y
        square = x * x - 4 * y * self.threshold
        crosses = (y > 0) & (x > 0) & (square > 0)
        return jnp.where(crosses, jnp.sqrt(jnp.where(crosses, square, 1)) / self.tau, 0)


class NonLeaky(AbstractFlow):
    r"""$\tau_m = \infty$: $V(s) = x - y e^{-s / \tau_s}$."""

    threshold: Array
    tau: Array
    gain: Array

    @classmethod
    def of(cls, neuron: CurrentLIF):
        tau = jnp.asarray(neuron.tau_syn)
        return cls(_above_leak(neuron), tau, tau / jnp.asarray(neuron.capacitance))

    def jump(self, weight):
        return weight * self.gain, weight * self.gain

    def interval(self, gap):
        return jnp.exp(-gap / self.tau), jnp.isinf(gap)

    def advance(self, x, y, interval):
        return x, y * interval[0]

    def crosses(self, x, y, interval):
        decay, last = interval
        end = x - y * decay
        return jnp.where(last, end > self.threshold, end >= self.threshold)

    def crossing(self, x, y):
        return self.tau * jnp.log(jnp.maximum(y / (x - self.threshold), 1))

    def response(self, elapsed):
        decay = jnp.exp(-elapsed / self.tau)
        return self.gain * (1 - decay), self.gain / self.tau * decay

    def slope(self, potential, current):
        above = potential + self.tau * current - self.threshold
        return jnp.where(current > 0, jnp.maximum(above, 0) / self.tau, 0)


class AnyRatio(AbstractFlow):
    """Any ratio of time constants, equal and infinite ones included: `x` is the potential above
    leak, `y` the initial slope that the synaptic current contributes."""

    threshold: Array
    neuron: CurrentLIF

    @classmethod
    def of(cls, neuron: CurrentLIF):
        return cls(_above_leak(neuron), neuron)

    def jump(self, weight):
        return jnp.zeros_like(weight), weight / self.neuron.capacitance

    def interval(self, gap):
        finite = jnp.where(jnp.isinf(gap), 0, gap)
        response = self.neuron.kernel(finite) * self.neuron.capacitance
        leaky = jnp.exp(-gap / self.neuron.tau_mem)
        silent = jnp.where(jnp.isinf(self.neuron.tau_mem), self.neuron.tau_syn, 0)
        leaky = jnp.where(jnp.isinf(self.neuron.tau_mem), 1, leaky)
        response = jnp.where(jnp.isinf(gap), silent, response)
        return gap, leaky, jnp.exp(-gap / self.neuron.tau_syn), response

    def advance(self, x, y, interval):
        _, leaky, decay, response = interval
        return x * leaky + y * response, y * decay

    def crosses(self, x, y, interval):
        gap, leaky, _, response = interval
        peak_time = self.peak_time(x, y)
        inside = (peak_time > 0) & (peak_time < gap)
        peak, _ = self.potential(x, y, jnp.where(inside, peak_time, 0))
        end = x * leaky + y * response
        reaches = jnp.where(jnp.isinf(gap), end > self.threshold, end >= self.threshold)
        return (inside & (peak >= self.threshold)) | reaches

    def crossing(self, x, y):
        """Newton's method from the left. The potential is concave up to its peak, so the iterates
        rise monotonically to the root; the start is the root of the parabola at the peak."""
        peak_time = self.peak_time(x, y)
        finite = jnp.isfinite(peak_time)
        top = jnp.where(finite, peak_time, 0)
        peak, _ = self.potential(x, y, top)
        curvature = peak / (self.neuron.tau_mem * self.neuron.tau_syn)
        excess = jnp.where(finite & (peak > self.threshold), peak - self.threshold, 0)
        width = jnp.sqrt(2 * excess / jnp.where(excess > 0, curvature, 1))
        start = jnp.where(excess > 0, jnp.maximum(top - width, 0), jnp.where(finite, top, 0))
        tolerance = 4 * jnp.finfo(start.dtype).eps

        def unfinished(carry):
            s, step, count = carry
            return jnp.any(jnp.abs(step) > tolerance * (s + self.neuron.tau_syn)) & (count < 100)

        def newton(carry):
            s, _, count = carry
            value, slope = self.potential(x, y, s)
            rising = slope > 0
            step = (self.threshold - value) / jnp.where(rising, slope, 1)
            new = jnp.where(rising, jnp.maximum(s + step, 0), s)
            return new, new - s, count + 1

        first = (start, jnp.full_like(start, jnp.inf), 0)
        return jax.lax.while_loop(unfinished, newton, first)[0]

    def response(self, elapsed):
        current = jnp.exp(-elapsed / self.neuron.tau_syn) / self.neuron.capacitance
        return self.neuron.kernel(elapsed), current

    def slope(self, potential, current):
        return current - potential / self.neuron.tau_mem

    def potential(self, x, y, s):
        """Potential above leak and its slope after a time `s >= 0`."""
        tau_mem, tau_syn = self.neuron.tau_mem, self.neuron.tau_syn
        value = x * jnp.exp(-s / tau_mem) + y * self.neuron.kernel(s) * self.neuron.capacitance
        return value, y * jnp.exp(-s / tau_syn) - value / tau_mem

    def peak_time(self, x, y):
        """Time of the only maximum, `inf` if the potential rises for ever, -1 if it does not rise.

        Setting the slope to zero gives exp(-d s) = (1 + d x / y) / (1 + d tau_mem) with
        d = 1 / tau_syn - 1 / tau_mem; log1p(d z) / d keeps its digits as d goes to zero.
        """
        tau_mem = jnp.asarray(self.neuron.tau_mem, x.dtype)
        difference = 1 / jnp.asarray(self.neuron.tau_syn) - 1 / tau_mem
        driven = y > 0
        ratio = x / jnp.where(driven, y, 1)
        exists = driven & (1 + difference * ratio > 0)
        finite = jnp.isfinite(tau_mem)
        time = scaled_log1p(jnp.where(finite, tau_mem, 0), difference) - scaled_log1p(
            jnp.where(exists, ratio, 0), difference
        )
        return jnp.where(exists, jnp.where(finite, time, jnp.inf), -1)


def known_ratio(neuron: CurrentLIF) -> float | None:
    """tau_mem / tau_syn, if it is known when the function is traced and the same for all neurons:
    what a closed form needs."""
    if isinstance(neuron.tau_mem, Tracer) or isinstance(neuron.tau_syn, Tracer):
        return None
    ratios = np.unique(np.asarray(neuron.tau_mem) / np.asarray(neuron.tau_syn))
    return float(ratios[0]) if ratios.size == 1 else None


def _above_leak(neuron: CurrentLIF) -> Array:
    return jnp.asarray(neuron.threshold) - jnp.asarray(neuron.leak)


def scaled_log1p(z, d):
    """log(1 + d z) / d, which tends to z as d goes to zero."""
    tiny = jnp.abs(d * z) < jnp.finfo(z.dtype).eps
    safe = jnp.where(tiny, 1, d)
    return jnp.where(tiny, z, jnp.log1p(jnp.where(tiny, 0, d * z)) / safe)


def _before_peak(height: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Solution r in [0, 1) of $-r - \ln(1 - r) = h$, the distance from the peak.

    With y = 1 - r this is $-W_0(-e^{-1-h})$, the principal branch of the Lambert function; writing
    it with h = ln(peak / threshold) needs no exponential of a time and keeps the digits at the
    branch point. A series serves the neighbourhood of the branch point, where an iteration would
    lose digits; elsewhere two series start two fourth-order (Householder) steps, which reach
    machine precision. The loop is a real one, so that XLA does not repeat the solution wherever a
    spike time is used.
    """
    root = jnp.sqrt(2 * height)
    near = jnp.zeros_like(root)
    for coefficient in (139 / 5443200, -1 / 17010, 1 / 4320, 1 / 270, 1 / 36, -1 / 3, 1):
        near = root * (coefficient + near)
    z = jnp.exp(-1 - height)
    far = 1 - z * (1 + z * (1 + z * (3 / 2 + z * (8 / 3 + z * 125 / 24))))

    def improve(_, r):
        usable = (root > 0.03) & (r < 1)
        safe = jnp.where(usable, r, 0.5)
        rest = 1 - safe
        error = -safe - jnp.log(rest) - height
        newton = error * rest / safe
        second = newton / (2 * safe * rest)
        third = newton**2 / (3 * safe * rest**2)
        step = newton * (1 - second) / (1 - 2 * second + third)
        return jnp.where(usable, r - step, r)

    return jax.lax.fori_loop(0, 2, improve, jnp.where(height < 1, near, far))
