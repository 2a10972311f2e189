"""Teacher and student on the emulated chip: the invariants of the task, and the experiment."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import evolve_teacher_student_chip as experiment
from experiments._chip_teacher_student import (
    GAIN,
    PERIOD,
    SOURCE,
    UNIT,
    Trials,
    draw_trials,
    fitness,
    lowered,
    run_rules,
)
from experiments._contract import NullJob
from experiments._evolution import known_rules
from experiments.evolve_teacher_student_chip import CLAIMS, HAND, REFERENCE, Config, OnChip
from plasticjax.hardware import emulate, observed, random_inputs
from tests.experiments.judged import assert_claims_hold

KEY = jax.random.key(0)
SMOKE = Config.smoke()
RATE = SOURCE / 1000 * PERIOD  # spikes per call


def program_of(name):
    change, gain = REFERENCE[name]
    program = lowered(lambda syn, pre, post, *_: change(pre.n, *post), name)
    assert program is not None
    return program, gain


def follow(name, teacher, start, number=96):
    """Weights [trials, calls] under a fixed rule; every trial has its own spikes."""
    program, gain = program_of(name)
    trials = draw_trials(KEY, number, SMOKE.calls)._replace(
        teacher=jnp.full(number, teacher),
        start=jnp.full(number, start),
        gain=jnp.full(number, gain),
    )
    found = run_rules([program], trials, KEY, SMOKE.dt, SMOKE.at_once)
    return np.asarray(found.weights[0], float), found


def test_the_goal_is_a_fixed_point_on_average():
    weights, _ = follow("delta rule", 30, 30)
    late = weights[:, 20:].mean(axis=1)
    assert abs(late.mean() - 30) < 4 * late.std() / np.sqrt(len(late))
    assert late.std() < 1


def test_weights_converge_at_the_predicted_rate():
    weights, _ = follow("delta rule", 45, 0)
    distance = 45 - weights.mean(axis=0)
    # Membranes at the end of a window are large where it had many spikes.
    tail = np.exp(-PERIOD / np.array([10.0, 5.0]))
    membrane = GAIN * SOURCE / 1000 * 5.0
    together = membrane * (10 * (1 - tail[0]) - 5 * (1 - tail[1])) / 5
    expected = 1 - 0.01 * (RATE * membrane + together)
    assert expected < 1 - 0.01 * RATE * membrane
    measured = (distance[16] / distance[1]) ** (1 / 15)
    np.testing.assert_allclose(measured, expected, atol=0.012)


def test_mismatch_is_compensated():
    weights, found = follow("mismatch", 30, 45)
    np.testing.assert_allclose(weights[:, 40:].mean(), 30 / 0.8, atol=0.3)
    voltages = np.asarray(found.voltages[0])[:, 40:]
    np.testing.assert_allclose(voltages[..., 1].mean(), voltages[..., 0].mean(), rtol=0.01)


def test_truncated_changes_leave_a_dead_zone():
    exact, _ = follow("delta rule", 30, 34)
    truncated, _ = follow("truncated", 30, 34)
    last = [abs(weights[:, 40:].mean() - 30) for weights in (exact, truncated)]
    assert last[0] < 0.3 < last[1]


def test_membranes_are_those_of_the_task():
    still = lowered(lambda syn, *_: 0.0 * syn, "still")
    number = 96
    trials = draw_trials(KEY, number, SMOKE.calls)._replace(
        teacher=jnp.full(number, 63), start=jnp.full(number, 0)
    )
    found = run_rules([still], trials, KEY, SMOKE.dt, SMOKE.at_once)
    voltages, readings = np.asarray(found.voltages[0]), np.asarray(found.readings[0])
    np.testing.assert_allclose(voltages[..., 0].mean(), 80 + 100, rtol=0.02)
    np.testing.assert_array_equal(voltages[..., 1], 80)
    noise = readings[..., 1] - 80
    np.testing.assert_allclose([noise.mean(), noise.std()], [0, 1.53], atol=0.05)
    assert readings.max() == 255
    np.testing.assert_array_equal(found.weights[0], 0)


def test_counts_are_the_spikes_of_the_windows():
    trials = draw_trials(KEY, 3, 50)
    times = np.asarray(trials.ticks[1]) / 125
    expected = [np.sum((times >= PERIOD * k) & (times < PERIOD * (k + 1))) for k in range(50)]
    np.testing.assert_array_equal(trials.counts[1], expected)
    np.testing.assert_allclose(trials.counts.mean(), RATE, rtol=0.1)
    assert trials.counts.shape == (3, 50) and isinstance(trials, Trials)
    np.testing.assert_allclose(trials._replace(gain=jnp.full(3, 0.5)).goals[0],
                               min(2 * trials.teacher[0], 63))  # fmt: skip


def test_the_emulated_rule_is_the_real_one_within_its_bounds():
    program, _ = program_of("delta rule")
    raw = random_inputs(program, (64, 32), seed=0)
    syn, pre, post, *_ = observed(program, raw)
    change = REFERENCE["delta rule"][0](pre.n, post.u_t[:, None], post.u_s[:, None])
    exact = np.clip(syn + change, 0, 63)
    found = np.asarray(emulate(program)(raw)["syn"])
    low, high = program.error
    assert np.all(found >= np.floor(exact + low)) and np.all(found <= np.ceil(exact + high))
    assert high - low < 0.02


@pytest.fixture(scope="module")
def tested():
    return OnChip(SMOKE, draw_trials(KEY, SMOKE.trials, SMOKE.calls))


def test_refused_rules_have_no_fitness(tested):
    huge = "n * n * n * n * u_t"
    rules = known_rules(tested.space, [HAND, huge, "n - n"])
    hand, refused, nothing = tested.evaluate(rules, jnp.broadcast_to(KEY, 3))
    assert refused == -np.inf and -np.inf < nothing < hand
    only = known_rules(tested.space, [huge])
    np.testing.assert_array_equal(tested.evaluate(only, jnp.broadcast_to(KEY, 1)), [-np.inf])


def test_fitness_does_not_depend_on_the_company(tested):
    formulas = ["u_t - u_s", HAND, "n + u_t", "u_s * u_t - n"]
    together = tested.evaluate(known_rules(tested.space, formulas), jnp.broadcast_to(KEY, 4))
    for place, formula in enumerate(formulas):
        alone = tested.evaluate(known_rules(tested.space, [formula]), jnp.broadcast_to(KEY, 1))
        assert alone[0] == together[place]
    again = tested.evaluate(known_rules(tested.space, formulas[::-1]), jnp.broadcast_to(KEY, 4))
    np.testing.assert_array_equal(again[::-1], together)


def test_the_formula_is_the_delta_rule_of_the_table(tested):
    genome = jax.tree.map(lambda leaf: np.asarray(leaf[0]), known_rules(tested.space, [HAND]))
    evolved = experiment.candidate(genome, tested.space, 0.01, "evolved")
    assert evolved is not None
    results = [
        run_rules([program], tested.trials, KEY, SMOKE.dt, SMOKE.at_once)
        for program in (evolved, program_of("delta rule")[0])
    ]
    np.testing.assert_array_equal(results[0].weights, results[1].weights)


def test_fitness_is_the_distance_and_the_variance_of_changes():
    _, found = follow("delta rule", 30, 20, number=24)
    readings, weights = np.asarray(found.readings[0, 3], float), np.asarray(found.weights[0, 3])
    expected = -np.mean(np.abs(readings[:, 0] - readings[:, 1])) - np.var(np.diff(1.0 * weights))
    np.testing.assert_allclose(fitness(found)[0, 3], expected)


@pytest.fixture(scope="module")
def smoke():
    return experiment.run(SMOKE, key=KEY, job=NullJob())


def test_the_experiment_runs(smoke):
    assert_claims_hold(CLAIMS, smoke, size="smoke", seeds=2)
    assert np.all(np.diff(smoke.history, axis=0) >= 0)
    assert smoke.nothing < smoke.history[-1].min()
    assert smoke.weights.shape == (2, 6, 80) and smoke.errors.shape == (5, 2, 6)


def test_champions_are_written_as_formula_listing_and_kernel(smoke):
    texts = experiment.files(smoke)
    assert set(texts) == {"champions.txt", "champion_0.cpp", "champion_1.cpp"}
    listing = texts["champions.txt"]
    assert f"{0.01 * UNIT:g} * (" in listing and "rounding stochastic" in listing
    assert listing.count("'syn' <- v") == 2
    assert "PLASTICITY_RULE_KERNEL" in texts["champion_0.cpp"]


def test_the_figure_is_drawn_without_warnings(smoke, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        experiment.figure(smoke).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_thousand_candidates_in_one_call(tested):
    from plasticjax.evolution import random_genome

    genomes = jax.vmap(lambda key: random_genome(tested.space, key=key))(
        jax.random.split(KEY, 1000)
    )
    found = tested.evaluate(genomes, jnp.broadcast_to(KEY, 1000))
    assert np.isfinite(found).sum() > 800


@pytest.mark.slow
def test_the_claims_hold():
    result = experiment.run(Config(), key=KEY, job=NullJob())
    assert_claims_hold(CLAIMS, result, size="default", seeds=5)
