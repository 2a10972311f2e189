"""Networks of first spikes: shapes, biases and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.models import AnalogChip, AnalogImperfections, FirstSpikeNetwork
from plasticjax.neurons import CurrentLIF
from plasticjax.simulate import first_spike_times

KEY = jax.random.key(1)
SIZES = (4, 6, 3)
MEANS, STDS, BIASES = (1.5, 0.8), (0.8, 0.6), ((0.9, 0.2), (0.7,))
TIMES = np.array([0.2, 1.4, np.inf, 0.8])


def _network(**changes):
    arguments = dict(weight_means=MEANS, weight_stds=STDS, bias_times=BIASES, key=KEY) | changes
    return FirstSpikeNetwork.init(SIZES, **arguments)


run = jax.jit(lambda weights, times: FirstSpikeNetwork(weights, CurrentLIF(), BIASES)(times))


def test_each_layer_sees_the_spikes_below_and_its_biases(x64):
    net = _network()
    assert [w.shape for w in net.weights] == [(6, 4 + 2), (3, 6 + 1)]
    hidden, out = run(net.weights, TIMES)
    first = first_spike_times(net.neuron, net.weights[0], jnp.append(TIMES, jnp.array([0.9, 0.2])))
    second = first_spike_times(net.neuron, net.weights[1], jnp.append(first, 0.7))
    np.testing.assert_allclose(hidden, first, rtol=1e-13)
    np.testing.assert_allclose(out, second, rtol=1e-13)
    assert hidden.shape == (6,) and out.shape == (3,)
    assert np.isfinite(hidden).any() and np.isfinite(out).any()


def test_without_biases_and_with_other_neurons(x64):
    neuron = CurrentLIF(tau_mem=2.0)
    net = _network(bias_times=None, neuron=neuron)
    assert [w.shape for w in net.weights] == [(6, 4), (3, 6)]
    hidden, _ = net(jnp.asarray(TIMES))
    expected = first_spike_times(neuron, net.weights[0], jnp.asarray(TIMES))
    np.testing.assert_allclose(hidden, expected, rtol=1e-13)


def test_gradients_reach_all_layers(x64):
    def label_time(weights):
        out = run(weights, TIMES)[-1]
        return jnp.sum(jnp.where(jnp.isfinite(out), out, 0))

    weights = _network().weights
    gradient = jax.jit(jax.grad(label_time))(weights)
    for k, leaf in enumerate(gradient):
        assert leaf.shape == weights[k].shape
        assert np.all(np.isfinite(leaf)) and np.any(leaf != 0)
        place = tuple(np.argwhere(leaf)[0])
        step = [w.at[place].add(1e-6) if i == k else w for i, w in enumerate(weights)]
        back = [w.at[place].add(-1e-6) if i == k else w for i, w in enumerate(weights)]
        difference = (label_time(tuple(step)) - label_time(tuple(back))) / 2e-6
        np.testing.assert_allclose(leaf[place], difference, rtol=1e-5, atol=1e-7)


def test_weights_are_normal_and_follow_the_key():
    net = FirstSpikeNetwork.init((99, 200, 100), weight_means=MEANS, weight_stds=STDS, key=KEY)
    for w, mean, std in zip(net.weights, MEANS, STDS, strict=True):
        assert abs(np.mean(w) - mean) < 5 * std / np.sqrt(w.size)
        assert abs(np.std(w) - std) < 5 * std / np.sqrt(2 * w.size)
    for k in range(2):
        np.testing.assert_array_equal(_network().weights[k], _network().weights[k])
        assert np.all(_network().weights[k] != _network(key=jax.random.key(2)).weights[k])
    same = FirstSpikeNetwork.init((5, 5, 5), weight_means=MEANS, weight_stds=(1.0, 1.0), key=KEY)
    assert np.all(same.weights[0] != same.weights[1])


def test_precision_is_that_of_jax():
    assert _network().weights[0].dtype == jnp.float32
    assert run(_network().weights, jnp.float32(TIMES))[-1].dtype == jnp.float32
    with jax.enable_x64(True):
        assert _network().weights[0].dtype == jnp.float64


def test_samples_and_networks_are_a_vmap(x64):
    keys = jax.random.split(KEY, 3)
    nets = jax.vmap(lambda key: _network(key=key).weights)(keys)
    times = np.stack([TIMES, TIMES[::-1]])
    both = jax.vmap(jax.vmap(run, in_axes=(None, 0)), in_axes=(0, None))(nets, times)
    assert [leaf.shape for leaf in both] == [(3, 2, 6), (3, 2, 3)]
    for k in range(3):
        weights = tuple(w[k] for w in nets)
        np.testing.assert_allclose(both[1][k, 1], run(weights, times[1])[1], rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(weight_means=(1.0,)), r"weight_means=\(1.0,\) has 1 entries; .* has 2 layers"),
        (dict(weight_stds=(1.0, 1.0, 1.0)), r"weight_stds=.* has 3 entries; .* has 2 layers"),
        (dict(bias_times=((0.9,),)), r"bias_times=.* has 1 entries; .* has 2 layers"),
    ],
)
def test_arguments_that_do_not_fit_the_sizes(changes, message):
    with pytest.raises(ValueError, match=message):
        _network(**changes)


def test_weights_that_do_not_fit_each_other():
    weights = (jnp.ones((6, 4)), jnp.ones((3, 6)))
    with pytest.raises(ValueError, match=r"weights\[1\] has shape \(3, 6\); expected 7 columns"):
        FirstSpikeNetwork(weights, CurrentLIF(), ((), (0.9,)))
    with pytest.raises(ValueError, match="bias_times has 1 entries; expected one tuple for each"):
        FirstSpikeNetwork(weights, CurrentLIF(), ((),))


def test_inputs_of_a_wrong_size():
    # beartype, active in the tests, comes before our own message.
    with pytest.raises((ValueError, TypeError), match="times"):
        run(_network().weights, jnp.ones(3))


def test_a_chip_needs_a_key():
    chip = AnalogChip.fabricate(AnalogImperfections(), [(6, 6), (3, 7)], key=KEY)
    with pytest.raises(ValueError, match="key=None: the emulation on a chip needs a random key"):
        _network()(jnp.asarray(TIMES), chip=chip)
