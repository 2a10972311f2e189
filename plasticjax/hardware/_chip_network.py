"""A network as a back-end takes it: populations, sources and projections, in logical order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from ._chip_config import NeuronSettings

RECEPTORS = ("excitatory", "inhibitory", "signed")
LOWEST = {"excitatory": 0, "inhibitory": -63, "signed": -63}
HIGHEST = {"excitatory": 63, "inhibitory": 0, "signed": 63}


@dataclass(frozen=True)
class NeuronPopulation:
    """Neurons on the chip.

    Attributes:
        size: number of neurons, 1 to 512.
        neurons: their parameters, each a scalar or [size] (LSB, us).
    """

    size: int
    neurons: NeuronSettings = field(default_factory=NeuronSettings)

    def __post_init__(self):
        if not 1 <= self.size <= 512:
            raise ValueError(f"size={self.size} must lie in [1, 512]")


@dataclass(frozen=True)
class Projection:
    """Synapses from a population or an external source to a population.

    Attributes:
        pre: name of a population or source.
        post: name of a population.
        receptor: "excitatory" (weights 0 to 63), "inhibitory" (-63 to 0) or "signed" (-63 to 63,
            two synapses for each).
        connected: which synapses exist, [post, pre]; None: all. See `from_list`.
        plastic: name of the rule that changes the weights; None: static.
        delay_us: must be 0: the chip has no delays (us).
    """

    pre: str
    post: str
    receptor: str = "excitatory"
    connected: Bool[np.ndarray, "post pre"] | None = None
    plastic: str | None = None
    delay_us: float = 0.0

    def __post_init__(self):
        if self.receptor not in RECEPTORS:
            raise ValueError(f"receptor={self.receptor!r}; valid: {', '.join(RECEPTORS)}")
        if self.delay_us != 0:
            raise ValueError(f"delay_us={self.delay_us} must be 0; the chip has no delays")

    @staticmethod
    def from_list(pairs: Any, post_size: int, pre_size: int) -> Bool[np.ndarray, "post pre"]:
        """The mask of a list of synapses, for `connected`.

        Args:
            pairs: (post, pre) of each synapse, [synapse, 2] (dimensionless).
            post_size: number of postsynaptic neurons.
            pre_size: number of presynaptic neurons.

        Returns:
            Which synapses exist, [post, pre].

        Raises:
            ValueError: if a number does not exist, or a pair is listed twice.
        """
        found = np.asarray(pairs, int).reshape(-1, 2)
        if np.any(found < 0) or np.any(found >= (post_size, pre_size)):
            raise ValueError(f"pairs must lie in [0, {post_size - 1}] and [0, {pre_size - 1}]")
        if len(np.unique(found, axis=0)) < len(found):
            raise ValueError("pairs lists a synapse twice")
        mask = np.zeros((post_size, pre_size), bool)
        mask[found[:, 0], found[:, 1]] = True
        return mask


@dataclass(frozen=True)
class ChipNetwork:
    """What is put on a chip. Names are any text; none of them enters emitted code.

    Attributes:
        populations: neurons by name.
        sources: numbers of external inputs by name.
        projections: synapses by name.
    """

    populations: Mapping[str, NeuronPopulation]
    projections: Mapping[str, Projection]
    sources: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self):
        if not self.populations:
            raise ValueError("populations is empty; a network needs at least one")
        if both := self.populations.keys() & self.sources.keys():
            raise ValueError(f"{_list(both)} name populations as well as sources")
        for name, size in self.sources.items():
            if size < 1:
                raise ValueError(f"sources[{name!r}]={size} must be positive")
        for name, projection in self.projections.items():
            self._check(name, projection)

    def size(self, name: str) -> int:
        """How many neurons a population has, or spike trains a source.

        Args:
            name: of the population or source.

        Returns:
            The number.
        """
        return self.sources[name] if name in self.sources else self.populations[name].size

    def mask(self, name: str) -> Bool[np.ndarray, "post pre"]:
        """Which synapses a projection has.

        Args:
            name: of the projection.

        Returns:
            Mask [post, pre] (dimensionless).
        """
        projection = self.projections[name]
        shape = (self.size(projection.post), self.size(projection.pre))
        given = projection.connected
        return np.ones(shape, bool) if given is None else np.asarray(given, bool)

    def check_weights(self, name: str, weights: Any) -> Int[np.ndarray, "post pre"]:
        """Weights of a projection, if the chip can hold them.

        Args:
            name: of the projection.
            weights: [post, pre] (LSB); where no synapse is, 0.

        Returns:
            The same as integers.

        Raises:
            ValueError: for a wrong shape, what is no integer, or what has the wrong sign or size.
        """
        if name not in self.projections:
            raise ValueError(f"no projection {name!r}; there are {_list(self.projections)}")
        receptor, mask = self.projections[name].receptor, self.mask(name)
        array = np.asarray(weights)
        if array.shape != mask.shape:
            raise ValueError(f"weights of {name!r}: shape {array.shape}; expected {mask.shape}")
        with np.errstate(invalid="ignore"):
            whole = np.issubdtype(array.dtype, np.number) and np.all(array == np.round(array))
        if not whole:
            raise ValueError(f"weights of {name!r} must be integers; round them, NaN has no weight")
        low, high = LOWEST[receptor], HIGHEST[receptor]
        if np.any(array < low) or np.any(array > high):
            raise ValueError(
                f"weights of {name!r} ({receptor}) must lie in [{low}, {high}], got "
                f"[{array.min()}, {array.max()}]"
            )
        if np.any(array[~mask] != 0):
            raise ValueError(f"weights of {name!r} must be 0 where no synapse is")
        return array.astype(np.int32)

    def _check(self, name: str, projection: Projection) -> None:
        if projection.post not in self.populations:
            raise ValueError(
                f"projections[{name!r}].post={projection.post!r} must be one of the populations "
                f"{_list(self.populations)}"
            )
        if projection.pre not in {*self.populations, *self.sources}:
            raise ValueError(
                f"projections[{name!r}].pre={projection.pre!r} must be a population or source: "
                f"{_list({*self.populations, *self.sources})}"
            )
        if projection.connected is not None:
            expected = (self.size(projection.post), self.size(projection.pre))
            if np.shape(projection.connected) != expected:
                raise ValueError(
                    f"projections[{name!r}].connected has the shape "
                    f"{np.shape(projection.connected)}; expected [post, pre] = {expected}"
                )


def _list(names: Any) -> str:
    return ", ".join(repr(name) for name in sorted(names)) or "none"
