"""Where a network goes on the chip: greedy, first fit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from ._chip_config import EXCITATORY, INHIBITORY
from ._chip_events import event_word
from ._chip_network import ChipNetwork
from ._chip_profile import ChipProfile
from ._fixed_pattern import COLUMNS, HEMISPHERES, ROWS

# Synapses that do not exist listen to this label, which no source has.
NO_LABEL = 63
LABELS = 63
SIGNS = {"excitatory": (EXCITATORY,), "inhibitory": (INHIBITORY,)}


@dataclass(frozen=True, eq=False)
class Placement:
    """A network with its place on a chip. Logical order outside, rows and columns inside.

    Attributes:
        network: what was placed.
        profile: which chip is emulated; None on a real one.
        hemispheres: of each neuron, [neuron] by population (dimensionless).
        columns: of each neuron, [neuron] by population (dimensionless).
        rows: rows of each projection, [hemisphere, pre, 2]: excitatory and inhibitory; -1: none.
        labels: labels of the same, [hemisphere, pre]; -1: none.
        row_modes: [hemisphere, row]: 0 off, 1 excitatory, 2 inhibitory.
    """

    network: ChipNetwork
    profile: ChipProfile | None
    hemispheres: Mapping[str, Int[np.ndarray, " neuron"]]
    columns: Mapping[str, Int[np.ndarray, " neuron"]]
    rows: Mapping[str, Int[np.ndarray, "hemisphere pre 2"]]
    labels: Mapping[str, Int[np.ndarray, "hemisphere pre"]]
    row_modes: Int[np.ndarray, "hemisphere row"]
    fan_in_limit: int = field(default=ROWS, init=False)

    @property
    def rows_used(self) -> tuple[int, int]:
        """How many rows of the two hemispheres are used."""
        first, second = np.count_nonzero(self.row_modes, axis=1)
        return int(first), int(second)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Hemispheres, columns and rows of the smallest region that holds the network."""
        both = any(np.any(h == 1) for h in self.hemispheres.values())
        most = 1 + max(int(c.max()) for c in self.columns.values())
        used = np.flatnonzero(self.row_modes.any(0))
        last = int(used.max()) if used.size else 0
        return 1 + both, most, 2 * (last // 2 + 1)

    def words(self, pre: str) -> list[list[int]]:
        """The events that a spike of each neuron of a population or source causes.

        Args:
            pre: name of the population or source.

        Returns:
            Words of events, one list for each neuron.
        """
        found: list[list[int]] = [[] for _ in range(self.network.size(pre))]
        for name, projection in self.network.projections.items():
            if projection.pre != pre:
                continue
            for hemisphere, source in np.argwhere(self.labels[name] >= 0):
                row = int(self.rows[name][hemisphere, source].max())
                label = int(self.labels[name][hemisphere, source])
                found[source].append(int(event_word(row, label, int(hemisphere))))
        return found

    def physical(self, name: str) -> tuple[Any, ...]:
        """Indices of the synapses of a projection in arrays of the chip.

        Args:
            name: of the projection.

        Returns:
            Numbers [synapse] of post and pre, then hemispheres, columns, excitatory and inhibitory
            rows (-1: none), and labels.
        """
        projection = self.network.projections[name]
        post, pre = np.nonzero(self.network.mask(name))
        hemisphere = self.hemispheres[projection.post][post]
        column = self.columns[projection.post][post]
        rows = self.rows[name][hemisphere, pre]
        return post, pre, hemisphere, column, rows[:, 0], rows[:, 1], self.labels[name][
            hemisphere, pre
        ]  # fmt: skip


def place(network: ChipNetwork, profile: ChipProfile | None = None) -> Placement:
    """Finds neurons, rows and labels for a network.

    Populations fill one hemisphere after the other. A source of a plastic projection has rows of
    its own, two if signed, on every hemisphere that it reaches. Static projections share rows of
    their sign, with different labels, where they do not meet in a column.

    Args:
        network: what is placed.
        profile: which chip is emulated (LSB, us).

    Returns:
        The placement.

    Raises:
        ValueError: if neurons or rows do not suffice.
    """
    total = sum(population.size for population in network.populations.values())
    if total > HEMISPHERES * COLUMNS:
        raise ValueError(f"the populations have {total} neurons; the chip has 512")
    hemispheres, columns, first = {}, {}, 0
    for name, population in network.populations.items():
        numbers = np.arange(first, first + population.size)
        hemispheres[name], columns[name] = np.divmod(numbers, COLUMNS)
        first += population.size
    array = _Array()
    rows, labels = {}, {}
    for name, projection in network.projections.items():
        size = network.size(projection.pre)
        rows[name] = np.full((HEMISPHERES, size, 2), -1)
        labels[name] = np.full((HEMISPHERES, size), -1)
        mask, own = network.mask(name), hemispheres[projection.post]
        for hemisphere in range(HEMISPHERES):
            for source in range(size):
                here = mask[:, source] & (own == hemisphere)
                if not here.any():
                    continue
                used = np.zeros(COLUMNS, bool)
                used[columns[projection.post][here]] = True
                found = array.fit(
                    hemisphere, projection.receptor, used, exclusive=projection.plastic is not None
                )
                if found is None:
                    raise ValueError(_no_room(network, hemispheres, hemisphere, name))
                rows[name][hemisphere, source], labels[name][hemisphere, source] = found
    return Placement(network, profile, hemispheres, columns, rows, labels, array.modes)


class _Array:
    """Rows of both hemispheres: their sign, who uses them, and labels that drivers gave away."""

    def __init__(self):
        self.modes = np.zeros((HEMISPHERES, ROWS), int)
        self.used: Bool[np.ndarray, "hemisphere row column"] = np.zeros(
            (HEMISPHERES, ROWS, COLUMNS), bool
        )
        self.exclusive = np.zeros((HEMISPHERES, ROWS), bool)
        self.labels = np.zeros((HEMISPHERES, ROWS // 2), int)

    def fit(self, hemisphere: int, receptor: str, columns: Any, *, exclusive: bool):
        """Rows (excitatory, inhibitory) and a label, or None."""
        if receptor == "signed":
            even, odd = slice(0, None, 2), slice(1, None, 2)
            fits = self._fits(hemisphere, even, EXCITATORY, columns, exclusive) & self._fits(
                hemisphere, odd, INHIBITORY, columns, exclusive
            )
            first = 2 * np.flatnonzero(fits)[:1]
            taken = [(int(row) + sign, 1 + sign) for row in first for sign in (0, 1)]
        else:
            mode = SIGNS[receptor][0]
            fits = self._fits(hemisphere, slice(None), mode, columns, exclusive)
            taken = [(int(row), mode) for row in np.flatnonzero(fits)[:1]]
        if not taken:
            return None
        pair = [-1, -1]
        for row, mode in taken:
            self.modes[hemisphere, row] = mode
            self.used[hemisphere, row] |= columns
            self.exclusive[hemisphere, row] |= exclusive
            pair[mode - 1] = row
        driver = taken[0][0] // 2
        label = self.labels[hemisphere, driver]
        self.labels[hemisphere, driver] += 1
        return pair, label

    def _fits(self, hemisphere: int, which: slice, mode: int, columns: Any, exclusive: bool):
        modes = self.modes[hemisphere, which]
        labels = np.repeat(self.labels[hemisphere], 2)[which]
        free = (modes == 0) & (labels < LABELS)
        if exclusive:
            return free
        apart = ~np.any(self.used[hemisphere, which] & columns, axis=1)
        shared = (modes == mode) & apart & ~self.exclusive[hemisphere, which] & (labels < LABELS)
        return free | shared


def _no_room(network: ChipNetwork, hemispheres: Any, hemisphere: int, name: str) -> str:
    needed = 0
    for other, projection in network.projections.items():
        here = network.mask(other)[hemispheres[projection.post] == hemisphere]
        needed += int(here.any(0).sum()) * (2 if projection.receptor == "signed" else 1)
    return (
        f"no row left for {name!r} on hemisphere {hemisphere}: the projections have {needed} rows "
        f"of sources (signed ones two each), the chip {ROWS}; static projections share rows only "
        "where they do not meet in a column"
    )
