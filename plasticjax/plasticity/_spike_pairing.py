"""What a rule of spike timing makes of given spikes, computed by the rule itself."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PyTree

from ._bounds import AbstractBound
from ._timing_rule import TimingRule
from ._traces import Spiking, Trace


def spike_pairing(
    rule: TimingRule,
    pre_times: Float[Array, " pre_spikes"],
    post_times: Float[Array, " post_spikes"],
    *,
    syn: PyTree = 0.0,
    bounds: AbstractBound | None = None,
    post_first: bool = True,
) -> Any:
    """The synapse after a presynaptic and a postsynaptic spike train, exact between spikes.

    It can be vmapped, and differentiated by times, weights and parameters.

    Args:
        rule: what happens at spikes, such as `pair_stdp()`.
        pre_times: presynaptic spikes [pre_spikes], in any order, `inf` for none (ms).
        post_times: postsynaptic spikes [post_spikes], in any order, `inf` for none (ms).
        syn: the synapse before, a weight or a pytree of scalars.
        bounds: how weight and change become the new weight; None: their sum.
        post_first: at equal times the rule of the postsynaptic spike goes first.

    Returns:
        The synapse after the last spike, structured as `syn` and in its unit.

    Raises:
        ValueError: if the times are not vectors.
    """
    for name, times in (("pre_times", pre_times), ("post_times", post_times)):
        if jnp.ndim(times) != 1:
            raise ValueError(f"{name} must be a vector of times, got shape {jnp.shape(times)}")
    update = rule.update(bounds, post_first=post_first)
    elapsed, pre_spikes, post_spikes = _events(pre_times, post_times)
    zero = jnp.zeros((), elapsed.dtype)

    def event(carry, now):
        syn, pre, post = carry
        elapsed, pre_spike, post_spike = now
        pre, post = _decay(rule.pre_traces, pre, elapsed), _decay(rule.post_traces, post, elapsed)
        syn = update(syn, Spiking(pre_spike, *pre), Spiking(post_spike, *post), None)
        pre = _receive(rule.pre_traces, pre, pre_spike)
        return (syn, pre, _receive(rule.post_traces, post, post_spike)), None

    start = (
        jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf, elapsed)), syn),
        (zero,) * len(rule.pre_traces),
        (zero,) * len(rule.post_traces),
    )
    return jax.lax.scan(event, start, (elapsed, pre_spikes, post_spikes))[0][0]


def stdp_kernel(
    rule: TimingRule,
    lags: Float[ArrayLike, " lags"],
    *,
    w: Float[ArrayLike, ""] = 0.0,
    pairs: int = 1,
    period: Float[ArrayLike, ""] = 1000.0,
    bounds: AbstractBound | None = None,
) -> Float[Array, " lags"]:
    """The change of a weight after pairs of spikes, as a function of their lag.

    Args:
        rule: what happens at spikes, such as `pair_stdp()`.
        lags: time from the presynaptic to the postsynaptic spike of a pair [lags] (ms).
        w: weight before, scalar.
        pairs: how often the pair is repeated.
        period: time from one pair to the next, scalar (ms). Long protocols lose digits of the
            times in single precision; use `jax.enable_x64`.
        bounds: how weight and change become the new weight; None: their sum.

    Returns:
        The total change for each lag [lags], in the unit of the weight.

    Raises:
        ValueError: if there is no pair.
    """
    if pairs < 1:
        raise ValueError(f"pairs={pairs} must be at least 1")
    lags = jnp.asarray(lags, jnp.result_type(float, lags))
    starts = jnp.arange(pairs) * jnp.asarray(period, lags.dtype)
    after = jax.vmap(lambda lag: spike_pairing(rule, starts, starts + lag, syn=w, bounds=bounds))
    return after(lags) - w


def _events(pre_times, post_times):
    """Time since the last event, and who fires, at every different time of a spike."""
    times = jnp.sort(jnp.concatenate([pre_times, post_times]))
    # Absent spikes come last. They get a finite time, so that no derivative is inf - inf.
    present = jnp.isfinite(times)
    times = jnp.where(present, times, 0.0)
    elapsed = jnp.where(present, jnp.diff(times, prepend=times[:1]), 0.0)
    new = present & jnp.concatenate([jnp.ones(1, bool), elapsed[1:] > 0])
    fires = lambda spikes: new & jnp.any(times[:, None] == spikes, axis=1)  # noqa: E731
    return elapsed, fires(pre_times), fires(post_times)


def _decay(traces: tuple[Trace, ...], values, elapsed):
    return tuple(trace.decay(value, elapsed) for trace, value in zip(traces, values, strict=True))


def _receive(traces: tuple[Trace, ...], values, spike):
    return tuple(trace.receive(value, spike) for trace, value in zip(traces, values, strict=True))
