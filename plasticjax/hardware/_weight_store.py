"""Weights of placed networks in logical order, which every back-end keeps."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ._placement import Placement


class WeightStore:
    """Keeps weights by placement; forgets those of placements that nobody holds any more."""

    def __init__(self):
        self._weights: WeakKeyDictionary[Placement, dict[str, Any]] = WeakKeyDictionary()

    def _register(self, placement: Placement) -> Placement:
        net = placement.network
        zeros = {name: np.zeros(net.mask(name).shape, np.int32) for name in net.projections}
        self._weights[placement] = zeros
        return placement

    def _of(self, placement: Placement) -> dict[str, Any]:
        if placement not in self._weights:
            raise ValueError("placement is not of this back-end, or it was closed; call map")
        return self._weights[placement]

    def load_weights(self, placement: Placement, weights: Mapping[str, Any]) -> None:
        """Sets weights.

        Args:
            placement: what `map` returned.
            weights: signed integers [post, pre] by projection (LSB); others stay.

        Raises:
            ValueError: if the chip cannot hold them, or the placement is of another back-end.
        """
        net = placement.network
        checked = {name: net.check_weights(name, values) for name, values in weights.items()}
        self._of(placement).update(checked)

    def read_weights(self, placement: Placement) -> dict[str, np.ndarray]:
        """The weights: as loaded, or as the last call of a rule left them.

        Args:
            placement: what `map` returned.

        Returns:
            Signed integers [post, pre] by projection (LSB).

        Raises:
            ValueError: if the placement is of another back-end.
        """
        return {name: values.copy() for name, values in self._of(placement).items()}
