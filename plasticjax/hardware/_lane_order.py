"""The order of the columns in rows of 16-bit values as the processor stores them."""

import numpy as np
from jaxtyping import ArrayLike, Shaped

COLUMNS = 256


def columns_from_row16(
    stored: Shaped[ArrayLike, "*rows columns"],
) -> Shaped[np.ndarray, "*rows columns"]:
    """Puts stored rows of 16-bit values, such as states of synapses, into the order of the columns.

    The processor widens a half row of bytes in slices of 16: the first 8 lanes of each slice go to
    the left quarter, the others to the right one, so that the elements of a row in memory are
    permuted. Emitted kernels never see this, because narrowing restores the order; a host that
    reads 16-bit rows from memory does. Source: the public hardware description of the vector unit.
    The order of the quarters, even left, even right, odd left, odd right, is assumed, and nothing
    of this has been checked on a chip.

    Args:
        stored: rows as they lie in memory, [..., 256] (any unit).

    Returns:
        The same values, same shape, by column (in the same unit).

    Raises:
        ValueError: if the rows do not have 256 elements.
    """
    rows = np.asarray(stored)
    if rows.shape[-1:] != (COLUMNS,):
        raise ValueError(f"stored must have rows of {COLUMNS} elements, got shape {rows.shape}")
    return rows[..., _place_of_column()]


def _place_of_column() -> np.ndarray:
    """Where the element of each column lies in memory."""
    column = np.arange(COLUMNS)
    odd, lane = column % 2, column // 2
    right = lane % 16 >= 8
    return 128 * odd + 64 * right + 8 * (lane // 16) + lane % 8
