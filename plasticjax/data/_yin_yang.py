"""The Yin-Yang data set: Kriener, Goeltz & Petrovici, NICE 2022, doi 10.1145/3517343.3517380."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

# Seed and size of the published splits.
SPLITS = {"train": (42, 5000), "validation": (41, 1000), "test": (40, 1000)}

# A disc point has class 0 (or class 1) with probability 0.46 at the published radii, so that all
# candidates of a sample miss with probability 0.54**64 = 7e-18.
CANDIDATES = 64


def yin_yang(
    size: int, *, seed: int, r_small: float = 0.1, r_big: float = 0.5
) -> tuple[Float[np.ndarray, "size 4"], Int[np.ndarray, " size"]]:
    """Yin-Yang samples, bit-identical to the published generator.

    Each sample draws a class first and then points of the square until one lies in the disc and
    has that class. A smaller set is therefore the beginning of a larger one with the same seed:
    never use one seed for two splits.

    Args:
        size: number of samples.
        seed: seed of NumPy's legacy generator, 0 to 2**32 - 1. The published splits are those of
            [`yin_yang_split`][plasticjax.data.yin_yang_split].
        r_small: radius of the two dots, dimensionless.
        r_big: radius of the disc, whose centre is `(r_big, r_big)`, dimensionless.

    Returns:
        Features `[size, 4]`, float64, each `(x, y, 1 - x, 1 - y)`, dimensionless; and labels
        `[size]`, int64, 0 ("yin"), 1 ("yang") or 2 ("dot"). The mirror image uses the constant 1,
        so that it leaves the disc's range if `r_big` is not 0.5.

    Raises:
        ValueError: if `size` is negative, `seed` out of range, or the dots do not fit the disc.

    Source: `dataset.py` of `lkriener/yin_yang_data_set`.
    """
    _check_radii(r_small, r_big)
    if size < 0:
        raise ValueError(f"size is {size}; a number of samples >= 0 is required")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed}; 0 <= seed < 2**32 is required")
    rng = np.random.RandomState(seed)
    points = np.empty((size, 2))
    labels = np.empty(size, np.int64)
    for i in range(size):
        labels[i] = goal = rng.randint(3)
        points[i] = _draw_point(rng, goal, r_small, r_big)
    return np.concatenate([points, 1.0 - points], axis=1), labels


def yin_yang_split(
    split: str,
) -> tuple[Float[np.ndarray, "size 4"], Int[np.ndarray, " size"]]:
    """A published split of the Yin-Yang data set.

    Args:
        split: `"train"` (5000 samples, seed 42), `"validation"` (1000, 41) or `"test"` (1000, 40).

    Returns:
        Features `[size, 4]`, float64, dimensionless, and labels `[size]`, int64, as
        [`yin_yang`][plasticjax.data.yin_yang] returns them.

    Raises:
        ValueError: if there is no such split.

    Source: Kriener, Goeltz & Petrovici, NICE 2022, doi 10.1145/3517343.3517380.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; valid splits: {', '.join(map(repr, SPLITS))}")
    seed, size = SPLITS[split]
    return yin_yang(size, seed=seed)


def yin_yang_batch(
    key: PRNGKeyArray, size: int, *, r_small: float = 0.1, r_big: float = 0.5
) -> tuple[Float[Array, "size 4"], Int[Array, " size"]]:
    """Fresh Yin-Yang samples from a JAX key: the same distribution, but not the same numbers.

    The class is drawn uniformly. A dot is a uniform point of one of the two small discs; a point of
    class 0 or 1 is the first of 64 uniform points of the big disc that has the class.

    Args:
        key: random key.
        size: number of samples; static under `jit`.
        r_small: radius of the two dots, dimensionless.
        r_big: radius of the disc, dimensionless.

    Returns:
        Features `[size, 4]` in JAX's default float dtype, dimensionless, and labels `[size]` in
        its default int dtype. Each label is `yin_yang_class` of its point in that dtype.

    Raises:
        ValueError: if `size` is negative or the dots do not fit the disc.

    Source: the distribution of `dataset.py` of `lkriener/yin_yang_data_set`.
    """
    _check_radii(r_small, r_big)
    if size < 0:
        raise ValueError(f"size is {size}; a number of samples >= 0 is required")

    def sample(key: PRNGKeyArray) -> Float[Array, " 2"]:
        goal_key, disc_key = jax.random.split(key)
        goal, side = jnp.divmod(jax.random.randint(goal_key, (), 0, 6), 2)
        disc = _unit_disc(disc_key, CANDIDATES + 1)
        candidates = r_big + r_big * disc[1:]
        hit = yin_yang_class(candidates, r_small=r_small, r_big=r_big) == goal
        centre = jnp.array([0.5 * r_big, r_big]) + jnp.array([r_big, 0.0]) * side
        return jnp.where(goal == 2, centre + r_small * disc[0], candidates[jnp.argmax(hit)])

    points = jax.vmap(sample)(jax.random.split(key, size))
    labels = jnp.asarray(yin_yang_class(points, r_small=r_small, r_big=r_big))
    return jnp.concatenate([points, 1.0 - points], axis=1), labels


def yin_yang_class(
    xy: Float[Array, "*points 2"] | Float[np.ndarray, "*points 2"],
    *,
    r_small: float = 0.1,
    r_big: float = 0.5,
) -> Int[Array, "*points"] | Int[np.ndarray, "*points"]:
    """The Yin-Yang class of points of the plane, also of points outside the disc.

    Computed in the dtype of `xy`. Float32 coordinates can fall on the other side of a border: the
    labels of the published splits need float64. Exactly on a border the last bit decides, which
    may differ between NumPy and `jit`.

    Args:
        xy: points `[..., 2]`, dimensionless; a NumPy or a JAX array.
        r_small: radius of the two dots, dimensionless.
        r_big: radius of the disc, whose centre is `(r_big, r_big)`, dimensionless.

    Returns:
        Classes `[...]`: 0 ("yin"), 1 ("yang") or 2 ("dot"); int64 for a NumPy array, JAX's default
        int dtype for a JAX array.

    Raises:
        ValueError: if the last axis of `xy` does not have 2 entries, or the dots do not fit the
            disc.

    Source: `which_class` in `dataset.py` of `lkriener/yin_yang_data_set`.
    """
    _check_radii(r_small, r_big)
    if xy.ndim == 0 or xy.shape[-1] != 2:
        raise ValueError(f"xy has shape {xy.shape}; the last axis must hold the 2 coordinates")
    xp = jnp if isinstance(xy, jax.Array) else np
    dot, upper = _regions(xy[..., 0], xy[..., 1], r_small, r_big, xp.sqrt)
    return xp.where(dot, 2, xp.where(upper, 1, 0))


def _regions(x: Any, y: Any, r_small: float, r_big: float, sqrt: Any) -> tuple[Any, Any]:
    """Whether a point is in a dot, and if not, whether it is in the upper of the two figures.

    Every comparison, strict or not, is the published generator's.
    """
    right = sqrt((x - 1.5 * r_big) ** 2 + (y - r_big) ** 2)
    left = sqrt((x - 0.5 * r_big) ** 2 + (y - r_big) ** 2)
    ring = right <= r_small
    lobe = (left > r_small) & (left <= 0.5 * r_big)
    half = (y > r_big) & (right > 0.5 * r_big)
    return (right < r_small) | (left < r_small), ring | lobe | half


def _draw_point(
    rng: np.random.RandomState, goal: int, r_small: float, r_big: float
) -> tuple[float, float]:
    while True:
        x = rng.random_sample() * 2.0 * r_big
        y = rng.random_sample() * 2.0 * r_big
        if math.sqrt((x - r_big) ** 2 + (y - r_big) ** 2) > r_big:
            continue
        dot, upper = _regions(x, y, r_small, r_big, math.sqrt)
        if (2 if dot else int(upper)) == goal:
            return x, y


def _unit_disc(key: PRNGKeyArray, size: int) -> Float[Array, "size 2"]:
    radius_key, angle_key = jax.random.split(key)
    radius = jnp.sqrt(jax.random.uniform(radius_key, (size,)))
    angle = jax.random.uniform(angle_key, (size,), maxval=2 * jnp.pi)
    return radius[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)


def _check_radii(r_small: float, r_big: float) -> None:
    if not 0 < r_big < math.inf:
        raise ValueError(f"r_big is {r_big}; a positive finite radius is required")
    if not 0 < r_small <= r_big / 2:
        raise ValueError(f"r_small is {r_small}; 0 < r_small <= r_big / 2 = {r_big / 2} required")
