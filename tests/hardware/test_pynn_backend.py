"""The path to the chip end to end, against strict stubs of its software."""

import json

import jax
import numpy as np
import pytest

from plasticjax.hardware import (
    Backend,
    BackendUnavailable,
    ChipNetwork,
    ChipProfile,
    HxtorchBackend,
    NeuronPopulation,
    NeuronSettings,
    PoissonInput,
    Projection,
    PyNNBackend,
    RecordSpec,
    RegularInput,
    Scheduled,
    column_table,
    emit_cpp,
    encode,
    lower,
    row_table,
    shipped_rules,
    symbol,
    weight,
)
from plasticjax.plasticity import increment
from tests.hardware import fake_chip


def towards(syn, pre, post, third, obs):
    return third


def program(name="reward"):
    third = symbol(name, -4.0, 4.0)
    return lower(increment(towards), syn=weight(), third=third, rounding="floor")


NET = ChipNetwork(
    {"out": NeuronPopulation(3, NeuronSettings(threshold=np.array([120.0, 125.0, 130.0])))},
    {
        "learn": Projection("in", "out", plastic="rule",
                            connected=np.array([[1, 1], [0, 1], [1, 0]], bool)),
        "signed": Projection("noise", "out", "signed"),
    },
    {"in": 2, "noise": 1},
)  # fmt: skip
WEIGHTS = {"learn": [[1, 2], [0, 3], [4, 0]], "signed": [[-5], [6], [0]]}
STIMULUS = {"in": [[10.0, 20.0], []], "noise": PoissonInput(50.0, seed=7)}


def experiment(backend, rule=None, **more):
    placement = backend.map(NET)
    backend.load_weights(placement, WEIGHTS)
    handle = backend.compile_rule(program() if rule is None else rule, placement)
    scheduled = Scheduled(handle, "rule", 1000.0, 1000.0, 3, {"reward": -1.5})
    return placement, backend.run(placement, STIMULUS, 4000.0, [scheduled], **more)


def test_a_whole_experiment(monkeypatch):
    stubs = fake_chip.pynn(monkeypatch)
    backend = PyNNBackend()
    assert isinstance(backend, Backend) and backend.chip == "hxcube-none chip 0"
    placement, result = experiment(backend)
    assert stubs.called("pynn.run") == [{"runtime": 4.0}]
    assert [name for name, _ in stubs.log].index("pynn.setup") > 0
    assert stubs.log[-1][0] in ("pynn.end", "grenade.Time.value")
    assert len(stubs.called("pynn.end")) == 1
    # Logical order comes back, whatever order PyNN keeps.
    series = result.weights["learn"]
    np.testing.assert_array_equal(series.times_us, [1000.0, 2000.0, 3000.0])
    np.testing.assert_array_equal(series.values[0], [[2, 3], [0, 4], [5, 0]])
    np.testing.assert_array_equal(backend.read_weights(placement)["learn"], series.values[-1])
    np.testing.assert_array_equal(backend.read_weights(placement)["signed"], WEIGHTS["signed"])
    np.testing.assert_array_equal(result.spikes["out"].times_us, [500.0, 1250.0, 2000.0])
    np.testing.assert_array_equal(result.spikes["out"].ids, [0, 2, 0])
    assert not result.verified_on_hardware and result.is_hardware


def test_membranes_are_recorded_where_no_rule_runs(monkeypatch):
    stubs = fake_chip.pynn(monkeypatch)
    backend = PyNNBackend()
    placement = backend.map(NET)
    result = backend.run(placement, {}, 400.0, record=RecordSpec(membranes={"out": [2, 0]}))
    np.testing.assert_array_equal(result.membranes["out"].values[0], [82.0, 80.0])
    np.testing.assert_allclose(result.membranes["out"].times_us, [0.0, 100.0, 200.0, 300.0])
    recorded = [call["variables"] for call in stubs.called("pynn.Population.record")]
    assert recorded == ["spikes", "v"]
    with pytest.raises(ValueError, match="while rules run"):
        experiment(backend, record=RecordSpec(membranes={"out": [0]}))


def test_one_or_two_neurons_are_recorded_fast(monkeypatch):
    stubs = fake_chip.pynn(monkeypatch)
    backend = PyNNBackend()
    _, result = experiment(backend, record=RecordSpec(madc={"out": [2, 0]}))
    assert list(result.madc["out"]) == [2, 0]
    np.testing.assert_allclose(result.madc["out"][0].values, [80.0] * 4)
    np.testing.assert_allclose(result.madc["out"][2].times_us, [0.0, 100.0, 200.0, 300.0])
    assert [c["selector"] for c in stubs.called("pynn.PopulationView")] == [[2], [0]]
    recorded = stubs.called("pynn.PopulationView.record")
    assert recorded == [{"variables": "v", "device": "madc"}] * 2
    with pytest.raises(ValueError, match="membranes and madc both name"):
        record = RecordSpec(membranes={"out": [1]}, madc={"out": [0]})
        backend.run(backend.map(NET), {}, 10.0, record=record)
    with pytest.raises(ValueError, match="at most 2 neurons"):
        RecordSpec(madc={"out": [0, 1, 2]})


def test_what_is_sent_to_the_chip(monkeypatch):
    stubs = fake_chip.pynn(monkeypatch)
    experiment(PyNNBackend())
    (timer,) = stubs.called("pynn.Timer")
    assert timer == {"start": 1.0, "period": 1.0, "num_periods": 3}  # hardware ms
    (cell,) = stubs.called("pynn.cells.CalibHXNeuronCuba")
    assert cell["v_thresh"] == [120.0, 125.0, 130.0] and cell["tau_m"] == 10.0
    assert cell["plasticity_rule"] is None  # the rule reads no neurons
    (trains,) = stubs.called("pynn.cells.SpikeSourceArray")
    np.testing.assert_array_equal(trains["spike_times"][0], [0.01, 0.02])
    assert stubs.called("pynn.cells.SpikeSourcePoissonOnChip") == [{"rate": 50e3, "seed": 7}]
    projections = stubs.called("pynn.Projection")
    sent = {p["receptor_type"]: p["connector"]._arguments["conn_list"] for p in projections[1:]}
    assert sent == {"excitatory": [(0, 0, 0), (0, 1, 6), (0, 2, 0)],
                    "inhibitory": [(0, 0, -5), (0, 1, 0), (0, 2, 0)]}  # fmt: skip
    rule = projections[0]["synapse_type"]._arguments["plasticity_rule"]
    assert rule.generate_kernel() == emit_cpp(program(), "pynn", record=True)
    injected = stubs.called("pynn.setup")[0]["injected_config"]
    (name,) = injected.ppu_symbols
    assert name.isidentifier() and f"volatile int32_t {name}" in rule.generate_kernel()
    word = injected.ppu_symbols[name]["<top>"].words[0]._arguments["value"]
    encoded = word._arguments["value"]
    assert encoded == round(-1.5 * 2**29) % 2**32  # F32(2)


def test_a_rule_that_counts_spikes_is_attached_to_the_neurons(monkeypatch):
    stubs = fake_chip.pynn(monkeypatch)
    backend = PyNNBackend()
    placement = backend.map(NET)
    handle = backend.compile_rule(shipped_rules()["homeostasis"].lower(), placement)
    backend.run(placement, {}, 4000.0, [Scheduled(handle, "rule", 0.0, 1000.0, 3)])
    (cell,) = stubs.called("pynn.cells.CalibHXNeuronCuba")
    assert cell["plasticity_rule"] is not None
    assert cell["plasticity_rule_enable_readout_source"] is False


def test_rules_that_read_correlations_need_a_calibration_of_the_sensors(monkeypatch):
    stubs = fake_chip.pynn(monkeypatch)
    rule = shipped_rules()["stdp"].lower()
    plain = PyNNBackend()
    with pytest.raises(ValueError, match="calibration of the sensors"):
        plain.compile_rule(rule, plain.map(NET))
    applied = []
    result = stubs.make("calix.CalibrationResult")
    stubs.handlers["calix.CalibrationResult.apply"] = lambda own, builder: applied.append(builder)
    net = ChipNetwork({"out": NeuronPopulation(3)}, {"p": Projection("in", "out", plastic="rule")},
                      {"in": 2})  # fmt: skip
    backend = PyNNBackend(correlation=result)
    placement = backend.map(net)
    handle = backend.compile_rule(rule, placement)
    scheduled = Scheduled(handle, "rule", 0.0, 1000.0, 3)
    # The first call measures baselines and records nothing.
    result_of_rule = backend.run(placement, {}, 4000.0, [scheduled])
    assert len(applied) == 2
    np.testing.assert_array_equal(result_of_rule.weights["p"].times_us, [2000.0, 3000.0])
    setup = stubs.called("pynn.setup")[0]
    assert setup["injected_config"].pre_non_realtime is applied[0]
    for chain in stubs.types["lola.Chip"].cadc_readout_chains:
        for channel in chain.channels_causal + chain.channels_acausal:
            assert channel.enable_connect_neuron is False
    with pytest.raises(ValueError, match="converters see correlations"):
        backend.run(placement, {}, 10.0, record=RecordSpec(membranes={"out": [0]}))
    with pytest.raises(ValueError, match="parameters of its own"):
        backend.map(NET)


def test_a_nightly_calibration_is_used(monkeypatch):
    stubs = fake_chip.pynn(monkeypatch)
    backend = PyNNBackend(calibration="nightly")
    net = ChipNetwork({"out": NeuronPopulation(3)}, {}, {})
    backend.run(backend.map(net), {}, 100.0)
    assert "initial_config" in stubs.called("pynn.setup")[0]
    assert len(stubs.called("pynn.cells.HXNeuron")) == 1


def test_missed_calls_leave_no_weights(monkeypatch):
    fake_chip.pynn(monkeypatch, calls=0)
    backend = PyNNBackend()
    placement, result = experiment(backend)
    assert result.weights["learn"].values.shape == (0, 3, 2)
    np.testing.assert_array_equal(backend.read_weights(placement)["learn"], WEIGHTS["learn"])
    fake_chip.pynn(monkeypatch, first_us=0)
    _, result = experiment(PyNNBackend())
    np.testing.assert_array_equal(result.weights["learn"].times_us, [1000.0, 2000.0])


def test_the_session_ends_when_a_run_fails(monkeypatch):
    stubs = fake_chip.pynn(monkeypatch)
    backend = PyNNBackend()
    placement = backend.map(NET)

    def fail(own, **arguments):
        raise OSError("link lost")

    stubs.handlers["pynn.run"] = fail
    with pytest.raises(OSError, match="link lost"):
        backend.run(placement, {}, 10.0)
    assert len(stubs.called("pynn.end")) == 1


def test_what_the_interface_cannot_do_is_refused(monkeypatch):
    fake_chip.pynn(monkeypatch)
    backend = PyNNBackend()
    placement = backend.map(NET)
    with pytest.raises(ValueError, match="no labels"):
        backend.compile_rule(shipped_rules()["structural"].lower(), placement)
    with pytest.raises(ValueError, match="profile is for the emulator"):
        backend.map(NET, ChipProfile.ideal())
    with pytest.raises(ValueError, match="key is for the emulator"):
        experiment(backend, key=jax.random.key(0))
    with pytest.raises(ValueError, match="offset must be 0"):
        backend.map(ChipNetwork({"a": NeuronPopulation(1, NeuronSettings(offset=1.0))}, {}))
    for settings, message in (
        ({"threshold": 230.0}, r"threshold=230.0 of 'a' must lie in \[50, 220\]"),
        ({"tau_mem": np.array([10.0, 0.1])}, r"tau_mem=.* must lie in \[0.5, 60\]"),
        ({"leak": np.array([80.0])}, r"leak of 'a' has the shape \(1,\)"),
        ({"gain_code": 400.0}, "gain_code must be the same for all neurons"),
        ({"adaptation": True}, "no exponential term or adaptation"),
    ):
        two = {"a": NeuronPopulation(2, NeuronSettings(**settings)), "b": NeuronPopulation(1)}
        with pytest.raises(ValueError, match=message):
            backend.map(ChipNetwork(two, {}))
    with pytest.raises(ValueError, match="valid: per neuron, nightly"):
        PyNNBackend(calibration="daily")


def scaled(syn, pre, post, third, obs):
    return syn + third * pre * post


SIGNED = {
    "syn": weight(signed=True),
    "pre": row_table("gain", 0.0, 4.0),
    "post": column_table("aim", -1.0, 1.0),
    "third": symbol("step", -8.0, 8.0),
}


def test_signed_weights_and_tables_are_written_where_the_router_put_them(monkeypatch):
    stubs = fake_chip.pynn(monkeypatch)
    backend = PyNNBackend()
    connected = np.array([[1, 1], [0, 1], [1, 0]], bool)
    net = ChipNetwork({"out": NeuronPopulation(3)},
                      {"p": Projection("in", "out", "signed", connected, "rule")},
                      {"in": 2})  # fmt: skip
    placement = backend.map(net)
    weights = np.array([[5, -7], [0, 20], [-3, 0]])
    backend.load_weights(placement, {"p": weights})
    handle = backend.compile_rule(lower(scaled, rounding="floor", **SIGNED), placement)
    values = {"step": 2.0, "gain": [1.5, 3.0], "aim": [-1.0, 0.25, 0.5]}
    result = backend.run(
        placement, {}, 4000.0, [Scheduled(handle, "rule", 1000.0, 1000.0, 3, values)]
    )
    # Both projections have the rule. The chip that is not there adds one to each magnitude.
    projections = stubs.called("pynn.Projection")
    assert [p["receptor_type"] for p in projections] == ["excitatory", "inhibitory"]
    sent = [p["connector"]._arguments["conn_list"] for p in projections]
    assert sent == [[(0, 0, 5), (0, 2, 0), (1, 0, 0), (1, 1, 20)],
                    [(0, 0, 0), (0, 2, -3), (1, 0, -7), (1, 1, 0)]]  # fmt: skip
    rules = {id(p["synapse_type"]._arguments["plasticity_rule"]) for p in projections}
    assert len(rules) == 1
    np.testing.assert_array_equal(result.weights["p"].values[0], weights)
    # First placed, then written, then run.
    runs = [n for n, (name, _) in enumerate(stubs.log) if name == "pynn.run"]
    assert stubs.log[runs[0]][1] == {"runtime": None, "command": "<PREPARE>"} and len(runs) == 2
    blocks = [n for n, (name, _) in enumerate(stubs.log) if name == "hal.PPUMemoryBlock"]
    assert runs[0] < blocks[-1] < runs[1]
    (setup,) = stubs.called("pynn.setup")
    written = {name: {half: np.array([w._arguments["value"]._arguments["value"] for w in b.words])
                      for half, b in blocks.items()}
               for name, blocks in setup["injected_config"].ppu_symbols.items()}  # fmt: skip
    names = {raw.name: raw.symbol for raw in handle.program.inputs}
    aim = SIGNED["post"]
    for pre, post in np.argwhere(connected.T):
        hemisphere, row, column = fake_chip.place_of(pre, post, False)
        half = ("<top>", "<bottom>")[hemisphere]
        assert written["partner_rows"][half][row] == row + 1
        assert written[names["pre"]][half][row] == encode(SIGNED["pre"], values["gain"][pre])
        found = written[names["post"]][half][column].astype(np.uint32).astype(np.int32)
        assert found == encode(aim, values["aim"][post])
    assert written[names["third"]]["<top>"] == written[names["third"]]["<bottom>"]


def test_placements_that_do_not_fit_are_refused(monkeypatch):
    stubs = fake_chip.pynn(monkeypatch)
    backend = PyNNBackend()
    net = ChipNetwork({"out": NeuronPopulation(1)},
                      {"p": Projection("in", "out", "signed", plastic="rule"),
                       "plain": Projection("in", "out", plastic="other")},
                      {"in": 2})  # fmt: skip
    placement = backend.map(net)
    handle = backend.compile_rule(lower(scaled, rounding="floor", **SIGNED), placement)
    scheduled = Scheduled(handle, "rule", 1000.0, 1000.0, 3, {"gain": [1.0, 2.0]})
    with pytest.raises(ValueError, match="weights with sign, so it must be signed"):
        backend.run(placement, {}, 10.0, [Scheduled(handle, "other", 0.0, 1.0, 1)])
    placed = stubs.handlers["pynn.Projection.placed_connections"]
    stubs.handlers["pynn.Projection.placed_connections"] = lambda own: placed(own)[:1] * 2
    with pytest.raises(RuntimeError, match="two neurons of 'p' in one row or column"):
        backend.run(placement, {}, 10.0, [scheduled])
    stubs.handlers["pynn.Projection.placed_connections"] = lambda own: placed(own)[:1]
    with pytest.raises(RuntimeError, match="placed 1 synapses of 'p', not 2"):
        backend.run(placement, {}, 10.0, [scheduled])


def test_kernels_that_would_not_link_together_are_refused(monkeypatch):
    fake_chip.pynn(monkeypatch)
    backend = PyNNBackend()
    net = ChipNetwork(
        {"out": NeuronPopulation(1)},
        {name: Projection("in", "out", plastic=name) for name in "ab"},
        {"in": 1},
    )
    placement = backend.map(net)
    handle = backend.compile_rule(program(), placement)
    two = [Scheduled(handle, name, 0.0, 1000.0, 1) for name in "ab"]
    with pytest.raises(ValueError, match="both define host_reward"):
        backend.run(placement, {}, 10.0, two)


HOSTILE = ['x"; system("rm"); //', "*/ PLASTICITY_RULE_KERNEL(", "a\nb", "{{kernel}}", "ünï", ""]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_reach_nothing(monkeypatch, name):
    stubs = fake_chip.pynn(monkeypatch)
    backend = PyNNBackend()
    net = ChipNetwork({name: NeuronPopulation(1)}, {name: Projection("in", name, plastic=name)},
                      {"in": 1})  # fmt: skip
    placement = backend.map(net)
    handle = backend.compile_rule(program(name), placement)
    result = backend.run(placement, {}, 4000.0, [Scheduled(handle, name, 0.0, 1.0, 3, {name: 1})])
    assert list(result.spikes) == [name] and list(result.weights) == [name]
    sent = json.dumps([arguments for _, arguments in stubs.log], default=lambda o: None)
    assert name == "" or json.dumps(name)[1:-1] not in sent
    assert handle.kernel == backend.compile_rule(program(name), placement).kernel
    first = handle.kernel.index("PLASTICITY_RULE_KERNEL")
    assert handle.kernel[first + len("PLASTICITY_RULE_KERNEL") :].lstrip().startswith("(")
    (symbol_name,) = stubs.called("pynn.setup")[0]["injected_config"].ppu_symbols
    assert symbol_name.isidentifier() and symbol_name.isascii()


def test_without_packages_or_connection_the_reason_is_said(monkeypatch):
    with pytest.raises(BackendUnavailable, match="'pynn_brainscales' is not installed"):
        PyNNBackend()
    with pytest.raises(BackendUnavailable, match="is not installed"):
        HxtorchBackend()
    stubs = fake_chip.pynn(monkeypatch)
    monkeypatch.delenv("QUIGGELDY_IP")
    monkeypatch.delenv("SLURM_FPGA_IPS", raising=False)
    with pytest.raises(BackendUnavailable, match="no BSS-2 connection: none of QUIGGELDY_IP"):
        PyNNBackend()
    monkeypatch.setenv("SLURM_FPGA_IPS", "1")

    def fail(own):
        raise RuntimeError("no such host")

    stubs.handlers["pynn.helper.get_unique_identifier"] = fail
    with pytest.raises(BackendUnavailable, match="could be opened: no such host"):
        PyNNBackend()


LAYERS = ChipNetwork(
    {"hidden": NeuronPopulation(2), "out": NeuronPopulation(1)},
    {"a": Projection("in", "hidden", "signed"), "b": Projection("hidden", "out", "signed")},
    {"in": 2},
)


def test_a_feed_forward_network_on_hxtorch(monkeypatch):
    stubs = fake_chip.hxtorch(monkeypatch)
    backend = HxtorchBackend(dt_us=2.0)
    assert isinstance(backend, Backend)
    placement = backend.map(LAYERS)
    backend.load_weights(placement, {"a": [[3, 0], [-3, 5]], "b": [[0, 1]]})
    result = backend.run(placement, {"in": [[4.0], [10.0]]}, 20.0)
    np.testing.assert_array_equal(result.spikes["hidden"].times_us, [4.0, 10.0])
    np.testing.assert_array_equal(result.spikes["hidden"].ids, [0, 1])
    np.testing.assert_array_equal(result.spikes["out"].times_us, [10.0])
    assert stubs.called("spiking.run")[0]["runtime"] == 10
    assert stubs.called("hxtorch.Experiment") == [{"dt": 2e-6}]
    first = stubs.called("hxtorch.LIF")[0]
    assert first["tau_mem"] == pytest.approx(1e-5) and first["threshold"] == 125.0
    with pytest.raises(ValueError, match="two spikes"):
        backend.run(placement, {"in": [[4.0, 4.5], []]}, 20.0)
    with pytest.raises(ValueError, match="use get_backend\\('pynn'\\)"):
        backend.compile_rule(program(), placement)
    with pytest.raises(ValueError, match="Poisson"):
        backend.run(placement, {"in": PoissonInput(1.0)}, 20.0)
    with pytest.raises(ValueError, match="no plasticity, membranes or keys"):
        backend.run(placement, {"in": RegularInput(5.0)}, 20.0, key=jax.random.key(0))
    with pytest.raises(ValueError, match="no plasticity, membranes or keys"):
        fast = RecordSpec(madc={"out": [0]})
        backend.run(placement, {"in": RegularInput(5.0)}, 20.0, record=fast)
    with pytest.raises(ValueError, match="one source and one projection"):
        backend.map(NET)
    backend.close()
    assert len(stubs.called("hxtorch.release_hardware")) == 1
