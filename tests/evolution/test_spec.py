import dataclasses

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
    constant,
    parameter,
)
from tests.evolution.search_spaces import ARITHMETIC, CHOICES, GRID, LINE


def test_permissible_addresses_by_column():
    spec = GenomeSpec(("x0", "x1"), (ADD,), 4, 3, 2)
    columns = [[0, 1], [0, 1, 2, 3, 4], [*range(8)], [0, 1, *range(5, 11)]]
    for node in range(12):
        assert list(spec.permissible(node)) == columns[node // 3]
    assert list(spec.permissible(None)) == list(range(14))


def test_sizes():
    assert (GRID.n_genes, GRID.n_mutable, GRID.n_hidden, GRID.arity) == (81, 73, 24, 2)
    assert (CHOICES.arity, CHOICES.n_theta, CHOICES.outputs) == (3, 1, 2)
    assert LINE.levels_back is None and LINE.first_visible.max() == LINE.n_inputs
    alone = GenomeSpec(("x",), (constant(2.0),), 1)
    assert (alone.arity, alone.n_mutable) == (1, 1)
    assert GenomeSpec(("x",), (ADD,), 0).n_mutable == 0


def test_specs_and_primitives_are_values():
    again = GenomeSpec(("x0", "x1"), (ADD, SUB, MUL, DIV, constant(1.0)), 12, 2, 5)
    assert again == GRID and hash(again) == hash(GRID)
    assert again.describe() == GRID.describe()
    assert constant(0.1) == constant(0.1) != constant(0.2)
    assert constant(-1e-3).name == "Const_minus_0_001"
    assert dataclasses.replace(GRID, semantics="strict").describe() != GRID.describe()
    other = (ADD, SUB, MUL, DIV, constant(2.0, "Const_1_0"))
    assert dataclasses.replace(GRID, primitives=other).describe() != GRID.describe()
    with pytest.raises(dataclasses.FrozenInstanceError):
        GRID.columns = 3


@pytest.mark.parametrize(
    "change, message",
    [
        ({"inputs": ()}, "inputs must not be empty"),
        ({"inputs": ("x", "x")}, "inputs must be different, got x more than once"),
        ({"inputs": ("x y",)}, "paths such as 'x0' or 'syn.w', got 'x y'"),
        ({"inputs": ("syn..w",)}, "got 'syn..w'"),
        ({"primitives": ()}, "primitives must not be empty"),
        ({"primitives": (ADD, ADD)}, "primitives must be different, got Add more than once"),
        ({"columns": -1}, "columns must be 0 or more, got -1"),
        ({"rows": 0}, "rows must be 1 or more, got 0"),
        ({"outputs": 0}, "outputs must be 1 or more, got 0"),
        ({"levels_back": 13}, "between 1 and columns = 12, got 13"),
        ({"levels_back": 0}, "between 1 and columns = 12, got 0"),
    ],
)
def test_specs_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(GRID, **change)


def test_unknown_options_are_refused():
    spec = object.__new__(GenomeSpec)
    fields = {**vars(GRID), "semantics": "loose"}
    for name in ("inputs", "primitives", "columns", "rows", "levels_back", "outputs", "power"):
        object.__setattr__(spec, name, fields[name])
    object.__setattr__(spec, "semantics", "loose")
    with pytest.raises(ValueError, match=r"semantics must be one of .*, got 'loose'"):
        spec.__post_init__()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Primitive("two words", 1, jnp.abs), "name must be a Python identifier"),
        (lambda: Primitive("lambda", 1, jnp.abs), "name must be a Python identifier"),
        (lambda: Primitive("Abs", -1, jnp.abs), "arity of Abs must be 0 or more, got -1"),
        (lambda: Primitive("Abs", 2, jnp.abs), "function of Abs fails on 2 scalars"),
        (lambda: Primitive("Abs", 1, lambda x: (x, x)), r"into one, got shapes \[\(\), \(\)\]"),
        (lambda: Primitive("Two", 1, lambda x: jnp.stack([x, x])), r"got shapes \[\(2,\)\]"),
        (lambda: Primitive("Abs", 1, jnp.abs, commutative=True), "fewer than two values"),
        (lambda: Primitive("Abs", 1, jnp.abs, parameters=("p",)), "1 parameters .* and 0 initial"),
        (
            lambda: Primitive("Abs", 0, lambda p: p, parameters=("p1",), initial=(1.0,)),
            "distinct and made of letters",
        ),
        (lambda: Primitive("Abs", 1, jnp.abs, protected=jnp.add), "protected of Abs fails on 1"),
        (lambda: constant(float("nan")), "value of a constant must be finite, got nan"),
    ],
)
def test_primitives_are_validated_when_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_shipped_primitives_have_the_arity_of_their_functions():
    arities = {ADD: 2, SUB: 2, MUL: 2, DIV: 2, POW: 2, IF_ELSE: 3, constant(1.0): 0, parameter(): 0}
    for primitive, arity in arities.items():
        assert primitive.arity == arity
        values = np.arange(1.0, 1 + arity + len(primitive.parameters))
        assert np.isfinite(primitive.function(*values))
    assert {p.name for p in ARITHMETIC if p.commutative} == {"Add", "Mul"}
