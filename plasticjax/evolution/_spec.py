"""The static description of a search space: inputs, operations, and the grid of nodes."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ._primitives import Primitive, is_constant

Semantics = Literal["ieee", "strict", "protected"]
Power = Literal["nan", "complex_real"]


@dataclass(frozen=True)
class GenomeSpec:
    """What a Cartesian genetic program reads, computes with, and how its nodes may be wired.

    Hidden nodes lie column by column; node `j` is in column `j // rows` and its address is
    `len(inputs) + j`. A node reads inputs and nodes of the previous `levels_back` columns, an
    output reads any input or node. Miller & Thomson 2000.

    Attributes:
        inputs: one path per input, such as `("syn.w", "pre.trace")` or plain names, all different.
        primitives: the operations, with different names.
        columns: number of columns, 0 or more.
        rows: number of nodes per column.
        levels_back: how many columns back a node sees, 1 to `columns`; None: all.
        outputs: number of outputs.
        semantics: `"ieee"` (x/0 is infinite, 0/0 is NaN), `"strict"` (a division by zero that
            Python would execute makes all outputs NaN), or `"protected"` (x/0 is 1).
        power: `"nan"` (a negative base with a fractional exponent gives NaN) or `"complex_real"`
            (the whole program runs on complex numbers; outputs are real parts).

    Raises:
        ValueError: for sizes, names or options out of range.
    """

    inputs: tuple[str, ...]
    primitives: tuple[Primitive, ...]
    columns: int
    rows: int = 1
    levels_back: int | None = None
    outputs: int = 1
    semantics: Semantics = "ieee"
    power: Power = "nan"

    def __post_init__(self):
        _check_names("inputs", self.inputs)
        for path in self.inputs:
            if not re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", path):
                raise ValueError(
                    f"inputs must be names or paths such as 'x0' or 'syn.w', got {path!r}"
                )
        _check_names("primitives", tuple(primitive.name for primitive in self.primitives))
        for name, least in (("columns", 0), ("rows", 1), ("outputs", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")
        if self.levels_back is not None and not 1 <= self.levels_back <= max(self.columns, 1):
            raise ValueError(
                f"levels_back must be None or between 1 and columns = {self.columns}, "
                f"got {self.levels_back}"
            )
        for name, valid in (
            ("semantics", ("ieee", "strict", "protected")),
            ("power", ("nan", "complex_real")),
        ):
            if getattr(self, name) not in valid:
                raise ValueError(f"{name} must be one of {valid}, got {getattr(self, name)!r}")

    @cached_property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return len(self.inputs)

    @cached_property
    def n_hidden(self) -> int:
        """Number of hidden nodes."""
        return self.columns * self.rows

    @cached_property
    def arity(self) -> int:
        """Number of address genes per node: the largest arity, at least 1."""
        return max(1, *(primitive.arity for primitive in self.primitives))

    @cached_property
    def n_theta(self) -> int:
        """Number of parameter slots per node."""
        return max(len(primitive.parameters) for primitive in self.primitives)

    @cached_property
    def n_genes(self) -> int:
        """Length of the flat dna, with its immutable genes."""
        return (self.n_inputs + self.n_hidden + self.outputs) * (1 + self.arity)

    @cached_property
    def n_mutable(self) -> int:
        """Number of genes with more than one permissible value."""
        return int(np.sum(self.gene_choices > 1))

    @cached_property
    def arities(self) -> np.ndarray:
        """Arity of each primitive, `[primitives]`."""
        return np.array([primitive.arity for primitive in self.primitives], np.int32)

    @cached_property
    def first_visible(self) -> np.ndarray:
        """Address of the first hidden node that each hidden node may read, `[hidden]`."""
        column = np.arange(self.n_hidden) // self.rows
        levels = self.columns if self.levels_back is None else self.levels_back
        return (self.n_inputs + self.rows * np.maximum(0, column - levels)).astype(np.int32)

    @cached_property
    def after_visible(self) -> np.ndarray:
        """Address after the last hidden node that each hidden node may read, `[hidden]`."""
        column = np.arange(self.n_hidden) // self.rows
        return (self.n_inputs + self.rows * column).astype(np.int32)

    @cached_property
    def address_choices(self) -> np.ndarray:
        """Number of permissible addresses of each hidden node, `[hidden]`."""
        return self.n_inputs + self.after_visible - self.first_visible

    @cached_property
    def gene_choices(self) -> np.ndarray:
        """Number of permissible values of each gene: functions, addresses, outputs, `[genes]`."""
        return np.concatenate(
            [
                np.full(self.n_hidden, len(self.primitives), np.int32),
                np.repeat(self.address_choices, self.arity),
                np.full(self.outputs, self.n_inputs + self.n_hidden, np.int32),
            ]
        )

    def permissible(self, node: int | None) -> tuple[int, ...]:
        """The addresses that a node or an output may hold.

        Args:
            node: index of a hidden node from 0, or None for an output.

        Returns:
            The addresses in ascending order.
        """
        if node is None:
            return tuple(range(self.n_inputs + self.n_hidden))
        hidden = range(self.first_visible[node], self.after_visible[node])
        return (*range(self.n_inputs), *hidden)

    def describe(self) -> dict[str, Any]:
        """The spec in JSON-ready values, with primitives by name: equal specs, equal values.

        Returns:
            A dictionary of names and numbers.
        """
        return {
            "inputs": list(self.inputs),
            "primitives": [primitive.name for primitive in self.primitives],
            "constants": {p.name: p.function.value for p in self.primitives if is_constant(p)},
            "columns": self.columns,
            "rows": self.rows,
            "levels_back": self.levels_back,
            "outputs": self.outputs,
            "semantics": self.semantics,
            "power": self.power,
        }


def _check_names(field, names):
    if not names:
        raise ValueError(f"{field} must not be empty")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{field} must be different, got {', '.join(twice)} more than once")
