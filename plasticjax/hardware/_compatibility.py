"""Kernels of public demonstrations, bit for bit: 8-bit arithmetic with its dead zones and bugs."""

from typing import Any

from ._builder import EXACT, Builder
from ._program import IntegerProgram, Output, RawInput
from ._signals import Place, c_name, causal, rate, symbol, weight


def homeostasis_8bit(target: int = 60) -> IntegerProgram:
    """The homeostasis demonstration: w + sign(target - n), in 8 bits.

    The count of spikes is read as a signed byte, so 128 spikes and more count as negative and the
    weight rises. The lowered rule `shipped_rules()["homeostasis"]` does not do this. Source: public
    tutorial of the chip.

    Args:
        target: spikes per call, 0 to 127.

    Returns:
        The program.

    Raises:
        ValueError: if the target does not fit.
    """
    if not 0 <= target <= 127:
        raise ValueError(f"target={target} must be 0 to 127")
    b = Builder()
    w = b.load(RawInput("syn", "weight", Place.SYN, 0, 63), "F", 8, 7)
    count = b.load(RawInput("post", "rate", Place.POST, 0, 255), "U", 8)
    n = b.op("to_fractional", (count,), (), Place.POST, "F", 8, 7, -128, 127)
    difference = b.sub(b.raw_constant(target, 8, 7), n)
    one, zero, minus = (b.raw_constant(q, 8, 7) for q in (1, 0, -1))
    sign = b.select(difference, "greater_equal", one, minus, EXACT)
    sign = b.select(difference, "equal", zero, sign, EXACT)
    return _program(b, f"homeostasis_8bit({target})", b.add(w, sign), (weight(), rate()))


def pong_8bit() -> IntegerProgram:
    """The demonstration of R-STDP in the game of Pong, in 8 bits, toward zero.

    Half of the causal correlation times a rate that the host writes, `beta (R - mean R)` in
    [-1, 1); it is rounded down and then up by one where negative, so small changes are lost and
    -1 LSB becomes 0. Source: Wunderlich et al. (2019), Front. Neurosci. 13, 260, as in the public
    demonstration.

    Returns:
        The program.
    """
    b = Builder()
    w = b.load(RawInput("syn", "weight", Place.SYN, 0, 63), "F", 8, 7)
    baseline = _halved(b, RawInput(
        "baseline.causal", "baseline", Place.POST, 0, 255, "baseline_causal"
    ))  # fmt: skip
    reading = _halved(b, RawInput("obs", "causal", Place.SYN, 0, 255))
    name = c_name("rate", 3)
    word = b.load(RawInput("third", "symbol", Place.GLOBAL, -(2**31), 2**31 - 1, name), "F", 32, 0)
    factor = b.op("splat", (word,), (), Place.GLOBAL, "F", 8, 0, -128, 127)
    change = b.product(b.sub(baseline, reading), factor)
    up = b.add(change, b.raw_constant(1, 8, 7))
    change = b.select(change, "lesser", up, change, EXACT)
    signals = (weight(), None, symbol("rate", -1.0, 1.0), causal())
    return _program(b, "pong_8bit", b.add(w, change), signals)


def _halved(b: Builder, raw: RawInput) -> int:
    """(byte >> 1) - 128 of an unsigned byte."""
    byte = b.load(raw, "U", 8)
    half = b.op("shrm", (byte,), (1,), raw.place, "U", 8, 0, 0, 127)
    return b.op("contiguous_to_fractional", (half,), (), raw.place, "F", 8, 7, -128, -1)


def _program(b: Builder, name: str, total: int, signals: tuple[Any, ...]) -> IntegerProgram:
    """Cuts a sum off at 0 and 63 and stores it."""
    zero, most = b.raw_constant(0, 8, 7), b.raw_constant(63, 8, 7)
    cut = b.select(total, "greater", total, zero, EXACT)
    cut = b.select(b.sub(cut, most), "greater", most, cut, EXACT)
    byte = b.op("to_modulo", (cut,), (), Place.SYN, "U", 8, 0, 0, 63)
    syn, post, third, obs = (*signals, None, None)[:4]
    return IntegerProgram(
        name,
        tuple(b.ops),
        tuple(b.inputs),
        (Output("syn", "weight", byte, cut),),
        (syn, None, post, third, obs),
        {"syn": 0},
        "floor",
    )
