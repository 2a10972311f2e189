import dataclasses
import json
from functools import lru_cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.evolution import (
    ADD,
    DIV,
    IF_ELSE,
    MUL,
    POW,
    SUB,
    GenomeSpec,
    Primitive,
    active_nodes,
    compact,
    constant,
    evaluate,
    evaluate_population,
    from_dna,
    from_expression,
    parameter,
    program_length,
    to_dna,
)
from tests.evolution.search_spaces import CHOICES, SPECS, individual, population

FIXTURE = json.loads((Path(__file__).parents[1] / "fixtures" / "cgp_genomes.json").read_text())
NAMES = {
    "Add": ADD,
    "Sub": SUB,
    "Mul": MUL,
    "Div": DIV,
    "Pow": POW,
    "IfElse": IF_ELSE,
    "Parameter": parameter(),
    "ConstantFloat": constant(1.0),
    "ConstPointOne": constant(0.1),
    "ConstTen": constant(10.0),
}
METHODS = ("straightline", "scan_switch", "vmap_select")
CASES = list(enumerate(FIXTURE["genomes"]))


def fixture_spec(case, **options):
    config = FIXTURE["configs"][case["config"]]
    return GenomeSpec(
        tuple(f"x_{index}" for index in range(config["n_inputs"])),
        tuple(NAMES[name] for name in config["primitives"]),
        config["n_columns"],
        config["n_rows"],
        config["levels_back"],
        config["n_outputs"],
        **options,
    )


@lru_cache
def _interpreter(spec, method):
    return jax.jit(lambda genome, points: evaluate(spec, genome, points, method))


def run(spec, genome, points, method):
    if method == "straightline":
        return np.asarray(evaluate(spec, genome, points, method))
    return np.asarray(_interpreter(spec, method)(genome, points))


def python_outputs(case, outputs):
    """What Python computes: NaN where it divides by zero, real parts where it gets complex."""
    rows = []
    for row in case["python_outputs"]:
        values = [np.nan] * outputs if row == "ZeroDivisionError" else row
        rows.append([v["complex"][0] if isinstance(v, dict) else float(v) for v in values])
    return np.array(rows)


@pytest.mark.parametrize("index, case", CASES, ids=[f"{c['config']}{i}" for i, c in CASES])
def test_reference_genomes_decode_to_the_same_functions(index, case, x64):
    spec = fixture_spec(case)
    genome = from_dna(spec, case["dna"], case["parameters"])
    assert to_dna(spec, genome).tolist() == case["dna"]
    active = spec.n_inputs + np.flatnonzero(active_nodes(spec, genome))
    assert active.tolist() == case["active_hidden"]
    points = np.array(FIXTURE["configs"][case["config"]]["inputs"]).T
    expected = np.array([[float(v) for v in output] for output in case["numpy_outputs"]]).T
    strict = dataclasses.replace(spec, semantics="strict", power="complex_real")
    for method in METHODS:
        found = run(spec, genome, points, method)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        found = run(strict, genome, points, method)
        np.testing.assert_allclose(found, python_outputs(case, spec.outputs), rtol=1e-12)


@pytest.mark.parametrize("index, case", CASES, ids=[f"{c['config']}{i}" for i, c in CASES])
def test_silent_flags_of_reference_mutants_follow_from_the_changed_genes(index, case):
    spec = fixture_spec(case)
    genome = from_dna(spec, case["dna"], case["parameters"])
    mutant = from_dna(spec, case["mutated"]["dna"])
    active = active_nodes(spec, genome)
    anew = (genome.op != mutant.op) & jnp.array(
        [bool(spec.primitives[op].parameters) for op in mutant.op]
    )
    touched = (genome.op != mutant.op) | jnp.any(genome.arg != mutant.arg, 1)
    loud = jnp.any(touched & active) | jnp.any(genome.out != mutant.out) | jnp.any(anew)
    assert bool(~loud) == case["mutated"]["reported_only_silent"]


REORDERED = [(i, c) for i, c in CASES if "reordered_dna" in c]


@pytest.mark.parametrize("index, case", REORDERED, ids=[f"{c['config']}{i}" for i, c in REORDERED])
def test_reordered_reference_genomes_compute_the_same(index, case, x64):
    spec = fixture_spec(case)
    points = np.array(FIXTURE["configs"][case["config"]]["inputs"]).T
    before = run(spec, from_dna(spec, case["dna"]), points, "scan_switch")
    after = run(spec, from_dna(spec, case["reordered_dna"]), points, "scan_switch")
    assert before.tobytes() == after.tobytes()


def numpy_value(spec, genome, points):
    """The program in NumPy, node by node."""
    op, arg, out, theta = (np.asarray(part) for part in genome)
    values = list(points.T)
    functions = {
        "Add": np.add,
        "Sub": np.subtract,
        "Mul": np.multiply,
        "Div": np.divide,
        "Pow": np.power,
        "IfElse": lambda c, x, y: np.where(c >= 0, x, y),
    }
    with np.errstate(all="ignore"):
        for node in range(spec.n_hidden):
            primitive = spec.primitives[op[node]]
            read = [values[address] for address in arg[node, : primitive.arity]]
            if primitive.parameters:
                made = theta[node, 0]
            elif primitive.arity == 0:
                made = primitive.function.value
            else:
                made = functions[primitive.name](*read)
            values.append(np.broadcast_to(np.asarray(made, points.dtype), len(points)))
    return np.stack([values[address] for address in out], -1)


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_all_evaluators_give_the_numbers_of_numpy(spec, double):
    with jax.enable_x64(double):
        genomes = population(spec, 200)
        genomes = genomes._replace(theta=jax.random.normal(jax.random.key(1), genomes.theta.shape))
        dtype = genomes.theta.dtype
        edges = np.array([-0.0, 0.0, 1.0, -1.0, np.inf, 1e-30, 0.5])
        points = np.random.default_rng(0).normal(size=(40, spec.n_inputs))
        points[:20] = np.random.default_rng(1).choice(edges, (20, spec.n_inputs))
        points = points.astype(dtype)
        expected = np.stack(
            [numpy_value(spec, individual(genomes, index), points) for index in range(200)]
        )
        tolerance = 4 * np.finfo(dtype).eps if POW in spec.primitives else 0
        results = [
            evaluate_population(spec, genomes, points, "scan_switch"),
            evaluate_population(spec, genomes, points, "vmap_select"),
        ]
        length = program_length(spec, 16)
        small = jax.jit(jax.vmap(lambda genome: compact(spec, genome, length)))(genomes)
        fits = np.asarray(small.size) <= length
        assert fits.mean() > 0.9
        results.append(
            np.where(
                fits[:, None, None],
                evaluate_population(spec, small, points, "vmap_select"),
                expected,
            )
        )
        tiny = jax.jit(jax.vmap(lambda genome: compact(spec, genome, 4)))(genomes)
        fits = np.asarray(tiny.size) <= 4
        assert fits.mean() > 0.3
        unrolled = jax.jit(partial(evaluate_population, spec, method="vmap_unrolled"))
        results.append(np.where(fits[:, None, None], unrolled(tiny, points), expected))
        for found in results:
            np.testing.assert_allclose(np.asarray(found), expected, rtol=tolerance, atol=0)
        for index in range(0, 200, 40):
            found = evaluate(spec, individual(genomes, index), points, "straightline")
            np.testing.assert_allclose(np.asarray(found), expected[index], rtol=tolerance, atol=0)


def test_straight_line_code_rounds_every_node():
    # With fused multiply-adds the first gives the rounding error of a product, not 0.
    spec = GenomeSpec(("x0", "x1"), (ADD, SUB, MUL, DIV, constant(1.0)), 12)
    points = np.random.default_rng(0).normal(size=(4096, 2)).astype(np.float32)
    for text in ("x0*x1 + x0*(x0 - x1)", "x0*x1*x0 - x1", "x0/x1/x0", "x0/(x1/x0)", "1/(1/x0)"):
        genome = from_expression(text, spec)
        found = evaluate(spec, genome, points, "straightline")
        np.testing.assert_array_equal(found, numpy_value(spec, genome, points))


def _formula(text, **options):
    spec = GenomeSpec(
        ("x", "y"), (ADD, SUB, MUL, DIV, POW, constant(1.0), parameter()), 12, **options
    )
    return spec, from_expression(text, spec)


@pytest.mark.parametrize("method", METHODS)
def test_protected_semantics(method):
    points = np.array([[1.0, 0.0], [0.0, 0.0], [3.0, 2.0], [-1.0, 0.5]], np.float32)
    spec, genome = _formula("x/y", semantics="protected")
    np.testing.assert_array_equal(run(spec, genome, points, method)[:, 0], [1, 1, 1.5, -2])
    spec, genome = _formula("x**y", semantics="protected")
    np.testing.assert_allclose(run(spec, genome, points, method)[:, 0], [1, 1, 9, 1])


@pytest.mark.parametrize("method", METHODS)
def test_strict_semantics_see_every_division_that_python_would_run(method):
    # Output x + 0 * (y / x) is finite only where x is not 0; 0 ** -1 is a division as well.
    points = np.array([[0.0, 2.0], [2.0, 0.0], [1.0, -1.0]], np.float32)
    spec, genome = _formula("1/(x/y)", semantics="strict")
    np.testing.assert_array_equal(run(spec, genome, points, method)[:, 0], [np.nan, np.nan, -1])
    spec, genome = _formula("1/(1/x)", semantics="ieee")
    np.testing.assert_array_equal(run(spec, genome, points, method)[:, 0], [0, 2, 1])
    spec, genome = _formula("1/(1/x)", semantics="strict")
    np.testing.assert_array_equal(run(spec, genome, points, method)[:, 0], [np.nan, 2, 1])
    spec, genome = _formula("x**y", semantics="strict")
    np.testing.assert_array_equal(run(spec, genome, points[::2], method)[:, 0], [0, 1])
    np.testing.assert_array_equal(
        run(spec, genome, np.array([[0.0, -1.0]], np.float32), method), [[np.nan]]
    )


@pytest.mark.parametrize("method", METHODS)
def test_strict_semantics_ignore_the_branch_that_is_not_taken(method):
    # IfElse(x, x, 1 / y): the quotient runs only where x < 0.
    spec = GenomeSpec(("x", "y"), (IF_ELSE, DIV, constant(1.0)), 3, semantics="strict")
    dna = [-1, -3, -3, -3, -1, -3, -3, -3, 2, 0, 0, 0, 1, 2, 1, 0, 0, 0, 0, 3, -2, 4, -3, -3]
    points = np.array([[1.0, 0.0], [-1.0, 0.0], [-1.0, 4.0], [np.nan, 2.0]], np.float32)
    found = run(spec, from_dna(spec, dna), points, method)[:, 0]
    np.testing.assert_array_equal(found, [1, np.nan, 0.25, 0.5])


@pytest.mark.parametrize("method", METHODS)
def test_complex_powers_are_real_parts_at_the_end(method, x64):
    spec, genome = _formula("(x**y)*(x**y)", power="complex_real")
    points = np.random.default_rng(0).uniform(-2, 2, (50, 2))
    expected = np.real(np.power(points[:, 0].astype(complex), points[:, 1]) ** 2)
    np.testing.assert_allclose(run(spec, genome, points, method)[:, 0], expected, rtol=1e-10)
    spec, genome = _formula("x**y - 1", power="complex_real")
    found = run(spec, genome, np.array([[0.0, 0.0], [0.0, 2.0]]), method)
    np.testing.assert_array_equal(found, [[0.0], [-1.0]])


@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_those_of_central_differences(method, x64):
    spec = CHOICES
    genomes = population(spec, 60)
    theta = jax.random.normal(jax.random.key(2), genomes.theta.shape)
    genomes = genomes._replace(theta=theta)
    points = jnp.asarray(np.random.default_rng(0).uniform(0.5, 2, (3, 2)))

    def loss(genome, theta, points):
        return jnp.sum(jnp.tanh(evaluate(spec, genome._replace(theta=theta), points, method)))

    if method == "straightline":
        some = [index for index in range(60) if jnp.sum(_active(spec, genomes, index)) > 2][:3]
        function, gradient = loss, jax.grad(loss, (1, 2))
    else:
        some = range(60)
        function, gradient = jax.jit(loss), jax.jit(jax.grad(loss, (1, 2)))
    checked = 0
    for index in some:
        genome = individual(genomes, index)
        arguments = (genome.theta, points)
        if not jnp.all(jnp.isfinite(run(spec, genome, points, "vmap_select"))):
            continue
        found = gradient(genome, *arguments)
        assert all(bool(jnp.all(jnp.isfinite(part))) for part in found)
        for which, moved in enumerate(arguments):
            direction = jnp.cos(jnp.arange(moved.size) + 1.0).reshape(moved.shape)
            ends = []
            for step in (1e-6, -1e-6):
                shifted = list(arguments)
                shifted[which] = moved + step * direction
                ends.append(function(genome, *shifted))
            expected = jnp.sum(found[which] * direction)
            difference = (ends[0] - ends[1]) / 2e-6
            np.testing.assert_allclose(difference, expected, rtol=1e-6, atol=1e-6)
            checked += bool(jnp.abs(expected) > 0)
    assert checked >= 2


def _active(spec, genomes, index):
    return active_nodes(spec, individual(genomes, index))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_gradients_are_finite_where_the_output_is(spec):
    genomes = population(spec, 300)
    edges = np.array([-2.0, -1.0, -0.0, 0.0, 1.0, 0.5], np.float32)
    points = np.stack(np.meshgrid(*[edges] * spec.n_inputs), -1).reshape(-1, spec.n_inputs)

    def value(genome, point):
        return jnp.sum(evaluate(spec, genome, point, "vmap_select"))

    over = jax.vmap(jax.vmap(jax.value_and_grad(value, argnums=1), (None, 0)), (0, None))
    values, gradients = jax.jit(over)(genomes, points)
    finite = np.isfinite(values)
    assert np.all(np.isfinite(np.asarray(gradients)[finite]))
    assert (finite.any() and not finite.all()) or DIV not in spec.primitives


def test_one_bad_individual_does_not_touch_the_others():
    spec, genome = _formula("x*y + 1")
    _, bad = _formula("1/(x - x)")
    both = jax.tree.map(lambda *parts: jnp.stack(parts), genome, bad)
    points = np.ones((4, 2), np.float32)
    for method in ("scan_switch", "vmap_select", "vmap_unrolled"):
        found = evaluate_population(spec, both, points, method)
        np.testing.assert_array_equal(found[0], 2.0)
        assert not jnp.any(jnp.isfinite(found[1]))


def test_own_primitives_run_in_every_method():
    leak = Primitive(
        "Leak", 2, lambda x, y, a: a * x + (1 - a) * y, parameters=("a",), initial=(0.25,)
    )
    spec = GenomeSpec(("x", "y"), (leak,), 1)
    genome = from_dna(spec, [-1, -3, -3, -1, -3, -3, 0, 0, 1, -2, 2, -3])
    for method in (*METHODS, "vmap_unrolled"):
        np.testing.assert_array_equal(run(spec, genome, np.array([[1.0, 5.0]]), method), [[4.0]])


def test_bad_arguments_are_refused():
    spec, genome = _formula("x*y")
    with pytest.raises(ValueError, match=r"2 values in the last axis .* got shape \(4, 3\)"):
        evaluate(spec, genome, jnp.ones((4, 3)))
    many = jax.tree.map(lambda part: part[None], genome)
    with pytest.raises(ValueError, match="genome must be unbatched"):
        evaluate(spec, many, jnp.ones(2))
    with pytest.raises(ValueError, match="needs a concrete genome"):
        jax.jit(lambda genome: evaluate(spec, genome, jnp.ones(2), "straightline"))(genome)
    with pytest.raises(ValueError, match="'vmap_select' or 'vmap_unrolled' here"):
        evaluate_population(spec, many, jnp.ones(2), "straightline")
