"""What cannot be lowered is refused by name; what will hardly work on the chip warns."""

import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from plasticjax.hardware import (
    Signal,
    UnsupportedOnPPU,
    causal,
    cost,
    emulate,
    lower,
    piecewise_linear,
    random_label,
    rate,
    row_table,
    state,
    symbol,
    weight,
)
from plasticjax.plasticity import Hebb, Oja, increment
from tests.hardware.lowering import lowered


def correlate(syn, pre, post, third, obs):
    return syn + third * obs


def uses_exp(syn, pre, post, third, obs):
    return syn + jnp.exp(obs)  # the line that is named


def uses_while(syn, pre, post, third, obs):
    return lax.while_loop(lambda v: v < 9, lambda v: v + obs, syn)


def uses_key(syn, pre, post, third, obs):
    return syn + jax.random.uniform(jax.random.key(0)) * obs


def uses_print(syn, pre, post, third, obs):
    jax.debug.print("{}", syn)
    return syn


def uses_sum(syn, pre, post, third, obs):
    return syn + jnp.sum(jnp.stack([syn, obs]))


def divides(syn, pre, post, third, obs):
    return syn / (obs + 300)


def divides_by_what_can_be_zero(syn, pre, post, third, obs):
    return syn / third


def explodes(syn, pre, post, third, obs):
    return syn + obs**4


def long_loop(syn, pre, post, third, obs):
    return lax.fori_loop(0, 17, lambda i, v: v * 0.5 + obs, syn)


def bits(syn, pre, post, third, obs):
    return syn + (obs.astype(jnp.int32) & 3)


def infinite(syn, pre, post, third, obs):
    return syn * jnp.inf + obs


def wraps(syn, pre, post, third, obs):
    return syn + obs.astype(jnp.uint8)


def fractional_power(syn, pre, post, third, obs):
    return syn + jnp.abs(obs) ** 0.7


@pytest.mark.parametrize(
    "function, message",
    [
        (
            uses_exp,
            r"exp of a SYN value .* use piecewise_linear\n.*jnp.exp\(obs\)  # the line that",
        ),
        (uses_while, r"while .* not static; use lax.fori_loop .*\n.*while_loop"),
        (uses_print, r"side effects; remove callbacks"),
        (uses_sum, r"lanes cannot see each other|array of shape"),
        (uses_key, r"random keys do not exist on the chip; read the observable noise"),
        (divides, r"div of a SYN value .* divisor belongs to each synapse"),
        (divides_by_what_can_be_zero, r"div of .* \[-1, 1\], can be 0; declare or clip"),
        (explodes, r"exceeds 2\^15; clip an input or use a smaller unit\n.*obs\*\*4"),
        (long_loop, r"17 steps; loops are unrolled, so at most 16"),
        (bits, r"and of a SYN value .* bits of numbers cannot be reached"),
        (infinite, r"a constant is infinite"),
        (wraps, r"does not fit uint8.*clip it, or use int32"),
        (fractional_power, r"use piecewise_linear"),
    ],
)
def test_refusals_name_line_reason_and_remedy(function, message):
    with pytest.raises(UnsupportedOnPPU, match=message):
        lowered(function, third=symbol("a", -1.0, 1.0), obs=causal())


def test_float64_is_refused():
    def update(syn, pre, post, third, obs):
        return (syn.astype(jnp.float64) * 0.5).astype(jnp.float32)

    with jax.enable_x64(True), pytest.raises(UnsupportedOnPPU, match="float64"):
        lowered(update)


def test_a_rounded_half_warns():
    with pytest.warns(UserWarning, match="ties are rounded up, not to even"):
        program = lowered(lambda syn, pre, post, third, obs: syn + jnp.round(obs / 8), obs=causal())
    raw = {"syn": np.full((1, 2), 9), "obs": np.array([[100, 100]]), "baseline.causal": 112}
    assert np.all(np.asarray(emulate(program)(raw)["syn"]) == 11)


def test_small_changes_without_stochastic_rounding_warn():
    rule = increment(Hebb(0.1))
    signals = {"syn": weight(), "pre": row_table("x", 0.0, 1.0), "post": rate(scale=1 / 256)}
    with pytest.warns(UserWarning, match="changes are at most 0.09.* use 'stochastic'"):
        lower(rule, rounding="toward_zero", **signals)


def test_a_short_period_warns():
    signals = {"syn": weight(), "pre": row_table("x", 0.0, 1.0), "post": rate(scale=1 / 256)}
    with pytest.warns(UserWarning, match=r"takes about .* us for 100 rows.* use at least"):
        program = lower(increment(Oja()), period=100.0, rows=100, **signals)
    estimate = cost(program, 100)
    assert 300 < estimate.microseconds < 3000
    assert estimate.registers <= 28


def test_memory_that_is_not_there_warns():
    class Synapse(NamedTuple):
        w: Signal
        a: Signal
        b: Signal

    syn = Synapse(weight(), state(-1.0, 1.0), state(-1.0, 1.0))
    update = lambda syn, *_: Synapse(syn.w + syn.a, syn.b, syn.a)  # noqa: E731
    with pytest.warns(UserWarning, match="262144 bytes of external block memory"):
        lower(update, syn=syn)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lower(update, syn=syn, rows=100)


def test_many_vectors_that_wait_warn():
    def update(syn, pre, post, third, obs):
        parts = [jnp.abs(obs / 16 - k) for k in range(20)]
        total = syn
        for part in parts[::-1]:
            total = jnp.maximum(total, part) if total is syn else total * 0.5 + part
        return total

    with pytest.warns(UserWarning, match="vectors wait at once and the chip has 28"):
        lower(update, syn=weight(), obs=causal())


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: lower(Oja(), syn=weight()), "lower increment"),
        (lambda: lower(3, syn=weight()), "update must be callable"),
        (lambda: lower(correlate, syn=weight(), rounding="up"), "rounding='up' must be one of"),
        (lambda: lower(correlate, syn=rate()), "syn must belong to SYN"),
        (lambda: lower(correlate, syn=causal()), r"syn must be weight\(\)"),
        (lambda: lower(correlate, syn=state(0, 1)), "syn must have one weight"),
        (lambda: lower(correlate, syn=weight(), third=causal()), "third must belong to GLOBAL"),
        (lambda: lower(correlate, syn=weight(), obs=weight()), "obs is read-only"),
        (lambda: lower(correlate, syn=weight(), pre="x"), "pre must be a signal"),
        (lambda: lower(correlate, syn=weight(), post=(rate(), rate())), "declared at post.0 and"),
        (lambda: weight(scale=0.3), "must be a positive power of two"),
        (lambda: causal(lo=-300), r"must lie in \[-255.0, 255.0\]"),
        (lambda: symbol("a", 1.0, 0.0), "finite and ordered"),
        (lambda: symbol("a", 0.0, np.inf), "finite and ordered"),
        (lambda: symbol("a", 0.0, 1e9), "within 2\\^15"),
        (lambda: random_label(7), "bits=7 must be 1 to 6"),
        (lambda: piecewise_linear(jnp.log, 0.0, 1.0), "function must be finite"),
        (lambda: piecewise_linear(jnp.exp, 1.0, 0.0), "must be below"),
        (lambda: piecewise_linear(jnp.exp, 0.0, 1.0, 9), "segments=9 must be 1 to 8"),
        (lambda: lower(lambda s, *_: (s, s), syn=weight()), "must return the structure of syn"),
    ],
)
def test_bad_declarations(make, message):
    with pytest.raises(ValueError, match=message):
        make()
