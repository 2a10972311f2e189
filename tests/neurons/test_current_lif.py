"""The closed forms of the neuron against its own differential equation."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp, mpf
from scipy.integrate import quad

from plasticjax.neurons import CurrentLIF, CurrentLIFState

NEURONS = {
    "equal": CurrentLIF(),
    "equal, scaled": CurrentLIF(2.5, 2.5, 1.08, 0.2, 0.7),
    "double": CurrentLIF(2.0),
    "faster membrane": CurrentLIF(0.4, 1.0, 1.0, -0.1, 2.0),
    "nearly equal": CurrentLIF(1.0 + 1e-7, 1.0, 1.0, 0.0, 1.0),
    "non-leaky": CurrentLIF(float("inf"), 0.7),
}
WEIGHTS = np.array([[1.0, -2.0, 3.0, 0.5, 7.0], [0.3, 0.8, -0.2, 2.0, -7.0]])
TIMES = np.array([0.0, 0.5, 0.5, 1.7, np.inf])


@eqx.filter_jit
def flow(neuron, state, duration):
    """State after a time without arrivals, by an ODE solver."""
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(neuron.vector_field),
        diffrax.Dopri8(),
        0.0,
        duration,
        None,
        state,
        stepsize_controller=diffrax.PIDController(rtol=1e-12, atol=1e-13),
    )
    return jax.tree.map(lambda leaf: leaf[0], solution.ys)


def _traced(neuron):
    return jax.tree.map(jnp.asarray, neuron)


@pytest.mark.parametrize("name", NEURONS)
def test_membrane_solves_the_equation_with_jumps(x64, name):
    neuron = NEURONS[name]
    ode = _traced(neuron)
    order = np.argsort(TIMES)[:-1]
    resting = jnp.full(2, neuron.leak)
    state, now = CurrentLIFState(resting, jnp.zeros(2)), 0.0
    for i, following in zip(order, [*TIMES[order][1:], 4.0], strict=True):
        state = ode.receive(state, jnp.asarray(WEIGHTS[:, i]))
        if following > now:
            state = flow(ode, state, jnp.asarray(following - now))
            now = following
            closed = neuron.membrane(now, jnp.asarray(WEIGHTS), jnp.asarray(TIMES))
            np.testing.assert_allclose(closed, state.voltage, rtol=1e-9, atol=1e-10)
    decay = np.where(np.isinf(TIMES), 0, np.exp(-(4.0 - TIMES) / neuron.tau_syn))
    np.testing.assert_allclose(state.current, WEIGHTS @ decay, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", NEURONS)
def test_membrane_is_the_filtered_current(x64, name):
    neuron = NEURONS[name]
    times, weights = TIMES[:-1], WEIGHTS[0, :-1]
    for t in (0.2, 0.5, 1.1, 3.0):

        def integrand(s, t=t):
            arrived = np.sum(
                np.where(times <= s, weights * np.exp(-(s - times) / neuron.tau_syn), 0)
            )
            return np.exp(-(t - s) / neuron.tau_mem) * arrived / neuron.capacitance

        value, _ = quad(integrand, 0, t, points=[0.5, 1.7], epsabs=1e-12, epsrel=1e-12)
        found = neuron.membrane(t, jnp.asarray(WEIGHTS[0]), jnp.asarray(TIMES))
        assert found == pytest.approx(neuron.leak + value, abs=1e-10)


def _true_kernel(s, tau_mem, tau_syn, capacity):
    if tau_mem == tau_syn:
        return s * mp.exp(-s / tau_syn) / capacity
    fast, slow = 1 / tau_syn, 1 / tau_mem
    return (mp.exp(-slow * s) - mp.exp(-fast * s)) / (fast - slow) / capacity


def test_kernel_keeps_its_digits_around_equal_time_constants(x64):
    kernel = jax.jit(lambda tau_mem, s: CurrentLIF(tau_mem, 1.0, g_leak=1.0).kernel(s))
    deviations = np.append(0, np.outer([-1, 1], 10.0 ** -np.arange(0.5, 15, 0.5)).ravel())
    elapsed = np.array([1e-6, 0.1, 1.0, 5.0, 60.0])
    for deviation in deviations:
        tau_mem = 1 + deviation
        found = kernel(tau_mem, jnp.asarray(elapsed))
        with mp.workdps(60):
            exact = [_true_kernel(mpf(s), mpf(tau_mem), mpf(1), mpf(tau_mem)) for s in elapsed]
        np.testing.assert_allclose(found, np.array(exact, float), rtol=2e-13)


def test_kernel_derivatives_by_the_time_constants_at_equality(x64):
    def kernel(tau, s):
        return CurrentLIF(tau[0], tau[1], g_leak=0.7).kernel(s)

    gradient, hessian = jax.jit(jax.grad(kernel)), jax.jit(jax.hessian(kernel))
    for ratio in (1.0, 1 + 1e-9, 1.01, 1.06, 0.94, 2.0):
        for s in (0.3, 2.0, 9.0):
            tau = jnp.asarray([1.3 * ratio, 1.3])
            with mp.workdps(60):

                def true(a, b, s=s):
                    return _true_kernel(mpf(s), a, b, mpf(0.7) * a)

                # A point beside equality, so that the differences see one formula.
                at = (mpf(float(tau[0])) + mpf(10) ** -25, mpf(float(tau[1])))
                orders = ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
                exact = [float(mp.diff(true, at, n, h=mpf(10) ** -12)) for n in orders]
            np.testing.assert_allclose(gradient(tau, s), exact[:2], rtol=1e-8, atol=1e-10)
            second = hessian(tau, s)
            found = second[0, 0], second[0, 1], second[1, 1]
            np.testing.assert_allclose(found, exact[2:], rtol=1e-6, atol=1e-8)


def test_kernel_before_arrival_and_long_after():
    for neuron in (CurrentLIF(), CurrentLIF(2.0), CurrentLIF(0.5)):
        elapsed = jnp.array([-3.0, 0.0, 500.0])
        np.testing.assert_allclose(neuron.kernel(elapsed), 0, atol=1e-30)
        assert np.all(np.isfinite(jax.vmap(jax.grad(neuron.kernel))(elapsed)))
    assert CurrentLIF(jnp.inf).kernel(jnp.array(500.0)) == 1


@pytest.mark.parametrize("name", NEURONS)
def test_propagate_solves_the_equation(x64, name):
    neuron = NEURONS[name]
    state = CurrentLIFState(jnp.array([0.4, -2.0]), jnp.array([1.5, -0.7]))
    for duration in (1e-3, 0.7, 5.0):
        exact = flow(_traced(neuron), state, jnp.asarray(duration))
        found = neuron.propagate(state, duration)
        for a, b in zip(found, exact, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    twice = neuron.propagate(neuron.propagate(state, 0.4), 0.9)
    for a, b in zip(twice, neuron.propagate(state, 1.3), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14)


def test_vector_field_is_the_equation(x64):
    neuron = CurrentLIF(3.0, 2.0, 1.0, 0.2, 0.5)
    state = CurrentLIFState(jnp.array(0.7), jnp.array(1.1))
    change = neuron.vector_field(0.0, state, None)
    # C dV/dt = g (E - V) + I with C = 3.0 * 0.5
    np.testing.assert_allclose(change.voltage, (0.5 * (0.2 - 0.7) + 1.1) / 1.5, rtol=1e-14)
    np.testing.assert_allclose(change.current, -1.1 / 2, rtol=1e-14)
    driven = neuron.vector_field(0.0, state, 0.3)
    np.testing.assert_allclose(driven.voltage, (0.5 * (0.2 - 0.7) + 1.4) / 1.5, rtol=1e-14)
    np.testing.assert_array_equal(driven.current, change.current)


def test_event_prop_convention_gives_the_same_voltages(x64):
    neuron = CurrentLIF(20.0, 5.0, 1.0, 0.1, 0.25)
    other = CurrentLIF.event_prop(20.0, 5.0, 1.0, 0.1)
    assert other.g_leak == 1 and other.capacitance == 20.0
    weights, times = jnp.asarray(WEIGHTS), 10 * jnp.asarray(TIMES)
    for t in (3.0, 8.0, 40.0):
        np.testing.assert_allclose(
            other.membrane(t, weights / 0.25, times), neuron.membrane(t, weights, times), rtol=1e-13
        )
    standard = CurrentLIF.event_prop()
    assert (standard.tau_mem, standard.tau_syn, standard.threshold) == (20.0, 5.0, 1.0)
    # tau_mem dV/dt = -V + I
    change = standard.vector_field(0.0, CurrentLIFState(jnp.array(0.5), jnp.array(2.0)), None)
    np.testing.assert_allclose(change.voltage, (-0.5 + 2.0) / 20, rtol=1e-14)


def test_capacitance_is_the_synaptic_time_constant_by_default():
    assert CurrentLIF(7.0, 3.0).capacitance == 3.0
    assert CurrentLIF(7.0, 3.0, g_leak=0.5).capacitance == 3.5


def test_spike_interface():
    neuron = CurrentLIF(threshold=1.5, leak=np.array([0.1, 0.2, 0.3]))
    state = neuron.initial()
    np.testing.assert_allclose(state.voltage, [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(state.current, [0, 0, 0])
    np.testing.assert_allclose(neuron.threshold_margin(state), [-1.4, -1.3, -1.2])
    state = neuron.receive(state, jnp.array([1.0, -2.0, 0.0]))
    np.testing.assert_array_equal(state.current, [1, -2, 0])
    state = neuron.reset(CurrentLIFState(jnp.full(3, 9.0), state.current))
    np.testing.assert_allclose(state.voltage, [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(state.current, [1, -2, 0])
    lower = CurrentLIF(reset_voltage=-0.5).reset(CurrentLIFState(jnp.ones(2), jnp.ones(2)))
    np.testing.assert_array_equal(lower.voltage, [-0.5, -0.5])
    assert CurrentLIF.clamped == CurrentLIFState(True, False)
    assert CurrentLIF().initial().voltage.shape == ()


def test_parameters_can_be_vmapped_and_differ_between_neurons(x64):
    tau_mem = jnp.array([0.5, 1.0, 2.0])
    leak = jnp.array([0.0, 0.1, -0.2])
    weights, times = jnp.asarray(np.vstack([WEIGHTS, WEIGHTS[:1]])), jnp.asarray(TIMES)
    one_each = CurrentLIF(tau_mem, 1.0, 1.0, leak).membrane(2.0, weights, times)
    mapped = jax.vmap(lambda m, e, w: CurrentLIF(m, 1.0, 1.0, e).membrane(2.0, w, times))(
        tau_mem, leak, weights
    )
    np.testing.assert_allclose(one_each, mapped, rtol=1e-14)
    for j in range(3):
        alone = CurrentLIF(float(tau_mem[j]), 1.0, 1.0, float(leak[j]))
        np.testing.assert_allclose(alone.membrane(2.0, weights[j], times), one_each[j], rtol=1e-14)
    each_at = CurrentLIF(tau_mem, 1.0, 1.0, leak).membrane(
        jnp.array([2.0, 1.0, 0.0]), weights, times
    )
    np.testing.assert_allclose(each_at[0], one_each[0], rtol=1e-14)
    assert each_at[2] == leak[2]
    neurons = jax.vmap(lambda m: CurrentLIF(m))(tau_mem)
    states = jax.vmap(lambda n: n.propagate(n.receive(n.initial(), 1.0), 0.5))(neurons)
    assert states.voltage.shape == (3,)


def test_derivatives_of_the_membrane_are_finite_with_silent_and_late_inputs():
    weights, times = jnp.float32(WEIGHTS), jnp.float32(TIMES)

    def membrane(t, weights, times):
        return jnp.sum(CurrentLIF().membrane(t, weights, times))

    for t in (0.5, 1.0):
        for leaf in jax.grad(membrane, argnums=(0, 1, 2))(t, weights, times):
            assert np.all(np.isfinite(leaf))


def test_dtype_follows_the_inputs(x64):
    for dtype in (jnp.float32, jnp.float64):
        weights, times = jnp.asarray(WEIGHTS, dtype), jnp.asarray(TIMES, dtype)
        assert CurrentLIF(2.0).membrane(1.0, weights, times).dtype == dtype
        state = CurrentLIFState(jnp.zeros(2, dtype), jnp.ones(2, dtype))
        for leaf in CurrentLIF(2.0).propagate(state, 0.1):
            assert leaf.dtype == dtype


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (dict(tau_mem=-1.0), r"tau_mem=-1.0 must be a positive time or inf"),
        (dict(tau_mem=0.0), r"tau_mem=0.0 must be a positive time"),
        (dict(tau_mem=np.nan), r"tau_mem=nan must be"),
        (dict(tau_mem=np.array([1.0, -2.0])), r"tau_mem=\[ 1. -2.\] must be"),
        (dict(tau_syn=-3.0), r"tau_syn=-3.0 must be a positive time"),
        (dict(tau_syn=np.inf), r"tau_syn=inf must be a positive time"),
        (dict(tau_syn=jnp.array(-3.0)), r"tau_syn=-3.0 must be a positive time"),
        (dict(threshold=np.nan), r"threshold=nan must be finite"),
        (dict(leak=-np.inf), r"leak=-inf must be finite"),
        (dict(g_leak=0.0), r"g_leak=0.0 must be positive"),
        (dict(g_leak=1.0, tau_mem=np.inf), r"tau_mem=inf must be finite when g_leak is given"),
        (dict(threshold=0.5, leak=0.5), r"threshold=0.5 must exceed leak=0.5"),
        (dict(threshold=np.array([1.0, 0.1]), leak=0.2), r"must exceed leak=0.2"),
        (dict(reset_voltage=1.5), r"threshold=1.0 must exceed reset_voltage=1.5"),
        (dict(reset_voltage=np.nan), r"reset_voltage=nan must be finite"),
    ],
)
def test_parameters_outside_their_range(parameters, message):
    with pytest.raises(ValueError, match=message):
        CurrentLIF(**parameters)


def test_event_prop_refuses_a_non_leaky_neuron():
    with pytest.raises(ValueError, match="tau_mem=inf must be finite when g_leak is given"):
        CurrentLIF.event_prop(np.inf)
