"""Search spaces that the tests of evolution share."""

import jax

from plasticjax.evolution import (
    ADD,
    DIV,
    IF_ELSE,
    MUL,
    POW,
    SUB,
    GenomeSpec,
    constant,
    parameter,
    random_genome,
)

ARITHMETIC = (ADD, SUB, MUL, DIV, constant(1.0))
GRID = GenomeSpec(("x0", "x1"), ARITHMETIC, 12, 2, 5)
LINE = GenomeSpec(("x0", "x1", "x2"), ARITHMETIC, 12)
POWERS = GenomeSpec(
    ("x0", "x1"), (ADD, SUB, MUL, DIV, POW, constant(0.1), constant(1.0), constant(10.0)), 5
)
CHOICES = GenomeSpec(
    ("x0", "x1"), (IF_ELSE, MUL, ADD, SUB, parameter(), DIV, constant(1.0)), 8, 3, 2, outputs=2
)
SPECS = {"grid": GRID, "line": LINE, "powers": POWERS, "choices": CHOICES}


def population(spec, count, seed=0):
    """Random genomes with one leading axis."""
    keys = jax.random.split(jax.random.key(seed), count)
    return jax.jit(jax.vmap(lambda key: random_genome(spec, key=key)))(keys)


def individual(genomes, index):
    """One of many genomes."""
    return jax.tree.map(lambda part: part[index], genomes)


def odd_specs():
    """Search spaces at the edges: no nodes, one node, one function, several outputs and rows."""
    other = parameter(2.0, "Other")
    yield GenomeSpec(("a", "b"), (ADD, SUB), 0, outputs=2)
    yield GenomeSpec(("a",), (ADD,), 1)
    yield GenomeSpec(("a",), (constant(1.0), parameter(), other), 3, 2, 1)
    yield GenomeSpec(("a", "b", "c"), (ADD, IF_ELSE, POW), 5, 3, 2, outputs=3)
    yield GenomeSpec(("a", "b"), (SUB, DIV, other), 6, 1, 6)
