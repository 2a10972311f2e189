"""What every back-end can do, whether a chip or its emulator: structural types, no base class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ._chip_network import ChipNetwork
from ._chip_profile import ChipProfile
from ._placement import Placement
from ._program import IntegerProgram
from ._stimulus import Input


class BackendUnavailable(RuntimeError):
    """A chip was asked for and cannot be reached; the message says what is missing."""


@dataclass(frozen=True, eq=False)
class RuleHandle:
    """A rule in the form that a back-end runs.

    Attributes:
        program: the integer program.
        kernel: text of the C++ kernel of the same program.
        native: what the back-end made of it.
    """

    program: IntegerProgram
    kernel: str
    native: Any = None


@dataclass(frozen=True)
class Scheduled:
    """A rule, when it runs, and what the host tells it.

    Attributes:
        rule: what `compile_rule` returned.
        name: the name under which a projection asks for it, see `Projection.plastic`.
        start_us: first call (us).
        period_us: time between calls (us).
        calls: number of calls.
        values: of symbols and tables by their names, in the units of the signals: scalars,
            [pre] and [post] in logical order; what is left out is 0.
    """

    rule: RuleHandle
    name: str
    start_us: float
    period_us: float
    calls: int
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if not (self.start_us >= 0 and self.period_us > 0 and self.calls >= 1):
            raise ValueError(
                f"start_us={self.start_us} must not be negative, period_us={self.period_us} "
                f"positive, calls={self.calls} at least 1"
            )
        signals = {getattr(s, "name", "") for s in jax.tree.leaves(self.rule.program.signals)}
        if unknown := sorted(self.values.keys() - signals):
            raise ValueError(f"values names {unknown}, which the rule does not read")


@dataclass(frozen=True)
class RecordSpec:
    """What is recorded besides spikes.

    Attributes:
        membranes: numbers of the neurons whose membranes are recorded, by population.
        sample_us: time between samples of a membrane (us).
        weights: whether the weights of plastic projections are recorded after each call.
        madc: one or two neurons whose membranes the fast converter records, by population.
        madc_us: time between its conversions, which go to two neurons in turn (us); on a chip it
            is as configured there.
    """

    membranes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    sample_us: float = 1.7
    weights: bool = True
    madc: Mapping[str, Sequence[int]] = field(default_factory=dict)
    madc_us: float = 0.1

    def __post_init__(self):
        if sum(len(neurons) for neurons in self.madc.values()) > 2:
            raise ValueError(f"madc={self.madc} must name at most 2 neurons; there are 2 channels")


class Spikes(NamedTuple):
    """Spikes of a population, sorted by time.

    Attributes:
        times_us: [spike] (us).
        ids: number of the neuron in its population, [spike] (dimensionless).
    """

    times_us: Float[np.ndarray, " spike"]
    ids: Int[np.ndarray, " spike"]


class Membranes(NamedTuple):
    """Sampled membranes of a population.

    Attributes:
        times_us: [sample] (us).
        neurons: numbers in the population, [neuron] (dimensionless).
        values: as the converter reads them, [sample, neuron] (LSB).
    """

    times_us: Float[np.ndarray, " sample"]
    neurons: Int[np.ndarray, " neuron"]
    values: Float[np.ndarray, "sample neuron"]


class Trace(NamedTuple):
    """A membrane as the fast converter reads it.

    Attributes:
        times_us: [sample] (us).
        values: [sample] (LSB of 10 bits).
    """

    times_us: Float[np.ndarray, " sample"]
    values: Float[np.ndarray, " sample"]


class Series(NamedTuple):
    """Values at the calls of a rule.

    Attributes:
        times_us: [call] (us).
        values: [call, ...]; weights are [call, post, pre] (LSB).
    """

    times_us: Float[np.ndarray, " call"]
    values: Int[np.ndarray, "call ..."]


@dataclass(frozen=True)
class RunStats:
    """What did not go as planned, and how long it took.

    A number that a back-end cannot know is -1.

    Attributes:
        n_delayed: events that waited for their bus.
        n_dropped: events that were lost.
        n_skipped_slots: calls of rules that were missed.
        wall_s: duration of the run on the host (seconds).
        duration_us: emulated time (us).
    """

    n_delayed: int
    n_dropped: int
    n_skipped_slots: int
    wall_s: float
    duration_us: float


@dataclass(frozen=True)
class RunResult:
    """What a run leaves; the same on all back-ends.

    Attributes:
        spikes: by population.
        membranes: by population, of what was recorded.
        weights: by plastic projection, after each call.
        observables: other values that rules recorded, by name.
        stats: what did not go as planned.
        backend: name of the back-end.
        chip: which chip, or the profile of the emulated one, as text.
        is_hardware: whether a chip ran.
        verified_on_hardware: whether this back-end was ever checked on a chip: False until a
            record of `pytest --hardware` exists.
        madc: what the fast converter recorded, by population and number of the neuron.
    """

    spikes: Mapping[str, Spikes]
    membranes: Mapping[str, Membranes]
    weights: Mapping[str, Series]
    observables: Mapping[str, Series]
    stats: RunStats
    backend: str
    chip: str
    is_hardware: bool
    verified_on_hardware: bool = False
    madc: Mapping[str, Mapping[int, Trace]] = field(default_factory=dict)


@runtime_checkable
class Backend(Protocol):
    """What runs a network: the emulator or a chip.

    Synapses and neurons are in logical order everywhere, times in us, and there are no delays.

    Attributes:
        name: of the back-end.
        is_hardware: whether it is a chip.
        capabilities: of "plasticity", "cadc", "madc", "coba", "stp", "stdp", "labels".
    """

    name: str
    is_hardware: bool
    capabilities: frozenset[str]

    def map(self, net: ChipNetwork, profile: ChipProfile | None = None) -> Placement:
        """Finds a place on the chip for a network.

        Args:
            net: the network.
            profile: which chip is emulated (LSB, us); a chip is what it is and refuses one.

        Returns:
            The placement, whose weights are 0.
        """
        ...

    def load_weights(self, placement: Placement, weights: Mapping[str, Any]) -> None:
        """Sets weights.

        Args:
            placement: what `map` returned.
            weights: signed integers [post, pre] by projection (LSB).
        """
        ...

    def compile_rule(self, rule: IntegerProgram, placement: Placement) -> RuleHandle:
        """Prepares a rule.

        Args:
            rule: what `lower` returned.
            placement: what `map` returned.

        Returns:
            The rule for `Scheduled`.
        """
        ...

    def run(
        self,
        placement: Placement,
        stimulus: Mapping[str, Input],
        duration_us: float,
        plasticity: Sequence[Scheduled] = (),
        record: RecordSpec | None = None,
        key: Key[Array, ""] | None = None,
    ) -> RunResult:
        """Runs the network from rest. Weights stay as the rules leave them.

        Args:
            placement: what `map` returned.
            stimulus: input of each source: spike times [spike] of each of its neurons (us), or a
                generator.
            duration_us: how long (us).
            plasticity: rules of the plastic projections.
            record: what is recorded; default: spikes and weights.
            key: scalar key of the trial; a chip has its own noise.

        Returns:
            Spikes and what else was recorded.
        """
        ...

    def read_weights(self, placement: Placement) -> dict[str, Int[np.ndarray, "post pre"]]:
        """The weights.

        Args:
            placement: what `map` returned.

        Returns:
            Signed integers [post, pre] by projection (LSB).
        """
        ...

    def close(self) -> None:
        """Gives the chip back."""
        ...


def first_spikes(result: RunResult, population: str, size: int) -> Float[np.ndarray, " neuron"]:
    """The first spike of each neuron, for `measured_spike_times`: learning in the loop.

    Args:
        result: of a run.
        population: whose spikes.
        size: its number of neurons.

    Returns:
        Times [neuron] (us); `inf` for silent neurons.
    """
    times, ids = result.spikes[population]
    first = np.full(size, np.inf)
    np.minimum.at(first, ids, times)
    return first
