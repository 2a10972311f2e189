"""Recordings of a moving event camera that looks at digits, simulated: a stand-in for N-MNIST."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, Num

FRAME = 34  # pixels
MARGIN = 3  # where a digit of 28 pixels lies
CORNERS = ((-3.0, 3.0), (0.0, -3.0), (3.0, 3.0), (-3.0, 3.0))  # of the path, (x, y down)
SACCADE, REST, DURATION = 100, 5, 315  # ms
DARK = 0.1  # added before the logarithm
LEAST = 0.05  # threshold
_LARGEST = math.log((1 + DARK) / DARK)  # change of the logarithm of a pixel


class CameraEvents(NamedTuple):
    """Events of one recording in the order of their times, padded.

    Attributes:
        times: [events], `inf` behind the last (ms).
        x: column, [events] (pixels).
        y: row, from the top, [events] (pixels).
        polarity: 1 for brighter, 0 for darker, [events].
        overflow: whether there were more than the arrays hold.
    """

    times: Float[Array, " events"]
    x: Int[Array, " events"]
    y: Int[Array, " events"]
    polarity: Int[Array, " events"]
    overflow: Bool[Array, ""]


def nmnist_sim(
    image: Float[Array, "height width"],
    *,
    threshold: float = 0.45,
    mismatch: float = 0.0,
    background: float = 0.0,
    key: Key[Array, ""] | None = None,
    max_events: int = 20_000,
) -> CameraEvents:
    """Events of a camera that looks at a digit during three saccades; without a key an ideal one.

    The camera moves along a triangle and back to its start within 315 ms. A pixel fires whenever
    the logarithm of its brightness has changed by the threshold since its last event. There is no
    refractory time.

    Args:
        image: brightness from 0 to 1, [28, 28], row 0 at the top (dimensionless).
        threshold: contrast threshold, at least 0.05 (change of the natural logarithm).
        mismatch: standard deviation of the thresholds of pixels, such as 0.03; none goes below
            `threshold` - 4 `mismatch` or 0.05 (likewise).
        background: rate of a pixel's events out of nothing, such as 1e-4 (kHz).
        key: random key of mismatch and background, scalar.
        max_events: length of the result.

    Returns:
        The events, [max_events].

    Raises:
        ValueError: for another shape, a number out of its range, or noise without a key.

    Source: a definition of ours, with the geometry of Orchard et al. (2015), Front. Neurosci. 9,
    437.
    """
    if max_events < 1:
        raise ValueError(f"max_events is {max_events}; at least 1 is required")
    for name, value in (("mismatch", mismatch), ("background", background)):
        if not value >= 0:
            raise ValueError(f"{name} is {value}; a number >= 0 is required")
        if value and key is None:
            raise ValueError(f"{name} is {value}, which needs a key; key is None")
    _check(image, threshold)
    least, thresholds = threshold, jnp.asarray(threshold, image.dtype)
    if mismatch and key is not None:
        least = max(threshold - 4 * mismatch, LEAST)
        spread = mismatch * jax.random.normal(key, (FRAME**2,), image.dtype)
        thresholds = jnp.maximum(thresholds + spread, least)
    levels = _levels(image, thresholds)
    most = math.floor(_LARGEST / least + 1e-9)
    ordinal = jnp.arange(1, most + 1)[:, None]

    def frame(last, pair):
        before, now = pair
        count = jnp.floor(jnp.abs(now - last) + 1e-9)
        sign = jnp.sign(now - last)
        crossed = last + sign * ordinal
        step = jnp.where(now == before, 1, now - before)
        late = jnp.where(ordinal <= count, jnp.clip((crossed - before) / step, 0, 1), jnp.inf)
        return last + sign * count, (late, sign > 0)

    start = jnp.zeros_like(levels[0])
    _, (late, bright) = jax.lax.scan(frame, start, (levels[:-1], levels[1:]))
    real = jnp.isfinite(late)
    (found,) = jnp.nonzero(real.ravel(), size=max_events, fill_value=real.size)
    when, _, pixel = jnp.unravel_index(jnp.minimum(found, real.size - 1), real.shape)
    times = jnp.where(found < real.size, when + late.ravel()[found % real.size], jnp.inf)
    bright, overflow = bright[when, pixel].astype(jnp.int32), real.sum() > max_events
    if background and key is not None:
        noise, too_many = _background(background, jax.random.fold_in(key, 1), image.dtype)
        times, pixel, bright = map(jnp.append, (times, pixel, bright), noise)
        overflow |= too_many | (jnp.isfinite(times).sum() > max_events)
    order = jnp.argsort(times)[:max_events]
    pixel = pixel[order]
    return CameraEvents(times[order], pixel % FRAME, pixel // FRAME, bright[order], overflow)


def _background(rate: float, key, dtype):
    """Times, pixels and polarities of events out of nothing, and whether there is no room."""
    mean = rate * FRAME**2 * DURATION
    room = math.ceil(mean + 8 * math.sqrt(mean)) + 8
    keys = jax.random.split(key, 4)
    count = jax.random.poisson(keys[0], mean)
    times = DURATION * jax.random.uniform(keys[1], (room,), dtype)
    pixel = jax.random.randint(keys[2], (room,), 0, FRAME**2, jnp.int32)
    bright = jax.random.bernoulli(keys[3], shape=(room,)).astype(jnp.int32)
    return (jnp.where(jnp.arange(room) < count, times, jnp.inf), pixel, bright), count > room


def nmnist_raster(
    image: Float[Array, "height width"],
    *,
    threshold: float = 0.45,
    bin_ms: int = 3,
    dtype: str = "float32",
) -> Num[Array, "bins channels"]:
    """`camera_raster` of `nmnist_sim` without noise, many times as fast: no list of events is made.

    Args:
        image: as for `nmnist_sim`, [28, 28] (dimensionless).
        threshold: as for `nmnist_sim` (change of the natural logarithm).
        bin_ms: width of the bins, a whole number (ms).
        dtype: of the result, such as uint8 to save memory.

    Returns:
        [bins, 2312], channels as in `camera_raster` (dimensionless).

    Raises:
        ValueError: for another shape, a threshold that is too small, or a bin below 1.

    Source: as for `nmnist_sim`.
    """
    if bin_ms < 1:
        raise ValueError(f"bin_ms is {bin_ms}; a whole number >= 1 is required")
    _check(image, threshold)
    levels = _levels(image, threshold)

    def frame(last, pair):
        before, now = pair
        count = jnp.floor(jnp.abs(now - last) + 1e-9)
        sign = jnp.sign(now - last)
        step = jnp.where(now == before, 1, now - before)
        after = last + sign * count
        first, final = (jnp.clip((x - before) / step, 0, 1) for x in (last + sign, after))
        fired = jnp.stack([sign < 0, sign > 0]) & (count > 0)
        return after, (fired & (first < 1), fired & (final >= 1))

    start = jnp.zeros_like(levels[0])
    _, (inside, end) = jax.lax.scan(frame, start, (levels[:-1], levels[1:]))
    # What comes at the very end of a millisecond belongs to the next one, if there is one.
    moved = jnp.concatenate([jnp.zeros_like(end[:1]), end[:-1]]).at[-1].max(end[-1])
    bins = math.ceil(DURATION / bin_ms)
    each = jnp.pad(inside | moved, ((0, bins * bin_ms - DURATION), (0, 0), (0, 0)))
    return each.reshape(bins, bin_ms, -1).any(axis=1).astype(dtype)


def camera_raster(
    events: CameraEvents, *, bin_ms: float = 3.0, dtype: str = "float32"
) -> Float[Array, "bins channels"]:
    """A recording on a time grid: 1 where a channel has at least one event in a bin.

    Args:
        events: the recording, leaves [events].
        bin_ms: width of the bins, positive (ms).
        dtype: of the result.

    Returns:
        [bins, 2312], channel p 34 34 + 34 y + x of polarity p (dimensionless).

    Raises:
        ValueError: for a bin that is not positive.
    """
    if not bin_ms > 0:
        raise ValueError(f"bin_ms is {bin_ms}; a positive number is required")
    bins = math.ceil(DURATION / bin_ms)
    real = jnp.isfinite(events.times)
    when = jnp.floor(jnp.where(real, events.times, 0) / bin_ms).astype(jnp.int32)
    when = jnp.where(real, jnp.minimum(when, bins - 1), bins)
    channel = (events.polarity * FRAME + events.y) * FRAME + events.x
    return jnp.zeros((bins, 2 * FRAME**2), dtype).at[when, channel].set(1, mode="drop")


def camera_path() -> Float[np.ndarray, "frames 2"]:
    """Displacement (x, y) of the digit in each millisecond (pixels)."""
    corners = np.array(CORNERS)
    time = np.arange(DURATION + 1)
    saccade = np.minimum(time // (SACCADE + REST), len(corners) - 2)
    share = np.clip((time - saccade * (SACCADE + REST)) / SACCADE, 0, 1)
    progress = 10 * share**3 - 15 * share**4 + 6 * share**5
    start, end = corners[saccade], corners[saccade + 1]
    return start + progress[:, None] * (end - start)


def _check(image, threshold: float) -> None:
    if image.shape != (28, 28):
        raise ValueError(f"image has shape {image.shape}; expected (28, 28). Use jax.vmap")
    if not threshold >= LEAST:
        raise ValueError(f"threshold is {threshold}; at least {LEAST} is required")


def _levels(image, thresholds):
    """Logarithms of brightness in each frame, [frames, pixels], in units of the threshold and from
    the start on: the level of the last event is a whole number."""
    brightness = jax.vmap(partial(_moved, image))(jnp.asarray(camera_path(), image.dtype))
    levels = jnp.log(brightness + DARK).reshape(DURATION + 1, -1)
    return (levels - levels[0]) / thresholds


def _moved(image, displacement):
    """The digit in the frame, with bilinear interpolation and darkness around it."""
    u, v = (jnp.arange(FRAME, dtype=image.dtype) - MARGIN - displacement[axis] for axis in (0, 1))
    return _mixing(v, image.shape[0]) @ image @ _mixing(u, image.shape[1]).T


def _mixing(place, size):
    """How much each source pixel counts at each place: a triangle of width 1."""
    return jnp.maximum(0, 1 - jnp.abs(place[:, None] - jnp.arange(size)))
