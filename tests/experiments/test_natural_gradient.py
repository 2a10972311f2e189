"""The experiments on natural-gradient plasticity, and what they share."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import (
    natural_gradient_convergence,
    natural_gradient_democracy,
    natural_gradient_heterosynaptic,
    natural_gradient_variance,
)
from experiments._contract import NullJob
from experiments._poisson_neuron import STEP, Usps, divergence, usp_samples
from plasticjax.plasticity import SigmoidTransfer, UspKernel
from tests.experiments.judged import assert_claims_hold

KEY = jax.random.key(0)
EXPERIMENTS = {
    "convergence": natural_gradient_convergence,
    "democracy": natural_gradient_democracy,
    "heterosynaptic": natural_gradient_heterosynaptic,
    "variance": natural_gradient_variance,
}


@pytest.fixture(scope="module", params=EXPERIMENTS)
def smoke(request):
    experiment = EXPERIMENTS[request.param]
    config = experiment.Config.smoke()
    return experiment, config, experiment.run(config, key=KEY, job=NullJob())


def test_the_smoke_claims_hold(smoke):
    experiment, config, result = smoke
    judged = [claim for claim in experiment.CLAIMS if "smoke" in claim.accept]
    assert judged
    assert_claims_hold(judged, result, size="smoke", seeds=config.seeds)


def test_the_figure_is_drawn_without_warnings(smoke, tmp_path):
    experiment, _, result = smoke
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        experiment.figure(result).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_synaptic_potentials_have_their_area_and_power(x64):
    """On the grid of 0.5 ms a spike keeps 99.931 % of its area and all of its power."""
    kernel = UspKernel()
    spikes = jnp.zeros(4000, bool).at[0].set(True)

    def step(usps, spike):
        usps = usps.follow(spike, kernel)
        return usps, usps.potentials(kernel)

    usp = jax.lax.scan(step, Usps.silent((), "float64"), spikes)[1]
    assert usp[0] == 0
    np.testing.assert_allclose(STEP * usp.sum(), 0.99931, atol=5e-6)
    np.testing.assert_allclose(STEP * jnp.sum(usp**2) * kernel.c_eps, 0.999994, atol=5e-7)


def test_synaptic_potentials_have_their_mean_and_variance():
    rate = jnp.array([10.0, 50.0])
    samples = usp_samples(KEY, rate, UspKernel(), 0.1, 20_000)
    np.testing.assert_allclose(samples.mean(axis=0), rate, rtol=0.03)
    expected = rate / UspKernel().c_eps * (1 - rate * STEP)
    np.testing.assert_allclose(samples.var(axis=0), expected, rtol=0.04)


def test_the_divergence_is_that_of_bernoulli_spikes(x64):
    transfer = SigmoidTransfer()
    taught, potential = jnp.array([3.0, 12.0]), jnp.array([5.0, 11.0])
    a, b = (np.array(transfer.rate(v)) * STEP for v in (taught, potential))
    expected = np.mean(a * np.log(a / b) + (1 - a) * np.log((1 - a) / (1 - b)))
    np.testing.assert_allclose(divergence(transfer, taught, potential), expected, rtol=1e-9)
    assert divergence(transfer, taught, taught) == 0


def test_consistent_potentials_give_the_same_democracy():
    config = natural_gradient_democracy.Config(seeds=2, duration=1.0, consistent=True)
    result = natural_gradient_democracy.run(config, key=KEY, job=NullJob())
    assert np.all(natural_gradient_democracy.spread(result) < 1e-9)


class Interrupted(NullJob):
    """Remembers every checkpoint, and restores one."""

    def __init__(self, step=None, saved=None):
        self.step, self.saved = step, {} if saved is None else saved

    def save(self, step, state):
        self.saved[step] = state

    def restore(self, like):
        return None if self.step is None else (self.step, self.saved[self.step])


def test_a_resumed_run_ends_as_if_nothing_had_happened(monkeypatch):
    monkeypatch.setattr(natural_gradient_convergence, "SAVED", 1)
    monkeypatch.setattr(natural_gradient_convergence, "plane", lambda *_, **__: None)
    config = natural_gradient_convergence.Config(seeds=1, duration=3, every=1, inputs=10)
    first = Interrupted()
    whole = natural_gradient_convergence.run(config, key=KEY, job=first)
    again = Interrupted(2, first.saved)
    resumed = natural_gradient_convergence.run(config, key=KEY, job=again)
    np.testing.assert_array_equal(whole.scores.divergence, resumed.scores.divergence)


def test_a_run_that_does_not_divide_is_refused():
    config = natural_gradient_convergence.Config(duration=50)
    with pytest.raises(ValueError, match="duration=50 must be a multiple of every=20"):
        natural_gradient_convergence.run(config, key=KEY, job=NullJob())


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_claims_hold(name):
    experiment = EXPERIMENTS[name]
    config = experiment.Config()
    result = experiment.run(config, key=KEY, job=NullJob())
    assert_claims_hold(
        [claim for claim in experiment.CLAIMS if "default" in claim.accept],
        result,
        size="default",
        seeds=config.seeds,
    )
