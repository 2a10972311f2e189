import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.integrate import quad

from plasticjax.plasticity import (
    AutodiffTransfer,
    ExponentialTransfer,
    QuadraticTransfer,
    SigmoidTransfer,
    UspKernel,
    approximate_heterosynaptic,
    inverse_fisher,
    potential_statistics,
    scale_by_neuron_fisher,
)

from .dense_fisher import fisher

KERNEL = UspKernel()
FIXTURE = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "natural_gradient.json").read_text()
)["configs"]


FINE = SigmoidTransfer(nodes=1281)


@jax.jit
def inverse_of(w, rate, transfer=FINE):
    return inverse_fisher(transfer, potential_statistics(KERNEL, w, rate))


mean_information = jax.jit(lambda transfer, *moments: transfer.mean_information(*moments))


def draw(n, seed, reach):
    """Weights of a potential that varies by up to `reach` mV, and rates."""
    rng = np.random.default_rng(seed)
    rate = rng.uniform(2.0, 60.0, n)
    w = rng.normal(size=n)
    return w * reach / np.sqrt(w**2 @ rate / KERNEL.c_eps), rate


@pytest.mark.parametrize("case", FIXTURE, ids=lambda case: f"n={case['n']}")
def test_the_coefficients_are_those_of_the_fixture(x64, case):
    kernel = UspKernel(case["tau_m"], case["tau_s"], case["eps0"])
    transfer = SigmoidTransfer(**case["phi_params"], nodes=641)
    w, rate, usp = (jnp.array(case[name]) for name in ("w", "r", "x_eps"))
    statistics = potential_statistics(kernel, w, rate)
    expected = [case[name] for name in ("mu_v", "var_v", "q")]
    np.testing.assert_allclose(statistics, expected, rtol=1e-12)
    inverse = jax.jit(inverse_fisher)(transfer, statistics)
    np.testing.assert_allclose(inverse.gamma_s, case["gamma_s"], rtol=1e-9)
    dense = jax.vmap(lambda column: inverse.precondition(kernel, w, rate, column))(
        jnp.eye(case["n"])
    )
    np.testing.assert_allclose(dense @ np.array(case["fisher"]), np.eye(case["n"]), atol=1e-8)
    if case["g1"] is not None:
        g = [[case["g1"], case["g3"]], [case["g2"], case["g4"]]]
        np.testing.assert_allclose(inverse.g, g, rtol=1e-9)
        gammas = inverse.heterosynaptic(kernel, usp.sum(), case["V"])
        np.testing.assert_allclose(gammas, [case["gamma_u"], case["gamma_w"]], rtol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10, 30, 100, 200])
@pytest.mark.parametrize("reach", [0.5, 2.0, 8.0, 40.0])
def test_the_inverse_is_that_of_the_dense_matrix(x64, n, reach):
    w, rate = draw(n, 100 * n + int(reach), reach)
    change = np.random.default_rng(n).normal(size=n)
    expected = np.linalg.solve(fisher(w, rate), change)
    inverse = inverse_of(w, rate)
    found = inverse.precondition(KERNEL, jnp.asarray(w), jnp.asarray(rate), jnp.asarray(change))
    # Relative to the largest; with one input the terms cancel down to a part of q.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    np.testing.assert_allclose(inverse.g, inverse.g.T, rtol=1e-12)


@pytest.mark.parametrize("n", [2, 7])
def test_the_matrix_is_positive_definite_and_the_paper_writes_the_same_scalars(x64, n):
    w, rate = draw(n, n, 6.0)
    assert np.linalg.eigvalsh(fisher(w, rate)).min() > 0
    mu, var, q = map(float, potential_statistics(KERNEL, w, rate))
    c1, c2, c3 = map(float, SigmoidTransfer(nodes=641).mean_information(mu, var))
    k1 = 1 / (c1 * (c1 * (q + 1) + c2 * mu))
    up, side = c2 * q + c3 * mu, c1 * mu + c2 * var
    k2 = 1 / (1 + (c2 * mu + c3 * var) / c1 - k1 * side * up)
    g1 = c1 * (-k1 * c1 + k1 * k2 * c2 * side / c1 - k1**2 * k2 * c1 * side * up)
    g2 = c1 * (-k1 * c2 + k1 * k2 * c3 * side / c1 - k1**2 * k2 * c2 * side * up)
    g3 = c1 * (k1 * k2 * up - k2 * c2 / c1**2)
    g4 = c1 * (k1 * k2 * c2 * up / c1 - k2 * c3 / c1**2)
    np.testing.assert_allclose(inverse_of(w, rate).g, [[g1, g3], [g2, g4]], rtol=1e-8)


@pytest.mark.parametrize("nodes, spread", [(17, 2.0), (65, 8.5), (129, 17.0), (449, 60.0)])
@pytest.mark.parametrize("mean", [-15.0, 0.0, 12.0])
def test_the_quadrature_is_right_up_to_its_spread(x64, nodes, spread, mean):
    transfer = SigmoidTransfer(nodes=nodes)
    found = mean_information(transfer, mean, spread**2)

    def information(v):
        p = 1 / (1 + np.exp(-0.3 * (v - 10)))
        h = 9 * p * (1 - p) ** 2
        return h, 0.3 * h * (1 - 3 * p), 0.09 * h * (1 - 9 * p + 12 * p**2)

    for index, value in enumerate(found):
        density = lambda v, index=index: (  # noqa: E731
            information(v)[index]
            * np.exp(-((v - mean) ** 2) / (2 * spread**2))
            / (spread * np.sqrt(2 * np.pi))
        )
        low, high = max(mean - 9 * spread, -120.0), min(mean + 9 * spread, 120.0)
        expected = quad(density, low, high, points=[0, 10, 20], epsabs=1e-14, limit=200)[0]
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=5e-9)


def test_moments_and_stein_agree_and_a_still_potential_is_the_limit(x64):
    transfer = SigmoidTransfer(nodes=641)
    mean, var = 4.0, 9.0
    z = np.linspace(-9, 9, 4001)
    weight = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    v = mean + 3 * z
    i1, i2, i3 = (weight * transfer.information(v).value) @ np.stack([v**0, v, v**2], axis=1)
    c2 = (i2 - i1 * mean) / var
    c3 = (i3 - i1 * (mean**2 + var) - 2 * c2 * mean * var) / var**2
    np.testing.assert_allclose(transfer.mean_information(mean, var), [i1, c2, c3], rtol=1e-9)
    still = transfer.mean_information(mean, 0.0)
    np.testing.assert_allclose(still, transfer.information(jnp.asarray(mean)), rtol=1e-12)


def test_single_precision_keeps_five_digits():
    found = SigmoidTransfer().mean_information(jnp.float32(3.0), jnp.float32(64.0))
    with jax.enable_x64(True):
        expected = SigmoidTransfer().mean_information(3.0, 64.0)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_global_gain_has_the_published_shape():
    """Fig. 10: U-shaped over the mean potential, lowest just below the threshold."""
    transfer = SigmoidTransfer()
    means = jnp.array([-20.0, -10.0, 0.0, 8.0, 12.0, 20.0])
    for spread, gains in (
        (2.0, (752, 37.9, 2.35, 0.84, 1.35, 30)),
        (6.0, (185, 12.4, 1.97, 1.29, 1.59, 5.75)),
    ):
        found = 1 / jax.vmap(lambda m, s=spread: transfer.mean_information(m, s**2).value)(means)
        np.testing.assert_allclose(found, gains, rtol=0.01)


def test_the_coefficients_of_random_weights():
    """Fig. 11: 100 inputs of one rate."""
    w = jax.random.uniform(jax.random.key(0), (200, 100), minval=-0.05, maxval=0.05)
    for rate, g1 in ((5.0, -0.0682), (15.0, -0.0244), (45.0, -0.0084)):
        g = jax.vmap(
            lambda w, r=rate: inverse_of(w, jnp.full(100, r), SigmoidTransfer(nodes=129)).g
        )(w)
        np.testing.assert_allclose(g[:, 0, 0].mean(), g1, rtol=0.06)
        assert abs(g[:, 0, 0].mean()) < 1 / (KERNEL.c_eps * 100 * rate)
    np.testing.assert_allclose(g[:, 1, 1].mean(), 0.036, rtol=0.1)


def test_quadratic_and_exponential_neurons_have_simple_inverses(x64):
    w, rate = draw(4, 3, 3.0)
    usp, potential = 120.0, 30.0
    q = potential_statistics(KERNEL, w, rate).q
    quadratic = inverse_of(w, rate, QuadraticTransfer(theta=-50.0))
    assert quadratic.gamma_s == 1
    gammas = quadratic.heterosynaptic(KERNEL, usp, potential)
    np.testing.assert_allclose(gammas, [KERNEL.c_eps**2 * usp / (q + 1), 0.0], rtol=1e-12)
    g = inverse_of(w, rate, ExponentialTransfer(beta=0.2)).g
    np.testing.assert_allclose([g[0, 1] / g[0, 0], g[1, 1] / g[0, 0]], [0.2, 0.04], rtol=1e-10)
    with_closed_form = ExponentialTransfer(2.0, 0.2, 1.0).mean_information(3.0, 4.0)
    derived = AutodiffTransfer(ExponentialTransfer(2.0, 0.2, 1.0).rate)
    derived = jax.jit(derived.mean_information)(3.0, 4.0)
    np.testing.assert_allclose(derived, with_closed_form, rtol=1e-9)


@pytest.mark.parametrize(
    "transfer", [SigmoidTransfer(), QuadraticTransfer(-9.0), ExponentialTransfer(3.0, 0.1, 2.0)]
)
def test_closed_forms_are_what_automatic_differentiation_gives(x64, transfer):
    v = jnp.array([-8.5, -3.0, 1.0, 10.0, 15.0, 40.0])
    derived = AutodiffTransfer(transfer.rate)
    automatically = jax.jit(derived.information)(v)
    np.testing.assert_allclose(derived.rate(v), transfer.rate(v))
    np.testing.assert_allclose(derived.log_slope(v), transfer.log_slope(v), rtol=1e-9)
    for mine, automatic in zip(transfer.information(v), automatically, strict=True):
        np.testing.assert_allclose(mine, automatic, rtol=1e-8, atol=1e-12)


def test_neurons_below_threshold_have_no_slope_and_no_nan():
    quadratic = QuadraticTransfer()
    for transfer in (quadratic, AutodiffTransfer(quadratic.rate)):
        v = jnp.array([-5.0, 0.0])
        np.testing.assert_array_equal(transfer.log_slope(v), 0)
        np.testing.assert_array_equal(jax.jit(transfer.information)(v).value, 0)
    extreme = jnp.array([-1e4, 1e4])
    for each in (SigmoidTransfer().rate(extreme), *SigmoidTransfer().information(extreme)):
        assert jnp.all(jnp.isfinite(each))


def test_derivatives_by_the_weights_are_right_and_finite(x64):
    w, rate = map(jnp.asarray, draw(3, 1, 3.0))

    @jax.jit
    def size(w):
        inverse = inverse_of(w, rate, SigmoidTransfer())
        return inverse.gamma_s + jnp.sum(inverse.g**2)

    along = jnp.array([0.3, -1.0, 0.5])
    step = 1e-5 * along
    difference = (size(w + step) - size(w - step)) / 2e-5
    np.testing.assert_allclose(jax.grad(size)(w) @ along, difference, rtol=1e-6)
    # At zero weights the variance vanishes, and its root has no derivative.
    tiny = jax.grad(size)(jnp.full(3, 1e-9))
    np.testing.assert_allclose(jax.grad(size)(jnp.zeros(3)), tiny, rtol=1e-6)


def test_the_gain_can_be_clipped_and_says_so():
    statistics = potential_statistics(KERNEL, jnp.full(100, -0.02), jnp.full(100, 20.0))
    free = inverse_fisher(SigmoidTransfer(), statistics)
    assert free.gamma_s > 100 and not free.clipped
    clipped = inverse_fisher(SigmoidTransfer(), statistics, gamma_s_max=10.0)
    assert clipped.gamma_s == 10 and clipped.clipped
    # So far below the threshold no information is left in single precision.
    hopeless = potential_statistics(KERNEL, jnp.full(3, -20.0), jnp.full(3, 1e-3))._replace(
        mean=-1e3
    )
    nothing = inverse_fisher(SigmoidTransfer(), hopeless, gamma_s_max=10.0)
    assert nothing.gamma_s == 10 and jnp.all(jnp.isfinite(nothing.g))


def test_kernel_area_and_power(x64):
    kernel = UspKernel(0.012, 0.004, 0.7)
    time = np.linspace(0.0, 0.4, 200_001)
    value = np.asarray(kernel(time))
    np.testing.assert_allclose(np.trapezoid(value, time), 0.7, rtol=1e-6)
    np.testing.assert_allclose(np.trapezoid(value**2, time), 1 / kernel.c_eps, rtol=1e-6)
    assert kernel(-0.001) == 0
    np.testing.assert_allclose(UspKernel()(0.00516), 59.7, rtol=1e-3)


def test_the_approximation_is_linear_in_the_potential():
    gammas = approximate_heterosynaptic(KERNEL, jnp.asarray(4.0))
    np.testing.assert_allclose(gammas, [0.95 * 0.026, 0.2], rtol=1e-6)


def test_whole_layers_in_optax_are_their_neurons_one_by_one(x64):
    rng = np.random.default_rng(0)
    layers = {"a": (3, 4), "b": (2, 3)}
    w, gradient = ({k: 0.1 * rng.normal(size=s) for k, s in layers.items()} for _ in range(2))
    rates = {k: rng.uniform(5, 40, s[1]) for k, s in layers.items()}
    w, gradient, rates = jax.tree.map(jnp.asarray, (w, gradient, rates))
    optimizer = optax.chain(scale_by_neuron_fisher(SigmoidTransfer(nodes=641)), optax.scale(-1.0))
    step = jax.jit(lambda g, s: optimizer.update(g, s, w, rates=rates))
    updates, _ = step(gradient, optimizer.init(w))
    for name in layers:
        for row, g, found in zip(w[name], gradient[name], updates[name], strict=True):
            expected = -np.linalg.solve(fisher(np.array(row), np.array(rates[name])), np.array(g))
            np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"tau_m=-1.0 must be positive"):
        UspKernel(tau_m=-1.0)
    with pytest.raises(ValueError, match=r"tau_s=0.01 must not equal tau_m=0.01"):
        UspKernel(tau_s=0.01)
    for transfer in (SigmoidTransfer, lambda nodes: AutodiffTransfer(jnp.exp, nodes)):
        with pytest.raises(ValueError, match="nodes=2 must be at least 3"):
            transfer(nodes=2)
    optimizer = scale_by_neuron_fisher(SigmoidTransfer())
    w, state = jnp.zeros((2, 3)), optax.EmptyState()
    with pytest.raises(ValueError, match="must be given the weights"):
        optimizer.update(w, state)
    with pytest.raises(ValueError, match=r"rates \[pre\], got shapes \(2, 3\) and \(2,\)"):
        optimizer.update(w, state, w, rates=jnp.ones(2))
