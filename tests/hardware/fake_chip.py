"""A chip that is not there: strict stubs of its software that return canned results."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np

from tests.hardware.chip_api.stubs import Stubs, load

SPIKES_MS = {0: [0.5, 2.0], 2: [1.25]}


def pynn(monkeypatch, calls=3, first_us=1000):
    """Puts the stubs in the place of the packages; returns them."""
    handlers = {
        "pynn.helper.get_unique_identifier": lambda own: ["hxcube-none", "chip 0"],
        "pynn.Population.get_data": _data,
        "pynn.Projection.get_data": lambda own, observable: _weights(own, calls, first_us),
        "grenade.Time.value": lambda own: own._cycles,
        "pynn.Projection.placed_connections": _placed,
        "halco.SynapseOnDLS.toSynramOnDLS": lambda own: _number(own, "halco.SynramOnDLS", 0),
        "halco.SynapseOnDLS.toSynapseOnSynram": _on_array,
        "halco.SynapseOnSynram.toSynapseRowOnSynram": lambda own: _number(
            own, "halco.SynapseRowOnSynram", 1
        ),
        "halco.SynapseOnSynram.toSynapseOnSynapseRow": lambda own: _number(
            own, "halco.SynapseOnSynapseRow", 2
        ),
    }
    stubs = Stubs(load("pynn_brainscales"), handlers)
    package = ModuleType("pynn_brainscales")
    dlens = ModuleType("dlens_vx_v3")
    for name in ("hal", "halco", "lola", "sta"):
        setattr(dlens, name, stubs.module(f"dlens_vx_v3.{name}"))
    chip = stubs.types["lola.Chip"]
    channel = lambda: stubs.make("lola.CADCChannel")  # noqa: E731
    chain = stubs.make("lola.CADCReadoutChain", channels_causal=[channel()],
                       channels_acausal=[channel()])  # fmt: skip
    type.__setattr__(chip, "cadc_readout_chains", [chain])
    modules = {
        "pynn_brainscales": package,
        "pynn_brainscales.brainscales2": stubs.module("pynn_brainscales.brainscales2"),
        "dlens_vx_v3": dlens,
    }
    package.__path__ = []  # pyright: ignore[reportAttributeAccessIssue]
    for module in (package, dlens):
        module.__spec__ = ModuleSpec(module.__name__, None)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("QUIGGELDY_IP", "localhost")
    return stubs


def _data(population, variables):
    stubs = population._stubs
    trains, signals = [], []
    if variables == "spikes":
        trains = [stubs.make("neo.SpikeTrain", annotations={"source_index": index},
                             magnitude=np.array(times)) for index, times in SPIKES_MS.items()
                  if index < population._arguments["size"]]  # fmt: skip
    else:
        times = stubs.make("quantities.Quantity", magnitude=np.arange(4) * 0.1)
        signals = [stubs.make("neo.IrregularlySampledSignal", times=times,
                              array_annotations={"channel_index": [index]},
                              magnitude=np.full((4, 1), 80.0 + index))
                   for index in range(population._arguments["size"])]  # fmt: skip
    segment = stubs.make("neo.Segment", spiketrains=trains, irregularlysampledsignals=signals)
    return stubs.make("neo.Block", segments=[segment])


def _weights(projection, calls, first_us):
    """After call k, every weight has grown by k + 1."""
    stubs = projection._stubs
    synapses = projection._arguments["connector"]._arguments["conn_list"]
    # The real projection sorts its connections by source, then target.
    first = np.array([abs(weight) for _, _, weight in sorted(synapses)])
    samples = []
    for call in range(calls):
        time = stubs.make("grenade.Time")
        time._cycles = 125 * (first_us + 1000 * call)
        samples.append(stubs.make("pynn.Sample", time=time, data=[[w + call + 1] for w in first]))
    return [samples]


def place_of(pre, post, inhibitory):
    """Hemisphere, row and column: neurons alternate between the halves, rows run downwards."""
    return post % 2, 200 - 3 * pre + inhibitory, 7 + 2 * post


def _placed(projection):
    arguments = projection._arguments
    inhibitory = arguments["receptor_type"] == "inhibitory"
    found = []
    for pre, post, _ in sorted(arguments["connector"]._arguments["conn_list"]):
        synapse = projection._stubs.make("halco.SynapseOnDLS")
        synapse._place = place_of(pre, post, inhibitory)
        found.append([synapse])
    return found


def _on_array(synapse):
    made = synapse._stubs.make("halco.SynapseOnSynram")
    made._place = synapse._place
    return made


def _number(own, kind, which):
    made = own._stubs.make(kind)
    made._number = own._place[which]
    return made


def hxtorch(monkeypatch):
    """Stubs of hxtorch whose neurons repeat the first input."""
    stubs = Stubs(load("hxtorch"))
    stubs.handlers |= {
        "torch.tensor": lambda own, data, dtype=None: _tensor(stubs, np.array(data)),
        "torch.Tensor.detach": lambda own: own,
        "torch.Tensor.cpu": lambda own: own,
        "torch.Tensor.numpy": lambda own: own._array,
        "hxtorch.Synapse.__call__": _current,
        "hxtorch.LIF.__call__": _fire,
    }
    modules = {"torch": ModuleType("torch"), "hxtorch": ModuleType("hxtorch")}
    for name, module in modules.items():
        module.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("torch", "hxtorch", "hxtorch.spiking"):
        made = stubs.module(name)
        object.__setattr__(made, "__spec__", ModuleSpec(name, None))
        monkeypatch.setitem(sys.modules, name, made)
    return stubs


def _tensor(stubs, array):
    made = stubs.make("torch.Tensor")
    made._array = array
    return made


def _current(synapse, input):
    weights = synapse.weight.data._array
    spikes = getattr(input, "_spikes", None)
    spikes = input._arguments["spikes"]._array if spikes is None else spikes
    handle = synapse._stubs.make("hxtorch.SynapseHandle")
    handle._current = spikes @ weights.T
    return handle


def _fire(neuron, input):
    """A spike wherever the current is positive."""
    spikes = (input._current > 0).astype(float)
    handle = neuron._stubs.make("hxtorch.LIFObservables", spikes=_tensor(neuron._stubs, spikes))
    handle._spikes = spikes
    return handle
