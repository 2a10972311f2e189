"""Formulas as genomes, without running any of the text."""

import ast
from fractions import Fraction
from functools import reduce
from typing import Any

from ._genome import Genomes
from ._graph import FormulaGraph
from ._spec import GenomeSpec
from ._symbolic import input_names

_OPERATORS = {
    ast.Add: FormulaGraph.add,
    ast.Sub: FormulaGraph.subtract,
    ast.Mult: FormulaGraph.multiply,
    ast.Div: FormulaGraph.divide,
    ast.Pow: FormulaGraph.power,
}


def from_expression(expression: Any, spec: GenomeSpec, *, key: Any = None) -> Genomes:
    """Writes a formula into the nodes of a genome.

    Text is parsed and never run: it may hold the names of inputs, numbers, `+ - * / **`, a minus
    sign, and parentheses. Integers, their powers and multiples, and minus signs are built from the
    primitives that the spec has; any other number must be a constant of the spec, or becomes a
    parameter if the spec has one.

    Args:
        expression: text, a sympy expression, or a tuple with one of them per output, over the names
            of `input_names(spec)`.
        spec: the search space.
        key: typed PRNG key that draws the genes that are not used; None: they stay at 0.

    Returns:
        An unbatched genome.

    Raises:
        ValueError: if the formula holds anything else, needs a primitive that the spec lacks, or
            does not fit into its nodes.
    """
    expressions = expression if isinstance(expression, tuple) else (expression,)
    if len(expressions) != spec.outputs:
        raise ValueError(
            f"expression must be {spec.outputs} formulas for this spec, got {len(expressions)}"
        )
    graph = FormulaGraph(spec, input_names(spec))
    try:
        wanted = [
            _read(graph, _parse(one)) if isinstance(one, str) else _read_sympy(graph, one)
            for one in expressions
        ]
    except RecursionError as error:
        raise ValueError("expression is nested too deeply") from error
    return graph.place(wanted, key)


def _parse(text):
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"expression cannot be parsed: {text[:200]!r}") from error


def _read(graph, node):
    match node:
        case ast.Name(id=name):
            return graph.input(name)
        case ast.Constant(value=bool()):
            pass  # True and False are numbers to Python
        case ast.Constant(value=int() | float() as value):
            return graph.number(value)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _read(graph, operand)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return graph.negative(_read(graph, operand))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](graph, _read(graph, left), _read(graph, right))
    kinds = {ast.Call: "function calls", ast.Attribute: "attribute access"}
    found = kinds.get(type(node), type(node).__name__)
    raise ValueError(
        f"expression may hold names, numbers, + - * / ** and parentheses, not {found}: "
        f"{ast.unparse(node)[:200]!r}"
    )


def _read_sympy(graph, expression):
    from sympy import Add, Basic, Float, Mul, Pow, Rational, Symbol

    if not isinstance(expression, Basic):
        raise ValueError(f"expression must be text or sympy, got {type(expression).__name__}")
    match expression:
        case Symbol():
            return graph.input(expression.name)
        case Rational():
            return graph.number(Fraction(int(expression.p), int(expression.q)))
        case Float():
            return graph.number(float(expression))
        case Add():
            return reduce(graph.add, [_read_sympy(graph, part) for part in expression.args])
        case Mul():
            return _read_product(graph, expression)
        case Pow():
            return graph.power(*(_read_sympy(graph, part) for part in expression.args))
    raise ValueError(
        "expression may hold symbols, finite numbers, sums, products and powers, not "
        f"{type(expression).__name__}: {str(expression)[:200]!r}"
    )


def _read_product(graph, product):
    above, below = [], []
    for part in product.args:
        if part.is_Pow and part.exp.is_Rational and part.exp < 0:
            exponent = Fraction(-int(part.exp.p), int(part.exp.q))
            below.append(graph.power(_read_sympy(graph, part.base), exponent))
        else:
            above.append(_read_sympy(graph, part))
    numerator = reduce(graph.multiply, above, Fraction(1)) if above else Fraction(1)
    return graph.divide(numerator, reduce(graph.multiply, below)) if below else numerator
