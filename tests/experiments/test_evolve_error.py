from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.linalg import expm

import experiments._error_task as error_task
from experiments._contract import NullJob
from experiments._error_task import FIRST_WEIGHT, draw, error_fitness, learn, prepare
from experiments._evolution import fitness_each, judge, known_rules
from experiments._point_neuron import CAPACITANCE, MEMBRANE, REST, SYNAPSE, steps_of, unit_psp
from experiments.evolve_error import CLAIMS, Config, figure, objective, run, space

from .judged import assert_claims_hold

FIXTURE = np.load(Path(__file__).parents[1] / "fixtures" / "plasticity_tasks.npz")


def product(seen):
    """s (v - u)"""
    return (seen[..., 2] * (seen[..., 0] - seen[..., 1]))[..., None]


def test_the_student_of_the_fixture(x64):
    counts = np.zeros((20_000, 5), np.int8)
    places = FIXTURE["err_input_steps"], FIXTURE["err_input_idx"]
    np.add.at(counts, places, FIXTURE["err_input_count"])
    task = prepare(jnp.asarray(counts), jnp.asarray(FIXTURE["err_teacher_w"]), dt=0.1)
    course = learn(product, task, dt=0.1)
    np.testing.assert_allclose(course.weights[-1], FIXTURE["err_mul_wfinal"], rtol=1e-7)
    np.testing.assert_allclose(REST + course.potential[::20], FIXTURE["err_mul_u"], rtol=1e-9)
    np.testing.assert_allclose(REST + task.wanted[::20], FIXTURE["err_v"], rtol=1e-9)
    fitness = error_fitness(product, task, 0.1)
    np.testing.assert_allclose(fitness, FIXTURE["err_mul_fitness"], rtol=1e-7)


def test_a_unit_psp_is_a_difference_of_exponentials(x64):
    dt = 0.1
    arrivals = jnp.zeros((500, 1), jnp.int8).at[3].set(1)
    since = dt * (np.arange(500) - 3)
    wanted = np.exp(-since / MEMBRANE) - np.exp(-since / SYNAPSE)
    wanted *= SYNAPSE * MEMBRANE / (CAPACITANCE * (MEMBRANE - SYNAPSE)) * (since > 0)
    found = unit_psp(arrivals, dt, jnp.float64)[:, 0]
    np.testing.assert_allclose(found, wanted, atol=1e-15)


def test_the_teachers_weights_are_the_fixed_point(x64):
    task = draw(jax.random.key(0), duration=2000.0, dt=0.5, hold=0.5)
    course = learn(product, task, dt=0.5, first=task.teacher)
    np.testing.assert_allclose(course.weights - task.teacher, 0, atol=1e-9)
    np.testing.assert_allclose(course.potential, task.wanted, atol=1e-10)


def test_slow_learning_is_gradient_flow_on_the_squared_error(x64, monkeypatch):
    monkeypatch.setattr(error_task, "LEARNING_RATE", 0.002)
    task = draw(jax.random.key(1), duration=20_000.0, dt=0.5, hold=0.5)
    found = learn(product, task, dt=0.5).weights[-1]
    covariance = task.psp.T @ task.psp / len(task.psp)
    start = FIRST_WEIGHT - task.teacher
    wanted = task.teacher + expm(-0.002 * 20_000 * covariance) @ start
    moved = np.linalg.norm(wanted - task.teacher - start)
    assert moved > 3
    assert np.linalg.norm(found - wanted) < 0.05 * moved


def test_teachers_have_the_signs_of_the_code_or_of_the_text():
    def teachers(both):
        keys = jax.random.split(jax.random.key(0), 200)
        one = jax.jit(lambda key: draw(key, duration=5.0, dt=0.5, both_signs=both).teacher)
        return np.asarray(jax.lax.map(one, keys))

    code, text = teachers(False), teachers(True)
    assert code.min() >= -5 and code.max() <= 35 and code.max() > 30
    assert -35 <= text.min() < -30 and 30 < text.max() <= 35


def test_rules_that_diverge_cost_only_themselves(x64):
    keys = jax.random.split(jax.random.key(2), 3)
    tasks = jax.vmap(lambda key: draw(key, duration=500.0, dt=0.5))(keys)
    here = objective(Config.smoke(), space(4), tasks, 0.5)
    good = ["s * (v - u)", "u - u"]
    alone = judge(here, good)
    dead = ["s * (v - u) / (u - u)", "(u - u) / (u - u)", "s * u * u * u"]
    together = judge(here, [*dead, *good])
    np.testing.assert_array_equal(together[3:], alone)
    assert np.all(np.isneginf(together[:2])) and together[2] < -1e6


def test_fitness_in_each_task_makes_the_fitness_of_the_objective(x64):
    keys = jax.random.split(jax.random.key(3), 3)
    tasks = jax.vmap(lambda key: draw(key, duration=200.0, dt=0.5))(keys)
    here = objective(Config.smoke(), space(4), tasks, 0.5)
    formulas = ["s * (v - u)", "u - u"]
    each = fitness_each(here, known_rules(space(4), formulas))
    np.testing.assert_allclose(each.mean(axis=1), judge(here, formulas), rtol=1e-12)


def test_a_duration_must_be_whole_steps():
    with pytest.raises(ValueError, match=r"hold must be a whole number of steps of dt = 0.3 ms"):
        steps_of(5.0, 0.3, "hold")
    with pytest.raises(ValueError, match=r"got 0\.01"):
        steps_of(0.01, 0.1, "duration")


def test_the_whole_path_runs_and_known_rules_learn(x64):
    config = Config.smoke()
    result = run(config, key=jax.random.key(0), job=NullJob())
    assert_claims_hold(CLAIMS, result, size="smoke", seeds=config.seeds)
    assert result.history.shape == (config.generations, config.seeds)
    assert np.all(np.diff(result.history, axis=0) >= 0)
    assert len(figure(result).axes) == 4


@pytest.mark.slow
def test_the_claims_hold(x64):
    result = run(Config(), key=jax.random.key(0), job=NullJob())
    assert_claims_hold(CLAIMS, result, size="default", seeds=Config().seeds)
