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
    active_nodes,
    canonical_key,
    compact,
    constant,
    evaluate,
    evaluate_population,
    from_dna,
    from_expression,
    functional_key,
    parameter,
    program_length,
)
from tests.evolution.search_spaces import GRID, SPECS, individual, population


def reachable(spec, genome):
    """The nodes that outputs depend on, by walking back."""
    op, arg, out = (np.asarray(part) for part in genome[:3])
    found, waiting = set(), out.tolist()
    while waiting:
        node = waiting.pop() - spec.n_inputs
        if node >= 0 and node not in found:
            found.add(node)
            waiting += arg[node, : spec.primitives[op[node]].arity].tolist()
    return sorted(found)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_active_nodes_are_those_that_outputs_reach(spec):
    genomes = population(spec, 200)
    active = np.asarray(jax.jit(jax.vmap(lambda genome: active_nodes(spec, genome)))(genomes))
    for index in range(200):
        expected = reachable(spec, individual(genomes, index))
        assert np.flatnonzero(active[index]).tolist() == expected


def test_active_nodes_of_more_addresses_than_a_word_has_bits():
    spec = GenomeSpec(("x0", "x1"), (ADD, MUL), 50, 2, 50)
    genomes = population(spec, 20)
    active = np.asarray(jax.vmap(lambda genome: active_nodes(spec, genome))(genomes))
    for index in range(20):
        expected = reachable(spec, individual(genomes, index))
        assert np.flatnonzero(active[index]).tolist() == expected
    assert active[:, :10].any() and active[:, 70:].any()


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_compact_programs_give_the_same_bits(spec, x64):
    genomes = population(spec, 300)
    sizes = [len(reachable(spec, individual(genomes, index))) for index in range(300)]
    length = program_length(spec, max(sizes))
    small = jax.jit(jax.vmap(lambda genome: compact(spec, genome, length)))(genomes)
    assert small.size.tolist() == sizes
    places = np.arange(length)
    assert np.all((np.asarray(small.op) == len(spec.primitives)) == (places >= small.size[:, None]))
    reads = np.asarray(small.arg) < spec.n_inputs + places[:, None]
    assert reads.all()
    points = np.random.default_rng(0).uniform(-3, 3, (5, spec.n_inputs))
    before = evaluate_population(spec, genomes, points, "vmap_select")
    after = evaluate_population(spec, small, points, "vmap_select")
    assert np.asarray(before).tobytes() == np.asarray(after).tobytes()
    one = individual(small, 7)
    found = evaluate(spec, one, points, "straightline")
    np.testing.assert_allclose(found, before[7], rtol=1e-15)


def test_lengths_are_few():
    assert [program_length(GRID, size) for size in (0, 4, 5, 9, 17, 24)] == [4, 4, 8, 16, 24, 24]


def test_a_program_that_does_not_fit_says_so():
    spec = GenomeSpec(("x0", "x1"), (ADD, SUB, MUL), 9)
    genome = from_expression("(x0 + x1)*(x0 - x1)*x0*x1*x1", spec)
    small = compact(spec, genome, 4)
    assert int(small.size) == 6 > small.op.shape[0]


SPEC = GenomeSpec(("x0", "x1"), (ADD, SUB, MUL, DIV, constant(1.0), parameter()), 3)


def _genome(*genes, theta=None):
    return from_dna(SPEC, [-1, -3, -3, -1, -3, -3, *genes], theta)


SUM = _genome(0, 0, 1, 2, 0, 0, 2, 0, 0, -2, 2, -3)
SAME = {
    "swapped": _genome(0, 1, 0, 2, 0, 0, 2, 0, 0, -2, 2, -3),
    "elsewhere": _genome(2, 0, 0, 2, 0, 0, 0, 0, 1, -2, 4, -3),
    "inactive": _genome(0, 0, 1, 1, 2, 2, 3, 2, 3, -2, 2, -3),
}
OTHER = {
    "difference": _genome(1, 0, 1, 2, 0, 0, 2, 0, 0, -2, 2, -3),
    "inputs": _genome(0, 0, 0, 2, 0, 0, 2, 0, 0, -2, 2, -3),
    "input": _genome(0, 0, 1, 2, 0, 0, 2, 0, 0, -2, 0, -3),
    "other input": _genome(0, 0, 1, 2, 0, 0, 2, 0, 0, -2, 1, -3),
    "parameter": _genome(5, 0, 1, 2, 0, 0, 2, 0, 0, -2, 2, -3),
    "constant": _genome(4, 0, 1, 2, 0, 0, 2, 0, 0, -2, 2, -3),
    "other parameter": _genome(5, 0, 1, 2, 0, 0, 2, 0, 0, -2, 2, -3, theta={"<p2>": 1.5}),
}


def test_canonical_keys_number_programs():
    key = jax.jit(lambda genome: canonical_key(SPEC, genome))
    for genome in SAME.values():
        np.testing.assert_array_equal(key(genome), key(SUM))
    keys = {tuple(key(genome).tolist()) for genome in (SUM, *OTHER.values())}
    assert len(keys) == 1 + len(OTHER)


def test_order_counts_where_it_matters_and_repetition_does_not():
    ratio = _genome(3, 0, 1, 2, 0, 0, 2, 0, 0, -2, 2, -3)
    turned = _genome(3, 1, 0, 2, 0, 0, 2, 0, 0, -2, 2, -3)
    assert canonical_key(SPEC, ratio).tolist() != canonical_key(SPEC, turned).tolist()
    shared = _genome(0, 0, 1, 0, 1, 0, 2, 2, 2, -2, 4, -3)
    repeated = _genome(0, 0, 1, 0, 1, 0, 2, 2, 3, -2, 4, -3)
    assert canonical_key(SPEC, shared).tolist() == canonical_key(SPEC, repeated).tolist()


def test_equal_keys_mean_equal_outputs_in_a_population(x64):
    spec = GRID
    genomes = population(spec, 3000)
    keys = jax.jit(jax.vmap(lambda genome: canonical_key(spec, genome)))(genomes)
    points = np.random.default_rng(0).uniform(-3, 3, (6, 2))
    outputs = np.asarray(evaluate_population(spec, genomes, points, "vmap_select"))
    of_key, functions = {}, functional_key(spec, genomes)
    for key, output, function in zip(map(tuple, keys.tolist()), outputs, functions, strict=True):
        first, number = of_key.setdefault(key, (output.tobytes(), function))
        assert first == output.tobytes() and number == function
    assert len({output.tobytes() for output in outputs}) <= len(of_key) < 3000
    assert len(jnp.unique(keys, axis=0)) == len(of_key)


def test_functional_keys_see_through_the_form():
    spec = GenomeSpec(("x0", "x1"), (ADD, SUB, MUL, DIV, constant(1.0)), 12)
    texts = ["x0*x1 + x0", "x0*(x1 + 1)", "x0 + x1*x0*1", "x0*x1", "x0/(x1 - x1)", "1/(x0 - x0)"]
    genomes = [from_expression(text, spec) for text in texts]
    many = jax.tree.map(lambda *parts: jnp.stack(parts), *genomes)
    keys = functional_key(spec, many)
    assert keys.shape == (6,) and keys.dtype == np.uint64
    assert keys[0] == keys[1] == keys[2]
    assert len(set(keys.tolist())) == 4
    assert functional_key(spec, genomes[0]) == keys[0] != functional_key(spec, genomes[0], seed=1)
