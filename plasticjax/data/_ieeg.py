import itertools
import math
import os
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ._cache import DataUnavailable

STEP = 2  # ms between two samples: 512 Hz, rounded as in the publication
SCALE = 200.0  # raw values of this size become 1


def ieeg(
    path: str | os.PathLike[str],
    *,
    starts: tuple[int, ...] = (0, 8000),
    duration: int = 8000,
    channels: int = 56,
    variable: str | None = None,
) -> Float[np.ndarray, "segment time channel"]:
    """Separate segments of an intracranial recording (iEEG) at 1 ms, for continuous targets.

    Samples at 512 Hz are taken as 2 ms apart, interpolated linearly to 1 ms, and divided by 200.
    The recording is a matrix; its axis with `channels` entries holds the channels.

    Args:
        path: a `.mat` file (up to MATLAB version 7.2), `.npy` or `.npz` file. Recordings of this
            kind are published in the SWEC-ETHZ iEEG database.
        starts: begin of each segment in ms; by default one for training and one for tests.
        duration: length of a segment in ms; segments must not overlap.
        channels: number of channels of the recording.
        variable: name of the matrix in a `.mat` or `.npz` file; None if it is the only one.

    Returns:
        Segments `[segment, time, channel]`, float64, at steps of 1 ms, in units of 200 raw units.

    Raises:
        ValueError: if the file cannot be read or does not hold one such matrix of finite numbers,
            or if the segments overlap or do not lie in the recording.
        DataUnavailable: if there is no such file.

    Source: Senn et al., A neuronal least-action principle for real-time learning in cortical
    circuits, eLife (2024), Fig. 3; data of Burrello et al. (2019).
    """
    path = Path(path)
    if not path.is_file():
        raise DataUnavailable(
            f"{path} not found. Recordings are published in the SWEC-ETHZ iEEG database "
            "(http://ieeg-swez.ethz.ch); plasticjax.data.multichannel_oscillations is a synthetic "
            "stand-in"
        )
    recording = oriented(path, read_matrix(path, variable), channels)
    check_segments(path, len(recording), starts, duration)
    times = np.array(starts)[:, None] + np.arange(duration)
    before, after = recording[times // STEP], recording[-(-times // STEP)]
    return (before + (times % STEP / STEP)[..., None] * (after - before)) / SCALE


def multichannel_oscillations(
    key: PRNGKeyArray, times: Float[Array, "*times"], *, channels: int = 56
) -> Float[Array, "*times channels"]:
    """A synthetic stand-in for a multichannel recording: mixed sines, no measured data.

    The sines `s_k(t) = sin(2 pi t / (6 + 2 k) + k)`, `k = 0, 1, ...`, t in ms, are mixed to
    `x = s + M s`, where M is drawn once per key, with variance `1 / channels` an entry. A channel
    has mean 0 and, over many keys, a standard deviation of 1. It is smooth in time.

    Args:
        key: random key, which fixes the mixing.
        times: any times, `[...]`, ms.
        channels: number of channels.

    Returns:
        Values `[..., channels]` in the dtype of `times`, dimensionless.

    Raises:
        ValueError: if `channels` is below 1.

    Source: our own; in place of the recording of Senn et al., eLife (2024), Fig. 3.
    """
    if channels < 1:
        raise ValueError(f"channels is {channels}; a number of channels >= 1 is required")
    k = jnp.arange(channels, dtype=times.dtype)
    period = 6 + 2 * k
    # The remainder is exact, so that late times lose no precision.
    cycles = jnp.mod(times[..., None], period) / period
    sines = jnp.sin(2 * jnp.pi * cycles + k)
    mixing = jax.random.normal(key, (channels, channels), times.dtype) / math.sqrt(channels)
    return sines + sines @ mixing.T


def read_matrix(path: Path, variable: str | None) -> np.ndarray:
    """The matrix in a file; nothing in the file is executed."""
    readers = {".mat": read_mat, ".npz": read_npz, ".npy": lambda path: {"": np.load(path)}}
    if path.suffix not in readers:
        raise ValueError(f"path is {path}; a file {', '.join(readers)} is required")
    try:
        arrays = readers[path.suffix](path)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(
            f"{path} cannot be read ({type(error).__name__}: {error}). A file of MATLAB version "
            "7.3 must be saved with '-v7' or as .npz; Python objects are not loaded"
        ) from error
    if variable is not None and path.suffix != ".npy":
        if variable not in arrays:
            raise ValueError(f"variable is {variable!r}; {path} holds {sorted(arrays)}")
        return arrays[variable]
    matrices = {name: a for name, a in arrays.items() if a.ndim == 2 and min(a.shape) > 1}
    if len(matrices) != 1:
        raise ValueError(
            f"{path} holds {len(matrices)} matrices {sorted(matrices)}; name one by `variable`"
        )
    return next(iter(matrices.values()))


def read_mat(path: Path) -> dict[str, np.ndarray]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        return {name: a for name, a in loadmat(path).items() if isinstance(a, np.ndarray)}
    except MatReadError as error:
        raise ValueError(str(error)) from error


def read_npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return dict(arrays)


def oriented(path: Path, matrix: np.ndarray, channels: int) -> Float[np.ndarray, "time channel"]:
    if matrix.dtype.kind not in "iuf" or channels not in matrix.shape or matrix.ndim != 2:
        raise ValueError(
            f"{path} holds an array of shape {matrix.shape} and dtype {matrix.dtype}; a real "
            f"matrix with one axis of {channels} channels is required"
        )
    matrix = matrix if matrix.shape[1] == channels else matrix.T
    recording = matrix.astype(np.float64)
    if not np.isfinite(recording).all():
        time, channel = np.argwhere(~np.isfinite(recording))[0]
        raise ValueError(f"{path} is not finite at sample {time} of channel {channel}")
    return recording


def check_segments(path: Path, samples: int, starts: tuple[int, ...], duration: int) -> None:
    end = STEP * (samples - 1)  # ms, of the last sample
    if duration < 1 or not starts or min(starts) < 0 or max(starts) + duration - 1 > end:
        raise ValueError(f"starts is {starts} and duration {duration}; {path} covers 0 to {end} ms")
    ordered = sorted(starts)
    if any(b - a < duration for a, b in itertools.pairwise(ordered)):
        raise ValueError(f"starts is {starts}; segments of {duration} ms must not overlap")
