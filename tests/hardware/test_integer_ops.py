"""The arithmetic against published vectors, exhaustive tables, and exact integers."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.hardware import _integer_ops as ops

FIXTURE = Path(__file__).parents[1] / "fixtures" / "ppu_unit_vectors.json"
VECTORS = json.loads(FIXTURE.read_text())["libnux_unit_tests"]
BYTES = np.arange(256)
SIGNED = BYTES - 128


def _published(kind, operation, a, b):
    width = 16 if "16" in kind else 8
    modulo = "Mod" in kind
    suffix = "m" if modulo else "f"
    if operation == "sat":
        return ops.satw(a)
    if operation == "pow":
        return ops.powm(a, b, width)
    if operation in ("unary -", "+", "-", "*", "<<", ">>"):
        name = {"unary -": "neg", "+": "add", "-": "sub", "*": "mul", "<<": "shl", ">>": "shr"}
        function = getattr(ops, name[operation] + suffix)
        return function(a, width) if operation == "unary -" else function(a, b, width)
    to = operation.split("->")[1]
    if operation.startswith("convert_contiguous"):
        return (ops.contiguous_to_fractional if modulo else ops.contiguous_to_modulo)(a, width)
    if to.endswith("16") and width == 8:
        return ops.widenm(a) if modulo else ops.widenf(a)
    if to.endswith("8") and width == 16:
        return ops.narrowm(a) if modulo else ops.narrowf(a)
    return (ops.to_fractional if modulo else ops.to_modulo)(a, width)


@pytest.mark.parametrize("kind, operation, a, b, result", VECTORS)
def test_the_published_vectors(kind, operation, a, b, result):
    assert int(_published(kind, operation, a, b)) == result


def test_all_pairs_of_signed_bytes():
    a, b = np.meshgrid(SIGNED, SIGNED, indexing="ij")
    np.testing.assert_array_equal(ops.addf(a, b, 8), np.clip(a + b, -128, 127))
    np.testing.assert_array_equal(ops.subf(a, b, 8), np.clip(a - b, -128, 127))
    product = np.where((a == -128) & (b == -128), 127, np.floor_divide(a * b, 128))
    np.testing.assert_array_equal(ops.mulf(a, b, 8), product)
    np.testing.assert_array_equal(ops.negf(SIGNED, 8), np.clip(-SIGNED, -128, 127))
    np.testing.assert_array_equal(ops.addf(a, b, 8), ops.addf(b, a, 8))
    total = np.asarray(ops.addf(SIGNED, ops.negf(SIGNED, 8), 8))
    np.testing.assert_array_equal(total, np.where(SIGNED == -128, -1, 0))


def test_all_pairs_of_unsigned_bytes():
    a, b = np.meshgrid(BYTES, BYTES, indexing="ij")
    np.testing.assert_array_equal(ops.addm(a, b, 8), (a + b) % 256)
    np.testing.assert_array_equal(ops.subm(a, b, 8), (a - b) % 256)
    np.testing.assert_array_equal(ops.mulm(a, b, 8), a * b % 256)
    np.testing.assert_array_equal(ops.negm(BYTES, 8), -BYTES % 256)


@pytest.mark.parametrize("condition", ops.CONDITIONS)
def test_comparisons_by_saturating_differences_are_exact(condition):
    a, b = np.meshgrid(SIGNED, SIGNED, indexing="ij")
    compare = {
        "greater": a > b,
        "lesser": a < b,
        "equal": a == b,
        "greater_equal": a >= b,
        "lesser_equal": a <= b,
        "unequal": a != b,
    }[condition]
    chosen = ops.sel(ops.subf(a, b, 8), condition, 1, 0)
    np.testing.assert_array_equal(chosen, compare)


def test_unsigned_masks_are_never_negative():
    assert not np.any(ops.condition_holds(BYTES, "lesser"))
    assert np.all(ops.condition_holds(BYTES, "greater_equal"))
    greater = ops.condition_holds(BYTES, "greater")
    np.testing.assert_array_equal(greater, ops.condition_holds(BYTES, "unequal"))


@pytest.mark.parametrize("width", [8, 16, 32])
@pytest.mark.parametrize("n", [0, 1, 5, 7, 8, 15, 16, 31, 32, 40])
def test_shifts(width, n):
    low, high = ops.limits(width)
    a = np.unique(np.linspace(low, high, 999).astype(np.int64))
    right = a // 2**n if n < width else 0 * a
    np.testing.assert_array_equal(ops.shrf(a.astype(np.int32), n, width), right)
    left = (np.where(a < 0, low, 0) + (a * 2**n) % 2 ** (width - 1)) * (n < width)
    np.testing.assert_array_equal(ops.shlf(a.astype(np.int32), n, width), left)
    np.testing.assert_array_equal(ops.shlf(a.astype(np.int32), -n, width), right)
    if width < 32:
        u = a - low
        np.testing.assert_array_equal(
            ops.shlm(u, n, width), u * 2**n % 2**width if n < width else 0
        )
        np.testing.assert_array_equal(ops.shrm(u, n, width), u // 2**n if n < width else 0)
    kept = (left >> n) == a
    fits = (a * 2**n >= low) & (a * 2**n <= high)
    assert n >= width or np.all(kept[fits])


def test_the_sign_bit_is_kept_and_overflow_is_silent():
    assert int(ops.shlf(-5, 5, 8)) == -32
    assert int(ops.shlf(5, 5, 8)) == 32


def test_conversions_there_and_back():
    for width in (8, 16):
        u = np.arange(2**width)
        signed = ops.contiguous_to_fractional(u, width)
        assert np.all(np.diff(signed) == 1)
        np.testing.assert_array_equal(ops.contiguous_to_modulo(signed, width), u)
        np.testing.assert_array_equal(ops.to_modulo(ops.to_fractional(u, width), width), u)
    np.testing.assert_array_equal(ops.narrowf(ops.widenf(SIGNED)), SIGNED)
    np.testing.assert_array_equal(ops.narrowm(ops.widenm(BYTES)), BYTES)


def test_weights_saturate_as_signed_bytes():
    weights = np.asarray(ops.satw(BYTES))
    np.testing.assert_array_equal(weights, np.where(BYTES > 127, 0, np.minimum(BYTES, 63)))
    np.testing.assert_array_equal(ops.satw(weights), weights)
    assert np.all(np.diff(np.asarray(ops.satw(SIGNED))) >= 0)


def _words(seed, count=50_000):
    generator = np.random.default_rng(seed)
    ends = [-(2**31), -(2**31) + 1, -65536, -1, 0, 1, 65535, 65536, 2**31 - 1]
    a, b = (x.ravel() for x in np.meshgrid(ends, ends))
    drawn = generator.integers(-(2**31), 2**31, (2, count))
    return np.append(drawn[0], a), np.append(drawn[1], b)


def test_scalar_code_has_no_64_bits_and_is_exact():
    a, b = _words(0)
    low, high = ops.limits(32)
    x, y = a.astype(np.int32), b.astype(np.int32)
    np.testing.assert_array_equal(ops.addf(x, y, 32), np.clip(a + b, low, high))
    np.testing.assert_array_equal(ops.subf(x, y, 32), np.clip(a - b, low, high))
    product = [min(int(p) * int(q) >> 31, high) for p, q in zip(a, b, strict=True)]
    np.testing.assert_array_equal(ops.mulf(x, y, 32), product)
    np.testing.assert_array_equal(ops.splat(x, 16), np.minimum((a + 2**15) >> 16, 32767))
    np.testing.assert_array_equal(ops.splat(x, 8), np.minimum((a + 2**23) >> 24, 127))


@pytest.mark.parametrize("k", [0, 20, 31, 47, 62])
def test_reciprocals(k):
    a = _words(1, 3000)[0]
    high = 2**31 - 1
    exact = [min(2**k // abs(int(q)), high) * (1 if q >= 0 else -1) if q else high for q in a]
    np.testing.assert_array_equal(ops.recip(a.astype(np.int32), k), exact)


@pytest.mark.parametrize("n", [1, 3, 8, 9])
def test_stochastic_rounding_keeps_the_mean_over_all_words(n):
    values = np.arange(-8000, 8000, 37)
    words = np.arange(2**16).reshape(-1, 1)[:: 2 ** (16 - n)]
    rounded = np.asarray(ops.sroundf(values, n, words, 16))
    assert np.all(rounded % 2**n == 0)
    floor = values // 2**n * 2**n
    assert np.all((rounded == floor) | (rounded == floor + 2**n))
    np.testing.assert_array_equal(rounded.mean(0), values)


def test_the_emitted_rounding_is_that_of_the_library():
    values = np.append(np.arange(-32768, 32768, 61), [32767, -32768])
    words = np.arange(0, 65536, 257).reshape(-1, 1)
    ours = ops.narrowf(ops.addf(values, words >> 8, 16))
    np.testing.assert_array_equal(ours, ops.sroundf(values, 8, words, 16) >> 8)


def test_stochastic_rounding_at_the_ends():
    assert int(ops.sroundf(5, 0, 65535, 16)) == 5
    assert int(ops.sroundf(-5, 16, 65535, 16)) == 0
    assert int(ops.sroundf(32767, 8, 65535, 16)) == 32767 // 256 * 256
    assert int(ops.sroundm(255, 4, 255, 8)) == (255 + 15) % 256 // 16 * 16
    assert int(ops.sroundm(255, 8, 255, 8)) == 0


def test_powers():
    assert int(ops.powm(3, 0, 8)) == int(ops.powf(3, 0, 8)) == 1
    assert int(ops.powf(64, 2, 8)) == 32


def test_the_functions_work_under_jit_and_vmap():
    a, b = jnp.arange(-5, 5), jnp.arange(10)
    product = jax.jit(jax.vmap(lambda x, y: ops.mulf(x * 1000, y * 900, 16)))(a, b)
    np.testing.assert_array_equal(product, ops.mulf(a * 1000, b * 900, 16))
