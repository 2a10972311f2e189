"""Networks as NIR graphs: there and back, through a file, and the equations of Euler steps."""

from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.models import (
    LeakyReadout,
    SurrogateLayer,
    SurrogateNetwork,
    circuits_from_nir,
    circuits_to_nir,
    from_nir,
    to_nir,
)
from plasticjax.neurons import CurrentLIF
from plasticjax.simulate import InputSpikes, SpikingCircuit, solve_events

nir = pytest.importorskip("nir")

KEY = jax.random.key(4)


def normal(number, *shape):
    return jax.random.normal(jax.random.fold_in(KEY, number), shape, "float32")


def network(dt=0.5, **options):
    own = jnp.linspace(8.0, 15.0, 5)  # of each neuron
    first = SurrogateLayer(normal(0, 6, 4), normal(1, 6, 6), 20.0, 5.0, dt=dt, **options)
    second = SurrogateLayer(normal(2, 5, 6), None, own, 4.0, dt=dt)
    return SurrogateNetwork((first, second), LeakyReadout(normal(3, 3, 5), 10.0, 6.0, dt))


def assert_same(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=2e-6)


@pytest.mark.parametrize("normalised", [False, True])
def test_there_and_back_is_the_same_network(tmp_path, normalised):
    given = network(normalised=normalised)
    graph = to_nir(given.hidden, given.readout)
    nir.write(tmp_path / "network.nir", graph)
    layers, readout = from_nir(nir.read(tmp_path / "network.nir"), dt=0.5)
    assert_same(
        eqx.filter(given, eqx.is_inexact_array_like),
        eqx.filter(SurrogateNetwork(layers, readout), eqx.is_inexact_array_like),
    )
    assert [layer.normalised for layer in layers] == [normalised, False]
    spikes = (normal(9, 80, 4) > 0.8).astype("float32")
    traces, again = given(spikes), SurrogateNetwork(layers, readout)(spikes)
    assert traces.hidden[1].spikes.sum() > 20
    np.testing.assert_array_equal(traces.hidden[1].spikes, again.hidden[1].spikes)
    np.testing.assert_allclose(traces.readout, again.readout, rtol=1e-4, atol=1e-4)


def test_a_synapse_that_forgets_at_once_is_a_lif():
    layer = SurrogateLayer(normal(0, 6, 4), None, 20.0, 0.0)
    graph = to_nir([layer])
    assert isinstance(graph.nodes["layer0.neurons"], nir.LIF)
    (again,), readout = from_nir(graph)
    assert readout is None and again.tau_syn == 0
    np.testing.assert_allclose(again.weights, layer.weights, rtol=1e-6)
    spikes = (normal(9, 40, 4) > 0.5).astype("float32")
    trace = layer(spikes)
    assert np.all(np.isfinite(trace.voltage)) and trace.spikes.sum() > 5
    np.testing.assert_allclose(trace.current[1:], spikes[:-1] @ layer.weights.T, atol=1e-5)


def euler(node, weights, spikes, dt, between=None):
    """Euler steps of the equations of CubaLIF, with spikes of height 1, in the order of layers."""
    current, voltage = np.zeros((2, len(weights)))
    fired, spiked = np.zeros(len(weights)), []
    for arriving in spikes:
        before, fired = fired, (voltage > node.v_threshold).astype(float)
        spiked.append(fired)
        moved = voltage + dt / node.tau_mem * (node.v_leak - voltage + node.r * current)
        voltage = np.where(fired == 1, node.v_reset, moved)
        drive = node.w_in * (weights @ arriving + (0 if between is None else between @ before))
        current = current + dt / node.tau_syn * (drive - current)
    return np.stack(spiked)


@pytest.mark.parametrize("dt", [1.0, 0.1])
def test_euler_steps_of_the_graph_are_the_steps_of_the_layer(x64, dt):
    scale = dt / 20
    layer = SurrogateLayer(
        jnp.asarray(normal(0, 6, 4), float) * 4 * scale,
        jnp.asarray(normal(1, 6, 6), float) * 2 * scale,
        20.0,
        5.0,
        dt=dt,
    )
    graph = to_nir([layer])
    rng = np.random.default_rng(0)
    spikes = (rng.random((round(200 / dt), 4)) < 0.2 * dt).astype(float)
    node, weights, between = (
        graph.nodes[f"layer0.{name}"] for name in ("neurons", "weights", "recurrent")
    )
    assert 20 < node.tau_mem[0] / 1e-3 < 20 + 0.6 * dt
    expected = euler(node, weights.weight, spikes, 1e-3 * dt, between.weight)
    trace = layer(jnp.asarray(spikes))
    assert expected.sum() > 10
    np.testing.assert_array_equal(trace.spikes, expected)


def chain(*nodes, edges=None, inputs=4, outputs=6):
    named = {f"n{k}": node for k, node in enumerate(nodes)}
    ends = {
        "input": nir.Input({"input": np.array([inputs])}),
        "output": nir.Output({"output": np.array([outputs])}),
    }
    names = ["input", *named, "output"]
    edges = list(pairwise(names)) if edges is None else edges
    return nir.NIRGraph(ends | named, edges, metadata={}, type_check=False)


def neurons(**changes):
    ones = np.ones(6)
    given = {"tau_mem": 0.02, "tau_syn": 0.005, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0}
    given = {name: value * ones for name, value in {**given, **changes}.items()}
    return nir.CubaLIF(**given)


LINEAR, LINEAR_6 = (nir.Linear(np.ones((6, pre))) for pre in (4, 6))
LI = nir.LI(tau=np.full(6, 0.02), r=np.ones(6), v_leak=np.zeros(6))


def test_thresholds_resistances_and_factors_enter_the_weights():
    plain, scaled = (
        from_nir(chain(LINEAR, node))[0][0]
        for node in (neurons(r=3.0), neurons(r=6.0, v_threshold=2.0, w_in=4.0))
    )
    np.testing.assert_allclose(scaled.weights, 4 * plain.weights, rtol=1e-6)
    # A step of 1 ms, by hand.
    np.testing.assert_allclose(plain.weights, 3 / 20 / 5, rtol=1e-6)
    np.testing.assert_allclose(np.exp(-1 / plain.tau_syn), 1 - 1 / 5, rtol=1e-6)


def test_a_graph_inside_of_the_graph_is_a_recurrent_layer():
    between = nir.Linear(np.full((6, 6), 0.3))
    inner = nir.NIRGraph(
        {
            "input": nir.Input({"input": np.array([6])}),
            "lif": neurons(),
            "w_rec": between,
            "output": nir.Output({"output": np.array([6])}),
        },
        [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
        metadata={},
    )
    edges = [("input", "n0"), ("n0", "n1"), ("n1", "output")]
    (layer,), _ = from_nir(chain(LINEAR, inner, edges=edges))
    assert layer.recurrent is not None
    np.testing.assert_allclose(layer.recurrent / layer.weights[0, 0], 0.3, rtol=1e-6)


@pytest.mark.parametrize(
    "nodes, message",
    [
        ([LINEAR, LI, LINEAR_6, neurons()], "'n3' follows neurons that do not spike"),
        ([LINEAR, nir.Threshold(np.ones(6))], "'n1' is Threshold, .* supported: Input"),
        ([nir.Scale(np.ones(4)), neurons()], "'n0' is Scale"),
        ([nir.Affine(np.ones((6, 4)), np.ones(6)), neurons()], "'n0' has a bias"),
        ([LINEAR, neurons(v_leak=0.1)], "v_leak of node 'n1' is"),
        ([LINEAR, neurons(v_reset=-0.1)], "v_reset of node 'n1' is"),
        ([LINEAR, neurons(tau_syn=0.0005)], "dt is 1.0 ms; tau_syn of node 'n1' is 0.0005 s"),
    ],
)
def test_what_is_not_supported_is_named(nodes, message):
    with pytest.raises(ValueError, match=message):
        from_nir(chain(*nodes))


def test_other_wirings_are_refused():
    edges = [("input", "n0"), ("n0", "n1"), ("n1", "n2"), ("n1", "n3"), ("n2", "output")]
    more = [nir.Linear(np.ones((6, 6))) for _ in range(2)]
    with pytest.raises(ValueError, match=r"'n1' leads to .* a chain is required"):
        from_nir(chain(LINEAR, neurons(), *more, edges=edges))
    circle = [("input", "n0"), ("n0", "n1"), ("n1", "n2"), ("n2", "n3"), ("n3", "n4"), ("n4", "n1")]
    round_about = chain(LINEAR, neurons(), more[0], neurons(), more[1], edges=circle)
    with pytest.raises(ValueError, match="'n2' is reached again"):
        from_nir(round_about)
    with pytest.raises(ValueError, match=r"edges to nodes \['n9'\]"):
        from_nir(chain(LINEAR, edges=[("input", "n9")]))
    with pytest.raises(ValueError, match=r"inputs \[\]; exactly one"):
        from_nir(nir.NIRGraph({"a": LINEAR}, [], metadata={}, type_check=False))
    with pytest.raises(ValueError, match="dt is 0"):
        from_nir(chain(LINEAR, neurons()), dt=0.0)


def test_layers_that_do_not_fit_are_refused():
    layer = SurrogateLayer(normal(0, 6, 4))
    with pytest.raises(ValueError, match="layers is empty"):
        to_nir([])
    with pytest.raises(ValueError, match="layer1 has 5 inputs; there are 6"):
        to_nir([layer, SurrogateLayer(normal(0, 3, 5))])
    with pytest.raises(ValueError, match=r"steps of \[0.5, 1.0\] ms"):
        to_nir([layer], LeakyReadout(normal(0, 3, 6), dt=0.5))


def circuits():
    neuron = CurrentLIF(20.0, jnp.linspace(4.0, 6.0, 6), 1.5, -0.2, 0.5, -0.1)
    hidden = SpikingCircuit(neuron, 3 + normal(20, 6, 4), normal(21, 6, 6))
    return hidden, SpikingCircuit(CurrentLIF.event_prop(15.0, 5.0), 2 + normal(2, 3, 6))


def test_circuits_there_and_back_spike_at_the_same_times(x64, tmp_path):
    given = circuits()
    nir.write(tmp_path / "circuits.nir", circuits_to_nir(given, dt=0.01))
    again = circuits_from_nir(nir.read(tmp_path / "circuits.nir"), dt=0.01, dtype="float64")
    inputs = InputSpikes(jnp.array([1.0, 3.0, 6.0, 7.0, 12.0]), jnp.array([0, 1, 2, 3, 0]))
    run = eqx.filter_jit(lambda circuit: solve_events(circuit, inputs, t_end=60.0, max_spikes=50))
    (one, other) = run(given[0]), run(again[0])
    assert np.isfinite(one.times).sum() > 15
    np.testing.assert_array_equal(one.sources, other.sources)
    np.testing.assert_allclose(one.times, other.times, atol=1e-5)
    np.testing.assert_allclose(again[1].weights, given[1].weights, rtol=1e-6)
    assert given[1].recurrent is again[1].recurrent is None


def test_circuits_that_nir_cannot_say_are_refused():
    hidden, _ = circuits()
    for name, value in (("delays", 1.0), ("recurrent_delays", 2.0), ("bias", 3.0)):
        changed = eqx.tree_at(lambda c, name=name: getattr(c, name), hidden, value)
        with pytest.raises(ValueError, match=f"{name} of circuit 1 is {value}"):
            circuits_to_nir([hidden, changed], dt=0.1)
    with pytest.raises(ValueError, match="circuits is empty"):
        circuits_to_nir([], dt=0.1)
    with pytest.raises(ValueError, match="dt is 0"):
        circuits_to_nir([hidden], dt=0.0)
    with pytest.raises(ValueError, match="'n1' is LI; circuits have CubaLIF neurons only"):
        circuits_from_nir(chain(LINEAR, LI), dt=0.1)
