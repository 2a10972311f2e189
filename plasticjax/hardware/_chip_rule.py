"""A lowered program as a rule of the emulated chip: what was read becomes what it loads."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from ._emulate import emulate, random_words
from ._program import IntegerProgram, RawInput
from ._readout import RowView, RowWrite
from ._rule_code import RuleCode
from ._signals import Place

_READ = {
    "weight": lambda view: view.weights[:, None],
    "signed_weight": lambda view: view.weights[:, None],
    "label": lambda view: view.labels[:, None],
    "causal": lambda view: view.causal[:, None],
    "anticausal": lambda view: view.anticausal[:, None],
    "rate": lambda view: view.rates,
    "membrane": lambda view: view.membranes,
    "time_index": lambda view: jnp.minimum(view.call, 32767),
}
_WRITTEN = ("symbol", "row_table", "column_table")


class ChipRule(eqx.Module):
    """What `chip_rule` makes of a program; a rule for `Plasticity`.

    Attributes:
        run: integers by name -> stored integers by name (dimensionless).
        inputs: what the program loads.
        outputs: names and kinds of what it stores.
    """

    run: Callable[[Mapping[str, Any]], dict[str, Any]]
    inputs: tuple[RawInput, ...] = eqx.field(static=True)
    outputs: tuple[tuple[str, str], ...] = eqx.field(static=True)

    @property
    def signed(self) -> bool:
        """Whether weights have a sign, see `Plasticity.signed`."""
        return any(kind == "signed_weight" for _, kind in self.outputs)

    def __call__(self, view: RowView, key: Key[Array, ""]) -> RowWrite:
        """Runs the program on one row.

        Args:
            view: what the chip reads of the row, [column].
            key: scalar key of the random words.

        Returns:
            What the program stores, [column] (LSB).

        Raises:
            ValueError: if a symbol, table or state is missing.
        """
        shape = (len(view.weights), 1)
        words = random_words(self.inputs, shape, key)
        read = {raw.name: self._read(raw, view) for raw in self.inputs if raw.kind != "tape"}
        made = self.run({**words, **read})
        stored = {name: jnp.broadcast_to(value, shape)[:, 0] for name, value in made.items()}
        kinds = {kind: stored[name] for name, kind in self.outputs if kind != "state"}
        kept = {name: stored[name] for name, kind in self.outputs if kind == "state"}
        weights = kinds.get("signed_weight" if self.signed else "weight", view.weights)
        return RowWrite(weights, kinds.get("label"), kept or view.state)

    def _read(self, raw: RawInput, view: RowView) -> Int[Array, "..."]:
        if raw.kind == "baseline":
            return getattr(view, raw.name.replace(".", "_"))
        if raw.kind == "state":
            return _entry(view.state, "state", raw)[:, None]
        if raw.kind not in _WRITTEN:
            return _READ[raw.kind](view)
        value = jnp.asarray(_entry(view.symbols, "symbols", raw))
        if raw.place is Place.GLOBAL:
            return value
        if value.ndim == 2:
            value = value[view.hemisphere]
        if raw.place is Place.PRE and value.ndim:
            return value[view.row]
        return value


def chip_rule(program: IntegerProgram | RuleCode) -> ChipRule:
    """A lowered program as a rule that the emulated chip runs.

    Weights, labels, readings of the sensors and their baselines, counters and membranes come from
    the chip; random words from the key of the call. What the host writes stands in the `symbols` of
    the `Plasticity`, a dictionary of integers (see `encode`) under the names of the program's
    inputs: symbols are scalars; row tables scalars, [row] or [hemisphere, row]; column tables
    scalars, [column] or [hemisphere, column]. Other entries are for `prepare`, which may change all
    of them at the start of a call. States are a dictionary of integers [hemisphere, column, row]
    under the names of the program's outputs, in `state`. Weights with sign are pairs of rows:
    `Plasticity(..., signed=True)`.

    Args:
        program: of `lower`, or one of `rule_code` as data.

    Returns:
        The rule. Keep it: each new one is compiled again, unless it is code.

    Raises:
        ValueError: if the program sums over neurons, for which all rows are needed.
    """
    if isinstance(program, IntegerProgram) and program.sums:
        raise ValueError(
            "program sums over neurons, and a rule of the emulated chip sees one row; run it with "
            "emulate"
        )
    if isinstance(program, RuleCode):
        run, outputs = program, program.outputs
    else:
        run = emulate(program)
        outputs = tuple((output.name, output.kind) for output in program.outputs)
    return ChipRule(run, program.inputs, outputs)


def _entry(entries: Any, where: str, raw: RawInput) -> Any:
    if not isinstance(entries, Mapping) or raw.name not in entries:
        have = sorted(entries) if isinstance(entries, Mapping) else type(entries).__name__
        raise ValueError(
            f"{where} must be a dictionary with {raw.name!r}, a {raw.kind} that the program reads; "
            f"got {have}"
        )
    return entries[raw.name]
