"""Integer programs as data inside of a compiled simulation: no compilation per rule."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int

from ._batch_tables import SCALAR_CODES, VECTOR_CODES, BatchTables
from ._emulate import placed
from ._emulate_batch import scalar_branches, vector_branches
from ._evaluate_ops import run_ops
from ._program import Op, RawInput

# Longer codes are padded to a multiple of this, so that few lengths are compiled.
STEP = 16
_DIVISION = SCALAR_CODES.index("recip")
_SPLAT = VECTOR_CODES.index("splat")


class RuleCode(eqx.Module):
    """What `rule_code` makes of a batch of programs: a function of integers for each.

    All values are integers (dimensionless).

    Under `vmap` over the leading axis every operation is computed for all rules, which suits many
    rules of few synapses inside of a jitted loop; `emulate_batch` suits many synapses.

    Attributes:
        scalars: scalar operations [rules, operations, 5].
        constants: constants of the vector code [rules, constants].
        vectors: vector operations [rules, operations, 5].
        stores: values that are stored [rules, outputs].
        inputs: what the programs load.
        outputs: names and kinds of what they store.
        loader: operations that load, and which of them the code reads.
        divides: whether any program divides by a symbol.
    """

    scalars: Int[Array, "*rules scalar_operations 5"]
    constants: Int[Array, "*rules constants"]
    vectors: Int[Array, "*rules vector_operations 5"]
    stores: Int[Array, "*rules outputs"]
    inputs: tuple[RawInput, ...] = eqx.field(static=True)
    outputs: tuple[tuple[str, str], ...] = eqx.field(static=True)
    loader: tuple[tuple[Op, ...], tuple[int, ...]] = eqx.field(static=True)
    divides: bool = eqx.field(static=True)

    def __call__(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Runs one program, that is code without the axis of rules.

        Args:
            raw: integers by name, as `emulate` takes them.

        Returns:
            Stored integers by name, [post, pre], int32 (dimensionless).

        Raises:
            ValueError: if an input is missing or is no array of integers of its shape.
        """
        values = [placed(raw, wanted, False) for wanted in self.inputs]
        shape = jnp.broadcast_shapes((1, 1), *(value.shape for value in values))
        ops, wanted = self.loader
        found = run_ops(ops, wanted, values, ())
        scalars = [found[number] for number in wanted if ops[number].width == 32]
        vectors = [found[number] for number in wanted if ops[number].width < 32]
        scalars = _run(self.scalars, self._file(scalars, shape), partial(_scalar, self.divides))
        constants = jnp.broadcast_to(self.constants[:, None, None], (len(self.constants), *shape))
        file = jnp.concatenate([self._file(vectors, shape), constants.astype(jnp.int32)])
        file = _run(self.vectors, file, partial(vector_branches, scalars))
        stored = file[self.stores]
        return {name: stored[slot] for slot, (name, _) in enumerate(self.outputs)}

    @staticmethod
    def _file(values, shape):
        spread = [jnp.broadcast_to(value, shape).astype(jnp.int32) for value in values]
        return jnp.stack(spread or [jnp.zeros(shape, jnp.int32)])


def rule_code(tables: BatchTables, *, lengths: tuple[int, int, int] = (0, 0, 0)) -> RuleCode:
    """Programs as arrays that a jitted function takes, such as a rule of the emulated chip.

    `jax.vmap(function)(rule_code(tables))` runs a function of one rule for all of them. Other rules
    of the same signals need no new compilation if the code has the same shape.

    Args:
        tables: of `batch_tables`.
        lengths: least numbers of scalar operations, constants and vector operations, to which
            shorter code is filled up; longer code is filled up to a multiple of 16.

    Returns:
        The code, with a leading axis [rules].
    """
    loader = tables.loader
    wanted = tuple(output.value for output in loader.outputs)
    n_scalars = sum(loader.ops[number].width == 32 for number in wanted)
    n_vectors = len(wanted) - n_scalars
    rules = tables.rules

    place, scalar_place = (np.tile(np.arange(n), (rules, 1)) for n in tables.registers)
    scalars = _renumbered(tables.scalars, tables.scalar_counts, max(n_scalars, 1), scalar_place)
    scalars = _padded(scalars, lengths[0])
    constants = _padded(tables.constants[..., 4], lengths[1])
    for slot in range(tables.constants.shape[1]):
        own = np.flatnonzero(slot < tables.constant_counts)
        place[own, tables.constants[own, slot, 5]] = n_vectors + slot
    vectors = _renumbered(
        *(tables.vectors, tables.vector_counts, n_vectors + constants.shape[1]),
        *(place, scalar_place),
    )
    vectors = _padded(vectors, lengths[2])
    stores = np.take_along_axis(place, tables.stores, 1)
    return RuleCode(
        scalars=jnp.asarray(scalars, jnp.int32),
        constants=jnp.asarray(constants, jnp.int32),
        vectors=jnp.asarray(vectors, jnp.int32),
        stores=jnp.asarray(stores, jnp.int32),
        inputs=loader.inputs,
        outputs=tuple((output.name, output.kind) for output in tables.outputs),
        loader=(loader.ops, wanted),
        divides=bool(np.any(scalars[..., 0] == _DIVISION)),
    )


def _renumbered(rows, counts, first, place, scalar_place=None):
    """Operation n makes value `first` + n, so that all rules write to the same place at once."""
    used = int(counts.max())
    rows = rows[:, :used]
    code = np.zeros((*rows.shape[:2], 5), np.int64)
    for number in range(used):
        own = np.flatnonzero(number < counts)
        row = rows[own, number]
        splat = (row[:, 0] == _SPLAT) & (scalar_place is not None)
        reads = np.where(splat[:, None], 0, row[:, 1:4])
        args = np.take_along_axis(place[own], reads, 1)
        if scalar_place is not None:
            args[splat, 0] = scalar_place[own[splat], row[splat, 1]]
        code[own, number] = np.column_stack([row[:, 0], args, row[:, 4]])
        place[own, row[:, 5]] = first + number
    return code


def _padded(array, least: int):
    """Filled up with zeros, which stand for harmless operations that nothing reads."""
    size = max(least, -(-array.shape[1] // STEP) * STEP)
    more = [(0, 0)] * array.ndim
    more[1] = (0, size - array.shape[1])
    return np.pad(array, more)


def _run(code, file, branches: Callable):
    """All values: those of the file, and one for each operation."""
    first, count = file.shape[0], code.shape[0]
    file = jnp.concatenate([file, jnp.zeros((count, *file.shape[1:]), jnp.int32)])
    if not count:
        return file

    def step(number, file):
        row = code[number]
        made = lax.switch(row[0], branches(row, file)).astype(jnp.int32)
        return lax.dynamic_update_index_in_dim(file, made, first + number, 0)

    return lax.fori_loop(0, count, step, file)


def _scalar(divides: bool, row, file):
    """Without division, a loop of its own, if no program divides."""
    branches = scalar_branches(row, file)
    if not divides:
        branches[_DIVISION] = branches[SCALAR_CODES.index("const")]
    return branches
