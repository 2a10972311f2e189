"""Layers of neurons to try, and their first spikes in 40 digits from the published equations.

The truth shares nothing with the package: it solves the equation of every causal prefix of the
sorted inputs and takes the first solution that lies between the last input of its prefix and the
next one.
"""

from typing import NamedTuple

import numpy as np
from mpmath import mp, mpf

from plasticjax.neurons import CurrentLIF

POST, PRE = 5, 7

NEURONS = {
    "equal": CurrentLIF(),
    "equal-scaled": CurrentLIF(2.5, 2.5, 1.08, 0.2, 0.7),
    "double": CurrentLIF(2.0),
    "double-scaled": CurrentLIF(1.0, 0.5, 0.6, -0.2, 0.3),
    "non-leaky": CurrentLIF(float("inf")),
    "other": CurrentLIF(3.3, 1.0, 1.3, 0.1),
    "fast": CurrentLIF(0.4, 1.0, 1.0, 0.0, 2.0),
}


def draw_layer(seed: int, neuron: CurrentLIF, post: int = POST, pre: int = PRE):
    """Weights [post, pre] and times [pre], with ties, cancelling weights, leading zero weights or
    silent inputs as the seed has it; the last neuron is inhibited and stays silent."""
    rng = np.random.default_rng(seed)
    times = rng.uniform(-0.5, 3, pre)
    weights = rng.normal(0.5, 0.7, (post, pre))
    if rng.random() < 0.3:
        times = np.round(2 * times) / 2
    if rng.random() < 0.3:
        weights = 1.03 * np.round(2 * weights) / 2
    if rng.random() < 0.3:
        weights[:, np.argsort(times)[:2]] = 0
    if rng.random() < 0.5:
        times[rng.random(pre) < 0.3] = np.inf
    weights[-1] = -np.abs(weights[-1])
    return weights * strong(neuron), times * neuron.tau_syn


def strong(neuron: CurrentLIF) -> float:
    """The weight with which a single input just reaches the threshold."""
    s = np.linspace(0, 20 * neuron.tau_syn, 2001)
    response = potential(neuron, s, np.ones(1), np.zeros(1)) - neuron.leak
    return (neuron.threshold - neuron.leak) / response.max()


class Spike(NamedTuple):
    """First spike of a neuron: time, derivatives [pre] by weights and times, slope."""

    time: float
    by_weight: np.ndarray
    by_time: np.ndarray
    slope: float


def true_spikes(neuron: CurrentLIF, weights, times) -> list[Spike]:
    with mp.workdps(40):
        return [_spike(neuron, row, times) for row in np.asarray(weights)]


def _spike(neuron, weights, times):
    tau_mem, tau_syn, capacity = mpf(neuron.tau_mem), mpf(neuron.tau_syn), mpf(neuron.capacitance)
    threshold = mpf(neuron.threshold) - mpf(neuron.leak)
    order = [i for i in np.argsort(times, kind="stable") if np.isfinite(times[i])]
    solution = None
    for k in range(1, len(order) + 1):
        prefix = [(mpf(weights[i]), mpf(times[i])) for i in order[:k]]
        last = prefix[-1][1]
        following = mpf(times[order[k]]) if k < len(order) else mp.inf
        candidate = _formal(prefix, tau_mem, tau_syn, capacity, threshold, following)
        if candidate is not None and last <= candidate <= following:
            solution = candidate
            break
    by_weight, by_time = np.zeros(len(times)), np.zeros(len(times))
    if solution is None:
        return Spike(np.inf, by_weight, by_time, np.nan)
    causal = [i for i in order if times[i] < solution]
    kernels = {i: _kernel(solution - mpf(times[i]), tau_mem, tau_syn, capacity) for i in causal}
    slope = mp.fsum(mpf(weights[i]) * kernels[i][1] for i in causal)
    for i in causal:
        value, change = kernels[i]
        by_weight[i] = -value / slope
        by_time[i] = mpf(weights[i]) * change / slope
    return Spike(float(solution), by_weight, by_time, float(slope))


def _kernel(s, tau_mem, tau_syn, capacity):
    """Post-synaptic potential of a unit weight and its slope."""
    if tau_mem == tau_syn:
        decay = mp.exp(-s / tau_syn) / capacity
        return s * decay, (1 - s / tau_syn) * decay
    slow, fast = 1 / tau_mem, 1 / tau_syn
    gain = 1 / (capacity * (fast - slow))
    rise, fall = mp.exp(-slow * s), mp.exp(-fast * s)
    return gain * (rise - fall), gain * (fast * fall - slow * rise)


def _formal(prefix, tau_mem, tau_syn, capacity, threshold, following):
    """Upward crossing of a potential made by the prefix alone, wherever it lies."""
    a_1 = mp.fsum(w * mp.exp(t / tau_syn) for w, t in prefix)
    if a_1 <= 0:
        return None
    if tau_mem == tau_syn:
        b = mp.fsum(w * t / tau_syn * mp.exp(t / tau_syn) for w, t in prefix)
        z = -capacity * threshold / tau_syn / a_1 * mp.exp(b / a_1)
        return None if z < -1 / mp.e else tau_syn * (b / a_1 - mp.lambertw(z).real)
    if tau_mem == 2 * tau_syn:
        a_2 = mp.fsum(w * mp.exp(t / tau_mem) for w, t in prefix)
        square = a_2**2 - 4 * a_1 * threshold * capacity / tau_mem
        if square < 0 or a_2 + mp.sqrt(square) <= 0:
            return None
        return tau_mem * mp.log(2 * a_1 / (a_2 + mp.sqrt(square)))
    if mp.isinf(tau_mem):
        rest = mp.fsum(w for w, _ in prefix) - threshold * capacity / tau_syn
        return tau_syn * mp.log(a_1 / rest) if rest > 0 else None
    return _bisected(prefix, tau_mem, tau_syn, capacity, threshold, following)


def _bisected(prefix, tau_mem, tau_syn, capacity, threshold, following):
    """Crossing after the last input of the prefix, for a ratio without a closed form."""

    def excess(t):
        kernels = (w * _kernel(t - at, tau_mem, tau_syn, capacity)[0] for w, at in prefix)
        return mp.fsum(kernels) - threshold

    last = prefix[-1][1]
    slow, fast = 1 / tau_mem, 1 / tau_syn
    falls = mp.fsum(w * mp.exp(fast * t) for w, t in prefix) * fast
    rises = mp.fsum(w * mp.exp(slow * t) for w, t in prefix) * slow
    peak = mp.log(falls / rises) / (fast - slow) if falls * rises > 0 else last
    high = min(max(peak, last), following)
    if mp.isinf(high) or excess(high) < 0 or excess(last) > 0:
        return None
    low = last
    for _ in range(140):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return high


def potential(neuron: CurrentLIF, t, weights, times):
    """Potential [time] of one neuron at the times `t`, by the published kernels in float64."""
    s = np.maximum(np.asarray(t)[:, None] - np.where(np.isinf(times), 1e300, times), 0)
    tau_mem, tau_syn = neuron.tau_mem, neuron.tau_syn
    if tau_mem == tau_syn:
        kernel = s * np.exp(-s / tau_syn)
    else:
        difference = np.exp(-s / tau_mem) - np.exp(-s / tau_syn)
        kernel = difference / (1 / tau_syn - 1 / tau_mem)
    return neuron.leak + kernel @ weights / neuron.capacitance
