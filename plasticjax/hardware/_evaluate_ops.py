"""Runs the operations of an integer program on arrays."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp

from . import _integer_ops as ops
from ._program import Op, as_array


def run_op(op: Op, args: list[Any], raw: Sequence[Any], tables: Sequence[Any]) -> Any:
    """The value of one operation, int32 lanes that broadcast."""
    code, imm, width = op.code, op.imm, op.width
    if code == "ld":
        word = jnp.asarray(raw[imm[0]], jnp.int32)
        if imm[1:]:
            return word >> 8 if imm[1] == "high" else word & 255
        return word
    if code == "const":
        return jnp.asarray(imm[0], jnp.int32)
    if code == "rescale":
        return args[0]
    if code == "lookup" and width == 32:
        table = jnp.asarray(as_array(tables[imm[0]]))
        return jnp.take(table, ops.cell(args[0], imm[1], imm[2]))
    if code == "lookup":
        return jnp.take(jnp.asarray(as_array(tables[imm[0]])), args[0])
    if code == "sum_pre":
        return jnp.sum(args[0], axis=-1, keepdims=True)
    if code == "sum_post":
        return jnp.sum(args[0], axis=-2, keepdims=True) << imm[0]
    if code == "sel":
        return ops.sel(args[0], imm[0], *args[1:])
    if code in ("widenf", "narrowf", "widenm", "narrowm", "satw"):
        return getattr(ops, code)(*args)
    if code == "rest":
        return ops.rest(args[0], *imm)
    if code == "recip":
        return ops.recip(args[0], imm[0])
    return getattr(ops, code)(*args, *imm, width)


def run_ops(
    program_ops: Sequence[Op], wanted: Iterable[int], raw: Sequence[Any], tables: Sequence[Any]
) -> dict[int, Any]:
    """The values of the operations that `wanted` ones need, by number."""
    needed = depends_on(program_ops, wanted)
    values: dict[int, Any] = {}
    for number in sorted(needed):
        op = program_ops[number]
        values[number] = run_op(op, [values[arg] for arg in op.args], raw, tables)
    return values


def depends_on(program_ops: Sequence[Op], wanted: Iterable[int]) -> set[int]:
    """The operations that the wanted ones need, themselves included."""
    needed: set[int] = set()
    stack = list(wanted)
    while stack:
        number = stack.pop()
        if number not in needed:
            needed.add(number)
            stack.extend(program_ops[number].args)
    return needed
