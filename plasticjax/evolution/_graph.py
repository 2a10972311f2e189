"""Building a formula from the primitives that a spec has, and placing it on the grid of nodes."""

from dataclasses import dataclass
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

from ._genome import Genomes, initial_theta, random_genome
from ._primitives import ADD, DIV, MUL, POW, SUB, is_constant
from ._spec import GenomeSpec

# Integers beyond this are not built from sums, nor powers from products.
_LARGEST = 4096


@dataclass(frozen=True)
class _Input:
    index: int


@dataclass(frozen=True)
class _Node:
    index: int


@dataclass(frozen=True)
class _Negative:
    value: "_Input | _Node"


@dataclass(frozen=True)
class _Operation:
    op: int
    read: tuple[_Input | _Node, ...]
    theta: float | None


class FormulaGraph:
    """Operations under construction, each once. Numbers (fractions) and signs wait until read."""

    def __init__(self, spec: GenomeSpec, names):
        self.spec = spec
        self.names = {name: index for index, name in enumerate(names)}
        self.ops = {primitive: index for index, primitive in enumerate(spec.primitives)}
        self.constants = {p.function.value: p for p in spec.primitives if is_constant(p)}
        self.parameters = [p for p in spec.primitives if p.arity == 0 and len(p.parameters) == 1]
        self.operations = {}

    def input(self, name):
        if name not in self.names:
            raise ValueError(
                f"name {name!r} is not an input, expected one of {', '.join(self.names)}"
            )
        return _Input(self.names[name])

    def number(self, value):
        try:
            exact = Fraction(value)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"numbers must be finite, got {value}") from error
        # 0.1 means 1/10 and not the nearest binary fraction; a product of sympy may be off by one.
        short = exact.limit_denominator(_LARGEST)
        near = abs(short - exact) <= abs(exact) * Fraction(1, 10**15)
        return short if isinstance(value, float) and near else exact

    def negative(self, value):
        if isinstance(value, Fraction):
            return -value
        return value.value if isinstance(value, _Negative) else _Negative(value)

    def add(self, left, right):
        if isinstance(left, Fraction) and isinstance(right, Fraction):
            return left + right
        (left_sign, left), (right_sign, right) = self._signed(left), self._signed(right)
        if left_sign == right_sign:
            total = self._plus(left, right)
            return total if left_sign > 0 else _Negative(total)
        return self._minus(left, right) if left_sign > 0 else self._minus(right, left)

    def subtract(self, left, right):
        return self.add(left, self.negative(right))

    def multiply(self, left, right):
        if isinstance(left, Fraction) and isinstance(right, Fraction):
            return left * right
        (left_sign, left), (right_sign, right) = self._signed(left), self._signed(right)
        if isinstance(right, Fraction):
            left, right = right, left
        product = self._multiple(left, right) if isinstance(left, Fraction) else None
        if product is None:
            product = self._apply(MUL, left, right)
        return product if left_sign == right_sign else self.negative(product)

    def divide(self, left, right):
        if isinstance(left, Fraction) and isinstance(right, Fraction) and right != 0:
            return left / right
        (left_sign, left), (right_sign, right) = self._signed(left), self._signed(right)
        if DIV not in self.ops and POW in self.ops:
            ratio = self.multiply(left, self._apply(POW, right, Fraction(-1)))
        elif DIV not in self.ops and isinstance(right, Fraction) and right != 0:
            ratio = self._apply(MUL, left, 1 / right)
        else:
            ratio = self._apply(DIV, left, right)
        return ratio if left_sign == right_sign else self.negative(ratio)

    def power(self, base, exponent):
        if isinstance(exponent, Fraction) and exponent.denominator == 1:
            count = abs(exponent.numerator)
            if count > _LARGEST:
                raise ValueError(f"integer exponents must be at most {_LARGEST}, got {exponent}")
            if isinstance(base, Fraction):
                if count * max(base.numerator.bit_length(), base.denominator.bit_length()) > 1024:
                    raise ValueError(f"the number {base} ** {exponent} is too large")
                if base != 0 or exponent >= 0:
                    return base**exponent.numerator
            elif MUL in self.ops and (exponent >= 0 or DIV in self.ops):
                whole = self._whole_power(base, count)
                return whole if exponent >= 0 else self.divide(Fraction(1), whole)
        return self._apply(POW, base, exponent)

    def _whole_power(self, base, count):
        if count == 0:
            return Fraction(1)
        if count == 1:
            return base
        half = self._whole_power(base, count // 2)
        square = self.multiply(half, half)
        return self.multiply(square, base) if count % 2 else square

    def _signed(self, value):
        if isinstance(value, _Negative):
            return -1, value.value
        if isinstance(value, Fraction) and value < 0 and float(value) not in self.constants:
            return -1, -value
        return 1, value

    def _plus(self, left, right):
        if ADD in self.ops:
            return self._apply(ADD, left, right)
        return self._apply(SUB, left, self._minus(self._zero(), right))

    def _minus(self, left, right):
        if SUB in self.ops:
            return self._apply(SUB, left, right)
        return self._apply(ADD, left, self._node(_Negative(self._node(right))))

    def _zero(self):
        """0, of constants or of an input: an intermediate value may be infinite, and give NaN."""
        if 0.0 in self.constants or 1.0 in self.constants:
            return Fraction(0)
        return self._apply(SUB, _Input(0), _Input(0))

    def _multiple(self, factor, value):
        """`factor * value` without a node that holds the factor, or None."""
        if factor == 1:
            return value
        held = MUL in self.ops and float(factor) in self.constants
        if held or not 1 <= factor.numerator <= _LARGEST:
            return None
        if factor.denominator == 1:
            return self._repeated(factor.numerator, value) if ADD in self.ops else None
        if DIV not in self.ops or factor.denominator > _LARGEST or self.parameters:
            return None
        above = self._multiple(Fraction(factor.numerator), value)
        return None if above is None else self._apply(DIV, above, Fraction(factor.denominator))

    def _repeated(self, count, value):
        if count == 1:
            return value
        half = self._repeated(count // 2, value)
        double = self._apply(ADD, half, half)
        return self._apply(ADD, double, value) if count % 2 else double

    def _apply(self, primitive, *values, theta=None):
        if primitive not in self.ops:
            raise ValueError(
                f"the formula needs {primitive.name}, the spec has "
                f"{', '.join(known.name for known in self.ops)}"
            )
        read = tuple(self._node(value) for value in values)
        operation = _Operation(self.ops[primitive], read, theta)
        return _Node(self.operations.setdefault(operation, len(self.operations)))

    def _node(self, value):
        if isinstance(value, Fraction):
            return self._number_node(value)
        if isinstance(value, _Negative):
            return self._negative_node(value.value)
        return value

    def _negative_node(self, value):
        if -1.0 in self.constants and MUL in self.ops:
            return self._apply(MUL, Fraction(-1), value)
        if SUB not in self.ops:
            raise ValueError("a minus sign needs Sub, or Mul with a constant -1, in the spec")
        return self._apply(SUB, self._zero(), value)

    def _number_node(self, value):
        if float(value) in self.constants:
            return self._apply(self.constants[float(value)])
        if value < 0 and -float(value) in self.constants:
            return self._node(_Negative(self._number_node(-value)))
        one = 1.0 in self.constants
        size = max(abs(value.numerator), value.denominator)
        if one and size <= _LARGEST:
            if value < 0:
                return self._node(_Negative(self._number_node(-value)))
            if value == 0 and SUB in self.ops:
                return self._apply(SUB, Fraction(1), Fraction(1))
            if value.denominator == 1 and value > 0 and ADD in self.ops:
                return self._repeated(value.numerator, self._number_node(Fraction(1)))
            quotient = value.denominator > 1 and not self.parameters
            if quotient and DIV in self.ops and ADD in self.ops:
                above, below = Fraction(value.numerator), Fraction(value.denominator)
                return self._apply(DIV, above, below)
        if self.parameters:
            return self._apply(self.parameters[0], theta=float(value))
        raise ValueError(
            f"the number {float(value)!r} is no constant of the spec and cannot be built from its "
            f"primitives {', '.join(known.name for known in self.ops)}"
        )

    def place(self, wanted, key) -> Genomes:
        """Puts the operations that are wanted into the first nodes that see what they read."""
        spec = self.spec
        wanted = [self._node(value) for value in wanted]
        operations = list(self.operations)
        needed, waiting = set(), list(wanted)
        while waiting:
            value = waiting.pop()
            if isinstance(value, _Node) and value.index not in needed:
                needed.add(value.index)
                waiting += operations[value.index].read
        address: dict[_Input | _Node, int] = {_Input(i): i for i in range(spec.n_inputs)}
        free = list(range(spec.n_hidden))
        base = self._base(key)
        op, arg, theta = (np.array(part) for part in (base.op, base.arg, base.theta))
        for index in sorted(needed):
            operation = operations[index]
            read = [address[value] for value in operation.read]
            node = next((j for j in free if set(read) <= set(spec.permissible(j))), None)
            if node is None:
                raise ValueError(
                    f"the formula takes {len(needed)} nodes and does not fit into "
                    f"{spec.columns} columns, {spec.rows} rows and levels_back = {spec.levels_back}"
                )
            free.remove(node)
            op[node], arg[node, : len(read)] = operation.op, read
            if operation.theta is not None:
                theta[node, 0] = operation.theta
            address[_Node(index)] = spec.n_inputs + node
        out = jnp.asarray([address[value] for value in wanted], base.out.dtype)
        return Genomes(jnp.asarray(op), jnp.asarray(arg), out, jnp.asarray(theta))

    def _base(self, key):
        if key is not None:
            return random_genome(self.spec, key=key)
        spec = self.spec
        op = jnp.zeros(spec.n_hidden, jnp.int32)
        theta = initial_theta(spec, op, key=jax.random.key(0))
        arg = jnp.zeros((spec.n_hidden, spec.arity), jnp.int32)
        return Genomes(op, arg, jnp.zeros(spec.outputs, jnp.int32), theta)
