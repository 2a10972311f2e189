"""Recordings of the simulated event camera for networks on a time grid."""

from functools import partial
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, UInt8

from plasticjax.data import mnist, nmnist_raster

CHUNK = 50  # recordings that are tested at once


class Setting(Protocol):
    """What the configuration of an experiment must say."""

    @property
    def bin_ms(self) -> int: ...
    @property
    def dtype(self) -> str: ...


class Recordings(NamedTuple):
    """Rasters as small numbers, to save memory, and what they show."""

    rasters: UInt8[Array, "samples bins channels"]
    labels: Int[Array, " samples"]


def recordings(split: str, count: int, config: Setting) -> Recordings:
    """Of the first images."""
    images, labels = mnist(split)

    def record(image):
        return nmnist_raster(image.astype(config.dtype) / 255, bin_ms=config.bin_ms, dtype="uint8")

    record_all = jax.jit(partial(jax.lax.map, record, batch_size=10))
    return Recordings(record_all(jnp.asarray(images[:count])), jnp.asarray(labels[:count]))


def mean_over_chunks(measure, seen: Recordings, dtype: str):
    """The mean of `measure(rasters, labels, real, number)`, sums over the samples of a chunk that
    are `real`; no more than a chunk of floating point numbers is in memory."""
    count = len(seen.labels)
    chunks = -(-count // CHUNK)
    order = jnp.resize(jnp.arange(count), (chunks, CHUNK))
    real = jnp.arange(chunks * CHUNK).reshape(chunks, CHUNK) < count

    def one(chunk):
        number, picked, real = chunk
        return measure(seen.rasters[picked].astype(dtype), seen.labels[picked], real, number)

    sums = jax.lax.map(one, (jnp.arange(chunks), order, real))
    return jax.tree.map(lambda leaf: leaf.sum(axis=0) / count, sums)
