"""How values arrive: from bytes, counters, symbols and random words to fractional numbers."""

import math

import numpy as np

from ._builder import tight_exponent
from ._lowering import Lowering
from ._program import RawInput
from ._signals import Place, Signal, c_name
from ._trace import Const, Num

WORD = (0, 65535)


def load(ctx: Lowering, path: str, signal: Signal) -> Num:
    """The value of a signal, cut off at its declared range."""
    octave = round(math.log2(signal.scale))
    source = signal.source
    if source in ("symbol", "row_table", "column_table", "state"):
        return _declared(ctx, path, signal)
    if source in ("weight", "signed_weight", "label"):
        low = -63 if source == "signed_weight" else 0
        raw = RawInput(path, source, Place.SYN, low, 63)
        byte = ctx.builder.load(raw, "F", 8, 7 + octave)
        return Num(_widened(ctx, byte), source == "label" or signal.scale >= 1)
    if source == "time_index":
        raw = RawInput("time_index", source, Place.GLOBAL, 0, 32767, "time_index")
        count = ctx.builder.load(raw, "F", 32, 31)
        return Num(ctx.builder.shift_left(count, 16), True)
    if source == "noise":
        raw = RawInput(path, "tape", Place.SYN, *WORD)
        byte = ctx.builder.load(raw, "U", 8, part="low")
        signed = ctx.builder.op("to_fractional", (byte,), (), Place.SYN, "F", 8, octave, -128, 127)
        return Num(_widened(ctx, signed))
    if source == "random_label":
        return Num(_random_label(ctx, path, signal.bits), True)
    return _clipped(ctx, Num(_counted(ctx, path, signal, octave), signal.scale >= 1), signal)


def random_byte(ctx: Lowering, name: str, exponent: int) -> int:
    """The high byte of a random word, 0 to 255 of the least significant bits at an exponent."""
    build = ctx.builder
    byte = build.load(RawInput(name, "tape", Place.SYN, *WORD), "U", 8, part="high")
    wide = build.op("widenm", (byte,), (), Place.SYN, "U", 16, 0, 0, 255)
    return build.op("to_fractional", (wide,), (), Place.SYN, "F", 16, exponent, 0, 255)


def _widened(ctx, byte):
    op = ctx.builder.ops[byte]
    return ctx.builder.op(
        "widenf", (byte,), (), op.place, "F", 16, op.exponent, op.lo << 8, op.hi << 8
    )


def _unsigned(ctx, raw: RawInput, exponent: int) -> int:
    """A byte 0..255 as a number: never as a signed byte."""
    build = ctx.builder
    byte = build.load(raw, "U", 8)
    wide = build.op("widenm", (byte,), (), raw.place, "U", 16, 0, 0, 255)
    high = build.op("shlm", (wide,), (7,), raw.place, "U", 16, 0, 0, 255 << 7)
    return build.op("to_fractional", (high,), (), raw.place, "F", 16, exponent, 0, 255 << 7)


def _counted(ctx, path, signal, octave):
    exponent = 8 + octave
    if signal.source in ("rate", "membrane"):
        return _unsigned(ctx, RawInput(path, signal.source, Place.POST, 0, 255), exponent)
    name = f"baseline.{signal.source}"
    baseline = RawInput(name, "baseline", Place.POST, 0, 255, f"baseline_{signal.source}")
    reading = RawInput(path, signal.source, Place.SYN, 0, 255)
    return ctx.builder.sub(_unsigned(ctx, baseline, exponent), _unsigned(ctx, reading, exponent))


def _random_label(ctx, path, bits):
    build = ctx.builder
    byte = build.load(RawInput(path, "tape", Place.SYN, *WORD), "U", 8, part="low")
    high = build.op("shlm", (byte,), (8 - bits,), Place.SYN, "U", 8, 0, 0, 255)
    drawn = build.op("shrm", (high,), (8 - bits,), Place.SYN, "U", 8, 0, 0, (1 << bits) - 1)
    signed = build.op("to_fractional", (drawn,), (), Place.SYN, "F", 8, 7, 0, (1 << bits) - 1)
    return _widened(ctx, signed)


def _declared(ctx, path, signal):
    """A number whose format follows from its declared range; the host may write any integer."""
    width = 32 if signal.source in ("symbol", "row_table") else 16
    exponent = declared_exponent(signal)
    ulp = 2.0 ** (exponent - width + 1)
    greatest = (1 << (width - 1)) - 1
    if signal.source == "state":
        lo, hi = math.ceil(signal.lo / ulp), min(math.floor(signal.hi / ulp), greatest)
    else:
        lo, hi = -greatest - 1, greatest
    symbol = c_name(signal.name, len(ctx.builder.inputs))
    raw = RawInput(path, signal.source, signal.place, lo, hi, symbol)
    return _clipped(ctx, Num(ctx.builder.load(raw, "F", width, exponent)), signal)


def _clipped(ctx, value, signal):
    """Cuts off at the declared range, on the grid of the value."""
    op = ctx.builder.ops[value.id]
    ulp = op.ulp
    greatest = (1 << (op.width - 1)) - 1
    lo, hi = math.ceil(signal.lo / ulp), min(math.floor(signal.hi / ulp), greatest)
    for name, bound, needed in (("max", lo, op.lo < lo), ("min", hi, op.hi > hi)):
        if needed:
            made = ctx.extremum(name, value, Const(np.float64(bound * ulp)))
            assert isinstance(made, Num)
            value = Num(made.id, value.integer)
    return value


def declared_exponent(signal: Signal) -> int:
    """The exponent of a symbol, table or state; 2^n at the end of a range is cut off."""
    greatest = max(abs(signal.lo), abs(signal.hi))
    if math.frexp(greatest)[0] == 0.5:
        return max(round(math.log2(greatest)), -15)
    return tight_exponent(-greatest, greatest, 32)
