"""Spike-timing rules written once more, in NumPy, as sums over pairs and triplets of spikes."""

import numpy as np


def pairs(pre, post, a_plus, a_minus, tau_plus, tau_minus, nearest):
    """Change by pair-based plasticity, without weight dependence, ms."""
    up = sum(_window(t - _before(pre, t, nearest), tau_plus) for t in post)
    down = sum(_window(t - _before(post, t, nearest), tau_minus) for t in pre)
    return a_plus * up - a_minus * down


def triplets(pre, post, p, nearest):
    """Change by the triplet rule, without weight dependence, ms."""
    total = 0.0
    for t in post:
        fast = _window(t - _before(pre, t, nearest), p.tau_plus)
        slow = _window(t - _before(post, t, nearest), p.tau_y)
        total += fast * (p.a2_plus + p.a3_plus * slow)
    for t in pre:
        fast = _window(t - _before(post, t, nearest), p.tau_minus)
        slow = _window(t - _before(pre, t, nearest), p.tau_x)
        total -= fast * (p.a2_minus + p.a3_minus * slow)
    return total


def _before(train, t, nearest):
    earlier = np.sort(np.asarray(train, float))
    earlier = earlier[earlier < t]
    return earlier[-1:] if nearest else earlier


def _window(lags, tau):
    return np.exp(-lags / tau).sum()
