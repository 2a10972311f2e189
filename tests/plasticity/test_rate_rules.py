import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.plasticity import (
    BCM,
    AntiHebb,
    Hebb,
    LowPass,
    Oja,
    Sanger,
    Signals,
    SlidingRate,
    SynapticScaling,
    flow,
    increment,
    over_synapses,
    sanger_reconstruction,
)
from plasticjax.plasticity._rule import AbstractRule


def test_hebb_and_its_negative():
    assert Hebb(0.1)(0.7, 2.0, 3.0, None) == pytest.approx(0.6)
    assert AntiHebb(0.1)(0.7, 2.0, 3.0, None) == pytest.approx(-0.6)
    assert AntiHebb(0.1, threshold=1.0)(0.7, 2.0, 3.0, None) == pytest.approx(-0.5)


def test_anti_hebb_decorrelates_lateral_connections():
    """y = x + W y with lateral W; at its fixed point two outputs are uncorrelated."""
    samples = jax.random.multivariate_normal(
        jax.random.key(0), jnp.zeros(2), jnp.array([[1.0, 0.6], [0.6, 1.0]]), (4000,)
    )
    update = over_synapses(increment(AntiHebb(0.02)), mask=~jnp.eye(2, dtype=bool))

    def step(w, x):
        y = jnp.linalg.solve(jnp.eye(2) - w, x)
        return update(w, y, y, None), y

    y = jax.lax.scan(step, jnp.zeros((2, 2)), samples)[1][1000:]
    assert abs(np.corrcoef(samples.T)[0, 1]) > 0.55
    assert abs(np.corrcoef(y.T)[0, 1]) < 0.1


def spectrum(seed, n):
    """Samples whose covariance has well separated eigenvalues, and its eigenvectors as rows."""
    rng = np.random.default_rng(seed)
    vectors = np.linalg.qr(rng.normal(size=(n, n)))[0].T
    scales = 2 * 1.5 ** -np.arange(n)
    return jnp.asarray(rng.normal(size=(20000, n)) * scales @ vectors), vectors


def learn(rule, w, samples, obs=lambda w, y: None):
    """Learns fast first and then slowly, so that the noise of the samples averages out."""
    for eta in (0.01, 0.001, 0.0001):
        w = _learn(rule(eta), w, samples, obs)
    return w


def _learn(rule, w, samples, obs):
    update = over_synapses(increment(rule))

    def step(w, x):
        y = w @ x
        return update(w, x, y, None, obs(w, y)), None

    return jax.lax.scan(step, w, samples)[0]


@pytest.mark.parametrize("seed", [0, 1])
def test_oja_finds_the_first_principal_component_with_norm_one(seed, x64):
    samples, vectors = spectrum(seed, 4)
    start = jax.random.normal(jax.random.key(seed), (1, 4)) / 2
    w = learn(Oja, start, samples)[0]
    np.testing.assert_allclose(jnp.linalg.norm(w), 1.0, atol=0.005)
    assert abs(w @ vectors[0]) > 0.999


def test_sanger_finds_the_principal_components_in_order(x64):
    samples, vectors = spectrum(2, 4)
    start = jax.random.normal(jax.random.key(3), (3, 4)) / 4
    w = learn(Sanger, start, samples, sanger_reconstruction)
    np.testing.assert_allclose(np.abs(w @ vectors[:3].T), np.eye(3), atol=0.03)


def test_the_closed_forms_of_oja_and_sanger(x64):
    keys = jax.random.split(jax.random.key(0), 2)
    w, x = jax.random.normal(keys[0], (3, 4)), jax.random.normal(keys[1], (4,))
    y = w @ x
    oja = 0.3 * (np.outer(y, x) - y[:, None] ** 2 * w)
    np.testing.assert_allclose(over_synapses(Oja(0.3))(w, x, y, None), oja, rtol=1e-12)
    lower = np.tril(np.outer(y, y))
    sanger = 0.3 * (np.outer(y, x) - lower @ np.asarray(w))
    obs = sanger_reconstruction(w, y)
    np.testing.assert_allclose(over_synapses(Sanger(0.3))(w, x, y, None, obs), sanger, rtol=1e-10)


def test_sanger_needs_its_observable():
    with pytest.raises(ValueError, match=r"obs must be sanger_reconstruction\(w, y\), got None"):
        Sanger()(0.1, 0.2, 0.3, None)


def test_ojas_flow_has_a_norm_in_closed_form(x64):
    """For one input x the norm along x obeys a logistic equation."""
    x = jnp.array([0.6, 0.8])
    field = flow(over_synapses(Oja(0.5, per="time")))
    w = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5(),
        0.0,
        3.0,
        0.01,
        0.1 * x[None],
        args=lambda t, w: Signals(x, w @ x),
    ).ys[0, 0]
    grown = 0.1**2 * np.exp(2 * 0.5 * 3.0)
    np.testing.assert_allclose(w @ x, np.sqrt(grown / (1 - 0.1**2 + grown)), rtol=1e-7)


def test_bcm_changes_sign_at_its_threshold():
    rule = BCM(eta=0.1, decay=0.2)
    assert rule(0.5, 2.0, SlidingRate(3.0, 1.0), None) == pytest.approx(0.1 * 2 * 3 * 2 - 0.1)
    assert rule(0.5, 2.0, SlidingRate(0.5, 1.0), None) == pytest.approx(-0.1 * 2 * 0.25 - 0.1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bcm_becomes_selective_for_one_of_two_patterns(seed, x64):
    """Two independent patterns with p = 1/2: a stable neuron answers 2 to one, 0 to the other."""
    patterns = jnp.array([[1.0, 0.3], [0.2, 1.0]])
    keys = jax.random.split(jax.random.key(seed))
    chosen = jax.random.bernoulli(keys[0], 0.5, (40000,)).astype(int)
    field, mean = flow(over_synapses(BCM(eta=1.0))), LowPass(30.0)

    def step(carry, k):
        w, threshold = carry
        y = w @ patterns[k]
        w = w + 0.002 * field(0.0, w, Signals(patterns[k], SlidingRate(y, threshold)))
        return (w, mean.follow(threshold, y**2, 1.0)), w

    start = (jax.random.uniform(keys[1], (1, 2), minval=0.5, maxval=1.0), jnp.ones(1))
    w = jax.lax.scan(step, start, chosen)[1][-20000:].mean(0)[0]
    np.testing.assert_allclose(jnp.sort(patterns @ w), [0.0, 2.0], atol=0.1)


def test_scaling_keeps_ratios_and_reaches_the_target(x64):
    w, rates = jnp.array([[1.0, 3.0], [0.5, 0.25]]), jnp.array([0.02, 0.005])
    field = flow(over_synapses(SynapticScaling(beta=0.1, target=0.01)))
    step = lambda w, _: (w + field(0.0, w, Signals(jnp.zeros(2), rates)), None)  # noqa: E731
    scaled = jax.lax.scan(step, w, length=10)[0]
    factors = (1 + 0.1 * (0.01 - np.asarray(rates))) ** 10
    np.testing.assert_allclose(scaled, w * factors[:, None], rtol=1e-12)

    x = jnp.array([0.004, 0.008])
    strong = SynapticScaling(beta=50.0, target=0.01)
    closed = diffrax.diffeqsolve(
        diffrax.ODETerm(flow(over_synapses(strong))),
        diffrax.Tsit5(),
        0.0,
        60.0,
        0.05,
        w,
        args=lambda t, w: Signals(x, w @ x),
    ).ys[0]
    np.testing.assert_allclose(closed @ x, 0.01, rtol=1e-6)
    np.testing.assert_allclose(closed[:, 0] / closed[:, 1], w[:, 0] / w[:, 1], rtol=1e-6)


def test_what_a_change_is_per_is_one_of_four():
    class Strange(AbstractRule):
        per = "year"

        def __call__(self, syn, pre, post, third, obs=None):
            return 0.0

    with pytest.raises(ValueError, match="per='year' must be one of time, sample, pre_spike"):
        Strange()
