"""Walks the jaxpr of a rule: inlines calls, folds constants, drops what nothing reads."""

import linecache
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from ..plasticity import _reductions
from ._unsupported import UnsupportedOnPPU


class Const(NamedTuple):
    """A value known when the rule is lowered."""

    value: Any


class Num(NamedTuple):
    """A number: the value of an operation of the program."""

    id: int
    integer: bool = False


class Test(NamedTuple):
    """The comparison that a truth value came from."""

    name: str
    left: Any
    right: Any


class Bool(NamedTuple):
    """A truth value: a mask and how its lanes compare with zero.

    `exact` says that it is never other than in real numbers.
    """

    mask: int
    condition: str
    exact: bool
    test: Test | None = None


Value = Const | Num | Bool
Handler = Callable[..., Any]

INLINED = (
    "jit",
    "pjit",
    "closed_call",
    "core_call",
    "remat",
    "remat2",
    "checkpoint",
    "custom_jvp_call",
    "custom_vjp_call",
    "custom_vjp_call_jaxpr",
    "custom_lin",
)
SUMS = ("psum", "psum_invariant")
LONGEST_LOOP = 16
_OUTSIDE = (
    *(f"{Path(str(module.__file__)).parent}/" for module in (jax, np)),
    str(_reductions.__file__),
)


class Walker:
    """Interprets a jaxpr: known values are folded, others go to the handlers."""

    def __init__(self, handlers: dict[str, Handler], context: Any):
        self.handlers, self.context = handlers, context
        # Inner functions may have been traced for another caller, so the outermost line counts.
        self._lines: list[str] = []

    def run(self, closed: ClosedJaxpr, args: list[Value]) -> list[Value]:
        """The values of a jaxpr."""
        return self._walk(closed.jaxpr, [_constant(c) for c in closed.consts], args)

    def _walk(self, jaxpr: Jaxpr, consts: list[Value], args: list[Value]) -> list[Value]:
        known: dict[Any, Value] = dict(zip(jaxpr.constvars, consts, strict=True))
        known.update(zip(jaxpr.invars, args, strict=True))

        def read(atom):
            return Const(np.asarray(atom.val)) if isinstance(atom, Literal) else known[atom]

        for eqn in _needed(jaxpr):
            values = [read(atom) for atom in eqn.invars]
            results = self._apply(eqn, values)
            known.update(zip(eqn.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _apply(self, eqn, values) -> list[Value]:
        name = eqn.primitive.name
        if name in INLINED:
            return self._inside(eqn, lambda: self.run(_inner(eqn), values))
        if name.startswith(("random_", "threefry", "rng_")):
            raise UnsupportedOnPPU(name, self._line(eqn), None, *_why_not(name))
        if name == "cond":
            return self._inside(eqn, lambda: self._cond(eqn, values))
        if name == "scan":
            return self._inside(eqn, lambda: self._scan(eqn, values))
        if name not in SUMS and all(isinstance(value, Const) for value in values):
            return [Const(value) for value in _fold(eqn, [value.value for value in values])]
        line = self._line(eqn)
        handler = self.handlers.get(name)
        if handler is None:
            reason, hint = _why_not(name)
            raise UnsupportedOnPPU(name, line, self.context.place(*values), reason, hint)
        for atom in eqn.outvars:
            self._require_scalar(eqn, atom.aval, line)
        return [self.context.apply(handler, eqn, values, line)]

    def _inside(self, eqn, walk: Callable[[], list[Value]]) -> list[Value]:
        self._lines.append(self._line(eqn))
        try:
            return walk()
        finally:
            self._lines.pop()

    def _line(self, eqn) -> str:
        return next((line for line in self._lines if line), "") or source_line(eqn)

    def _require_scalar(self, eqn, aval, line):
        if aval.dtype.itemsize > 4 or np.issubdtype(aval.dtype, np.complexfloating):
            raise UnsupportedOnPPU(
                eqn.primitive.name,
                line,
                None,
                f"{aval.dtype} has no counterpart on the chip",
                "use float32, int32 or bool",
            )
        if int(np.prod(aval.shape)) != 1:
            raise UnsupportedOnPPU(
                eqn.primitive.name,
                line,
                None,
                f"it makes an array of shape {aval.shape}",
                "a rule computes with the scalars of one synapse",
            )

    def _cond(self, eqn, values):
        index, *operands = values
        branches = eqn.params["branches"]
        if isinstance(index, Const):
            chosen = int(np.clip(index.value, 0, len(branches) - 1))
            return self.run(branches[chosen], operands)
        results = [self.run(branch, operands) for branch in branches]
        line = self._line(eqn)
        choose = self.handlers["select_n"]
        return [
            self.context.apply(choose, eqn, [index, *cases], line)
            for cases in zip(*results, strict=True)
        ]

    def _scan(self, eqn, values):
        params = eqn.params
        length, n_consts, n_carry = params["length"], params["num_consts"], params["num_carry"]
        line = self._line(eqn)
        consts, carry = values[:n_consts], values[n_consts : n_consts + n_carry]
        xs = values[n_consts + n_carry :]
        n_out = len(eqn.outvars) - n_carry
        if length > LONGEST_LOOP:
            raise UnsupportedOnPPU(
                "scan",
                line,
                None,
                f"it has {length} steps",
                f"loops are unrolled, so at most {LONGEST_LOOP} steps are allowed",
            )
        if n_out or not all(isinstance(x, Const) for x in xs):
            raise UnsupportedOnPPU(
                "scan",
                line,
                None,
                "it stacks or reads values that depend on the inputs",
                "use a loop with a carry of scalars only, such as lax.fori_loop",
            )
        steps = range(length)
        for step in reversed(steps) if params["reverse"] else steps:
            slices = [Const(x.value[step]) for x in xs if isinstance(x, Const)]
            carry = self.run(params["jaxpr"], [*consts, *carry, *slices])
        return carry


def source_line(eqn: Any) -> str:
    """File, number and text of the innermost line outside JAX that an equation comes from."""
    traceback = eqn.source_info.traceback
    for frame in traceback.frames if traceback is not None else ():
        outside = frame.file_name.startswith(_OUTSIDE) or "/equinox/" in frame.file_name
        if not outside and not frame.file_name.startswith("<"):
            text = linecache.getline(frame.file_name, frame.line_num).strip()
            return f"{Path(frame.file_name).name}:{frame.line_num}: {text}"
    return ""


def _constant(value: Any) -> Const:
    if jnp.issubdtype(getattr(value, "dtype", np.float32), jax.dtypes.prng_key):
        raise UnsupportedOnPPU("a random key", "", None, *_why_not("random_bits"))
    return Const(np.asarray(value))


def _needed(jaxpr: Jaxpr) -> list[Any]:
    """Equations that outputs depend on."""
    wanted = {atom for atom in jaxpr.outvars if not isinstance(atom, Literal)}
    kept = []
    for eqn in reversed(jaxpr.eqns):
        # Sums over neurons have the effect that they name an axis.
        if any(type(effect).__name__ != "NamedAxisEffect" for effect in eqn.effects):
            raise UnsupportedOnPPU(
                eqn.primitive.name,
                source_line(eqn),
                None,
                "it has side effects",
                "remove callbacks, prints and run-time checks",
            )
        if any(atom in wanted for atom in eqn.outvars):
            kept.append(eqn)
            wanted.update(atom for atom in eqn.invars if not isinstance(atom, Literal))
    return kept[::-1]


def _inner(eqn: Any) -> ClosedJaxpr:
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = eqn.params.get(name)
        if isinstance(inner, ClosedJaxpr):
            return inner
        if isinstance(inner, Jaxpr):
            return ClosedJaxpr(inner, ())
    raise UnsupportedOnPPU(
        eqn.primitive.name, source_line(eqn), None, "its body is not known", "call it directly"
    )


def _convert(value, params):
    return value.astype(params["new_dtype"])


_FOLDED: dict[str, Callable[..., Any]] = {
    "add": lambda p, a, b: a + b,
    "sub": lambda p, a, b: a - b,
    "mul": lambda p, a, b: a * b,
    "neg": lambda p, a: -a,
    "max": lambda p, a, b: np.maximum(a, b),
    "min": lambda p, a, b: np.minimum(a, b),
    "gt": lambda p, a, b: a > b,
    "lt": lambda p, a, b: a < b,
    "ge": lambda p, a, b: a >= b,
    "le": lambda p, a, b: a <= b,
    "eq": lambda p, a, b: a == b,
    "ne": lambda p, a, b: a != b,
    "square": lambda p, a: a * a,
    "convert_element_type": lambda p, a: _convert(a, p),
    "squeeze": lambda p, a: np.squeeze(a, p["dimensions"]),
    "stop_gradient": lambda p, a: a,
    "copy": lambda p, a: a,
}


def _fold(eqn: Any, values: list[Any]) -> list[np.ndarray]:
    folded = _FOLDED.get(eqn.primitive.name)
    if folded is not None:
        with np.errstate(all="ignore"):
            return [np.asarray(folded(eqn.params, *values))]
    with jax.ensure_compile_time_eval():
        results = eqn.primitive.bind(*[jnp.asarray(v) for v in values], **eqn.params)
    return [np.asarray(r) for r in (results if eqn.primitive.multiple_results else [results])]


def _why_not(name: str) -> tuple[str, str]:
    if name.startswith(("random", "threefry", "rng")):
        return "random keys do not exist on the chip", "read the observable noise() instead"
    if name in ("exp", "log", "tanh", "logistic", "sqrt", "rsqrt", "erf", "sin", "cos", "pow"):
        return "there is no such function", "use piecewise_linear"
    if name in ("while",):
        return "its number of steps is not static", "use lax.fori_loop with constant bounds"
    if name.startswith(
        (
            "reduce",
            "stack",
            "concatenate",
            "dot",
            "cum",
            "conv",
            "sort",
            "gather",
            "scatter",
            "dynamic",
        )
    ):
        return "lanes cannot see each other", "compute with the scalars of one synapse"
    return "the vector unit has no such operation", "reformulate with sums, products and choices"
