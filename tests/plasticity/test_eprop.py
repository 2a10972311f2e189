"""Eligibility propagation: closed form, wiring by hand, and the rules that it contains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.models import (
    crossing_steps,
    first_maximum_errors,
    forward_gradient,
    latency_gradient,
    latency_network,
    surrogate_network,
)
from plasticjax.plasticity import EProp, EPropNeuron, EPropSynapse, increment, over_synapses
from plasticjax.plasticity import flow as flow_of

KEY = jax.random.key(3)
LABEL = jnp.asarray(1)


def follow(rule, spikes, neurons):
    """The synapses after all steps, [post, pre]; weights start at zero."""
    update = over_synapses(increment(rule))
    zero = jnp.zeros((neurons.slope.shape[1], spikes.shape[1]))

    def step(synapses, entry):
        pre, post = entry
        return update(synapses, pre, post, None), None

    begin = EPropSynapse(*(zero,) * 5)
    return jax.lax.scan(step, begin, (spikes, neurons))[0]


@pytest.mark.parametrize("lag", [0, 1, 2, 7])
def test_eligibility_of_one_spike_is_the_response_of_the_membrane(x64, lag):
    rule = EProp(synaptic=0.8, membrane=0.9, gain=0.5)
    spikes = jnp.zeros((lag, 1)).at[:1].set(1.0)
    nothing = EPropNeuron(*(jnp.zeros((lag, 1)),) * 3)
    found = follow(rule, spikes, nothing)
    powers = (0.9 ** (lag - 1) - 0.8 ** (lag - 1)) / (0.9 - 0.8) if lag else 0.0
    np.testing.assert_allclose(found.eligibility, [[0.5 * powers]], rtol=1e-12, atol=1e-15)
    reset = nothing._replace(reset=nothing.reset.at[-1:].set(1.0))
    assert float(jnp.abs(follow(rule, spikes, reset).eligibility).max()) == 0


def test_it_is_the_gradient_of_a_network(x64):
    network = surrogate_network((12, 9, 3), key=KEY, scale=2.0, dtype="float64")
    spikes = jax.random.bernoulli(KEY, 0.1, (60, 12)).astype(float)
    (layer,), (trace,) = network.hidden, network(spikes).hidden
    error = first_maximum_errors(network(spikes).readout, LABEL) @ network.readout.weights
    rule = EProp(*layer.decays, 1.0, *network.readout.decays, eta=2.0)
    pad = lambda x: jnp.pad(x, ((0, 1), (0, 0)))  # noqa: E731
    neurons = EPropNeuron(error, pad(layer.surrogate(trace.voltage - 1)), pad(trace.spikes))
    found = follow(rule, pad(spikes), neurons)
    exact = forward_gradient(network, spikes, LABEL).hidden[0].weights
    assert float(jnp.abs(exact).max()) > 0
    np.testing.assert_allclose(found.w, -2 * exact, rtol=1e-11, atol=1e-15)


def test_own_spikes_and_errors_at_first_spikes_make_the_rule_of_gardner_and_gruening(x64):
    network = latency_network(
        (12, 15, 3), key=KEY, hidden_mean=6.0, readout_mean=1.5, dtype="float64"
    )
    spikes = jax.random.bernoulli(jax.random.fold_in(KEY, 1), 0.1, (60, 12)).astype(float)
    trace, hidden = network(spikes, key=KEY), network.hidden
    crossing = crossing_steps(trace.potential, 15.0)
    assert bool(jnp.all(jnp.isfinite(crossing)))
    error = jax.nn.one_hot(LABEL, 3) - jax.nn.softmax(-crossing / 2.0)
    reading = jnp.maximum(1 - jnp.abs(jnp.arange(60)[:, None] - crossing), 0)
    # Each of the two filters of the rule is a step behind that of the potentials.
    late = lambda x, steps: jnp.pad(x, ((steps, 2 - steps), (0, 0)))  # noqa: E731
    neurons = EPropNeuron(
        late(-(reading * error) @ network.readout, 2),
        late(trace.hidden.spikes / hidden.width, 1),
        jnp.zeros((62, 15)),
    )
    slow, fast = np.exp(-1 / 10), np.exp(-1 / 5)
    size = 4.0 * (slow - fast)
    rule = EProp(fast, slow, size, fast, slow, eta=size)
    found = follow(rule, late(spikes, 0), neurons).w
    exact = latency_gradient(network, spikes, LABEL, key=KEY, nu=2.0).hidden.weights
    assert float(jnp.abs(exact).max()) > 0
    np.testing.assert_allclose(found, -exact, rtol=1e-10, atol=1e-13)


def test_it_is_no_flow():
    with pytest.raises(ValueError, match="change per sample"):
        flow_of(EProp(0.8, 0.9))
