"""The lag net: the adjoint, and what is learned at smoke size."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import gle_lagnet
from experiments._contract import NullJob
from experiments._lag_net import DT, TAU_R, TEACHER, _backwards, adjoint, follow, start
from plasticjax.energy import Learner
from tests.experiments.judged import assert_claims_hold

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def smoke():
    return gle_lagnet.run(gle_lagnet.Config.smoke(), key=KEY, job=NullJob())


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def test_a_student_that_is_the_teacher_has_no_errors(x64):
    pair = start(jnp.asarray(TEACHER), None)
    _, shown = gle_lagnet.steps_of(follow(gamma=1e-3), pair, 3000)
    np.testing.assert_allclose(shown.output, shown.target, atol=1e-14)
    for errors in (*shown.errors, *adjoint(shown)):
        np.testing.assert_allclose(errors, 0, atol=1e-13)
    assert np.ptp(shown.target) > 0.5


def test_an_instantaneous_neuron_passes_the_adjoint_on_at_once(x64):
    a = jnp.sin(DT * jnp.arange(2000.0))[:, None]
    shown = _backwards(a, jnp.ones(1))
    np.testing.assert_allclose(shown, a, atol=DT)


def test_a_lagging_neuron_filters_the_adjoint_by_its_transfer_function(x64):
    omega, times = 1.3, DT * np.arange(6000)
    value = _backwards(jnp.cos(omega * times)[:, None], jnp.asarray(TAU_R))[:, 1]
    transfer = (1 - 1j * omega * TAU_R[1]) / (1 - 1j * omega)
    wanted = np.real(transfer * np.exp(1j * omega * times))
    np.testing.assert_allclose(value[:4000], wanted[:4000], atol=1.5 * DT)


def test_the_adjoint_is_the_gradient_through_time(x64):
    """Up to the time step; the window is long against the time constants."""
    first = jnp.asarray([0.7, -0.6])
    pair, _ = gle_lagnet.steps_of(follow(gamma=0.0), start(first, None), 1000)

    def loss(first):
        moved = pair._replace(student=Learner(pair.student.neurons, first))
        _, shown = gle_lagnet.steps_of(follow(gamma=0.0), moved, 3000)
        return DT / 2 * jnp.sum((shown.target - shown.output) ** 2)

    _, shown = gle_lagnet.steps_of(follow(gamma=0.0), pair, 3000)
    gradient = -DT * shown.input @ adjoint(shown)[0]
    miss = np.linalg.norm(gradient - jax.grad(loss)(first))
    assert miss < 0.01 * np.linalg.norm(gradient)


def test_the_teacher_is_approached(smoke):
    assert np.all(smoke.loss[:, 0, -1] < 0.1 * smoke.loss[:, 0, 0])
    gap = np.abs(smoke.weights - np.asarray(TEACHER)).sum(axis=-1)
    assert np.all(gap[:, 0, -1] < gap[:, 0, 0])
    assert smoke.weights.shape == (2, 2, 61, 2)


def test_claims_hold_at_smoke_size(smoke):
    assert_claims_hold(gle_lagnet.CLAIMS, smoke, size="smoke", seeds=2)


def test_lag_of_a_shifted_signal():
    signal = np.convolve(np.random.default_rng(0).standard_normal(1200), np.ones(40), "valid")
    windows = [signal[100 - shift : 1100 - shift] for shift in (0, 30, -45)]
    np.testing.assert_allclose(
        gle_lagnet.lag(np.stack(windows), np.stack([windows[0]] * 3)), [0, 0.3, -0.45], atol=1e-12
    )


def test_the_spectrum_of_a_sine_has_its_amplitude():
    trace = 0.7 * np.sin(2 * np.pi * 8 * np.arange(1000) / 1000)
    assert np.argmax(gle_lagnet.spectrum(trace)) == 8
    np.testing.assert_allclose(gle_lagnet.spectrum(trace)[8], 0.7, rtol=1e-3)


def test_the_figure_is_drawn_without_warnings(smoke, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gle_lagnet.figure(smoke).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 20_000


@pytest.mark.slow
def test_the_claims_hold():
    result = gle_lagnet.run(gle_lagnet.Config(), key=KEY, job=NullJob())
    assert_claims_hold(gle_lagnet.CLAIMS, result, size="default", seeds=5)
