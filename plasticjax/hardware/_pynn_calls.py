"""Every call to the software of the chip (`pynn_brainscales`, `dlens_vx_v3`), and nothing else.

None of this can run without that software. So it is kept in one file of small functions whose
annotations say which external type a value has, and a test checks that no name is used beyond the
recorded interface (tests/hardware/chip_api).
"""

import importlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np

PACKAGES = ("pynn_brainscales.brainscales2", "dlens_vx_v3")


class Software(NamedTuple):
    """The modules of the chip's software."""

    pynn: Any
    hal: Any
    halco: Any
    lola: Any
    sta: Any


def software() -> Software:
    """Imports the software; an ImportError names what is missing."""
    pynn, dlens = (importlib.import_module(name) for name in PACKAGES)
    return Software(pynn, dlens.hal, dlens.halco, dlens.lola, dlens.sta)


def chip_identifier(chip: Software) -> str:
    """Which chip answers; opens a connection for that."""
    return " ".join(str(part) for part in chip.pynn.helper.get_unique_identifier())


def nightly_chip(chip: Software) -> Annotated[Any, "lola.Chip"]:
    """Last night's calibration of this chip."""
    return chip.pynn.helper.chip_from_nightly()


def calibrated_chip(
    chip: Software, result: Annotated[Any, "calix.CalibrationResult"]
) -> Annotated[Any, "lola.Chip"]:
    """The chip as a calibration result sets it."""
    dumper = chip.sta.PlaybackProgramBuilderDumper()
    result.apply(dumper)
    return chip.sta.convert_to_chip(dumper.done(), chip.lola.Chip())


def observe_correlation(
    configured: Annotated[Any, "lola.Chip"],
) -> Annotated[Any, "lola.Chip"]:
    """Disconnects the neurons from the converters, which then see the correlation sensors."""
    for chain in configured.cadc_readout_chains:
        for channel in chain.channels_causal:
            channel.enable_connect_neuron = False
        for channel in chain.channels_acausal:
            channel.enable_connect_neuron = False
    return configured


def injection(chip: Software) -> Annotated[Any, "pynn.InjectedConfiguration"]:
    """An empty set of things that are written besides the network."""
    return chip.pynn.InjectedConfiguration()


def inject_calibration(
    chip: Software,
    injected: Annotated[Any, "pynn.InjectedConfiguration"],
    result: Annotated[Any, "calix.CalibrationResult"],
) -> None:
    """Voltages of the board, which are not part of the chip's configuration."""
    builder = chip.sta.PlaybackProgramBuilder()
    result.apply(builder)
    if hasattr(injected, "pre_non_realtime"):
        injected.pre_non_realtime = builder
    else:  # releases before 2026
        injected.pre_static_config = builder


def inject_symbols(
    chip: Software,
    injected: Annotated[Any, "pynn.InjectedConfiguration"],
    values: Mapping[str, tuple[Sequence[int], Sequence[int]]],
) -> None:
    """Writes words of 32 bits into symbols of the kernels, for the top and the bottom processor."""
    symbols = {}
    for name, (top, bottom) in values.items():
        symbols[name] = {
            chip.halco.HemisphereOnDLS.top: memory(chip, top),
            chip.halco.HemisphereOnDLS.bottom: memory(chip, bottom),
        }
    injected.ppu_symbols = symbols


def memory(chip: Software, words: Sequence[int]) -> Annotated[Any, "hal.PPUMemoryBlock"]:
    """Words in the memory of a processor."""
    block = chip.hal.PPUMemoryBlock(chip.halco.PPUMemoryBlockSize(len(words)))
    block.words = [
        chip.hal.PPUMemoryWord(chip.hal.PPUMemoryWord.Value(word & 0xFFFFFFFF)) for word in words
    ]
    return block


def begin(
    chip: Software,
    configured: Annotated[Any, "lola.Chip"],
    injected: Annotated[Any, "pynn.InjectedConfiguration"],
) -> None:
    """Opens a session; without a configuration the neurons are calibrated by PyNN."""
    if configured is None:
        chip.pynn.setup(injected_config=injected)
    else:
        chip.pynn.setup(initial_config=configured, injected_config=injected)


def end(chip: Software) -> None:
    """Closes the session."""
    chip.pynn.end()


def spike_source(chip: Software, trains_ms: Sequence[Any]) -> Annotated[Any, "pynn.Population"]:
    """A source of given spikes."""
    cell = chip.pynn.cells.SpikeSourceArray(spike_times=trains_ms)
    return chip.pynn.Population(len(trains_ms), cell)


def poisson_source(
    chip: Software, size: int, rate_hz: float, seed: int
) -> Annotated[Any, "pynn.Population"]:
    """A generator on the chip."""
    cell = chip.pynn.cells.SpikeSourcePoissonOnChip(rate=rate_hz, seed=seed)
    return chip.pynn.Population(size, cell)


def uncalibrated_neurons(
    chip: Software,
    size: int,
    rule: Annotated[Any, "pynn.PlasticityRule"],
    membrane: bool,
) -> Annotated[Any, "pynn.Population"]:
    """Neurons with the parameters that the configuration of the chip has."""
    cell = chip.pynn.cells.HXNeuron(
        plasticity_rule=rule, plasticity_rule_enable_readout_source=membrane
    )
    return chip.pynn.Population(size, cell)


def cuba_neurons(
    chip: Software,
    size: int,
    rule: Annotated[Any, "pynn.PlasticityRule"],
    membrane: bool,
    of: Mapping[str, Any],
) -> Annotated[Any, "pynn.Population"]:
    """Neurons with currents, calibrated by PyNN."""
    cell = chip.pynn.cells.CalibHXNeuronCuba(
        plasticity_rule=rule,
        v_rest=of["leak"],
        v_reset=of["reset"],
        v_thresh=of["threshold"],
        tau_m=of["tau_mem"],
        tau_syn_E=of["tau_exc"],
        tau_syn_I=of["tau_inh"],
        tau_refrac=of["tau_ref"],
        i_synin_gm_E=of["gain_code"],
        i_synin_gm_I=of["gain_code"],
        synapse_dac_bias=of["dac_code"],
        plasticity_rule_enable_readout_source=membrane,
    )
    return chip.pynn.Population(size, cell)


def coba_neurons(
    chip: Software,
    size: int,
    rule: Annotated[Any, "pynn.PlasticityRule"],
    membrane: bool,
    of: Mapping[str, Any],
) -> Annotated[Any, "pynn.Population"]:
    """Neurons with conductances, calibrated by PyNN."""
    cell = chip.pynn.cells.CalibHXNeuronCoba(
        plasticity_rule=rule,
        v_rest=of["leak"],
        v_reset=of["reset"],
        v_thresh=of["threshold"],
        tau_m=of["tau_mem"],
        tau_syn_E=of["tau_exc"],
        tau_syn_I=of["tau_inh"],
        tau_refrac=of["tau_ref"],
        i_synin_gm_E=of["gain_code"],
        i_synin_gm_I=of["gain_code"],
        e_rev_E=of["reversal_exc"],
        e_rev_I=of["reversal_inh"],
        synapse_dac_bias=of["dac_code"],
        plasticity_rule_enable_readout_source=membrane,
    )
    return chip.pynn.Population(size, cell)


def record(population: Annotated[Any, "pynn.Population"], membrane: bool) -> None:
    """Records spikes, and membranes with the parallel converter."""
    population.record("spikes")
    if membrane:
        population.record("v", device="cadc")


def record_madc(chip: Software, population: Annotated[Any, "pynn.Population"], neuron: int) -> None:
    """Records the membrane of a neuron with the fast converter, which has two channels."""
    chip.pynn.PopulationView(population, [neuron]).record("v", device="madc")


def plasticity_rule(
    chip: Software,
    kernel: str,
    number: int,
    start_ms: float,
    period_ms: float,
    calls: int,
) -> Annotated[Any, "pynn.PlasticityRule"]:
    """A rule with our kernel, which records the weights as bytes under the name `w`."""

    class Kernel(chip.pynn.PlasticityRule):
        def generate_kernel(self) -> str:
            return kernel

    per_synapse = chip.pynn.PlasticityRule.ObservablePerSynapse
    weights = per_synapse(per_synapse.Type.uint8, per_synapse.LayoutPerRow.packed_active_columns)
    timer = chip.pynn.Timer(start=start_ms, period=period_ms, num_periods=calls)
    return Kernel(timer, observables={"w": weights}, same_id=number)


def static_projection(
    chip: Software,
    pre: Annotated[Any, "pynn.Population"],
    post: Annotated[Any, "pynn.Population"],
    synapses: Sequence[tuple[int, int, int]],
    receptor: str,
) -> Annotated[Any, "pynn.Projection"]:
    """Synapses (pre, post, weight) that stay as they are."""
    connector = chip.pynn.FromListConnector(synapses, column_names=["weight"])
    synapse = chip.pynn.standardmodels.synapses.StaticSynapse(weight=0)
    return chip.pynn.Projection(pre, post, connector, synapse_type=synapse, receptor_type=receptor)


def plastic_projection(
    chip: Software,
    pre: Annotated[Any, "pynn.Population"],
    post: Annotated[Any, "pynn.Population"],
    synapses: Sequence[tuple[int, int, int]],
    rule: Annotated[Any, "pynn.PlasticityRule"],
    receptor: str,
) -> Annotated[Any, "pynn.Projection"]:
    """Synapses (pre, post, weight) that a rule changes; a rule may have several projections."""
    connector = chip.pynn.FromListConnector(synapses, column_names=["weight"])
    synapse = chip.pynn.standardmodels.synapses.PlasticSynapse(weight=0, plasticity_rule=rule)
    return chip.pynn.Projection(pre, post, connector, synapse_type=synapse, receptor_type=receptor)


def prepare(chip: Software) -> None:
    """Places and routes the network without a run."""
    chip.pynn.run(None, command=chip.pynn.RunCommand.PREPARE)


def places(
    projection: Annotated[Any, "pynn.Projection"],
) -> list[tuple[int, int, int]]:
    """Hemisphere, row and column of all synapses in their order, after `prepare`."""
    found = []
    for placed in projection.placed_connections:
        for synapse in placed:
            on_array = synapse.toSynapseOnSynram()
            row = int(on_array.toSynapseRowOnSynram())
            column = int(on_array.toSynapseOnSynapseRow())
            found.append((int(synapse.toSynramOnDLS()), row, column))
    return found


def run(chip: Software, duration_ms: float) -> None:
    """Runs everything."""
    chip.pynn.run(duration_ms)


def spikes_ms(
    population: Annotated[Any, "pynn.Population"],
) -> list[tuple[int, np.ndarray]]:
    """Number and spike times of each neuron (ms)."""
    found = []
    for segment in population.get_data("spikes").segments:
        for train in segment.spiketrains:
            index = int(train.annotations["source_index"])
            found.append((index, np.asarray(train.magnitude, np.float64)))
    return found


def membranes(
    population: Annotated[Any, "pynn.Population"],
) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Number, times (ms) and values (LSB) of each recorded membrane."""
    found = []
    for segment in population.get_data("v").segments:
        for signal in segment.irregularlysampledsignals:
            index = int(signal.array_annotations["channel_index"][0])
            times = np.asarray(signal.times.magnitude, np.float64)
            found.append((index, times, np.asarray(signal.magnitude, np.float64).reshape(-1)))
    return found


def recorded_weights(
    projection: Annotated[Any, "pynn.Projection"],
) -> list[tuple[int, np.ndarray]]:
    """Time (cycles of 8 ns) of each call, and the weights after it in the order of synapses."""
    found = []
    for snippet in projection.get_data("w"):
        for sample in snippet:
            values = np.asarray(sample.data, np.int64).reshape(-1)
            found.append((int(sample.time.value()), values))
    return found
