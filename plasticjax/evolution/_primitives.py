"""What a node of a program computes: sums, products, quotients, powers, choices, constants."""

import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp


@dataclass(frozen=True)
class Primitive:
    """One operation that the nodes of a genome can take, immutable and hashable.

    It is run once when it is made, on scalars, so that a wrong number of arguments is found here.

    Attributes:
        name: Python identifier, unique within a spec; it is how saved programs name the operation.
        arity: how many values it reads, 0 or more.
        function: `function(*values, *parameters) -> value`, elementwise on arrays of any one shape
            (dimensionless), traceable and differentiable; partial derivatives that are not finite
            count as 0.
        parameters: names of the numbers that each node with this operation owns.
        initial: first value of each parameter (dimensionless): a number, or `initial(key)` that
            draws one scalar.
        commutative: whether the order of the values does not matter.
        protected: replaces `function` under the float semantics `"protected"`.
        fault: `fault(*values) -> bool`, true where Python would raise `ZeroDivisionError`; only the
            semantics `"strict"` asks.
        reads: `reads(*values)` -> for each value whether Python would compute it, for operations
            that read only some of their values. None: all are read.
        source: template of Python source such as `"({0} + {1})"`, parameters last; None: a call.
        symbolic: the same on sympy expressions; None: an undefined function of that name.

    Raises:
        ValueError: if the fields do not fit each other.
    """

    name: str
    arity: int
    function: Callable[..., Any]
    parameters: tuple[str, ...] = ()
    initial: tuple[float | Callable[[Any], Any], ...] = ()
    commutative: bool = False
    protected: Callable[..., Any] | None = None
    fault: Callable[..., Any] | None = None
    reads: Callable[..., Any] | None = None
    source: str | None = None
    symbolic: Callable[..., Any] | None = None

    def __post_init__(self):
        if not self.name.isidentifier() or keyword.iskeyword(self.name):
            raise ValueError(f"name must be a Python identifier, got {self.name!r}")
        if self.arity < 0:
            raise ValueError(f"arity of {self.name} must be 0 or more, got {self.arity}")
        if len(self.parameters) != len(self.initial):
            raise ValueError(
                f"{self.name} has {len(self.parameters)} parameters {self.parameters} and "
                f"{len(self.initial)} initial values; give one initial value per parameter"
            )
        if len(set(self.parameters)) != len(self.parameters) or not all(
            re.fullmatch("[A-Za-z]+", name) for name in self.parameters
        ):
            raise ValueError(
                f"parameters of {self.name} must be distinct and made of letters, "
                f"got {self.parameters}"
            )
        if self.commutative and self.arity < 2:
            raise ValueError(f"{self.name} is commutative and has fewer than two values to swap")
        for role in ("function", "protected"):
            self._try(role, self.arity + len(self.parameters))

    def _try(self, role, count):
        function = getattr(self, role)
        if function is None:
            return
        try:
            made = jax.eval_shape(
                function, *[jax.ShapeDtypeStruct((), jnp.result_type(float))] * count
            )
            shapes = [leaf.shape for leaf in jax.tree.leaves(made)]
        except Exception as error:
            raise ValueError(f"{role} of {self.name} fails on {count} scalars: {error}") from error
        if shapes != [()]:
            raise ValueError(
                f"{role} of {self.name} must turn {count} scalars into one, got shapes {shapes}"
            )


@lru_cache
def guarded(function):
    """The same function, with 0 for each partial derivative that is not finite.

    A choice or a selection sends the cotangent 0 into what it did not take; 0 times an infinite
    slope would make the whole gradient NaN.
    """

    @jax.custom_jvp
    def run(*values):
        return function(*values)

    @run.defjvp
    def differentiate(primals, tangents):
        value = run(*primals)
        change = jnp.zeros_like(value)
        for position, tangent in enumerate(tangents):
            unit = [
                jnp.full_like(primal, index == position) for index, primal in enumerate(primals)
            ]
            slope = jax.jvp(function, primals, tuple(unit))[1]
            change += jnp.where(jnp.isfinite(slope), slope, 0) * tangent
        return value, change.astype(value.dtype)

    return run


def protected_divide(x, y):
    """`x / y`, and 1 where `y` is 0 (dimensionless).

    Args:
        x: numerator, any shape.
        y: denominator, same shape.

    Returns:
        The quotient, same shape.
    """
    zero = y == 0
    return jnp.where(zero, jnp.ones_like(y), x / jnp.where(zero, jnp.ones_like(y), y))


def power(x, y):
    """`x ** y` as numpy has it (dimensionless); the principal value for complex arguments.

    Args:
        x: base, any shape; negative with a fractional exponent gives NaN unless complex.
        y: exponent, same shape.

    Returns:
        The power, same shape.
    """
    if not jnp.iscomplexobj(x):
        return jnp.power(x, y)
    # 0 ** y by limits: exp(y log 0) is NaN.
    at_zero = jnp.where(y == 0, 1.0, jnp.where(y.real > 0, 0.0, jnp.inf))
    safe = jnp.where(x == 0, jnp.ones_like(x), x)
    return jnp.where(x == 0, at_zero, jnp.exp(y * jnp.log(safe)))


def protected_power(x, y):
    """`x ** y`, and 1 where that is not finite (dimensionless).

    Args:
        x: base, any shape.
        y: exponent, same shape.

    Returns:
        The power, same shape.
    """
    value = power(x, y)
    return jnp.where(jnp.isfinite(value), value, jnp.ones_like(value))


def _no_exponent(x, y):
    return (x == 0) & (jnp.real(y) < 0)


def _choose(condition, first, second):
    return jnp.where(jnp.real(condition) >= 0, first, second)


def _chosen(condition, first, second):
    positive = jnp.real(condition) >= 0
    return True, positive, ~positive


def _symbolic_choice(condition, first, second):
    from sympy import Piecewise

    return Piecewise((first, condition >= 0), (second, True))


def _symbolic_power(x, y):
    from sympy import Pow

    return Pow(x, y, evaluate=False)


def _symbolic_sum(x, y):
    from sympy import Add

    return Add(x, y, evaluate=False)


def _symbolic_difference(x, y):
    return _symbolic_sum(x, _symbolic_product(-1, y))


def _symbolic_product(x, y):
    from sympy import Mul

    return Mul(x, y, evaluate=False)


def _symbolic_quotient(x, y):
    return _symbolic_product(x, _symbolic_power(y, -1))


@dataclass(frozen=True)
class _Always:
    value: float

    def __call__(self):
        return jnp.asarray(self.value, jnp.result_type(float))


@dataclass(frozen=True)
class _AlwaysSymbolic:
    value: float

    def __call__(self):
        from sympy import Float

        return Float(self.value)


def _itself(value):
    return value


ADD = Primitive(
    "Add",
    2,
    jnp.add,
    commutative=True,
    source="({0} + {1})",
    symbolic=_symbolic_sum,
)
SUB = Primitive("Sub", 2, jnp.subtract, source="({0} - {1})", symbolic=_symbolic_difference)
MUL = Primitive(
    "Mul", 2, jnp.multiply, commutative=True, source="({0} * {1})", symbolic=_symbolic_product
)
DIV = Primitive(
    "Div",
    2,
    jnp.divide,
    protected=protected_divide,
    fault=lambda x, y: y == 0,
    source="({0} / {1})",
    symbolic=_symbolic_quotient,
)
POW = Primitive(
    "Pow",
    2,
    power,
    protected=protected_power,
    fault=_no_exponent,
    source="({0} ** {1})",
    symbolic=_symbolic_power,
)
IF_ELSE = Primitive(
    "IfElse",
    3,
    _choose,
    reads=_chosen,
    source="jnp.where({0} >= 0, {1}, {2})",
    symbolic=_symbolic_choice,
)


def constant(value: float, name: str | None = None) -> Primitive:
    """An operation without inputs that always gives one number.

    Args:
        value: the number, finite (dimensionless).
        name: Python identifier; by default made from the value, such as `Const_0_1`.

    Returns:
        The primitive.

    Raises:
        ValueError: if the value is not finite.
    """
    value = float(value)
    if not abs(value) < float("inf"):
        raise ValueError(f"value of a constant must be finite, got {value}")
    if name is None:
        name = "Const_" + re.sub(r"\W", "_", repr(value).replace("-", "minus_").replace("+", ""))
    return Primitive(
        name, 0, _Always(value), source=f"({value!r})", symbolic=_AlwaysSymbolic(value)
    )


def is_constant(primitive):
    """Whether `constant` made a primitive, whose number is then `function.value`."""
    return isinstance(primitive.function, _Always)


def parameter(initial: float | Callable[[Any], Any] = 1.0, name: str = "Parameter") -> Primitive:
    """An operation without inputs that gives a number its node owns and evolution can tune.

    Args:
        initial: first value (dimensionless), or `initial(key)` that draws a scalar.
        name: Python identifier.

    Returns:
        The primitive, with one parameter `p`.
    """
    return Primitive(
        name, 0, _itself, parameters=("p",), initial=(initial,), source="{0}", symbolic=_itself
    )
