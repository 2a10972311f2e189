from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.evolution import (
    ADD,
    GenomeSpec,
    Silent,
    active_nodes,
    evaluate_population,
    from_dna,
    mutate,
    parameter,
    random_genome,
    reorder,
    to_dna,
)
from tests.evolution.search_spaces import CHOICES, GRID, LINE, POWERS, SPECS, population


@lru_cache
def _step(spec, noisy):
    def step(genome, rate, key, scale):
        return mutate(spec, genome, rate, key=key, theta_scale=scale if noisy else None)

    return jax.jit(jax.vmap(step, (0, None, 0, None)))


def _mutants(spec, genomes, rate, seed=1, theta_scale=None):
    keys = jax.random.split(jax.random.key(seed), genomes.op.shape[0])
    scale = 0.0 if theta_scale is None else theta_scale
    return _step(spec, theta_scale is not None)(genomes, jnp.asarray(rate), keys, scale)


def _dna(spec, genomes):
    return np.asarray(jax.jit(jax.vmap(lambda genome: to_dna(spec, genome)))(genomes))


def _repeated(spec, count):
    genome = random_genome(spec, key=jax.random.key(4))
    return jax.tree.map(lambda part: jnp.broadcast_to(part, (count, *part.shape)), genome)


@pytest.mark.parametrize("rate", [0.03, 0.3])
def test_the_number_of_changes_is_binomial(rate):
    parents = _repeated(GRID, 10_000)
    mutants, _ = _mutants(GRID, parents, rate)
    changes = np.sum(_dna(GRID, mutants) != _dna(GRID, parents), 1)
    np.testing.assert_allclose(changes.mean(), 73 * rate, rtol=0.04)
    np.testing.assert_allclose(changes.var(), 73 * rate * (1 - rate), rtol=0.04)


def test_genes_change_independently_and_to_each_other_value_equally_often():
    count, rate = 10_000, 0.3
    parents = _repeated(GRID, count)
    mutants, _ = _mutants(GRID, parents, rate)
    before, after = _dna(GRID, parents), _dna(GRID, mutants)
    changed = before != after
    spread = np.sqrt(rate * (1 - rate) / count)
    frequency = changed.mean(0)
    mutable = frequency > 0
    assert mutable.sum() == 73
    assert np.all(np.abs(frequency[mutable] - rate) < 5 * spread)
    correlation = np.corrcoef(changed[:, mutable].T)
    assert np.abs(correlation - np.eye(73)).max() < 5 / np.sqrt(count)
    hidden = 3 * np.arange(2, 26)
    for gene in (*hidden[[0, 9, 23]], *hidden[[0, 9, 23]] + 1, 79):
        drawn = after[changed[:, gene], gene]
        values, counts = np.unique(drawn, return_counts=True)
        size = (
            5
            if gene % 3 == 0
            else len(GRID.permissible(None if gene == 79 else int(gene // 3 - 2)))
        )
        assert len(values) == size - 1 and before[0, gene] not in values
        expected = counts.sum() / len(values)
        chi = np.sum((counts - expected) ** 2 / expected)
        assert chi < len(values) + 5 * np.sqrt(2 * len(values))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_rate_one_changes_every_mutable_gene_and_rate_zero_none(spec):
    parents = population(spec, 4000)
    mutants, _ = _mutants(spec, parents, 1.0)
    changes = np.sum(_dna(spec, mutants) != _dna(spec, parents), 1)
    np.testing.assert_array_equal(changes, spec.n_mutable)
    same, silent = _mutants(spec, parents, 0.0)
    np.testing.assert_array_equal(_dna(spec, same), _dna(spec, parents))
    assert jnp.all(silent.exact) and jnp.all(silent.conservative)


def test_the_rate_may_be_traced_and_differ_between_individuals():
    parents = population(GRID, 2000)
    keys = jax.random.split(jax.random.key(2), 2000)
    rates = jnp.where(jnp.arange(2000) < 1000, 0.02, 0.2)
    step = jax.vmap(lambda genome, rate, key: mutate(GRID, genome, rate, key=key)[0])
    changed = _dna(GRID, jax.jit(step)(parents, rates, keys)) != _dna(GRID, parents)
    for part, rate in ((changed[:1000], 0.02), (changed[1000:], 0.2)):
        np.testing.assert_allclose(part.sum(1).mean(), 73 * rate, rtol=0.1)


def test_a_mutant_does_not_depend_on_its_batch():
    parents = population(GRID, 4000)
    keys = jax.random.split(jax.random.key(1), 4000)
    together, _ = _mutants(GRID, parents, 0.1)
    parent = jax.tree.map(lambda part: part[5], parents)
    alone = mutate(GRID, parent, 0.1, key=keys[5])[0]
    for part, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(part, other[5])


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_silent_mutants_give_the_same_bits(spec, x64):
    parents = population(spec, 4000)
    mutants, silent = _mutants(spec, parents, 0.08)
    points = np.random.default_rng(0).uniform(-3, 3, (5, spec.n_inputs))
    before = np.asarray(evaluate_population(spec, parents, points, "vmap_select"))
    after = np.asarray(evaluate_population(spec, mutants, points, "vmap_select"))
    same = np.array([x.tobytes() == y.tobytes() for x, y in zip(before, after, strict=True)])
    exact, conservative = np.asarray(silent.exact), np.asarray(silent.conservative)
    assert np.all(exact[conservative]) and np.all(same[exact])
    assert (exact & ~conservative).sum() > 0 and 0 < conservative.mean() < exact.mean() < 1


@pytest.mark.parametrize(
    "spec, fraction", [(GRID, 0.60), (LINE, 0.74), (POWERS, 0.81)], ids=["12x2", "12x1", "5x1"]
)
def test_silent_fractions_are_those_of_the_reference(spec, fraction):
    _, silent = _mutants(spec, population(spec, 4000), 0.05)
    np.testing.assert_allclose(jnp.mean(silent.conservative), fraction, atol=0.03)


def test_flags_of_hand_made_mutants():
    # Node 2 is x0 + x1, node 3 (its unused twin) x1 + x0; the output reads node 2.
    spec = GenomeSpec(("x0", "x1"), (ADD, parameter()), 2)
    dna = [-1, -3, -3, -1, -3, -3, 0, 0, 1, 0, 1, 0, -2, 2, -3]
    parent = from_dna(spec, dna)
    many = jax.tree.map(lambda part: jnp.broadcast_to(part, (4000, *part.shape)), parent)
    mutants, silent = _mutants(spec, many, 0.15)
    flags = zip(silent.exact.tolist(), silent.conservative.tolist(), strict=True)
    seen = dict(zip(map(tuple, _dna(spec, mutants).tolist()), flags, strict=True))
    twin = tuple([*dna[:13], 3, -3])
    assert seen[twin] == Silent(True, False)
    inactive_parameter = tuple([*dna[:9], 1, 1, 0, -2, 2, -3])
    assert seen[inactive_parameter] == Silent(True, False)
    inactive_address = tuple([*dna[:10], 0, *dna[11:]])
    assert seen[inactive_address] == Silent(True, True)
    other = tuple([*dna[:7], 1, *dna[8:]])
    assert seen[other] == Silent(False, False)


def test_new_functions_get_new_parameters_and_others_keep_theirs():
    spec = CHOICES
    parents = population(spec, 4000)
    parents = parents._replace(theta=jnp.full_like(parents.theta, 7.0))
    mutants, silent = _mutants(spec, parents, 0.1)
    anew = (mutants.op != parents.op) & (mutants.op == 4)
    kept = mutants.op == parents.op
    np.testing.assert_array_equal(mutants.theta[anew], 1.0)
    np.testing.assert_array_equal(mutants.theta[kept], 7.0)
    assert not jnp.any(silent.conservative & jnp.any(anew, 1))


def test_gaussian_noise_moves_parameters_only():
    spec = CHOICES
    parents = population(spec, 4000)
    mutants, silent = _mutants(spec, parents, 0.01, theta_scale=0.5)
    kept = (mutants.op == parents.op) & (parents.op == 4)
    moved = (mutants.theta - parents.theta)[..., 0]
    np.testing.assert_allclose(jnp.mean(moved[kept] != 0), 0.01, atol=0.003)
    np.testing.assert_allclose(jnp.std(moved[kept & (moved != 0)]), 0.5, rtol=0.2)
    assert not jnp.any(moved[(parents.op != 4) & (mutants.op != 4)])
    active = jax.vmap(lambda genome: active_nodes(spec, genome))(parents)
    touched = jnp.any(active & kept & (moved != 0), 1)
    assert jnp.any(touched) and not jnp.any(touched & silent.conservative)
    # Elsewhere a new wiring can meet a parameter of the same value.
    only = touched & jnp.all(_dna(spec, mutants) == _dna(spec, parents), 1)
    assert jnp.any(only) and not jnp.any(only & silent.exact)


def test_reordered_genomes_compute_the_same_bits(x64):
    spec = GenomeSpec(("x0", "x1"), (*GRID.primitives, parameter()), 10)
    parents = population(spec, 500)
    theta = jax.random.normal(jax.random.key(5), parents.theta.shape)
    parents = parents._replace(theta=theta)
    keys = jax.random.split(jax.random.key(6), 500)
    shuffled = jax.jit(jax.vmap(lambda genome, key: reorder(spec, genome, key=key)))(parents, keys)
    points = np.random.default_rng(0).uniform(-3, 3, (5, 2))
    before = evaluate_population(spec, parents, points, "vmap_select")
    after = evaluate_population(spec, shuffled, points, "vmap_select")
    assert np.asarray(before).tobytes() == np.asarray(after).tobytes()
    assert np.mean(np.any(np.asarray(parents.op != shuffled.op), 1)) > 0.9
    np.testing.assert_array_equal(jnp.sort(parents.theta, 1), jnp.sort(shuffled.theta, 1))
    for index in range(0, 500, 50):
        from_dna(spec, to_dna(spec, jax.tree.map(lambda part, i=index: part[i], shuffled)))


def test_reordering_takes_each_ready_node_equally_often():
    # Nodes 1 and 2 read the input, node 3 reads node 1: first place 1/2 each, then 3 has 1/2.
    spec = GenomeSpec(("x",), (ADD, parameter(), parameter(2.0, "Other")), 3)
    genome = from_dna(spec, [-1, -3, -3, 1, 0, 0, 2, 0, 0, 0, 1, 1, -2, 3, -3])
    keys = jax.random.split(jax.random.key(0), 4000)
    orders = jax.jit(jax.vmap(lambda key: reorder(spec, genome, key=key).op))(keys)
    found, counts = np.unique(orders, axis=0, return_counts=True)
    assert found.tolist() == [[1, 0, 2], [1, 2, 0], [2, 1, 0]]
    np.testing.assert_allclose(counts / 4000, [0.25, 0.25, 0.5], atol=0.03)


def test_reorder_refuses_grids():
    with pytest.raises(ValueError, match="rows = 2 and levels_back = 5"):
        reorder(GRID, random_genome(GRID, key=jax.random.key(0)), key=jax.random.key(0))
