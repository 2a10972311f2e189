"""What enters a network: spike trains, or generators that are described by a few numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._chip_network import ChipNetwork


@dataclass(frozen=True)
class PoissonInput:
    """Independent Poisson spikes of all neurons of a source, from a generator on the chip.

    Attributes:
        rate_khz: rate of each neuron (kHz).
        seed: of the generator (dimensionless).
    """

    rate_khz: float
    seed: int = 1234

    def __post_init__(self):
        if not 0 < self.rate_khz <= 125e3:
            raise ValueError(f"rate_khz={self.rate_khz} must lie in (0, 125000]")


@dataclass(frozen=True)
class RegularInput:
    """The same regular spikes of all neurons of a source.

    Attributes:
        period_us: time between spikes (us).
        start_us: first spike (us).
    """

    period_us: float
    start_us: float = 0.0

    def __post_init__(self):
        if not self.period_us >= 0.008:
            raise ValueError(f"period_us={self.period_us} must be at least 0.008")
        if not self.start_us >= 0:
            raise ValueError(f"start_us={self.start_us} must not be negative")


Input = PoissonInput | RegularInput | Sequence[Any]


def check_stimulus(
    network: ChipNetwork, stimulus: Mapping[str, Input], duration_us: float
) -> dict[str, PoissonInput | list[np.ndarray]]:
    """The stimulus with regular inputs as spike trains; sources that are left out are silent."""
    if not duration_us > 0:
        raise ValueError(f"duration_us={duration_us} must be positive")
    if unknown := sorted(stimulus.keys() - network.sources.keys()):
        raise ValueError(f"stimulus names {unknown}, which are no sources of the network")
    found: dict[str, PoissonInput | list[np.ndarray]] = {}
    for name, size in network.sources.items():
        given = stimulus.get(name, [()] * size)
        if isinstance(given, PoissonInput):
            found[name] = given
            continue
        if isinstance(given, RegularInput):
            given = [np.arange(given.start_us, duration_us, given.period_us)] * size
        if len(given) != size:
            raise ValueError(f"stimulus[{name!r}] has {len(given)} trains; the source has {size}")
        found[name] = [_train(name, train, duration_us) for train in given]
    return found


def _train(name: str, train: Any, duration_us: float) -> np.ndarray:
    times = np.asarray(train, np.float64)
    if times.ndim != 1:
        raise ValueError(f"stimulus[{name!r}]: each train must be [spike], got {times.shape}")
    if np.any(~(times >= 0)) or np.any(times > duration_us):
        raise ValueError(f"stimulus[{name!r}]: times must lie in [0, {duration_us:g}] us")
    if np.any(np.diff(times) < 0):
        raise ValueError(f"stimulus[{name!r}]: times must be sorted")
    return times
