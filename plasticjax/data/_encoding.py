import math
from types import ModuleType

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float


def encode_first_spike(
    values: Float[Array, "*batch value"] | Float[np.ndarray, "*batch value"],
    *,
    t_early: float,
    t_late: float,
    t_bias: float | None = None,
    repeat: int = 1,
) -> Float[Array, "*batch time"] | Float[np.ndarray, "*batch time"]:
    """Code values as spike times: `t = t_early + v (t_late - t_early)`, so that 0 is early.

    Values outside [0, 1] are coded by the same line. The value +inf is coded as +inf, "no spike".

    Args:
        values: dimensionless, `[..., value]`; a NumPy or a JAX array, whose dtype is kept.
        t_early: time of the value 0, in any unit of time.
        t_late: time of the value 1, in the same unit; later than `t_early`.
        t_bias: time of one more input that spikes at the same time in every sample, in the same
            unit; None for no such input.
        repeat: number of copies of each input, as used on chips with a small range of weights.

    Returns:
        Spike times `[..., repeat * (values + biases)]` in the unit of `t_early`: the whole row of
        values `repeat` times over, then the bias `repeat` times. With 4 values, a bias and
        `repeat=5` these are the 25 inputs of the BrainScaleS-2 protocol.

    Raises:
        ValueError: if a time is not finite, `t_late` is not after `t_early`, `repeat` is below 1,
            or a value is NaN or -inf (inside `jit` this last one is a run-time error).

    Source: Goeltz, Kriener et al., Nat. Mach. Intell. 3 (2021), doi 10.1038/s42256-021-00388-x,
    Methods; the order of the copies is that of its public code, v1.0.0.
    """
    _check_code(t_early, t_late, t_bias, repeat)
    xp = jnp if isinstance(values, jax.Array) else np
    values = _refuse(values, "values", xp)
    copies = xp.tile(t_early + values * (t_late - t_early), repeat)
    if t_bias is None:
        return copies
    bias = xp.full((*values.shape[:-1], repeat), t_bias, copies.dtype)
    return xp.concatenate([copies, bias], axis=-1)


def decode_first_spike(
    times: Float[Array, "*batch time"] | Float[np.ndarray, "*batch time"],
    *,
    t_early: float,
    t_late: float,
    t_bias: float | None = None,
    repeat: int = 1,
) -> Float[Array, "*batch value"] | Float[np.ndarray, "*batch value"]:
    """The values behind spike times: the inverse of `encode_first_spike` with the same arguments.

    Args:
        times: spike times `[..., repeat * (values + biases)]`, in the unit of `t_early`; a NumPy or
            a JAX array, whose dtype is kept.
        t_early: time of the value 0.
        t_late: time of the value 1; later than `t_early`.
        t_bias: anything but None says that the times end with biases, which are dropped.
        repeat: number of copies of each input; the first copy is decoded.

    Returns:
        Values `[..., value]`, dimensionless; +inf for an input without a spike.

    Raises:
        ValueError: if the arguments are not valid for `encode_first_spike`, if the number of times
            does not fit `repeat` and `t_bias`, or a time is NaN or -inf (inside `jit` this last one
            is a run-time error).

    Source: as `encode_first_spike`.
    """
    _check_code(t_early, t_late, t_bias, repeat)
    xp = jnp if isinstance(times, jax.Array) else np
    times = _refuse(times, "times", xp)
    inputs, rest = divmod(times.shape[-1], repeat)
    count = inputs if t_bias is None else inputs - 1
    if rest or count < 0:
        bias = "no bias" if t_bias is None else "a bias"
        raise ValueError(
            f"times has {times.shape[-1]} entries on its last axis; repeat={repeat} and {bias} "
            f"require {repeat} for each input"
        )
    return (times[..., :count] - t_early) / (t_late - t_early)


def _check_code(t_early: float, t_late: float, t_bias: float | None, repeat: int) -> None:
    if not -math.inf < t_early < t_late < math.inf:
        raise ValueError(
            f"t_early is {t_early} and t_late is {t_late}; finite times with t_early < t_late "
            "are required"
        )
    if t_bias is not None and not math.isfinite(t_bias):
        raise ValueError(f"t_bias is {t_bias}; a finite time or None is required")
    if repeat < 1:
        raise ValueError(f"repeat is {repeat}; a number of copies >= 1 is required")


def _refuse(array, name: str, xp: ModuleType):
    bad = xp.isnan(array) | xp.isneginf(array)
    message = f"{name} contains NaN or -inf; finite numbers or +inf (no spike) are required"
    if isinstance(array, Tracer):
        return eqx.error_if(array, bad, message)
    if bad.any():
        raise ValueError(message)
    return array
