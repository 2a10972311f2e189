"""The chip as a back-end, through PyNN."""

import importlib.util
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Key

from . import _pynn_calls as calls
from ._backend import (
    BackendUnavailable,
    RecordSpec,
    RuleHandle,
    RunResult,
    RunStats,
    Scheduled,
    Series,
)
from ._backend_rule import plastic_targets
from ._chip_config import NeuronSettings
from ._chip_network import ChipNetwork
from ._chip_profile import ChipProfile
from ._emit_cpp import emit_cpp
from ._placement import Placement, place
from ._program import IntegerProgram
from ._pynn_translation import (
    check_neurons,
    membranes_of,
    parameters_of,
    reader_of,
    spikes_of,
    symbols_of,
    synapses_of,
    tables_of,
    traces_of,
)
from ._stimulus import Input, PoissonInput, check_stimulus
from ._weight_store import WeightStore

CONNECTIONS = ("QUIGGELDY_IP", "SLURM_FPGA_IPS")
# Inputs for which one must know where synapses are.
PLACED = {"row_table", "column_table", "signed_weight"}
SIGNS = {"excitatory": 1, "inhibitory": -1}
CALIBRATIONS = ("per neuron", "nightly")


class PyNNBackend(WeightStore):
    """Runs networks on a BrainScaleS-2 chip, with `pynn_brainscales`.

    Never run on a chip so far: see "What is not tested" on the page about the chip.

    Attributes:
        calibration: "per neuron": PyNN calibrates to the parameters of the populations; "nightly":
            the neurons are as last night's calibration of the chip made them.
        correlation: calibration of the correlation sensors, an object of calix with `apply`; needed
            by rules that read them. It sets the neurons as well.
    """

    name: str = "pynn"
    is_hardware: bool = True
    capabilities: frozenset[str] = frozenset({"plasticity", "cadc", "madc", "coba", "stdp"})

    def __init__(self, calibration: str = "per neuron", correlation: Any = None):
        if calibration not in CALIBRATIONS:
            raise ValueError(f"calibration={calibration!r}; valid: {', '.join(CALIBRATIONS)}")
        self.calibration, self.correlation = calibration, correlation
        self._software = _connect()
        self.chip = _identifier(self._software)
        super().__init__()

    def map(self, net: ChipNetwork, profile: ChipProfile | None = None) -> Placement:
        """Checks that a network fits; where synapses go is up to the chip's own router.

        Args:
            net: the network.
            profile: must be None: a chip is what it is (LSB, us).

        Returns:
            The placement, whose weights are 0.

        Raises:
            ValueError: if a profile is given, the network does not fit, or has neurons that the
                interface or the calibration cannot make.
        """
        if profile is not None:
            raise ValueError("profile is for the emulator; a chip has its own imperfections")
        check_neurons(net)
        fixed = self.calibration == "nightly" or self.correlation is not None
        for name, population in net.populations.items():
            if fixed and not eqx.tree_equal(population.neurons, NeuronSettings()):
                raise ValueError(
                    f"{name!r} has parameters of its own, but the neurons are set by the "
                    "calibration that this back-end was given; leave them at their defaults"
                )
        return self._register(place(net))

    def compile_rule(self, rule: IntegerProgram, placement: Placement) -> RuleHandle:
        """Emits the kernel of a rule. It is compiled with the network, when that runs.

        Args:
            rule: what `lower` returned.
            placement: what `map` returned.

        Returns:
            The rule and its kernel.

        Raises:
            ValueError: if the interface of PyNN has no room for what the rule needs.
        """
        kinds = {raw.kind for raw in rule.inputs} | {output.kind for output in rule.outputs}
        if kinds & {"label", "random_label"}:
            raise ValueError("the handles of PyNN have no labels; run the rule on the emulator")
        if kinds & {"causal", "anticausal"}:
            if self.correlation is None:
                raise ValueError(
                    "the rule reads correlations; give PyNNBackend(correlation=...) the "
                    "calibration of the sensors"
                )
            if "membrane" in kinds:
                raise ValueError("membranes and correlations share converters; read one of them")
        return RuleHandle(rule, emit_cpp(rule, "pynn", record=True))

    def close(self) -> None:
        """Forgets all placements; sessions end with each run."""
        self._weights.clear()

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
            stimulus: spike times [spike] of each neuron of each source (us), or a generator.
            duration_us: how long (us).
            plasticity: rules of the plastic projections.
            record: what is recorded; default: spikes and weights.
            key: must be None: the noise of a chip has no key (scalar).

        Returns:
            Spikes and what else was recorded; statistics of events are not known (-1).

        Raises:
            ValueError: if inputs or rules do not fit.
        """
        began = time.perf_counter()
        record = RecordSpec() if record is None else record
        if key is not None:
            raise ValueError("key is for the emulator; the noise of a chip has none")
        given = check_stimulus(placement.network, stimulus, duration_us)
        targets = plastic_targets(placement.network, plasticity)
        symbols = symbols_of(placement, plasticity, targets)
        if record.membranes and (plasticity or self.correlation is not None):
            raise ValueError(
                "membranes cannot be recorded while rules run or converters see correlations; the "
                "processors have one converter for all of that"
            )
        if both := record.membranes.keys() & record.madc.keys():
            raise ValueError(
                f"membranes and madc both name {sorted(both)}; a population has one converter"
            )
        chip, configured = self._software, None
        injected = calls.injection(chip)
        calls.inject_symbols(chip, injected, symbols)
        if self.correlation is not None:
            calls.inject_calibration(chip, injected, self.correlation)
            configured = calls.calibrated_chip(chip, self.correlation)
            configured = calls.observe_correlation(configured)
        elif self.calibration == "nightly":
            configured = calls.nightly_chip(chip)
        calls.begin(chip, configured, injected)
        try:
            built = self._build(placement, given, plasticity, targets, record, configured)
            populations, projections = built
            if any(PLACED & {raw.kind for raw in s.rule.program.inputs} for s in plasticity):
                calls.prepare(chip)
                for s in plasticity:
                    placed = [calls.places(part) for part in projections[targets[s.name]]]
                    symbols |= tables_of(placement.network, s, targets[s.name], placed)
                calls.inject_symbols(chip, injected, symbols)
            calls.run(chip, duration_us / 1000)
            spikes = {n: spikes_of(populations[n]) for n in placement.network.populations}
            membranes = {n: membranes_of(populations[n], w) for n, w in record.membranes.items()}
            madc = {n: traces_of(populations[n], wanted) for n, wanted in record.madc.items()}
            weights = {
                targets[s.name]: _weight_series(
                    placement, targets[s.name], projections.get(targets[s.name], ()), s.rule
                )
                for s in plasticity
            }
        finally:
            calls.end(chip)
        for name, series in weights.items():
            if len(series.values):
                self._of(placement)[name] = series.values[-1]
        return RunResult(
            spikes,
            membranes,
            weights if record.weights else {},
            {},
            RunStats(-1, -1, -1, time.perf_counter() - began, duration_us),
            self.name,
            self.chip,
            self.is_hardware,
            madc=madc,
        )

    def _build(self, placement, given, plasticity, targets, record, configured):
        net, chip = placement.network, self._software
        rules = {
            s.name: calls.plasticity_rule(
                chip, s.rule.kernel, number, s.start_us / 1000, s.period_us / 1000, s.calls
            )
            for number, s in enumerate(plasticity)
        }
        populations = {}
        for name, stimulus in given.items():
            if isinstance(stimulus, PoissonInput):
                rate_hz = 1000 * stimulus.rate_khz
                populations[name] = calls.poisson_source(
                    chip, net.sources[name], rate_hz, stimulus.seed
                )
            else:
                trains = [times / 1000 for times in stimulus]
                populations[name] = calls.spike_source(chip, trains)
        for name, population in net.populations.items():
            readers = [s for s in plasticity if net.projections[targets[s.name]].post == name]
            rule, membrane = reader_of(name, readers, rules)
            if configured is not None:
                made = calls.uncalibrated_neurons(chip, population.size, rule, membrane)
            else:
                coba = population.neurons.conductance
                neurons = calls.coba_neurons if coba else calls.cuba_neurons
                of = parameters_of(population.neurons)
                made = neurons(chip, population.size, rule, membrane, of)
            calls.record(made, name in record.membranes)
            for neuron in record.madc.get(name, ()):
                calls.record_madc(chip, made, int(neuron))
            populations[name] = made
        projections = {}
        owners = {target: rules[name] for name, target in targets.items()}
        for name, projection in net.projections.items():
            pre, post = populations[projection.pre], populations[projection.post]
            synapses = synapses_of(net, name, self._of(placement)[name])
            if not synapses:
                continue
            for receptor, sign in SIGNS.items():
                if projection.receptor not in (receptor, "signed"):
                    continue
                own = [(j, i, sign * max(sign * w, 0)) for j, i, w in synapses]
                if name in owners:
                    made = calls.plastic_projection(chip, pre, post, own, owners[name], receptor)
                    projections[name] = (*projections.get(name, ()), made)
                else:
                    calls.static_projection(chip, pre, post, own, receptor)
        return populations, projections


def _weight_series(
    placement: Placement, name: str, projections: Sequence[Any], rule: RuleHandle
) -> Series:
    """Recorded weights. Calls that were missed or only measured baselines recorded nothing."""
    mask = placement.network.mask(name)
    pre, post = np.nonzero(mask.T)  # the order of PyNN: by source
    signs = [calls.recorded_weights(projection) for projection in projections]
    # The excitatory and the inhibitory weights of a call are recorded at one time.
    found = [
        (own[0][0], sum(sign * w for sign, (_, w) in zip(SIGNS.values(), own, strict=False)))
        for own in zip(*signs, strict=True)
        if own[0][0] > 0
    ]
    if any(raw.kind == "baseline" for raw in rule.program.inputs):
        found = found[1:]
    values = np.zeros((len(found), *mask.shape), np.int32)
    for call, (_, weights) in enumerate(found):
        values[call, post, pre] = weights
    return Series(np.array([cycles / 125 for cycles, _ in found]), values)


def _connect() -> calls.Software:
    for package in calls.PACKAGES:
        if importlib.util.find_spec(package.split(".")[0]) is None:
            raise BackendUnavailable(
                f"the package {package.split('.')[0]!r} is not installed; it comes with the "
                "software of the chip (an EBRAINS kernel, or the container of its developers)"
            )
    if not any(os.environ.get(name) for name in CONNECTIONS):
        raise BackendUnavailable(
            f"no BSS-2 connection: none of {', '.join(CONNECTIONS)} is set in the environment"
        )
    try:
        return calls.software()
    except Exception as error:  # of any type: it loads C++ libraries
        raise BackendUnavailable(f"the software of the chip does not import: {error}") from error


def _identifier(software: calls.Software) -> str:
    try:
        return calls.chip_identifier(software)
    except Exception as error:  # of any type: the software of the chip raises C++ exceptions
        raise BackendUnavailable(f"no BSS-2 connection could be opened: {error}") from error
