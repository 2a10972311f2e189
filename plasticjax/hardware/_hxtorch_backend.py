"""The chip as a back-end, through hxtorch: feed-forward networks without plasticity."""

import importlib.util
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, Key

from . import _hxtorch_calls as calls
from ._backend import (
    BackendUnavailable,
    RecordSpec,
    RuleHandle,
    RunResult,
    RunStats,
    Scheduled,
    Spikes,
)
from ._chip_network import ChipNetwork
from ._chip_profile import ChipProfile
from ._placement import Placement, place
from ._program import IntegerProgram
from ._stimulus import Input, PoissonInput, check_stimulus
from ._weight_store import WeightStore

PARAMETERS = ("leak", "reset", "threshold", "tau_mem", "tau_exc", "tau_ref", "gain_code",
              "dac_code")  # fmt: skip


class HxtorchBackend(WeightStore):
    """Runs feed-forward networks on a BrainScaleS-2 chip, with `hxtorch`.

    For learning in the loop: spikes of the chip, gradients of `measured_spike_times`. Never run on
    a chip so far: see "What is not tested" on the page about the chip.

    Attributes:
        dt_us: grid of input and output spikes (us).
    """

    name: str = "hxtorch"
    is_hardware: bool = True
    capabilities: frozenset[str] = frozenset()

    def __init__(self, dt_us: float = 1.0):
        if not dt_us > 0:
            raise ValueError(f"dt_us={dt_us} must be positive")
        self.dt_us = dt_us
        self._software = _connect()
        super().__init__()

    def map(self, net: ChipNetwork, profile: ChipProfile | None = None) -> Placement:
        """Checks that a network is a chain of layers and fits.

        Args:
            net: one source, and populations of which each has one projection from the one before.
            profile: must be None: a chip is what it is (LSB, us).

        Returns:
            The placement, whose weights are 0.

        Raises:
            ValueError: if a profile is given or the network is not such a chain.
        """
        if profile is not None:
            raise ValueError("profile is for the emulator; a chip has its own imperfections")
        _chain(net)
        for name, population in net.populations.items():
            if population.neurons.conductance or population.neurons.exponential:
                raise ValueError(f"{name!r}: this back-end has leaky integrate-and-fire neurons")
            for parameter in PARAMETERS:
                if np.ndim(getattr(population.neurons, parameter)):
                    raise ValueError(f"{parameter} of {name!r} must be a scalar on this back-end")
        placement = place(net)
        return self._register(placement)

    def compile_rule(self, rule: IntegerProgram, placement: Placement) -> RuleHandle:
        """Refuses: this path is for gradients.

        Args:
            rule: what `lower` returned.
            placement: what `map` returned.

        Returns:
            Nothing.

        Raises:
            ValueError: always; `get_backend("pynn")` runs rules.
        """
        raise ValueError("the hxtorch back-end runs no plasticity rules; use get_backend('pynn')")

    def close(self) -> None:
        """Gives the chip back."""
        self._weights.clear()
        calls.end(self._software)

    def run(
        self,
        placement: Placement,
        stimulus: Mapping[str, Input],
        duration_us: float,
        plasticity: Sequence[Scheduled] = (),
        record: RecordSpec | None = None,
        key: Key[Array, ""] | None = None,
    ) -> RunResult:
        """Runs the network from rest; all spikes are on the grid of `dt_us`.

        Args:
            placement: what `map` returned.
            stimulus: spike times [spike] of each input (us); no Poisson generators.
            duration_us: how long (us).
            plasticity: must be empty.
            record: spikes only.
            key: must be None: the noise of a chip has no key (scalar).

        Returns:
            Spikes; statistics of events are not known (-1).

        Raises:
            ValueError: if something else is asked for, or two spikes fall into one step.
        """
        began = time.perf_counter()
        recorded = record is not None and (record.membranes or record.madc)
        if plasticity or recorded or key is not None:
            raise ValueError("the hxtorch back-end has no plasticity, membranes or keys")
        net = placement.network
        given = check_stimulus(net, stimulus, duration_us)
        steps = round(duration_us / self.dt_us)
        layers = [self._layer(placement, name) for name in _chain(net)]
        (source,) = given
        found = calls.forward(self._software, layers, self._dense(given[source], steps), self.dt_us)
        spikes = {}
        for name, dense in zip(_chain(net), found, strict=True):
            step, ids = np.nonzero(dense)
            spikes[net.projections[name].post] = Spikes(self.dt_us * step, ids)
        return RunResult(
            *(spikes, {}, {}, {}),
            RunStats(-1, -1, -1, time.perf_counter() - began, duration_us),
            self.name,
            "unknown",
            self.is_hardware,
        )

    def _layer(self, placement: Placement, name: str) -> calls.Layer:
        population = placement.network.populations[placement.network.projections[name].post]
        of = {parameter: float(getattr(population.neurons, parameter)) for parameter in PARAMETERS}
        return calls.Layer(self._of(placement)[name], of)

    def _dense(self, trains: Any, steps: int) -> np.ndarray:
        if isinstance(trains, PoissonInput):
            raise ValueError("the hxtorch back-end takes spike times, no Poisson generators")
        counts = np.zeros((steps, len(trains)), int)
        for own, times in zip(counts.T, trains, strict=True):
            np.add.at(own, np.minimum(np.round(times / self.dt_us).astype(int), steps - 1), 1)
        if np.any(counts > 1):
            raise ValueError(f"two spikes of an input fall into one step of dt_us={self.dt_us}")
        return counts.astype(np.float32)


def _chain(net: ChipNetwork) -> list[str]:
    """Projections of a chain of layers, in its order."""
    if len(net.sources) != 1 or len(net.projections) != len(net.populations):
        raise ValueError("the hxtorch back-end needs one source and one projection per population")
    (layer,) = net.sources
    found: list[str] = []
    for _ in net.projections:
        leaving = [name for name, p in net.projections.items() if p.pre == layer]
        if len(leaving) != 1 or net.projections[leaving[0]].connected is not None:
            raise ValueError(f"{layer!r} must have one dense projection to a next layer")
        found += leaving
        layer = net.projections[leaving[0]].post
    if len(set(found)) < len(net.projections):
        raise ValueError("the network must be a chain of layers without recurrence")
    return found


def _connect() -> calls.Software:
    for package in ("torch", "hxtorch"):
        if importlib.util.find_spec(package) is None:
            raise BackendUnavailable(f"the package {package!r} is not installed")
    try:
        software = calls.software()
        calls.begin(software)
    except Exception as error:  # of any type: the software of the chip raises C++ exceptions
        raise BackendUnavailable(f"no BSS-2 connection could be opened: {error}") from error
    return software
