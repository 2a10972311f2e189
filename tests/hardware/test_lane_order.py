"""Stored rows of 16-bit values: the permutation of the vector unit and its inverse."""

import numpy as np
import pytest

from plasticjax.hardware import columns_from_row16


def widened(columns):
    """A row in memory, lane by lane as the description of the vector unit has it."""
    quarters = {name: np.zeros(64, int) for name in ("el", "er", "ol", "or")}
    for parity, half in (("e", columns[::2]), ("o", columns[1::2])):
        for lane, value in enumerate(half):
            side = "l" if lane % 16 < 8 else "r"
            quarters[parity + side][8 * (lane // 16) + lane % 8] = value
    return np.concatenate([quarters[name] for name in ("el", "er", "ol", "or")])


def test_stored_rows_return_to_the_order_of_the_columns():
    rows = np.random.default_rng(0).integers(-(2**15), 2**15, (3, 2, 256))
    stored = np.apply_along_axis(widened, -1, rows)
    np.testing.assert_array_equal(columns_from_row16(stored), rows)
    assert not np.array_equal(stored, rows)


def test_places_of_some_columns():
    places = columns_from_row16(np.arange(256))
    assert places[[0, 2, 14, 16, 32, 1, 17, 255]].tolist() == [0, 1, 7, 64, 8, 128, 192, 255]


def test_rows_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"rows of 256 elements, got shape \(128,\)"):
        columns_from_row16(np.zeros(128))
