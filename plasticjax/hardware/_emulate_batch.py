"""One compiled interpreter for thousands of integer programs."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from . import _integer_ops as ops
from ._batch_tables import SCALAR_CODES, VECTOR_CODES, BatchTables
from ._evaluate_ops import run_ops
from ._integer_ops import CONDITIONS
from ._signals import Place

# Lanes that the interpreter works on at once: their registers stay in the cache of a core.
LANES = 16384


def emulate_batch(
    tables: BatchTables, *, threads: int | None = None
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Runs many programs bit for bit as `emulate` does, without compiling each.

    The interpreter is compiled once for a size of tables and arrays. Operations branch for real;
    every one of them works on thousands of synapses, so the branch costs nothing.

    Args:
        tables: of `batch_tables`.
        threads: how many parts of the batch run at once; None: one for each core.

    Returns:
        `(integers by name) -> stored integers by name`. Inputs are as for `emulate`, or have a
        leading axis [rules]; outputs are [rules, post, pre], int16 (dimensionless). It is called
        outside of `jit`.
    """
    workers = min(threads or os.cpu_count() or 1, tables.rules)

    def run(raw: Mapping[str, Any]) -> dict[str, Any]:
        vectors, scalars, (post, pre) = _load(tables, raw)
        block = max(1, min(post, LANES // pre))
        parts = np.array_split(np.arange(tables.rules), workers)
        size = max(len(part) for part in parts)
        jobs = []
        for part in parts:
            rules = np.resize(part, size)
            code = [
                jnp.asarray(table[rules])
                for table in (
                    tables.scalars,
                    tables.scalar_counts,
                    tables.constants,
                    tables.constant_counts,
                    tables.vectors,
                    tables.vector_counts,
                    tables.stores,
                )
            ]
            jobs.append((jnp.asarray(rules), code))
        run_part = partial(_run, tables.registers, block, vectors=vectors, scalars=scalars)
        with ThreadPoolExecutor(workers) as pool:
            results = list(pool.map(lambda job: run_part(*job).block_until_ready(), jobs))
        cut = [result[: len(part)] for result, part in zip(results, parts, strict=True)]
        stored = cut[0] if len(cut) == 1 else jnp.concatenate(cut)
        return {output.name: stored[:, slot] for slot, output in enumerate(tables.outputs)}

    return run


def _load(tables: BatchTables, raw: Mapping[str, Any]):
    """Loaded values as registers: vectors [n, rules or 1, post, pre], scalars [n, ..., pre]."""
    loader = tables.loader
    dimensions = {Place.SYN: 2, Place.GLOBAL: 0, Place.PRE: 1, Place.POST: 1}
    values, sizes = [], {"post": 1, "pre": 1}
    for wanted in loader.inputs:
        if wanted.name not in raw:
            raise ValueError(f"{wanted.name!r} is missing; the programs read it ({wanted.kind})")
        value = jnp.asarray(raw[wanted.name])
        if not jnp.issubdtype(value.dtype, jnp.integer):
            raise ValueError(f"{wanted.name!r} must be integers, got {value.dtype}")
        own = dimensions[wanted.place]
        if value.ndim == own:
            value = value[None]
        if value.ndim != own + 1 or value.shape[0] not in (1, tables.rules):
            raise ValueError(
                f"{wanted.name!r} must have {own} axes, or {own + 1} with {tables.rules} rules "
                f"first, got shape {jnp.shape(raw[wanted.name])}"
            )
        shape = {0: (1, 1), 2: value.shape[1:]}.get(own) or (
            (1, value.shape[1]) if wanted.place is Place.PRE else (value.shape[1], 1)
        )
        values.append(value.reshape(value.shape[0], *shape))
        sizes = {
            "post": max(sizes["post"], shape[0]),
            "pre": max(sizes["pre"], shape[1]),
        }
    wanted = tuple(output.value for output in loader.outputs)
    shape = sizes["post"], sizes["pre"]
    return (*_loaded(loader.ops, wanted, tuple(values), shape), shape)


@partial(jax.jit, static_argnums=(0, 1, 3))
def _loaded(loader_ops, wanted, values, shape):
    found = run_ops(loader_ops, wanted, values, ())
    rules = max(value.shape[0] for value in values)
    vectors, scalars = [], []
    for number in wanted:
        value = found[number]
        own = value.shape[0] if value.ndim == 3 else 1
        if loader_ops[number].width == 32:
            wide = jnp.broadcast_to(value, (own, 1, shape[1]))[:, 0]
            scalars.append(jnp.broadcast_to(wide, (rules, shape[1])))
        else:
            vectors.append(jnp.broadcast_to(value, (own, *shape)).astype(jnp.int16))
    nothing = jnp.zeros((0, rules, shape[1]), jnp.int32)
    return tuple(vectors), jnp.stack(scalars) if scalars else nothing


@partial(jax.jit, static_argnums=(0, 1))
def _run(registers, block, rules, code, *, vectors, scalars):
    """Stored values [rules, outputs, post, pre] of some rules."""
    n_vectors, n_scalars = registers
    post, pre = vectors[0].shape[1:]
    blocks = -(-post // block)

    def pick(array, rule):
        return lax.dynamic_index_in_dim(array, jnp.minimum(rule, array.shape[0] - 1), 0, False)

    def one_rule(file, inputs):
        rule, scalar_code, scalar_count, constants, constant_count, vector_code, count, stores = (
            inputs
        )
        scalar_file = jnp.zeros((max(n_scalars, 1), pre), jnp.int32)
        for slot in range(scalars.shape[0]):
            scalar_file = scalar_file.at[slot].set(pick(scalars[slot], rule))
        scalar_file = _interpret(scalar_branches, scalar_code, scalar_count, scalar_file)
        branches = partial(vector_branches, scalar_file)
        file = _interpret(branches, constants, constant_count, file)
        mine = [pick(array, rule) for array in vectors]

        def one_block(file, index):
            # The last block overlaps the one before it, so that all have one size.
            start = jnp.minimum(index * block, post - block)
            for slot, array in enumerate(mine):
                part = lax.dynamic_slice_in_dim(array, start, block, 0)
                file = file.at[slot].set(part)
            file = _interpret(branches, vector_code, count, file)
            return file, (start, file[stores])

        file, (starts, parts) = lax.scan(one_block, file, jnp.arange(blocks))
        stored = jnp.zeros((stores.shape[0], post, pre), jnp.int16)
        for index in range(blocks):
            stored = lax.dynamic_update_slice_in_dim(stored, parts[index], starts[index], 1)
        return file, stored

    file = jnp.zeros((n_vectors, block, pre), jnp.int16)
    return lax.scan(one_rule, file, (rules, *code))[1]


def _interpret(branches, code, count, file):
    def step(carry):
        position, file = carry
        row = code[position]
        result = lax.switch(row[0], branches(row, file)).astype(file.dtype)
        return position + 1, lax.dynamic_update_index_in_dim(file, result, row[5], 0)

    return lax.while_loop(lambda carry: carry[0] < count, step, (jnp.int32(0), file))[1]


def _reader(row, file):
    return lambda slot: lax.dynamic_index_in_dim(file, row[slot], 0, False).astype(jnp.int32)


def vector_branches(scalar_file, row, file) -> list[Callable[[], Any]]:
    """What each vector operation makes of a row of the table, by number."""
    v, shape = _reader(row, file), file.shape[1:]
    s = _reader(row, scalar_file)
    table: dict[str, Callable[[], Any]] = {
        **_arithmetic(v, row, 16),
        **_arithmetic(v, row, 8),
        **_selections(v),
        "const": lambda: jnp.full(shape, row[4]),
        "splat": lambda: jnp.broadcast_to(ops.splat(s(1), 16), shape),
        "narrowf": lambda: ops.narrowf(v(1)),
        "widenf": lambda: ops.widenf(v(1)),
        "satw": lambda: ops.satw(v(1)),
    }
    return [_narrowed(table[code], jnp.int16) for code in VECTOR_CODES]


def scalar_branches(row, file) -> list[Callable[[], Any]]:
    """What each scalar operation makes of a row of the table, by number."""
    v = _reader(row, file)
    table: dict[str, Callable[[], Any]] = {
        **_arithmetic(v, row, 32),
        **_selections(v),
        "const": lambda: jnp.full(file.shape[1:], row[4]),
        "recip": lambda: ops.recip(v(1), row[4]),
    }
    return [_narrowed(table[code], jnp.int32) for code in SCALAR_CODES]


def _narrowed(branch, dtype):
    return lambda: branch().astype(dtype)


def _arithmetic(v, row, width) -> dict[str, Callable[[], Any]]:
    return {
        f"addf{width}": lambda: ops.addf(v(1), v(2), width),
        f"subf{width}": lambda: ops.subf(v(1), v(2), width),
        f"mulf{width}": lambda: ops.mulf(v(1), v(2), width),
        f"negf{width}": lambda: ops.negf(v(1), width),
        f"shrf{width}": lambda: ops.shrf(v(1), row[4], width),
        f"shlf{width}": lambda: ops.shlf(v(1), row[4], width),
    }


def _selections(v) -> dict[str, Callable[[], Any]]:
    return {f"sel {condition}": partial(_selected, v, condition) for condition in CONDITIONS}


def _selected(v, condition):
    return ops.sel(v(1), condition, v(2), v(3))
