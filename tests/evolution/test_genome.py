from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasticjax.evolution import (
    ADD,
    GenomeSpec,
    Primitive,
    active_nodes,
    from_dna,
    mutate,
    parameter,
    parameters_of,
    random_genome,
    reorder,
    to_dna,
)
from tests.evolution.search_spaces import (
    CHOICES,
    GRID,
    LINE,
    SPECS,
    individual,
    odd_specs,
    population,
)


@lru_cache
def _all_of_them(spec):
    @jax.jit
    def make(seed):
        key = jax.random.key(seed)
        first = random_genome(spec, key=key)
        second = mutate(spec, first, 0.4, key=key)[0]
        if spec.rows != 1 or spec.levels_back not in (None, spec.columns):
            return first, second
        return first, second, reorder(spec, second, key=key)

    return make


@settings(max_examples=25)
@given(st.sampled_from([*SPECS.values(), *odd_specs()]), st.integers(0, 2**31 - 1))
def test_dna_round_trips_and_everything_made_is_permissible(spec, seed):
    for genome in _all_of_them(spec)(seed):
        dna = np.asarray(to_dna(spec, genome))
        again = from_dna(spec, dna, parameters_of(spec, genome))
        for part, other in zip(genome, again, strict=True):
            assert part.dtype == other.dtype
        for part, other in zip(genome[:3], again[:3], strict=True):
            np.testing.assert_array_equal(part, other)
        assert to_dna(spec, again).tolist() == dna.tolist()
        assert parameters_of(spec, genome) == parameters_of(spec, again)


@pytest.mark.parametrize(
    "spec, active, spread, direct",
    [(GRID, 3.64, 3.26, 0.0735), (LINE, 1.89, 1.69, 0.207)],
    ids=["12x2", "12x1"],
)
def test_statistics_of_random_genomes_are_those_of_the_reference(spec, active, spread, direct):
    genomes = population(spec, 4000)
    sizes = jnp.sum(jax.jit(jax.vmap(lambda g: active_nodes(spec, g)))(genomes), 1)
    share = jnp.mean(genomes.out < spec.n_inputs)
    error = np.sqrt(1 / 2000 + 1 / 4000)
    assert abs(jnp.mean(sizes) - active) < 4 * spread * error
    assert abs(jnp.std(sizes) - spread) < 0.12 * spread
    assert abs(share - direct) < 4 * np.sqrt(direct * (1 - direct)) * error


def test_every_permissible_value_is_drawn_equally_often():
    genomes = population(GRID, 4000)
    for node in (0, 5, 23):
        permissible = GRID.permissible(node)
        for slot in range(2):
            counts = np.bincount(genomes.arg[:, node, slot], minlength=26)
            assert counts[list(permissible)].sum() == 4000
            expected = 4000 / len(permissible)
            chi = np.sum((counts[list(permissible)] - expected) ** 2 / expected)
            assert chi < len(permissible) + 4 * np.sqrt(2 * len(permissible))


def _changed(position, value):
    dna = np.array(to_dna(GRID, individual(population(GRID, 1), 0)))
    dna[position] = value
    return dna


@pytest.mark.parametrize(
    "dna, message",
    [
        (lambda: _changed(0, -1)[:-1], "dna must be 81 integers for this spec, got shape"),
        (lambda: _changed(0, -1) * 1.0, "integers .* of float64"),
        (lambda: _changed(0, -2), "input node 0 must start with marker -1, got -2"),
        (lambda: _changed(-3, -1), "output node 26 must start with marker -2, got -1"),
        (lambda: _changed(4, 0), "non-coding genes of input node 1 must be -3, got .0, -3."),
        (lambda: _changed(-1, 0), "non-coding genes of output node 26 must be -3"),
        (lambda: _changed(6, 5), "function gene of node 2 must be 0 to 4, got 5"),
        (lambda: _changed(7, 2), r"an address of node 2 must be one of \[0, 1\], got 2"),
        (lambda: _changed(-2, 26), "an address of output must be one of .*, got 26"),
        (lambda: _changed(77, 2), "an address of node 25 must be one of"),
    ],
)
def test_dna_with_a_bad_gene_is_refused(dna, message):
    with pytest.raises(ValueError, match=message):
        from_dna(GRID, dna())


def test_parameters_belong_to_nodes():
    spec = GenomeSpec(("x",), (parameter(3.0), ADD), 2)
    dna = [-1, -3, -3, 0, 0, 0, 1, 1, 1, -2, 2, -3]
    assert from_dna(spec, dna).theta.tolist() == [[3.0], [0.0]]
    genome = from_dna(spec, dna, {"<p1>": 2.5})
    assert parameters_of(spec, genome) == {"<p1>": 2.5}
    with pytest.raises(ValueError, match=r"'<p2>'.* belong to no node"):
        from_dna(spec, dna, {"<p2>": 1.0})
    drawn = GenomeSpec(("x",), (parameter(lambda key: jax.random.normal(key)), ADD), 2)
    with pytest.raises(ValueError, match="parameters must hold <p1>"):
        from_dna(drawn, dna)


def test_parameters_start_from_their_initial_values():
    noise = parameter(lambda key: 5 + jax.random.uniform(key), "Noise")
    line = Primitive(
        "Line", 1, lambda x, a, b: a * x + b, parameters=("a", "b"), initial=(2.0, -1.0)
    )
    spec = GenomeSpec(("x",), (ADD, noise, line), 30)
    genome = random_genome(spec, key=jax.random.key(0))
    np.testing.assert_array_equal(genome.theta[genome.op == 0], 0)
    np.testing.assert_array_equal(
        genome.theta[genome.op == 2], np.tile([2.0, -1.0], (int(sum(genome.op == 2)), 1))
    )
    drawn = genome.theta[genome.op == 1, 0]
    assert jnp.all((drawn > 5) & (drawn < 6)) and len(set(drawn.tolist())) == len(drawn) > 3
    assert CHOICES.n_theta == 1
