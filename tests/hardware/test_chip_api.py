"""The code for the chip uses only names of the recorded interface, and the checks notice others."""

from pathlib import Path

import pytest

from tests.hardware.chip_api.names import violations
from tests.hardware.chip_api.stubs import Stubs, UnknownName, load

PACKAGE = Path(__file__).parents[2] / "plasticjax" / "hardware"
FILES = {"_pynn_calls": "pynn_brainscales", "_hxtorch_calls": "hxtorch"}


def source(name):
    return (PACKAGE / f"{name}.py").read_text()


@pytest.mark.parametrize("name, manifest", FILES.items())
def test_the_calls_are_recorded(name, manifest):
    assert violations(source(name), load(manifest)) == []


@pytest.mark.parametrize("manifest", FILES.values())
def test_the_manifest_says_where_it_comes_from_and_is_closed(manifest):
    recorded = load(manifest)
    assert all(len(commit) == 40 for commit in recorded["recorded_from"].values())
    kinds = recorded["types"].keys()
    for name, spec in recorded["types"].items():
        used = [*spec.get("attributes", {}).values(), *spec.get("class_attributes", {}).values()]
        used += [method.get("returns", "plain") for method in spec.get("methods", {}).values()]
        for kind in used:
            bare = kind.removeprefix("class ").replace("list ", "")
            assert bare in {*kinds, "plain"}, f"{name} names {bare}"


@pytest.mark.parametrize(
    "old, new",
    [
        ("segment.spiketrains", "segment.spike_trains"),
        ("tau_syn_E=", "tau_synE="),
        ("chip.pynn.run(", "chip.pynn.run_for(2, 3, "),
        ("chip.pynn.Timer(start=", "chip.pynn.Timer(begin="),
        ("halco.HemisphereOnDLS.top", "halco.HemisphereOnDLS.left"),
        ("def generate_kernel", "def make_kernel"),
        ("block.words =", "block.word ="),
        ("channel.enable_connect_neuron", "channel.enable"),
        ("sample.time.value()", "sample.time.us()"),
        ("signal.times.magnitude", "signal.times.units"),
        ('.get_data("w")', '.observable("w")'),
        ("return chip.pynn.InjectedConfiguration()", "return chip.lola.Chip()"),
        ("chip.pynn.end()", "setattr(chip.pynn, 'end', 0)"),
        ("result.apply(dumper)", "result.apply_to(dumper)"),
        ("projection.placed_connections", "projection.placed"),
        ('record("v", device="madc")', 'record("v", converter="madc")'),
        ("RunCommand.PREPARE", "RunCommand.ROUTE"),
        ("int(on_array.toSynapseRowOnSynram())", "int(on_array)"),
    ],
)
def test_other_names_are_found(old, new):
    text = source("_pynn_calls")
    assert old in text
    assert violations(text.replace(old, new), load("pynn_brainscales"))


@pytest.mark.parametrize(
    "old, new",
    [("done.spikes.detach", "done.events.detach"), ("tau_mem=1e-6", "tau_m=1e-6"),
     ("made.weight.data", "made.weights.data"), ("spiking.run(", "spiking.execute(")],
)  # fmt: skip
def test_other_names_of_hxtorch_are_found(old, new):
    text = source("_hxtorch_calls")
    assert old in text
    assert violations(text.replace(old, new), load("hxtorch"))


def test_only_these_files_import_the_software_of_the_chip():
    for path in PACKAGE.glob("*.py"):
        text = path.read_text()
        imports = "import_module(" in text or "import hxtorch" in text or "import pynn" in text
        assert imports == (path.stem in FILES), path.name


def test_stubs_are_strict():
    stubs = Stubs(load("pynn_brainscales"))
    pynn = stubs.module("pynn_brainscales.brainscales2")
    timer = pynn.Timer(start=0.0, period=1.0, num_periods=2)
    with pytest.raises(TypeError, match="no recorded attribute 'Timers'"):
        pynn.Timers  # noqa: B018
    with pytest.raises(TypeError, match="begin"):
        pynn.Timer(begin=0.0)
    with pytest.raises(TypeError, match="too many positional"):
        pynn.Timer(0.0)
    with pytest.raises(TypeError, match="not recorded as settable"):
        timer.start = 3.0
    with pytest.raises(TypeError, match="'gpu' is not one of"):
        pynn.Population(1, None).record("spikes", device="gpu")
    with pytest.raises(UnknownName, match="nothing to override named \\['kernel'\\]"):
        type("Rule", (pynn.PlasticityRule,), {"kernel": None})
