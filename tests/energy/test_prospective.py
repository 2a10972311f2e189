import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from plasticjax.energy import (
    ForceField,
    FunctionDrive,
    LayeredCurvature,
    MismatchEnergy,
    RecurrentWeights,
    Stimulus,
    equilibrium,
    feed_forward,
    force,
    gradient_flow,
    linear,
    logistic,
    param_rule,
    prospective,
    recurrent,
    voltage_cost,
)
from tests.energy.layered import random_layers

TAU = 10.0
ENERGY = MismatchEnergy(logistic, recurrent, voltage_cost)
BETA = jnp.asarray([0, 0, 0, 0, 0.3, 0.3])


def moving(t):
    inputs = jnp.stack([0.5 + 0.4 * jnp.sin(0.3 * t), 0.2 * jnp.cos(0.2 * t), 0.3 + 0 * t])
    target = jnp.zeros(6).at[4].set(jnp.sin(0.1 * t)).at[5].set(0.5)
    return Stimulus(inputs, target, BETA)


def problem():
    a, b, c = jax.random.split(jax.random.key(0), 3)
    weight = 0.4 * jax.random.normal(a, (6, 6), float)
    theta = RecurrentWeights(
        weight - jnp.diag(jnp.diag(weight)),
        0.5 * jax.random.normal(b, (6, 3), float),
        jnp.zeros(6),
    )
    return 0.5 * jax.random.normal(c, (6,), float), theta, FunctionDrive(moving)


def integrate(field, s, args, solver, dt, end=40.0):
    return diffrax.diffeqsolve(
        diffrax.ODETerm(field), solver, 0.0, end, dt, s, args, max_steps=None
    ).ys[0]


def test_force_decays_with_tau_whatever_the_drive(x64):
    s, theta, drive = problem()
    ts = jnp.linspace(0, 4 * TAU, 9)
    path = diffrax.diffeqsolve(
        diffrax.ODETerm(prospective(ENERGY, TAU)),
        diffrax.Dopri8(),
        0.0,
        4 * TAU,
        0.1,
        s,
        (theta, drive),
        saveat=diffrax.SaveAt(ts=ts),
        stepsize_controller=diffrax.PIDController(rtol=1e-11, atol=1e-12),
    ).ys
    f = jax.vmap(lambda t, s: force(ENERGY)(s, theta, drive(t)))(ts, path)
    conserved = f * jnp.exp(ts / TAU)[:, None]
    np.testing.assert_allclose(conserved, jnp.broadcast_to(f[0], f.shape), atol=1e-9)


def test_gradient_flow_lags_behind_the_same_drive(x64):
    _, theta, drive = problem()
    start = equilibrium(ENERGY)(jnp.zeros(6), theta, drive(0.0))
    ahead = integrate(prospective(ENERGY, TAU), start, (theta, drive), diffrax.Tsit5(), 0.5)
    slow = integrate(gradient_flow(ENERGY, TAU), start, (theta, drive), diffrax.Tsit5(), 0.5)
    f = lambda s: np.max(np.abs(force(ENERGY)(s, theta, drive(40.0))))  # noqa: E731
    assert f(ahead) < 1e-8
    assert f(slow) > 1e-2


def test_moving_equilibrium_is_the_newton_root_at_every_time(x64):
    _, theta, drive = problem()
    start = equilibrium(ENERGY)(jnp.zeros(6), theta, drive(0.0))
    end = integrate(prospective(ENERGY, TAU), start, (theta, drive), diffrax.Tsit5(), 0.25)
    root = equilibrium(ENERGY)(end, theta, drive(40.0))
    np.testing.assert_allclose(end, root, atol=1e-9)


def test_agrees_with_scipy_on_the_hand_written_equations(x64):
    s, theta, drive = problem()
    w, w_in = np.asarray(theta.weight), np.asarray(theta.input_weight)
    beta = np.asarray(BETA)
    rate = lambda u: 1 / (1 + np.exp(-u))  # noqa: E731

    def field(t, u):
        x = np.array([0.5 + 0.4 * np.sin(0.3 * t), 0.2 * np.cos(0.2 * t), 0.3])
        dx = np.array([0.12 * np.cos(0.3 * t), -0.04 * np.sin(0.2 * t), 0])
        y, dy = np.zeros(6), np.zeros(6)
        y[4], y[5], dy[4] = np.sin(0.1 * t), 0.5, 0.1 * np.cos(0.1 * t)
        r = rate(u)
        slope, curvature = r * (1 - r), r * (1 - r) * (1 - 2 * r)
        e = u - w @ r - w_in @ x
        f = e - slope * (w.T @ e) - beta * (y - u)
        j = np.eye(6) - w * slope
        h = j.T @ j - np.diag(curvature * (w.T @ e)) + np.diag(beta)
        f_t = -w_in @ dx + slope * (w.T @ w_in @ dx) - beta * dy
        return np.linalg.solve(TAU * h, -f - TAU * f_t)

    truth = solve_ivp(field, (0, 40), np.asarray(s), method="DOP853", rtol=1e-12, atol=1e-13)
    ours = integrate(prospective(ENERGY, TAU), s, (theta, drive), diffrax.Tsit5(), 0.25)
    np.testing.assert_allclose(ours, truth.y[:, -1], atol=1e-9)


@pytest.mark.parametrize(
    ("solver", "order"), [(diffrax.Euler(), 1), (diffrax.Heun(), 2), (diffrax.Tsit5(), 5)]
)
def test_convergence_order(solver, order, x64):
    s, theta, drive = problem()
    field = prospective(ENERGY, TAU)
    truth = integrate(field, s, (theta, drive), diffrax.Dopri8(), 0.05, end=10.0)
    coarse, fine = (1.0, 0.5) if order == 5 else (0.2, 0.1)
    error = [
        np.max(np.abs(integrate(field, s, (theta, drive), solver, dt, end=10.0) - truth))
        for dt in (coarse, fine)
    ]
    assert abs(np.log2(error[0] / error[1]) - order) < 0.5


@pytest.mark.parametrize(
    "solver", [lx.LU(), lx.CG(rtol=1e-13, atol=1e-14), lx.GMRES(rtol=1e-13, atol=1e-14)]
)
def test_linear_solvers_agree(solver, x64):
    s, theta, drive = problem()
    direct = prospective(ENERGY, TAU)(1.0, s, (theta, drive))
    np.testing.assert_allclose(
        prospective(ENERGY, TAU, solver)(1.0, s, (theta, drive)), direct, atol=1e-11
    )


def layered_problem(beta):
    energy = MismatchEnergy((logistic, logistic, linear), feed_forward, voltage_cost)
    theta = random_layers((4, 7, 5, 3), jax.random.key(5))

    def drive(t):
        return Stimulus(jnp.sin(0.1 * t + jnp.arange(4.0)), jnp.cos(t + jnp.arange(3.0)), beta)

    s = tuple(jnp.sin(jnp.arange(n) + 1.0) for n in (7, 5, 3))
    return energy, s, theta, FunctionDrive(drive)


@pytest.mark.parametrize("beta", [0.0, 0.1, 1.0])
def test_layered_solver_equals_the_dense_one(beta, x64):
    energy, s, theta, drive = layered_problem(jnp.asarray(beta))
    dense = prospective(energy, TAU)(0.3, s, (theta, drive))
    layered = prospective(energy, TAU, LayeredCurvature(rtol=1e-13, atol=1e-14))(
        0.3, s, (theta, drive)
    )
    for a, b in zip(dense, layered, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11)


def test_layered_solver_never_builds_the_hessian(x64):
    energy, s, theta, drive = layered_problem(jnp.asarray(0.1))
    field = prospective(energy, TAU, LayeredCurvature())
    text = str(jax.make_jaxpr(lambda s: field(0.3, s, (theta, drive)))(s))
    assert "15,15]" not in text
    assert "15,15]" in str(
        jax.make_jaxpr(lambda s: prospective(energy, TAU)(0.3, s, (theta, drive)))(s)
    )


def test_layered_solver_refuses_other_networks():
    s, theta, drive = problem()
    with pytest.raises(ValueError, match="energy must be a MismatchEnergy on feed_forward"):
        prospective(ENERGY, TAU, LayeredCurvature())(0.0, s, (theta, drive))


def test_moving_parameters_keep_the_force_at_zero(x64):
    _, theta, drive = problem()
    start = equilibrium(ENERGY)(jnp.zeros(6), theta, drive(0.0))
    learn = lambda rule: jax.tree.map(lambda leaf: 0.05 * leaf, rule)  # noqa: E731
    field = prospective(ENERGY, TAU, plasticity=learn)
    s, moved = diffrax.diffeqsolve(
        diffrax.ODETerm(field), diffrax.Tsit5(), 0.0, 20.0, 0.1, (start, theta), drive
    ).ys
    s, moved = s[0], jax.tree.map(lambda leaf: leaf[0], moved)
    assert np.max(np.abs(moved.weight - theta.weight)) > 1e-2
    assert np.max(np.abs(force(ENERGY)(s, moved, drive(20.0)))) < 1e-8
    rate = field(0.0, (start, theta), drive)[1]
    np.testing.assert_allclose(
        rate.weight, 0.05 * param_rule(ENERGY)(start, theta, drive(0.0)).weight, rtol=1e-14
    )


def test_time_constants_per_neuron_decay_each_force_by_its_own(x64):
    s, theta, drive = problem()
    tau = jnp.linspace(5.0, 20.0, 6)
    start, end = force(ENERGY)(s, theta, drive(0.0)), 15.0
    path = integrate(prospective(ENERGY, tau), s, (theta, drive), diffrax.Dopri8(), 0.1, end=end)
    np.testing.assert_allclose(
        force(ENERGY)(path, theta, drive(end)), start * jnp.exp(-end / tau), atol=1e-9
    )


def test_covariant_under_linear_changes_of_the_state_unlike_gradient_flow(x64):
    s, theta, drive = problem()
    change = jnp.eye(6) + 0.3 * jax.random.normal(jax.random.key(9), (6, 6), float)
    other = lambda z, theta, x: ENERGY(change @ z, theta, x)  # noqa: E731
    z = jnp.linalg.solve(change, s)
    args = (theta, drive)
    np.testing.assert_allclose(
        change @ prospective(other, TAU)(1.0, z, args),
        prospective(ENERGY, TAU)(1.0, s, args),
        atol=1e-12,
    )
    moved = change @ gradient_flow(other, TAU)(1.0, z, args)
    assert np.max(np.abs(moved - gradient_flow(ENERGY, TAU)(1.0, s, args))) > 1e-2


def test_force_fields_need_no_symmetry(x64):
    s, theta, drive = problem()
    feedback = jax.random.normal(jax.random.key(4), (6, 6), float)

    def pull(u, theta, x):
        e = u - recurrent(logistic(u), theta, x)
        return e - logistic.derivative(u) * (0.3 * feedback @ e) - x.beta * (x.target - u)

    field = prospective(ForceField(pull), TAU)
    end = integrate(field, s, (theta, drive), diffrax.Dopri8(), 0.1)
    np.testing.assert_allclose(
        pull(end, theta, drive(40.0)), pull(s, theta, drive(0.0)) * np.exp(-4), atol=1e-9
    )
    with pytest.raises(ValueError, match="solver must not need a symmetric matrix"):
        prospective(ForceField(pull), TAU, lx.CG(rtol=1e-6, atol=1e-6))
    with pytest.raises(ValueError, match="plasticity needs an energy"):
        prospective(ForceField(pull), TAU, plasticity=lambda rule: rule)


def test_indefinite_and_singular_curvature_name_the_remedy(x64):
    drive = FunctionDrive(lambda t: t)
    saddle = lambda s, theta, x: 0.5 * s[0] ** 2 - 0.5 * s[1] ** 2  # noqa: E731
    flat = lambda s, theta, x: 0.5 * s[0] ** 2  # noqa: E731
    for energy, solver in ((saddle, None), (flat, None), (flat, lx.LU())):
        with pytest.raises(eqx.EquinoxRuntimeError, match="Remedies: a smaller nudging strength"):
            prospective(energy, TAU, solver)(0.0, jnp.ones(2), (None, drive))
    through = prospective(saddle, TAU, lx.LU())(0.0, jnp.ones(2), (None, drive))
    np.testing.assert_allclose(through, [-0.1, -0.1])
    damped = prospective(flat, TAU, damping=0.5)(0.0, jnp.ones(2), (None, drive))
    np.testing.assert_allclose(damped, [-0.1 / 1.5, 0])


def test_drives_without_derivative_are_refused():
    s, theta, _ = problem()
    with pytest.raises(TypeError, match=r"wrap constant values as ConstantDrive"):
        prospective(ENERGY, TAU)(0.0, s, (theta, moving(0.0)))
    with pytest.raises(TypeError, match="drive must be differentiable in t"):
        prospective(ENERGY, TAU)(0.0, s, (theta, FunctionDrive(lambda t: moving(float(np.sin(t))))))


def test_field_is_jit_vmap_and_grad_safe(x64):
    s, theta, drive = problem()
    field = lambda s: prospective(ENERGY, TAU)(1.0, s, (theta, drive))  # noqa: E731
    many = jnp.stack([s, -s, 0.1 * s])
    np.testing.assert_allclose(jax.jit(field)(s), field(s), atol=1e-13)
    np.testing.assert_allclose(
        jax.vmap(field)(many), jnp.stack([field(each) for each in many]), atol=1e-13
    )
    slope = jax.jacrev(field)(s)
    h = 1e-6
    for index in range(6):
        step = jnp.zeros(6).at[index].set(h)
        np.testing.assert_allclose(
            slope[:, index], (field(s + step) - field(s - step)) / (2 * h), atol=1e-7
        )
