"""Searches: what a generation keeps, skips, counts and repeats."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.evolution import (
    ADD,
    DIV,
    MUL,
    SUB,
    GenomeSpec,
    MuPlusLambda,
    Objective,
    Search,
    constant,
    evolve,
    from_dna,
    to_dna,
)
from plasticjax.runtime import Checkpoints

SPEC = GenomeSpec(("a", "b"), (ADD, SUB, MUL, DIV, constant(1.0)), columns=8)
POINTS = jax.random.uniform(jax.random.key(3), (2, 20, 2), minval=-4, maxval=4)
KEY = jax.random.key(7)


def distance(rule, points, key):
    wanted = points[:, 0] ** 2 + points[:, 1]
    return -jnp.mean((rule(points)[:, 0] - wanted) ** 2)


def objective(batch=16, **changes):
    return Objective(distance, SPEC, POINTS, batch=batch, **changes)


def search(**changes):
    strategy = MuPlusLambda(mu=2, lam=4, rate=0.1, tournament=2)
    return Search(SPEC, **{"strategy": strategy, **changes})


def run(objective, search, **changes):
    settings = {"key": KEY, "generations": 30, "islands": 4, "block": 10, **changes}
    return evolve(objective, search, **settings)


def assert_same(one, other):
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.fixture(scope="module")
def usual():
    return run(objective(), search())


def test_champions_never_get_worse_and_mostly_get_better(usual):
    fitness = usual.history.fitness
    assert np.all(np.diff(fitness, axis=0) >= 0)
    assert np.sum(fitness[-1] > fitness[0]) >= 2


def test_recorded_fitness_is_that_of_the_recorded_champions(usual):
    keys = jnp.broadcast_to(KEY, 4)
    again = objective().evaluate(jax.tree.map(jnp.asarray, usual.state.champions), keys)
    np.testing.assert_allclose(again, usual.fitness, rtol=1e-6)
    best = np.argmax(usual.fitness)
    dna = to_dna(SPEC, usual.best)
    chosen = jax.tree.map(lambda leaf: leaf[best], usual.state.champions)
    np.testing.assert_array_equal(dna, to_dna(SPEC, chosen))


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_results_do_not_depend_on_the_batch(usual, batch):
    assert_same(run(objective(batch), search()).history.champion, usual.history.champion)


def test_short_programs_are_judged_by_the_same_code_whoever_is_beside_them(usual):
    many = run(objective(short=4), search())
    few = run(objective(short=4), search(), islands=2)
    assert_same(jax.tree.map(lambda leaf: leaf[:, :2], many.history), few.history)
    sizes = np.asarray(many.history.size)
    assert (sizes <= 4).any() and (sizes > 4).any()
    np.testing.assert_allclose(many.history.fitness[0], usual.history.fitness[0], rtol=1e-5)


def test_an_island_does_not_notice_the_others(usual):
    fewer = run(objective(), search(), islands=2)
    assert_same(fewer.history, jax.tree.map(lambda leaf: leaf[:, :2], usual.history))


def test_a_memory_changes_nothing_but_the_number_of_evaluations(usual):
    remembered = run(objective(), search(memory=64))
    assert_same(remembered.history.champion, usual.history.champion)
    assert_same(remembered.history.fitness, usual.history.fitness)
    assert np.all(remembered.state.evaluations <= usual.state.evaluations)
    assert np.any(remembered.state.evaluations < usual.state.evaluations)


def test_a_constant_objective_drifts_in_every_generation():
    drifting = run(
        Objective(lambda rule, points, key: 0.0 * jnp.sum(points), SPEC, POINTS),
        search(strategy=MuPlusLambda(mu=1, lam=4, rate=0.5)),
    )
    words = [np.asarray(leaf).reshape(30, 4, -1) for leaf in drifting.history.champion[:3]]
    champions = np.concatenate(words, axis=-1)
    assert np.all(np.any(champions[1:] != champions[:-1], axis=-1))


def test_islands_stop_at_the_target_and_the_search_with_the_last_of_them():
    stopped = run(objective(), search(target=-5.0), generations=400)
    assert np.all(stopped.fitness >= -5.0)
    fitness = stopped.history.fitness
    reached = np.argmax(fitness >= -5.0, axis=0)
    for island, generation in enumerate(reached):
        kept = fitness[generation:, island]
        assert np.all(kept[np.isfinite(kept)] == fitness[generation, island])
    assert np.isnan(fitness[-1]).all()


def test_evaluations_can_be_limited():
    limited = run(objective(), search(max_evaluations=20))
    assert np.all(limited.state.evaluations >= 20)
    assert np.all(limited.state.evaluations < 26)


def test_generation_zero_is_the_first_parents():
    only = run(objective(), search(), generations=1)
    np.testing.assert_array_equal(only.state.evaluations, 2)


def test_invalid_individuals_lose_against_all_others_and_block_nothing():
    def picky(rule, points, key):
        value = distance(rule, points, key)
        return jnp.where(value < -200, jnp.nan, value)

    found = run(Objective(picky, SPEC, POINTS), search(), generations=60)
    assert np.all(np.isfinite(found.fitness))
    assert not np.any(np.isnan(found.history.fitness))


def test_hurdles_save_evaluations_of_the_last_objective():
    cheap, dear = objective(), objective()
    hurdled = run((cheap, dear), search(objectives=2, hurdles=(50.0,)))
    assert hurdled.state.fitness.shape == (4, 2, 2)
    both = hurdled.state.fitness[:, 0]
    np.testing.assert_allclose(both[:, 0], both[:, 1])
    np.testing.assert_allclose(hurdled.fitness, both.sum(axis=1))


def test_a_hurdle_lets_finite_individuals_pass_among_invalid_ones():
    state = search(objectives=2, hurdles=(0.0,)).init(KEY, islands=1)
    hurdled = search(objectives=2, hurdles=(0.0,))
    state, asked = eqx.filter_jit(hurdled.ask)(state, KEY)

    def half(rule, points, key):
        value = jnp.sum(rule(points))
        return jnp.where(value > 0, value, -jnp.inf)

    pair = (Objective(half, SPEC, POINTS), Objective(half, SPEC, POINTS))
    fitness = eqx.filter_jit(hurdled.judge)(pair, state, asked, KEY)
    passed = jnp.isfinite(fitness[..., 0])
    np.testing.assert_array_equal(jnp.isfinite(fitness[..., 1]), passed)


def test_new_tasks_in_every_generation_mean_that_parents_are_judged_again():
    def noisy(rule, points, key):
        return distance(rule, points, key) + jax.random.normal(key)

    fixed = run(Objective(noisy, SPEC, POINTS), search())
    assert np.all(np.diff(fixed.history.fitness, axis=0) >= 0)
    redrawn = run(Objective(noisy, SPEC, POINTS), search(resample=True))
    assert np.any(np.diff(redrawn.history.fitness, axis=0) < 0)
    assert np.all(np.diff(redrawn.history.evaluations[1:], axis=0) >= 2)


def test_settings_are_one_more_axis():
    def scaled(rule, points, key, scale):
        return scale * distance(rule, points, key)

    settings = jnp.array([1.0, 1.0, 3.0, 3.0])
    found = run(Objective(scaled, SPEC, POINTS), search(), settings=settings)
    plain = run(objective(), search())
    np.testing.assert_allclose(found.history.fitness[0], settings * plain.history.fitness[0], 1e-6)


def test_every_island_may_mutate_at_its_own_rate():
    rates = jnp.array([0.02, 0.02, 0.5, 0.5])
    found = run(objective(), search(strategy=MuPlusLambda(mu=2, lam=4, rate=rates)))
    silent = found.history.silent[1:].mean(axis=0)
    assert np.all(silent[:2] > silent[2:] + 0.2)


def test_seeds_start_every_island():
    product = jnp.array([-1, -3, -3, -1, -3, -3, *[2, 0, 1] * 8, -2, 2, -3])
    seeded = run(objective(), search(), seeds=(from_dna(SPEC, product),), generations=1)
    alone = objective().evaluate(
        jax.tree.map(lambda leaf: leaf[None], from_dna(SPEC, product)), KEY[None]
    )
    assert np.all(seeded.fitness >= alone[0])


def test_several_genomes_make_one_individual():
    specs = {"up": SPEC, "down": GenomeSpec(("a",), (ADD, MUL), columns=3)}

    def fitness(rules, points, key):
        both = rules["up"](points)[:, 0] - rules["down"](points[:, :1])[:, 0]
        return -jnp.mean((both - points[:, 1] + points[:, 0] ** 2) ** 2)

    pairs = Search(specs, MuPlusLambda(mu=1, lam=4, rate={"up": 0.1, "down": 0.2}))
    found = run(Objective(fitness, specs, POINTS), pairs, generations=100)
    assert np.max(found.fitness) == pytest.approx(0, abs=1e-6)
    assert set(found.best) == {"up", "down"}


def test_an_objective_on_the_host_gives_the_same_search(usual):
    evaluate = eqx.filter_jit(objective().evaluate)

    class OnHost:
        calls = 0

        def evaluate(self, individuals, keys):
            self.calls += len(keys)
            return np.asarray(evaluate(individuals, keys))

    host = OnHost()
    found = run(host, search())
    assert_same(found.history, usual.history)
    assert host.calls < int(np.sum(usual.state.evaluations))


@pytest.mark.parametrize("killed_after", [1, 2])
def test_a_resumed_search_is_the_same_bit_for_bit(tmp_path, usual, killed_after):
    class Killed(Exception):
        pass

    class Mortal(Checkpoints):
        saved = 0

        def save(self, step, state):
            super().save(step, state)
            self.saved += 1
            if self.saved == killed_after:
                raise Killed

    with pytest.raises(Killed):
        run(objective(), search(), checkpoints=Mortal(tmp_path))
    resumed = run(objective(), search(), checkpoints=Checkpoints(tmp_path))
    assert_same(resumed, usual)


def test_a_checkpoint_of_another_spec_is_refused(tmp_path):
    run(objective(), search(), generations=2, checkpoints=Checkpoints(tmp_path))
    other = GenomeSpec(("a", "b"), (ADD, SUB, MUL, DIV, constant(1.0)), columns=9)
    with pytest.raises(ValueError, match="checkpoint of step"):
        evolve(
            Objective(distance, other, POINTS),
            Search(other, MuPlusLambda(mu=2, lam=4)),
            key=KEY,
            generations=2,
            islands=4,
            checkpoints=Checkpoints(tmp_path),
        )


def test_migrants_reach_the_next_island():
    alone = run(objective(), search(), generations=20)
    together = run(objective(), search(), generations=20, migrate_every=5, migrants=1)
    assert np.min(together.fitness) >= np.min(alone.fitness)
    best = np.max(together.history.fitness[4])
    giver = int(np.argmax(together.history.fitness[4]))
    assert together.history.fitness[5][(giver + 1) % 4] >= best


def test_progress_is_shown_for_every_block(usual):
    shown = []

    class Bar:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def advance(self, count, **metrics):
            shown.append((count, metrics["best"]))

    run(objective(), search(), progress=lambda total, text: Bar())
    assert [count for count, _ in shown] == [10, 10, 10]
    assert shown[-1][1] == pytest.approx(float(np.max(usual.fitness)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: run(objective(), search(), generations=0), "generations must be at least 1"),
        (lambda: run(objective(), search(), islands=0), "islands must be at least 1"),
        (lambda: run(object(), search()), "must be an Objective"),
        (lambda: run((objective(), objective()), search()), "must be 1 objectives"),
        (lambda: run(objective(), search(), migrate_every=7, block=5), "multiple of block"),
        (lambda: run(objective(), search(), migrate_every=5, migrants=3), "at most mu"),
        (lambda: run(objective(), search(), settings=jnp.ones(3)), "one entry for each of 4"),
        (lambda: search(hurdles=(50.0,)), "one percentile for each"),
        (lambda: search(objectives=2, hurdles=(120.0,)), "from 0 to 100"),
        (lambda: search(memory=3), "at least mu . lam = 6"),
        (lambda: search(memory=10, resample=True), "drawn anew"),
        (lambda: MuPlusLambda(mu=0), "mu must be at least 1"),
        (lambda: MuPlusLambda(mu=2, tournament=3), "between 1 and mu = 2"),
        (lambda: MuPlusLambda(rate=0.0), "rate must be above 0"),
        (lambda: objective(reduce="sum"), "reduce must be one of"),
        (lambda: objective(batch=0), "batch must be at least 1"),
        (lambda: objective(batch=1, short=4), "0 for a batch of 1, got 4"),
        (lambda: Objective(distance, SPEC, jnp.zeros(())), "common leading axis"),
    ],
)
def test_wrong_arguments_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
