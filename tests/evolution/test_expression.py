import ast

import jax
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from plasticjax.evolution import (
    ADD,
    DIV,
    IF_ELSE,
    MUL,
    POW,
    SUB,
    GenomeSpec,
    active_nodes,
    constant,
    evaluate,
    from_dna,
    from_expression,
    parameter,
    parameters_of,
    to_dna,
    to_sympy,
)
from plasticjax.evolution import Program as Evolved
from tests.evolution.test_evaluate import run

NAMES = ("syn.w", "pre.x", "post.y")
SPEC = GenomeSpec(NAMES, (ADD, SUB, MUL, DIV, constant(1.0)), 60)
POINTS = np.random.default_rng(0).uniform(0.5, 3, (20, 3)).astype(np.float32)


def value(spec, genome, points=POINTS):
    return run(spec, genome, points, "scan_switch")[:, 0]


def expected(text):
    """The value of a trusted formula of these tests."""
    names = dict(zip("wxy", POINTS.astype(float).T, strict=True))
    return np.broadcast_to(eval(compile(ast.parse(text, mode="eval"), "test", "eval"), names), 20)


FORMULAS = [
    "y*(x - w*y)",
    "-w*x",
    "2*x",
    "-x + y",
    "3*x**5 - 0.5*y",
    "x**-2",
    "x**0 + y",
    "(x + y)/(w + 1)",
    "-3",
    "0.25",
    "x/4 + 1/3*y",
    "-(x + y)*-2",
    "--w*x",
    "-x - y",
    "+x - -y",
    "7*(x + 1)**2/3",
    "2/3 - (x - (-y))",
    "(-x)**3 + (-y)**2",
    "0*x",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_compute_what_they_say(text):
    genome = from_expression(text, SPEC)
    np.testing.assert_allclose(value(SPEC, genome), expected(text), rtol=3e-6, atol=1e-6)
    from_dna(SPEC, to_dna(SPEC, genome))
    again = from_expression(to_sympy(Evolved(genome, SPEC), simplify=True), SPEC)
    np.testing.assert_allclose(value(SPEC, again), expected(text), rtol=3e-6, atol=1e-6)


_leaves = st.sampled_from(["w", "x", "y", "1", "2", "3"])
_formulas = st.recursive(
    _leaves,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner)
        | st.builds("(-{})".format, inner)
        | st.builds("{}**2".format, st.sampled_from(["w", "x", "(x + y)"]))
    ),
    max_leaves=8,
)


@settings(max_examples=40)
@given(_formulas)
def test_any_formula_and_its_sympy_form_agree(text):
    names = dict(zip("wxy", sympy.symbols("w x y", real=True), strict=True))
    try:
        with np.errstate(all="ignore"):
            wanted = expected(text)
    except ZeroDivisionError:
        wanted = np.full(20, np.nan)
    parsed = sympy.sympify(text, locals=names, evaluate=False)
    for expression in (text, parsed):
        if expression is parsed and parsed.has(sympy.zoo, sympy.nan):
            continue
        found = value(SPEC, from_expression(expression, SPEC)).astype(float)
        both = np.isfinite(wanted) & np.isfinite(found)
        scale = 1 + np.abs(wanted[both])
        sharp = np.abs(wanted[both]) < 1e3
        np.testing.assert_array_less((np.abs(found[both] - wanted[both]) / scale)[sharp], 1e-3)


def test_formulas_take_few_nodes():
    for text, nodes in {"y*(x - w*y)": 3, "x*x": 1, "x**4": 2, "-x + y": 1, "w": 0}.items():
        genome = from_expression(text, SPEC)
        assert int(np.sum(active_nodes(SPEC, genome))) == nodes


def test_what_is_missing_is_built_from_what_is_there():
    for primitives in (
        (SUB, MUL),
        (ADD, MUL, constant(-1.0, "Minus")),
        (ADD, SUB, MUL, POW, constant(1.0), constant(-1.0, "Minus")),
    ):
        spec = GenomeSpec(NAMES, primitives, 20)
        for text in ("-x*y", "x - y", "x + y", "-(x - y)*w"):
            genome = from_expression(text, spec)
            np.testing.assert_allclose(value(spec, genome), expected(text), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        value(spec, from_expression("x/y + y**-2", spec)), expected("x/y + y**-2"), rtol=1e-5
    )
    spec = GenomeSpec(NAMES, (POW, ADD, constant(0.5), constant(2.0)), 6)
    found = value(spec, from_expression("x**0.5 + y**2", spec))
    np.testing.assert_allclose(found, expected("x**0.5 + y**2"), rtol=1e-6)


def test_other_numbers_become_parameters():
    spec = GenomeSpec(NAMES, (ADD, SUB, MUL, DIV, constant(0.1), parameter()), 8)
    genome = from_expression("0.1*x + 0.37*y - 2.5", spec)
    active = set((3 + np.flatnonzero(active_nodes(spec, genome))).tolist())
    owned = {v for k, v in parameters_of(spec, genome).items() if int(k[2:-1]) in active}
    np.testing.assert_allclose(sorted(owned), [0.37, 2.5])
    np.testing.assert_allclose(
        value(spec, genome), expected("0.1*x + 0.37*y - 2.5"), rtol=1e-5, atol=1e-6
    )


def test_several_outputs_share_their_nodes():
    spec = GenomeSpec(NAMES, (ADD, MUL), 3, outputs=2)
    genome = from_expression(("x*y + w", "x*y"), spec)
    assert int(np.sum(active_nodes(spec, genome))) == 2
    found = evaluate(spec, genome, POINTS)
    np.testing.assert_allclose(found[:, 1], POINTS[:, 1] * POINTS[:, 2])
    with pytest.raises(ValueError, match="expression must be 2 formulas for this spec, got 1"):
        from_expression("x", spec)


def test_unused_genes_are_drawn_with_a_key():
    drawn = from_expression("y*(x - w*y)", SPEC, key=jax.random.key(1))
    still = from_expression("y*(x - w*y)", SPEC)
    np.testing.assert_array_equal(value(SPEC, drawn), value(SPEC, still))
    assert len(set(drawn.op.tolist())) > 3 and set(still.op[3:].tolist()) == {0}
    from_dna(SPEC, to_dna(SPEC, drawn))


def test_grids_and_levels_are_respected():
    spec = GenomeSpec(("x", "y"), (ADD, MUL), 3, 2, 1)
    genome = from_expression("(x + y)*(x*y)", spec)
    from_dna(spec, to_dna(spec, genome))
    with pytest.raises(ValueError, match=r"takes 4 nodes .* 3 columns, 2 rows and levels_back = 1"):
        from_expression("((x + y)*x + y)*(x + y)", spec)


@pytest.mark.parametrize(
    "text, message",
    [
        ("sin(x)", "not function calls: 'sin.x.'"),
        ("__import__('os').system('true')", "not function calls"),
        ("x.real", "not attribute access: 'x.real'"),
        ("().__class__", "not attribute access"),
        ("z + 1", "name 'z' is not an input, expected one of w, x, y"),
        ("syn", "name 'syn' is not an input"),
        ("x +", "expression cannot be parsed: 'x .'"),
        ("", "expression cannot be parsed"),
        ("x = 1", "expression cannot be parsed"),
        ("(" * 5000 + "x", "expression cannot be parsed"),
        ("-" * 3000 + "x", "nested too deeply|cannot be parsed"),
        ("True", "not Constant: 'True'"),
        ("'x'", "not Constant"),
        ("x if y else w", "not IfExp"),
        ("lambda: x", "not Lambda"),
        ("x[0]", "not Subscript"),
        ("[x]", "not List"),
        ("x @ y", "not BinOp: 'x @ y'"),
        ("x // y", "not BinOp"),
        ("x > y", "not Compare"),
        ("2j", "not Constant"),
        ("1e400*x", "numbers must be finite, got inf"),
        ("x**99999", "integer exponents must be at most 4096, got 99999"),
        ("9**9**9", "integer exponents must be at most 4096"),
        ("0.1**-400", "the number 1/10 .. -400 is too large"),
        ("x**0.5", "the formula needs Pow, the spec has Add, Sub, Mul, Div, Const_1_0"),
        ("x**y", "the formula needs Pow"),
        ("0.123456789 + x", "0.123456789 is no constant of the spec and cannot be built"),
        ("x**64 + 4001*y*x + w**63", "does not fit into 8 columns"),
    ],
)
def test_other_text_is_refused(text, message):
    spec = SPEC if "fit" not in message else GenomeSpec(NAMES, SPEC.primitives, 8)
    with pytest.raises(ValueError, match=message):
        from_expression(text, spec)


@pytest.mark.parametrize(
    "expression, message",
    [
        (sympy.sin(sympy.Symbol("x")), "not sin: 'sin.x.'"),
        (sympy.zoo, "not ComplexInfinity"),
        (sympy.pi, "not Pi"),
        (sympy.Symbol("z"), "name 'z' is not an input"),
        (3.0, "expression must be text or sympy, got float"),
    ],
)
def test_other_sympy_expressions_are_refused(expression, message):
    with pytest.raises(ValueError, match=message):
        from_expression(expression, SPEC)


def test_a_missing_minus_is_named():
    spec = GenomeSpec(NAMES, (ADD, MUL, IF_ELSE), 4)
    with pytest.raises(ValueError, match="a minus sign needs Sub, or Mul with a constant -1"):
        from_expression("-x", spec)


def test_a_minus_sign_keeps_infinite_values():
    with_one = GenomeSpec(("w", "k"), (ADD, SUB, MUL, DIV, constant(1.0)), 8)
    without = GenomeSpec(("w", "k"), (SUB, DIV), 8)
    for spec, formula in ((with_one, "-w / (w - 1)"), (without, "-w / (w - k)")):
        program = Evolved(from_expression(formula, spec), spec)
        ends = program(np.array([[1.0, 1.0], [3.0, 1.0]]))[:, 0]
        np.testing.assert_array_equal(ends, [-np.inf, -1.5])
