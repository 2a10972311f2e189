"""The back-end protocol on the emulator: placement, logical order, rules, and the choice."""

import dataclasses
import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasticjax.hardware import (
    Backend,
    BackendUnavailable,
    ChipNetwork,
    ChipProfile,
    ChipStats,
    EmulatorBackend,
    EmulatorSettings,
    NeuronPopulation,
    NeuronSettings,
    PoissonInput,
    Projection,
    PyNNBackend,
    RecordSpec,
    RegularInput,
    Scheduled,
    first_spikes,
    get_backend,
    lower,
    row_table,
    shipped_rules,
    state,
    symbol,
    weight,
)
from plasticjax.hardware._chip_results import complain, logical
from plasticjax.plasticity import increment
from tests.hardware import fake_chip

IDEAL = ChipProfile.ideal()
DRIVEN = NeuronSettings(tau_mem=10.0, tau_exc=5.0, tau_inh=5.0, threshold=90.0)


def emulator(**settings):
    return EmulatorBackend(EmulatorSettings(**{"dt_us": 0.5, "max_spikes": 2000, **settings}))


def test_spikes_reach_their_neurons_with_their_sign():
    """Input 1 -> neuron 2 of "a" -> neuron 0 of "b"; signed synapses to "c"; nothing else."""
    chain = np.zeros((3, 2), bool)
    chain[2, 1] = True
    net = ChipNetwork(
        {"a": NeuronPopulation(3, DRIVEN), "b": NeuronPopulation(2, DRIVEN),
         "c": NeuronPopulation(3)},
        {"in": Projection("source", "a", connected=chain), "up": Projection("a", "b"),
         "signed": Projection("source", "c", "signed")},
        {"source": 2},
    )  # fmt: skip
    backend = emulator()
    placement = backend.map(net, IDEAL)
    up, signed = np.zeros((2, 3), int), np.zeros((3, 2), int)
    up[0, 2], signed[:, 0] = 63, [40, 0, -40]
    backend.load_weights(placement, {"in": 63 * chain, "up": up, "signed": signed})
    record = RecordSpec(membranes={"b": [1, 0], "c": [0, 1, 2]}, sample_us=1.0)
    result = backend.run(placement, {"source": [[5.0], [20.0]]}, 60.0, record=record)
    assert set(result.spikes["a"].ids) == {2} and set(result.spikes["b"].ids) == {0}
    first = first_spikes(result, "a", 3)
    assert np.isinf(first[[0, 1]]).all() and 20.0 < first[2] < 25.0
    assert first_spikes(result, "b", 2)[0] > first[2]
    values = result.membranes["b"].values
    assert np.ptp(values[:, 0]) == 0 and values[:, 1].max() > 85
    above = result.membranes["c"].values - 80.0
    assert above[:, 0].max() > 8 and np.all(above[:, 1] == 0)
    np.testing.assert_allclose(above[:, 0], -above[:, 2], atol=1.0)  # rounding of the converter
    assert not result.is_hardware and ChipProfile.from_json(result.chip) == IDEAL


def test_both_hemispheres_hear_one_source():
    net = ChipNetwork({"n": NeuronPopulation(258)}, {"p": Projection("in", "n")}, {"in": 1})
    backend = emulator()
    placement = backend.map(net, IDEAL)
    assert placement.shape == (2, 256, 2) and placement.rows_used == (1, 1)
    assert len(placement.words("in")[0]) == 2
    backend.load_weights(placement, {"p": np.full((258, 1), 63)})
    record = RecordSpec(membranes={"n": [0, 257]}, sample_us=1.0)
    run = backend.run(placement, {"in": RegularInput(10.0, 5.0)}, 20.0, record=record)
    values = run.membranes["n"].values
    np.testing.assert_array_equal(values[:, 0], values[:, 1])
    assert values.max() > 85


def test_two_neurons_are_read_fast():
    net = ChipNetwork(
        {"a": NeuronPopulation(2), "b": NeuronPopulation(1)},
        {"p": Projection("in", "b")},
        {"in": 1},
    )
    backend = emulator(dt_us=0.1)
    placement = backend.map(net, IDEAL)
    backend.load_weights(placement, {"p": [[63]]})
    record = RecordSpec(madc={"a": [1], "b": [0]}, madc_us=0.2)
    traces = backend.run(placement, {"in": [[5.0]]}, 40.0, record=record).madc
    assert traces["a"][1].values.tolist() == [320.0] * 100
    times, values = traces["b"][0]
    np.testing.assert_allclose(times[:3], [0.4, 0.8, 1.2])
    assert values.max() == 320 + 88 and 14.0 < times[values.argmax()] < 17.0


def rule_with_symbol():
    return lower(
        increment(lambda syn, pre, post, third, obs: third * pre),
        syn=weight(),
        pre=row_table("gain", 0.0, 4.0),
        third=symbol("step", -8.0, 8.0),
        rounding="floor",
    )


class Trace(NamedTuple):
    w: Any
    e: Any


def growing(syn, pre, post, third, obs):
    """An eligibility that halves and grows by 8; the weight grows by it."""
    e = 0.5 * syn.e + 8.0
    return Trace(syn.w + e, e)


def test_rules_change_weights_in_logical_order_and_keep_their_states():
    connected = np.array([[True, True, False], [True, False, True]])
    net = ChipNetwork(
        {"other": NeuronPopulation(1), "n": NeuronPopulation(2)},
        {"static": Projection("in", "other"),
         "p": Projection("in", "n", "excitatory", connected, "rule"),
         "q": Projection("in", "other", plastic="trace")},
        {"in": 3},
    )  # fmt: skip
    backend = emulator()
    placement = backend.map(net, IDEAL)
    before = np.array([[5, 60, 0], [7, 0, 9]])
    backend.load_weights(placement, {"p": before, "static": [[1, 2, 3]]})
    gains = [0.0, 1.0, 2.0]
    handle = backend.compile_rule(rule_with_symbol(), placement)
    trace = lower(growing, syn=Trace(weight(), state(0.0, 32.0)), rounding="floor")
    rules = [
        Scheduled(handle, "rule", 10.0, 200.0, 2, {"step": 3.0, "gain": gains}),
        Scheduled(backend.compile_rule(trace, placement), "trace", 100.0, 200.0, 3),
    ]
    result = backend.run(placement, {}, 600.0, rules)
    change = 3 * np.array(gains)
    expected = np.where(connected, np.clip(before + change, 0, 63), 0)
    np.testing.assert_array_equal(result.weights["p"].values[0], expected)
    after = backend.read_weights(placement)
    np.testing.assert_array_equal(after["p"], np.where(connected, expected + change, 0).clip(0, 63))
    np.testing.assert_array_equal(after["static"], [[1, 2, 3]])
    np.testing.assert_array_equal(result.weights["q"].values[:, 0, 2], [8, 8 + 12, 8 + 12 + 14])


def test_signed_weights_are_pairs_of_rows_that_one_rule_changes():
    connected = np.array([[True, True, False], [True, False, True]])
    net = ChipNetwork(
        {"other": NeuronPopulation(1), "n": NeuronPopulation(2)},
        {"static": Projection("in", "other", "inhibitory"),
         "p": Projection("in", "n", "signed", connected, "rule")},
        {"in": 3},
    )  # fmt: skip
    backend = emulator()
    placement = backend.map(net, IDEAL)
    before = np.array([[5, -60, 0], [-7, 0, 9]])
    backend.load_weights(placement, {"p": before, "static": [[-1, -2, -3]]})
    program = lower(
        lambda syn, pre, post, third, obs: syn + third * pre,
        syn=weight(signed=True), pre=row_table("gain", 0.0, 4.0),
        third=symbol("step", -8.0, 8.0), rounding="floor",
    )  # fmt: skip
    handle = backend.compile_rule(program, placement)
    gains = np.array([1.0, 2.0, 4.0])
    rule = Scheduled(handle, "rule", 10.0, 200.0, 2, {"step": -3.0, "gain": gains})
    result = backend.run(placement, {}, 500.0, [rule])
    first = np.where(connected, np.clip(before - 3 * gains, -63, 63), 0)
    np.testing.assert_array_equal(result.weights["p"].values[0], first)
    after = backend.read_weights(placement)
    second = np.where(connected, np.clip(first - 3 * gains, -63, 63), 0)
    np.testing.assert_array_equal(after["p"], second)
    np.testing.assert_array_equal(after["static"], [[-1, -2, -3]])


def test_homeostasis_counts_spikes_and_runs_repeat_with_their_key():
    net = ChipNetwork({"n": NeuronPopulation(4)}, {"p": Projection("in", "n", plastic="homeo")},
                      {"in": 1})  # fmt: skip
    backend = emulator(max_spikes=5000)
    placement = backend.map(net, ChipProfile.ideal(jitter=0.05))
    handle = backend.compile_rule(shipped_rules()["homeostasis"].lower(), placement)
    assert "PLASTICITY_RULE_KERNEL" in handle.kernel
    scheduled = Scheduled(handle, "homeo", 1000.0, 1000.0, 2)
    runs = []
    for number in (0, 0, 1):
        backend.load_weights(placement, {"p": np.full((4, 1), 40)})
        key = jax.random.key(number)
        stimulus = {"in": PoissonInput(200.0)}
        runs.append(backend.run(placement, stimulus, 2500.0, [scheduled], key=key))
    counts = runs[0].observables["homeo.rate"].values[0]
    spikes = runs[0].spikes["n"]
    assert np.all(np.diff(spikes.times_us) >= 0)
    early = spikes.times_us < runs[0].observables["homeo.rate"].times_us[0]
    assert abs(counts.sum() - early.sum()) <= 4 < counts.sum()  # jitter may cross the call
    expected = 40 + np.sign(60 - counts)
    np.testing.assert_array_equal(runs[0].weights["p"].values[0][:, 0], expected)
    again = backend.read_weights(placement)["p"]
    np.testing.assert_array_equal(again, runs[2].weights["p"].values[-1])
    np.testing.assert_array_equal(runs[1].spikes["n"].times_us, spikes.times_us)
    assert not np.array_equal(runs[2].spikes["n"].times_us, spikes.times_us)


def test_losses_for_lack_of_room_are_no_secret():
    stats = ChipStats(*(jnp.int32(n) for n in (0, 0, 0, 3, 0)))
    with pytest.raises(RuntimeError, match="3 spikes had no room; raise max_spikes"):
        complain(stats)
    with pytest.raises(RuntimeError, match="2 events had no room; raise events_per_step"):
        complain(stats._replace(n_overflow=jnp.int32(2), n_lost_spikes=jnp.int32(0)))


@given(st.integers(0, 10**6), st.sampled_from(["excitatory", "inhibitory", "signed"]))
def test_weights_come_back_as_they_were_loaded(seed, receptor):
    rng = np.random.default_rng(seed)
    post, pre = rng.integers(1, 6, 2)
    connected = rng.random((post, pre)) < 0.7
    low, high = {"excitatory": (0, 63), "inhibitory": (-63, 0)}.get(receptor, (-63, 63))
    net = ChipNetwork({"n": NeuronPopulation(int(post))},
                      {"a": Projection("n", "n"), "p": Projection("in", "n", receptor, connected)},
                      {"in": int(pre)})  # fmt: skip
    backend = EmulatorBackend()
    placement = backend.map(net, IDEAL)
    weights = rng.integers(low, high + 1, (post, pre)) * connected
    backend.load_weights(placement, {"p": weights.astype(float)})
    physical = backend._synapses(placement)["weights"]
    np.testing.assert_array_equal(logical(placement, "p", physical), weights)
    np.testing.assert_array_equal(backend.read_weights(placement)["p"], weights)


def test_static_sources_share_rows_and_plastic_ones_do_not():
    one_to_one = np.eye(100, dtype=bool)
    for plastic, rows in ((None, 2), ("rule", 100)):
        net = ChipNetwork({"n": NeuronPopulation(100)},
                          {"p": Projection("in", "n", connected=one_to_one, plastic=plastic)},
                          {"in": 100})  # fmt: skip
        placement = EmulatorBackend().map(net, IDEAL)
        assert placement.rows_used == (rows, 0)
        words = [word for own in placement.words("in") for word in own]
        assert len(set(words)) == 100


def test_networks_that_do_not_fit_are_refused():
    backend = EmulatorBackend()
    signed = ChipNetwork({"n": NeuronPopulation(1)}, {"p": Projection("in", "n", "signed")},
                         {"in": 129})  # fmt: skip
    with pytest.raises(ValueError, match=r"have 258 rows of sources .*, the chip 256"):
        backend.map(signed)
    with pytest.raises(ValueError, match="600 neurons; the chip has 512"):
        backend.map(ChipNetwork({n: NeuronPopulation(300) for n in "ab"}, {}))
    with pytest.raises(ValueError, match=r"delay_us=1\.0 must be 0"):
        Projection("a", "b", delay_us=1.0)
    with pytest.raises(ValueError, match="valid: excitatory, inhibitory, signed"):
        Projection("a", "b", "exc")
    with pytest.raises(ValueError, match="'c' must be one of the populations 'b'"):
        ChipNetwork({"b": NeuronPopulation(1)}, {"p": Projection("b", "c")})
    with pytest.raises(ValueError, match=r"expected \[post, pre\] = \(2, 3\)"):
        mask = np.ones((3, 2), bool)
        ChipNetwork({"b": NeuronPopulation(2)}, {"p": Projection("i", "b", connected=mask)},
                    {"i": 3})  # fmt: skip
    with pytest.raises(ValueError, match="lists a synapse twice"):
        Projection.from_list([(0, 1), (0, 1)], 2, 2)
    np.testing.assert_array_equal(Projection.from_list([(1, 0)], 2, 1), [[False], [True]])
    empty = ChipNetwork({"n": NeuronPopulation(1)}, {"p": Projection("n", "n",
                        connected=np.zeros((1, 1), bool))})  # fmt: skip
    assert backend.map(empty).rows_used == (0, 0)


NET = ChipNetwork({"n": NeuronPopulation(2)},
                  {"p": Projection("in", "n", plastic="rule"), "i": Projection("in", "n",
                                                                             "inhibitory")},
                  {"in": 2})  # fmt: skip


@pytest.mark.parametrize(
    "name, weights, message",
    [
        ("p", [[1, 2]], r"shape \(1, 2\); expected \(2, 2\)"),
        ("p", [[1, 2], [3, 64]], r"must lie in \[0, 63\]"),
        ("p", [[1, 2], [3, np.nan]], "NaN has no weight"),
        ("p", [[1, 2], [3, 4.5]], "must be integers"),
        ("i", [[0, 0], [0, 1]], r"inhibitory\) must lie in \[-63, 0\]"),
        ("q", [[0, 0], [0, 1]], "no projection 'q'"),
    ],
)
def test_weights_that_the_chip_cannot_hold_are_refused(name, weights, message):
    backend = EmulatorBackend()
    with pytest.raises(ValueError, match=message):
        backend.load_weights(backend.map(NET), {name: weights})


def test_inputs_and_rules_that_do_not_fit_are_refused():
    backend = emulator()
    placement = backend.map(NET, IDEAL)
    for stimulus, message in (
        ({"other": []}, "no sources"),
        ({"in": [[1.0]]}, "has 1 trains; the source has 2"),
        ({"in": [[3.0, 1.0], []]}, "must be sorted"),
        ({"in": [[300.0], []]}, r"must lie in \[0, 100\] us"),
    ):
        with pytest.raises(ValueError, match=message):
            backend.run(placement, stimulus, 100.0)
    with pytest.raises(ValueError, match="rules that change labels"):
        backend.compile_rule(shipped_rules()["structural"].lower(), placement)
    handle = backend.compile_rule(rule_with_symbol(), placement)
    with pytest.raises(ValueError, match="which the rule does not read"):
        Scheduled(handle, "rule", 0.0, 10.0, 1, {"stap": 1.0})
    with pytest.raises(ValueError, match="calls=0"):
        Scheduled(handle, "rule", 0.0, 10.0, 0)
    with pytest.raises(ValueError, match="projections that name it: \\[\\]"):
        backend.run(placement, {}, 100.0, [Scheduled(handle, "typo", 0.0, 10.0, 1)])
    wrong = Scheduled(handle, "rule", 0.0, 10.0, 1, {"gain": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match=r"shape \(3,\); expected \(2,\)"):
        backend.run(placement, {}, 100.0, [wrong])
    inhibitory = ChipNetwork(
        {"n": NeuronPopulation(1)},
        {"p": Projection("in", "n", "inhibitory", plastic="rule")},
        {"in": 1},
    )
    with pytest.raises(ValueError, match="weights without sign, so it must be excitatory"):
        own = backend.map(inhibitory, IDEAL)
        backend.run(own, {}, 100.0, [Scheduled(handle, "rule", 0.0, 10.0, 1)])


def test_the_choice_of_a_back_end(monkeypatch):
    monkeypatch.delenv("PLASTICJAX_BSS2", raising=False)
    with pytest.warns(UserWarning, match="chose the emulator. pynn: .*not installed.*hxtorch: "):
        assert get_backend("auto").name == "emulator"
    with pytest.raises(BackendUnavailable, match="not installed"):
        get_backend("pynn")
    with pytest.raises(BackendUnavailable, match="not installed"):
        get_backend("hxtorch")
    with pytest.raises(ValueError, match="valid: auto, pynn, hxtorch, emulator"):
        get_backend("chip")
    with pytest.raises(ValueError, match="need a named back-end"):
        get_backend("auto", settings=None)
    assert isinstance(get_backend("emulator", settings=EmulatorSettings(dt_us=1.0)), Backend)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monkeypatch.setenv("PLASTICJAX_BSS2", "emulator")
        assert get_backend().name == "emulator"
        monkeypatch.delenv("PLASTICJAX_BSS2")
        fake_chip.hxtorch(monkeypatch)
        assert get_backend().name == "hxtorch"
        fake_chip.pynn(monkeypatch)
        assert get_backend().name == "pynn"
    monkeypatch.setenv("PLASTICJAX_BSS2", "chip")
    with pytest.raises(ValueError, match="PLASTICJAX_BSS2='chip'; valid: emulator"):
        get_backend()


def test_a_plastic_projection_may_have_no_synapses(monkeypatch):
    fake_chip.pynn(monkeypatch)
    nothing = np.zeros((2, 3), bool)
    net = ChipNetwork(
        {"n": NeuronPopulation(2)},
        {"p": Projection("in", "n", connected=nothing, plastic="rule")},
        {"in": 3},
    )
    for backend in (emulator(), PyNNBackend()):
        placement = backend.map(net)
        handle = backend.compile_rule(shipped_rules()["homeostasis"].lower(), placement)
        backend.run(placement, {}, 100.0, [Scheduled(handle, "rule", 10.0, 50.0, 1)])
        np.testing.assert_array_equal(backend.read_weights(placement)["p"], np.zeros((2, 3)))
        backend.close()
        with pytest.raises(ValueError, match="not of this back-end, or it was closed"):
            backend.read_weights(placement)
    with pytest.raises(ValueError, match="populations is empty"):
        ChipNetwork({}, {})


def shape_of(value):
    """Names, types and numbers of axes, whatever the sizes are."""
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: shape_of(getattr(value, field.name)) for field in fields}
    if isinstance(value, tuple):
        return [shape_of(part) for part in value]
    if isinstance(value, dict):
        return {key: shape_of(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return value.dtype.kind, value.ndim
    return type(value).__name__


def test_results_of_chip_and_emulator_have_one_form(monkeypatch):
    """The back-ends are exchangeable: names, types and axes of results are the same."""
    fake_chip.pynn(monkeypatch)
    found = []
    for backend in (emulator(), PyNNBackend()):
        placement = backend.map(NET)
        program = lower(increment(lambda syn, pre, post, third, obs: third), syn=weight(),
                        third=symbol("step", -8.0, 8.0), rounding="floor")  # fmt: skip
        handle = backend.compile_rule(program, placement)
        result = backend.run(placement, {"in": PoissonInput(100.0)}, 200.0,
                             [Scheduled(handle, "rule", 10.0, 100.0, 2)])  # fmt: skip
        other = backend.run(placement, {"in": PoissonInput(100.0)}, 200.0,
                            record=RecordSpec(membranes={"n": [1]}, sample_us=1.0))  # fmt: skip
        found.append((shape_of(result), shape_of(other)))
    assert found[0] == found[1]
