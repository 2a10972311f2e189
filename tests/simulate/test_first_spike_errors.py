"""What `first_spike_times` and `measured_spike_times` refuse, and how they say so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.neurons import CurrentLIF
from plasticjax.simulate import first_spike_times, measured_spike_times

NEURON = CurrentLIF()
WEIGHTS, TIMES = jnp.ones((2, 3)), jnp.arange(3.0)
solve = jax.jit(lambda weights, times: first_spike_times(NEURON, weights, times))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(value):
    bad = WEIGHTS.at[1, 2].set(value)
    with pytest.raises(ValueError, match="weights must be finite; found NaN or infinite entries"):
        first_spike_times(NEURON, bad, TIMES)


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_times_that_are_no_times(value):
    bad = TIMES.at[1].set(value)
    with pytest.raises(ValueError, match=r"times must be numbers or \+inf \(silent\)"):
        first_spike_times(NEURON, WEIGHTS, bad)


@pytest.mark.parametrize("neuron", [NEURON, CurrentLIF(2.0), CurrentLIF(np.inf), CurrentLIF(1.5)])
def test_nan_is_never_taken_for_silence_inside_jit(neuron):
    strong = 3 * WEIGHTS
    solve = jax.jit(lambda weights, times: first_spike_times(neuron, weights, times))
    assert np.all(np.isfinite(solve(strong, TIMES)))
    np.testing.assert_array_equal(np.isnan(solve(strong.at[1, 0].set(np.nan), TIMES)), [0, 1])
    np.testing.assert_array_equal(np.isnan(solve(strong, TIMES.at[2].set(np.nan))), [1, 1])
    batch = jnp.stack([TIMES, TIMES.at[0].set(jnp.nan)])
    found = jax.vmap(solve, (None, 0))(strong, batch)
    np.testing.assert_array_equal(np.isnan(found), [[0, 0], [1, 1]])


# beartype, active in the tests, refuses some shapes before our own message can.
REFUSED = (ValueError, TypeError)


@pytest.mark.parametrize(
    ("weights", "times"),
    [
        (jnp.ones(3), TIMES),
        (jnp.ones((1, 2, 3)), TIMES),
        (WEIGHTS, jnp.arange(2.0)),
        (WEIGHTS, jnp.ones((2, 3))),
        (WEIGHTS.T, TIMES),
        (WEIGHTS, jnp.array(1.0)),
    ],
)
def test_shapes_that_do_not_fit(weights, times):
    with pytest.raises(REFUSED, match=r"shape|[Tt]ype-check"):
        first_spike_times(NEURON, weights, times)
    with pytest.raises(ValueError, match=r"has shape .*expected? \[p|has shape .*expect"):
        _unchecked(first_spike_times)(NEURON, weights, times)


def _unchecked(function):
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


@pytest.mark.parametrize("name", ["tau_mem", "tau_syn", "threshold", "leak", "g_leak"])
def test_neuron_parameters_of_a_wrong_shape(name):
    values = dict(tau_mem=1.0, tau_syn=1.0, threshold=2.0, leak=0.0, g_leak=1.0)
    for shape in ((3,), (1,), (2, 1)):
        neuron = CurrentLIF(**values | {name: np.full(shape, values[name] or 0.1)})
        with pytest.raises(ValueError, match=rf"neuron\.{name} has shape .*\[post\] = \(2,\)"):
            first_spike_times(neuron, WEIGHTS, TIMES)


def test_integers_become_floats():
    spikes = _unchecked(first_spike_times)(NEURON, jnp.full((2, 3), 2), jnp.arange(3))
    expected = first_spike_times(NEURON, jnp.full((2, 3), 2.0), jnp.arange(3.0))
    assert jnp.issubdtype(spikes.dtype, jnp.floating)
    np.testing.assert_array_equal(spikes, expected)


def test_measured_times_of_a_wrong_shape():
    for shape in ((3,), (), (2, 1)):
        with pytest.raises(REFUSED, match=r"shape|[Tt]ype-check"):
            measured_spike_times(NEURON, WEIGHTS, TIMES, jnp.ones(shape))
        with pytest.raises(ValueError, match=r"measured has shape .*\[post\] = \(2,\)"):
            _unchecked(measured_spike_times)(NEURON, WEIGHTS, TIMES, jnp.ones(shape))
    with pytest.raises(REFUSED, match=r"shape|[Tt]ype-check"):
        measured_spike_times(NEURON, WEIGHTS, jnp.arange(2.0), jnp.ones(2))
