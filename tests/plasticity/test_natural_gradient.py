import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.plasticity import (
    AttenuatedWeight,
    EuclideanGradient,
    NaturalGradient,
    PoissonInput,
    PoissonOutput,
    SigmoidTransfer,
    UspKernel,
    approximate_heterosynaptic,
    flow,
    increment,
    inverse_fisher,
    over_synapses,
    potential_statistics,
)

from .dense_fisher import fisher

KERNEL = UspKernel()
TRANSFER = SigmoidTransfer(nodes=641)
FIXTURE = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "natural_gradient.json").read_text()
)["configs"]


def shown(w, usp, rate, kernel=KERNEL, transfer=TRANSFER, error=1.0, approximate=False):
    """What a neuron with these somatic weights shows, as a population of one."""
    inverse = inverse_fisher(transfer, potential_statistics(kernel, w, rate))
    potential = w @ usp
    gammas = (
        approximate_heterosynaptic(kernel, potential)
        if approximate
        else inverse.heterosynaptic(kernel, jnp.sum(usp), potential)
    )
    leaves = (jnp.asarray(error), transfer.log_slope(potential), inverse.gamma_s, *gammas)
    return PoissonOutput(*(jnp.asarray(leaf)[None] for leaf in leaves))


@jax.jit
def natural(w, usp, rate, kernel=KERNEL, transfer=TRANSFER, error=1.0):
    post = shown(w, usp, rate, kernel, transfer, error)
    rule = over_synapses(NaturalGradient(1.0, kernel))
    return rule(w[None], PoissonInput(usp, rate), post, None)[0]


def draw(n, seed=0):
    rng = np.random.default_rng(seed)
    rate, usp = rng.uniform(2.0, 60.0, n), rng.uniform(0.0, 80.0, n)
    w = rng.normal(size=n)
    return tuple(map(jnp.asarray, (w * 6.0 / np.sqrt(w**2 @ rate / KERNEL.c_eps), usp, rate)))


@pytest.mark.parametrize("case", FIXTURE, ids=lambda case: f"n={case['n']}")
def test_the_updates_are_those_of_the_fixture(x64, case):
    kernel = UspKernel(case["tau_m"], case["tau_s"], case["eps0"])
    transfer = SigmoidTransfer(**case["phi_params"], nodes=641)
    w, rate, usp, alpha = (jnp.array(case[name]) for name in ("w", "r", "x_eps", "alpha"))
    pre, post = PoissonInput(usp, rate), shown(w, usp, rate, kernel, transfer)
    direct = over_synapses(NaturalGradient(1.0, kernel))(w[None], pre, post, None)
    np.testing.assert_allclose(direct[0], case["natural_update_per_unit_error"], rtol=1e-8)
    rule = over_synapses(NaturalGradient(1.0, kernel, AttenuatedWeight()))
    dendritic = rule((w / alpha)[None], pre, post, None, alpha[None])
    expected = case["natural_update_dendritic_per_unit_error"]
    np.testing.assert_allclose(dendritic[0], expected, rtol=1e-8)
    euclidean = over_synapses(EuclideanGradient(1.0))(w[None], pre, post, None)
    np.testing.assert_allclose(euclidean[0], case["euclidean_update_per_unit_error"], rtol=1e-10)


@pytest.mark.parametrize("n", [1, 2, 5, 20, 100, 200])
def test_the_rule_is_the_euclidean_one_times_the_dense_inverse(x64, n):
    w, usp, rate = draw(n, n)
    slope = TRANSFER.log_slope(w @ usp)
    expected = np.linalg.solve(fisher(np.array(w), np.array(rate)), np.array(slope * usp))
    found = natural(w, usp, rate)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize(
    "somatic, slope",
    [
        (lambda w, obs: w + w**3, lambda w: 1 + 3 * w**2),
        (lambda w, obs: jnp.tanh(w), lambda w: 1 - jnp.tanh(w) ** 2),
        (lambda w, obs: 0.3 * w, lambda w: jnp.full_like(w, 0.3)),
    ],
    ids=["cubic", "saturating", "attenuated"],
)
def test_the_change_of_the_soma_does_not_depend_on_the_parametrisation(x64, somatic, slope):
    _, usp, rate = draw(6)
    w = 0.1 * jnp.asarray(np.random.default_rng(3).normal(size=6))
    soma = somatic(w, None)
    pre, post = PoissonInput(usp, rate), shown(soma, usp, rate)

    def moved(rule):
        return slope(w) * over_synapses(rule)(w[None], pre, post, None)[0]

    natural_change = over_synapses(NaturalGradient(1.0))(soma[None], pre, post, None)[0]
    found = moved(NaturalGradient(1.0, KERNEL, somatic))
    np.testing.assert_allclose(found, natural_change, rtol=1e-12)
    euclidean = over_synapses(EuclideanGradient(1.0))(soma[None], pre, post, None)[0]
    expected = slope(w) ** 2 * euclidean
    np.testing.assert_allclose(moved(EuclideanGradient(1.0, somatic)), expected, rtol=1e-12)


def test_the_order_of_synapses_does_not_matter_and_equal_ones_change_equally(x64):
    w, usp, rate = draw(5)
    order = jnp.array([3, 0, 4, 1, 2])
    np.testing.assert_allclose(
        natural(w[order], usp[order], rate[order]), natural(w, usp, rate)[order], rtol=1e-10
    )
    twins = natural(*(leaf.at[1].set(leaf[0]) for leaf in (w, usp, rate)))
    assert twins[0] == twins[1]


def test_the_scale_of_synaptic_potentials_is_free(x64):
    w, usp, rate = draw(5)
    scaled = natural(w / 3, 3 * usp, rate, UspKernel(eps0=3.0))
    np.testing.assert_allclose(scaled / (w / 3), natural(w, usp, rate) / w, rtol=1e-10)


def test_a_silent_synapse_changes_heterosynaptically_only(x64):
    w, usp, rate = draw(4)
    usp, rate = usp.at[2].set(0.0), rate.at[2].set(0.0)
    post = shown(w, usp, rate)
    change = natural(w, usp, rate)[2]
    expected = post.gamma_s * post.log_slope * (-post.gamma_u + post.gamma_w * w[2])
    np.testing.assert_allclose(change, expected[0], rtol=1e-12)
    total = lambda *inputs: natural(*inputs).sum()  # noqa: E731
    for gradient in jax.jit(jax.grad(total, argnums=(0, 1, 2)))(w, usp, rate):
        assert jnp.all(jnp.isfinite(gradient))


def cost(w, teacher, usp):
    """Divergence of two Poisson processes at these potentials, per s."""
    taught, rate = TRANSFER.rate(usp @ teacher), TRANSFER.rate(usp @ w)
    return jnp.mean(taught * jnp.log(taught / rate) + rate - taught)


def test_the_euclidean_rule_descends_the_divergence(x64):
    w, _, _ = draw(4)
    teacher = -w[::-1]
    usps = jnp.asarray(np.random.default_rng(1).uniform(0, 60, (50, 4)))

    def change(usp):
        error = TRANSFER.rate(teacher @ usp) - TRANSFER.rate(w @ usp)
        post = shown(w, usp, jnp.ones(4), error=error)
        pre = PoissonInput(usp, jnp.ones(4))
        return over_synapses(EuclideanGradient(1.0))(w[None], pre, post, None)[0]

    mean = jax.vmap(change)(usps).mean(axis=0)
    np.testing.assert_allclose(mean, -jax.grad(cost)(w, teacher, usps), rtol=1e-10)


def test_learning_is_isotropic_at_the_teacher(x64):
    """The Hessian of the cost of Gaussian inputs is the Fisher matrix: all directions are equal."""
    w, rate = np.array([0.11, -0.05]), np.array([10.0, 50.0])
    z = np.linspace(-7, 7, 201)
    weight = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    grid = np.stack([each.ravel() for each in np.meshgrid(z, z)], axis=1)
    usps = jnp.asarray(rate + grid * np.sqrt(rate / KERNEL.c_eps))
    probability = jnp.asarray(np.outer(weight, weight).ravel())

    def expected(w_):
        each = jax.vmap(lambda usp: cost(w_, jnp.asarray(w), usp))(usps)
        return probability @ each

    hessian = jax.jit(jax.hessian(expected))(jnp.asarray(w))
    np.testing.assert_allclose(hessian, fisher(w, rate), rtol=1e-7)
    inverse = inverse_fisher(TRANSFER, potential_statistics(KERNEL, w, rate))
    precondition = lambda column: inverse.precondition(  # noqa: E731
        KERNEL, jnp.asarray(w), jnp.asarray(rate), column
    )
    np.testing.assert_allclose(jax.vmap(precondition)(hessian), np.eye(2), atol=1e-7)


def test_a_perfect_student_does_not_drift():
    """Over 1e6 random steps the mean change is zero within four standard errors."""
    w = jnp.array([0.2, -0.05, 0.1])
    rate = jnp.array([10.0, 50.0, 20.0])
    usp_key, spike_key = jax.random.split(jax.random.key(2))
    usps = rate * jax.random.exponential(usp_key, (1_000_000, 3))
    inverse = inverse_fisher(SigmoidTransfer(), potential_statistics(KERNEL, w, rate))

    def change(usp, noise):
        probability = 5e-4 * TRANSFER.rate(w @ usp)
        gammas = inverse.heterosynaptic(KERNEL, jnp.sum(usp), w @ usp)
        error = (noise < probability) - probability
        post = PoissonOutput(error, TRANSFER.log_slope(w @ usp), inverse.gamma_s, *gammas)
        rule = jax.vmap(NaturalGradient(1.0), (0, 0, None, None))
        return rule(w, PoissonInput(usp, rate), post, None)

    changes = jax.jit(jax.vmap(change))(usps, jax.random.uniform(spike_key, (1_000_000,)))
    error = changes.std(axis=0) / np.sqrt(len(changes))
    assert np.all(np.abs(changes.mean(axis=0)) < 4 * error)


def test_the_approximated_rule_is_closer_to_the_natural_than_the_euclidean_is(x64):
    """Fig. 12 A and B: mean angles for rates of 10 and 50 Hz, Fisher and Euclidean metric."""
    rate = jnp.repeat(jnp.array([10.0, 50.0]), 50)
    weight_key, usp_key = jax.random.split(jax.random.key(1))
    weights = jax.random.uniform(weight_key, (50, 100), minval=-0.05, maxval=0.05)
    usps = rate * jax.random.gamma(usp_key, rate * 0.026, (50, 100)) / (rate * 0.026)

    @jax.jit
    @jax.vmap
    def angles(w, usp):
        transfer = SigmoidTransfer(nodes=129)
        pre = PoissonInput(usp, rate)
        exact = natural(w, usp, rate)
        post = shown(w, usp, rate, transfer=transfer, approximate=True)
        approximate = over_synapses(NaturalGradient(1.0))(w[None], pre, post, None)[0]
        euclidean = over_synapses(EuclideanGradient(1.0))(w[None], pre, post, None)[0]
        c1, c2, c3 = transfer.mean_information(*potential_statistics(KERNEL, w, rate)[:2])
        along = w * rate / KERNEL.c_eps
        cross = jnp.outer(along, rate)
        metric = c1 * (jnp.diag(rate / KERNEL.c_eps) + jnp.outer(rate, rate))
        metric += c2 * (cross + cross.T) + c3 * jnp.outer(along, along)

        def angle(other, metric):
            inner = lambda a, b: a @ metric @ b  # noqa: E731
            lengths = jnp.sqrt(inner(exact, exact) * inner(other, other))
            return jnp.degrees(jnp.arccos(inner(exact, other) / lengths))

        others = (euclidean, approximate)
        return jnp.stack([angle(o, m) for m in (metric, jnp.eye(100)) for o in others])

    found = angles(weights, usps).mean(axis=0)
    np.testing.assert_allclose(found, [79.5, 30.2, 59.5, 11.1], atol=6.0)


def test_it_is_a_change_per_step_and_needs_its_attenuation():
    for rule in (NaturalGradient(), EuclideanGradient()):
        assert rule.per == "sample"
        increment(rule)
        with pytest.raises(ValueError, match="rule is a change per sample"):
            flow(rule)
    pre, post = PoissonInput(1.0, 10.0), PoissonOutput(1.0, 0.3, 1.0, 0.02, 0.1)
    with pytest.raises(ValueError, match="obs must be the attenuation of the synapse"):
        NaturalGradient(somatic=AttenuatedWeight())(0.1, pre, post, None)
