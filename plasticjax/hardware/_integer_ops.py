"""The arithmetic of the plasticity processor: one small function per operation, on int32 lanes.

Fractional values (F) are signed and saturate, modulo values (U) are unsigned and wrap. A lane holds
a value of `width` bits, 8 or 16 in the vector unit and 32 in scalar code. The compiled software
model `ppu_host.hpp` defines the same functions in C++.
"""

import jax.numpy as jnp
from jax import lax

CONDITIONS = (
    "greater",
    "lesser",
    "equal",
    "greater_equal",
    "lesser_equal",
    "unequal",
)
_COMPARE = {
    "greater": jnp.greater,
    "lesser": jnp.less,
    "equal": jnp.equal,
    "greater_equal": jnp.greater_equal,
    "lesser_equal": jnp.less_equal,
    "unequal": jnp.not_equal,
}


def limits(width: int) -> tuple[int, int]:
    """Least and greatest fractional integer of a width."""
    return -(1 << (width - 1)), (1 << (width - 1)) - 1


def _i32(value):
    return jnp.asarray(value, jnp.int32)


def _saturate(value, width):
    return jnp.clip(value, *limits(width))


def addf(a, b, width):
    """Saturating sum."""
    a, b = _i32(a), _i32(b)
    if width < 32:
        return _saturate(a + b, width)
    total = a + b
    return jnp.where(((a ^ total) & (b ^ total)) < 0, _bound32(a), total)


def subf(a, b, width):
    """Saturating difference; its sign is that of the exact difference."""
    a, b = _i32(a), _i32(b)
    if width < 32:
        return _saturate(a - b, width)
    total = a - b
    return jnp.where(((a ^ b) & (a ^ total)) < 0, _bound32(a), total)


def negf(a, width):
    """Saturating negative: the least value becomes the greatest."""
    a = _i32(a)
    least, greatest = limits(width)
    return jnp.where(a == least, greatest, -a)


def mulf(a, b, width):
    """Fractional product, rounded down; the least value squared becomes the greatest."""
    a, b = _i32(a), _i32(b)
    least, greatest = limits(width)
    product = (a * b) >> (width - 1) if width < 32 else _product_high(a, b)
    return jnp.where((a == least) & (b == least), greatest, product)


def shrf(a, n, width):
    """Fractional shift right: floor(a / 2^n), and 0 from n = width on.

    A traced n, here and in `shlf`, must lie in 0 to width - 1.
    """
    if isinstance(n, int):
        if n < 0:
            return shlf(a, -n, width)
        if n >= width:
            return jnp.zeros_like(_i32(a))
    return _i32(a) >> n


def shlf(a, n, width):
    """Fractional shift left: the sign bit is kept, the others are shifted; no saturation."""
    a = _i32(a)
    if isinstance(n, int):
        if n < 0:
            return shrf(a, -n, width)
        if n >= width:
            return jnp.zeros_like(a)
    below = limits(width)[1]
    return jnp.where(a < 0, limits(width)[0], 0) + ((a << n) & below)


def addm(a, b, width):
    """Sum modulo 2^width."""
    return (_i32(a) + _i32(b)) & _mask(width)


def subm(a, b, width):
    """Difference modulo 2^width."""
    return (_i32(a) - _i32(b)) & _mask(width)


def negm(a, width):
    """Negative modulo 2^width."""
    return -_i32(a) & _mask(width)


def mulm(a, b, width):
    """Product modulo 2^width."""
    return (_i32(a) * _i32(b)) & _mask(width)


def shlm(a, n, width):
    """Shift left modulo 2^width, 0 from n = width on."""
    if n < 0:
        return shrm(a, -n, width)
    return (_i32(a) << n) & _mask(width) if n < width else jnp.zeros_like(_i32(a))


def shrm(a, n, width):
    """Logical shift right, 0 from n = width on."""
    if n < 0:
        return shlm(a, -n, width)
    return _i32(a) >> n if n < width else jnp.zeros_like(_i32(a))


def condition_holds(mask, condition: str):
    """Whether lanes of the mask compare so with zero; unsigned lanes follow from their values."""
    return _COMPARE[condition](_i32(mask), 0)


def sel(mask, condition, true, false):
    """`vector_if`: per lane one of two values, by comparing the mask with zero.

    An unsigned mask is never negative, so `lesser` never holds and `greater_equal` always does.
    """
    return jnp.where(condition_holds(mask, condition), _i32(true), _i32(false))


def widenf(a):
    """8 to 16 bit, fractional: times 256."""
    return _i32(a) << 8


def narrowf(a):
    """16 to 8 bit, fractional: the high byte."""
    return _i32(a) >> 8


def widenm(a):
    """8 to 16 bit, modulo: zero-extended."""
    return _i32(a)


def narrowm(a):
    """16 to 8 bit, modulo: the low byte."""
    return _i32(a) & 255


def to_fractional(a, width):
    """The bits of a modulo value, read as a fractional one."""
    a = _i32(a)
    return jnp.where(a > limits(width)[1], a - (1 << width), a)


def to_modulo(a, width):
    """The bits of a fractional value, read as a modulo one."""
    return _i32(a) & _mask(width)


def contiguous_to_fractional(a, width):
    """`convert_contiguous`, order-preserving: 0 becomes the least fractional value."""
    return _i32(a) - (1 << (width - 1))


def contiguous_to_modulo(a, width):
    """`convert_contiguous`, order-preserving: the least fractional value becomes 0."""
    return _i32(a) + (1 << (width - 1))


def sroundf(value, n, word, width):
    """`vector_round_stochastic` of a fractional value: n low bits, from a random word."""
    value = _i32(value)
    if n == 0:
        return value
    if n >= width:
        return jnp.zeros_like(value)
    return (addf(value, shrm(word, width - n, width), width) >> n) << n


def sroundm(value, n, word, width):
    """`vector_round_stochastic` of a modulo value: n low bits, from a random word."""
    value = _i32(value)
    if n == 0:
        return value
    if n >= width:
        return jnp.zeros_like(value)
    return (addm(value, shrm(word, width - n, width), width) >> n) << n


def satw(a):
    """`saturate_weight`: a byte, read as signed, cut to 0..63."""
    return jnp.clip(to_fractional(to_modulo(a, 8), 8), 0, 63)


def powm(a, n, width):
    """`pow` of a modulo value: the n-fold product, 1 for n = 0."""
    result = jnp.ones_like(_i32(a))
    for _ in range(n):
        result = mulm(result, a, width)
    return result


def powf(a, n, width):
    """`pow` of a fractional value: the n-fold product, the integer 1 for n = 0."""
    if n == 0:
        return jnp.ones_like(_i32(a))
    result = _i32(a)
    for _ in range(n - 1):
        result = mulf(result, a, width)
    return result


def splat(a, width):
    """A 32-bit scalar as an operand of the vector unit: rounded half up, and cut off."""
    shift = 32 - width
    a = _i32(a)
    return jnp.minimum((a >> shift) + ((a >> (shift - 1)) & 1), limits(width)[1])


def cell(a, start, n):
    """Which cell of 2^n scalars, counted from `start`, a scalar is in."""
    return ((_i32(a).astype(jnp.uint32) - jnp.uint32(start % 2**32)) >> n).astype(jnp.int32)


def rest(a, start, n):
    """How far into its cell a scalar is, as a fraction of 31 bits; n < 32."""
    steps = _i32(a).astype(jnp.uint32) - jnp.uint32(start % 2**32)
    within = (steps & ((1 << n) - 1)).astype(jnp.int32)
    return within << (31 - n)


def recip(a, k):
    """Scalar reciprocal floor(2^k / |a|) with the sign of a; saturates, also at 0. 0 <= k <= 62."""
    a = _i32(a)
    divisor = jnp.where(a < 0, -a, a).astype(jnp.uint32)

    def step(i, carry):
        rest, quotient, full = carry
        rest = (rest << 1) | jnp.where(i == 0, 1, 0).astype(jnp.uint32)
        fits = rest >= divisor
        full = full | (quotient >= (1 << 30))
        quotient = (quotient << 1) | fits.astype(jnp.int32)
        return jnp.where(fits, rest - divisor, rest), quotient, full

    start = jnp.zeros_like(divisor), jnp.zeros_like(a), a == 0
    _, quotient, full = lax.fori_loop(0, k + 1, step, start)
    quotient = jnp.where(full, limits(32)[1], quotient)
    return jnp.where(a < 0, -quotient, quotient)


def _mask(width):
    return (1 << width) - 1


def _bound32(sign):
    return jnp.where(sign < 0, *(jnp.int32(bound) for bound in limits(32)))


def _product_high(a, b):
    """floor(a b / 2^31) of 32-bit integers, from halves of 16 bits."""
    a_high, b_high = a >> 16, b >> 16
    a_low, b_low = (a & 0xFFFF).astype(jnp.uint32), (b & 0xFFFF).astype(jnp.uint32)
    low = a_low * b_low
    # The two middle products have 33 bits together, so their high halves are summed apart.
    first = a_high * (b & 0xFFFF)
    second = b_high * (a & 0xFFFF)
    carried = (first & 0xFFFF) + (second & 0xFFFF) + (low >> 16).astype(jnp.int32)
    high = a_high * b_high + (first >> 16) + (second >> 16) + (carried >> 16)
    return (high << 1) | ((carried >> 15) & 1)
