from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments._contract import NullJob
from experiments._evolution import fitness_each, judge, known_rules, last_fitness
from experiments._reward_rules import NOTHING, PAPER, RULES
from experiments._reward_task import INPUTS, TRACES, draw, play, prepare
from experiments.evolve_reward import ARITHMETIC, CLAIMS, ROOMY, Config, figure, objective, run
from plasticjax.evolution import GenomeSpec

from .judged import assert_claims_hold


def rule_of(function):
    return lambda seen: function(*jnp.moveaxis(seen, -1, 0))[..., None]


def literal_trial(counts, weights, noise, dt, width, intensity, scale, drift):
    """One trial step by step, in the order of the publication's simulation."""
    membrane, synapse = np.exp(-dt / 10), np.exp(-dt / 2)
    transfer = 2 * 10 / (250 * 8) * (membrane - synapse)
    keep = np.exp(-dt / 500)
    u, current, wait = -70.0, 0.0, 0
    psp, unit, trace = (np.zeros(len(weights)) for _ in range(3))
    late, spikes = round(2 / dt), []
    for step in range(len(noise)):
        arrived = counts[step - late] if step >= late else np.zeros(len(weights))
        if wait > 0:
            u, wait = -70.0, wait - 1
        else:
            u = -70 + membrane * (u + 70) + transfer * current
        current = synapse * current + weights @ arrived
        psp = membrane * psp + transfer * unit
        unit = synapse * unit + arrived
        spike = noise[step] < 1e-5 * np.exp((u + 55) / 0.2) * dt
        surprise = spike / dt - drift * intensity * np.exp((u + 55) / width)
        trace = keep * trace + (1 - keep) * scale * psp * surprise
        if spike:
            u, wait = -70.0, round(2 / dt)
        spikes.append(spike)
    return np.array(spikes), trace


def several(count, trials):
    one = partial(draw, dt=1.0, trials=trials, patterns=4, inputs=20, duration=100.0)
    return jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(2), count))


@pytest.mark.parametrize("constants", TRACES)
def test_the_task_is_a_literal_simulation(x64, constants):
    dt, steps, inputs, trials = 0.5, 240, 12, 14
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.006 * dt * 4, (3, steps, inputs))
    label, shown = np.array([1.0, -1.0, 1.0]), rng.integers(0, 3, trials)
    noise = rng.uniform(1e-12, 1, (trials, steps))
    first = rng.normal(600, 1000, inputs)
    experiment = prepare(
        *map(jnp.asarray, (counts, label, shown, noise, first)),
        dt=dt,
    )
    small = {"code": 1.0, "no drift": 0.1, "paper": 1e-6}[constants]
    rule = rule_of(lambda r, e, b, p, m: small * (r - (p - m)) * e / (1 + p) + b)
    played = play(rule, experiment, dt=dt, constants=constants)

    weights, positive, negative = first.copy(), 0.0, 0.0
    trace = TRACES[constants]
    for trial in range(trials):
        spikes, e = literal_trial(counts[shown[trial]], weights, noise[trial], dt, *trace)
        reward = (1 if spikes.any() else -1) * label[shown[trial]]
        change = small * (reward - (positive - negative)) * e / (1 + positive)
        weights = weights + 10 * (change + positive + negative)
        positive += (max(reward, 0) - positive) / 100
        negative += (min(reward, 0) - negative) / 100
        assert played.reward[trial] == reward
        np.testing.assert_array_equal(played.spikes[trial], spikes)
        np.testing.assert_allclose(played.weights[trial], weights, rtol=1e-9, atol=1e-7)
    assert np.asarray(played.spikes).sum() > 2 and len(set(np.asarray(played.reward))) == 2


def test_the_expected_absolute_reward_is_that_of_an_average(x64):
    experiment = jax.tree.map(lambda leaf: leaf[0], several(1, trials=40))
    rule = rule_of(lambda r, e, b, p, m: p - m)
    played = jax.jit(lambda experiment: play(rule, experiment, dt=1.0))(experiment)
    weights = np.concatenate([experiment.weights[None], played.weights])
    connected = np.asarray(experiment.connected)
    change = np.diff(weights, axis=0)[:, connected]
    wanted = 10 * (1 - 0.99 ** np.arange(40))
    np.testing.assert_allclose(change, np.broadcast_to(wanted[:, None], change.shape), atol=1e-9)
    np.testing.assert_array_equal(weights[-1][~connected], weights[0][~connected])


def test_patterns_have_the_published_statistics():
    keys = jax.random.split(jax.random.key(1), 8)
    many = jax.jit(jax.vmap(lambda key: draw(key, dt=1.0, trials=50)))(keys)
    assert many.psp.shape == (8, 30, 500, 50)
    np.testing.assert_allclose(many.connected.mean(), 0.8, atol=0.08)
    # A spike of a unit weight has an area of tau_s tau_m / C; few are cut off at the end.
    area = many.psp.sum(axis=2)[jnp.broadcast_to(many.connected[:, None], (8, 30, 50))]
    np.testing.assert_allclose(area.mean() / 0.08, 3.0, rtol=0.06)
    np.testing.assert_allclose(many.weights.std(), 1000, rtol=0.15)
    assert set(np.unique(many.label)) == {-1.0, 1.0}


def test_rules_that_diverge_cost_only_themselves():
    config = Config.smoke()
    experiments = several(3, trials=30)
    here = objective(config, GenomeSpec(INPUTS, ARITHMETIC, columns=4), experiments, 1.0)
    good = ["(R - 1) * E", NOTHING]
    alone = judge(here, good)
    dead = ["E / (R - R)", "(E - E) / (E - E)", "R / B"]
    explodes = "E * E * E + R"
    together = judge(here, [*dead, explodes, *good])
    np.testing.assert_array_equal(together[4:], alone)
    assert np.all(np.isneginf(together[:3])) and not np.isnan(together[3])


def test_published_rules_that_are_equal_forms_agree(x64):
    experiments = several(2, trials=60)
    here = objective(Config.smoke(), ROOMY, experiments, 1.0)
    pairs = {
        "LR0": "set 0, run 0",
        "LR1": "set 0, run 4",
        "LR2": "set 3, run 1",
        "LR3": "set 3, run 4",
        "LR4": "set 1, run 4",
        "LR5": "set 2, run 7",
    }
    names = [*pairs, *pairs.values()]
    both = fitness_each(here, known_rules(ROOMY, [RULES[name][0] for name in names]))
    np.testing.assert_allclose(both[:6], both[6:])
    assert [RULES[a][1] for a in pairs] == [RULES[b][1] for b in pairs.values()]
    assert len(PAPER) == 6 and len(RULES) == 45


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match=r"space is 'all'; valid: 'repository'"):
        run(Config(space="all"), key=jax.random.key(0), job=NullJob())
    with pytest.raises(ValueError, match="duration must be a whole number of steps"):
        draw(jax.random.key(0), dt=0.3, duration=100.0)


def test_the_whole_path_runs_and_the_baseline_learns():
    config = Config.smoke()
    result = run(config, key=jax.random.key(0), job=NullJob())
    assert_claims_hold(CLAIMS, result, size="smoke", seeds=config.seeds)
    assert result.history.shape == (config.generations, config.seeds)
    assert np.all(np.diff(result.history, axis=0) >= 0)
    assert len(figure(result).axes) == 6


@pytest.mark.slow
def test_the_claims_hold():
    result = run(Config(), key=jax.random.key(0), job=NullJob())
    assert_claims_hold(CLAIMS, result, size="default", seeds=Config().seeds)


def test_searches_that_all_stop_early_have_a_last_fitness():
    history = np.array([[1.0, -np.inf], [3.0, 2.0], [np.nan, np.nan]])
    np.testing.assert_array_equal(last_fitness(history), [3.0, 2.0])
