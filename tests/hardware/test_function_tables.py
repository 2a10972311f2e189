"""Functions: tables of bytes, tables of scalars, lines for synapses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.hardware import (
    HostRun,
    UnsupportedOnPPU,
    causal,
    emulate,
    host_compiler,
    lower,
    piecewise_linear,
    random_inputs,
    rate,
    row_table,
    run_on_host,
    symbol,
    weight,
)
from plasticjax.hardware._evaluate_ops import run_ops
from plasticjax.hardware._signals import Place
from tests.hardware.lowering import WIDE, compare_with_rule, lowered


@pytest.mark.parametrize(
    "function",
    [jnp.exp, jnp.tanh, jax.nn.sigmoid, jnp.sqrt, jnp.sin, jnp.log1p, jax.lax.erf, jnp.exp2,
     lambda u: 1 / (1 + u), lambda u: u**0.5, lambda u: jnp.exp(-jnp.exp(-u))],
)  # fmt: skip
def test_functions_of_one_byte_of_a_neuron_are_tables(function):
    def update(syn, pre, post, third, obs):
        return syn + function(post.u * 0.9) * obs.c / 64

    program = lowered(update, **{k: WIDE[k] for k in ("post", "obs")})
    assert len(program.tables) >= 1
    compare_with_rule(update, program)
    assert program.error[1] - program.error[0] < 0.1


def test_lines_replace_functions_of_synapses():
    lines = piecewise_linear(jnp.exp, -2.0, 1.0, 6)
    np.testing.assert_allclose(lines(jnp.array([-2.0, -1.5, 1.0, 9.0])),
                               np.exp([-2.0, -1.5, 1.0, 1.0]), rtol=1e-5)  # fmt: skip

    def update(syn, pre, post, third, obs):
        return syn + lines(obs.c / 128)

    program = lowered(update, obs=WIDE["obs"])
    compare_with_rule(update, program)
    assert program.error[1] - program.error[0] < 0.05


SCALARS = {
    "exp": (jnp.exp, -2.0, 3.0, 4e-4),
    "exp of a wide range": (jnp.exp, -8.0, 8.0, 2.0),
    "log": (jnp.log, 0.25, 4.0, 1e-3),
    "tanh": (jnp.tanh, -3.0, 2.0, 1e-4),
    "sigmoid": (jax.nn.sigmoid, -7.0, 9.0, 1e-4),
    "sqrt": (jnp.sqrt, 0.0, 2.0, 0.03),
    "sine": (jnp.sin, -10.0, 10.0, 2e-3),
    "power": (lambda x: x**0.7, 0.0, 1.5, 1e-2),
    "of a function": (lambda x: jnp.exp(-jnp.square(jnp.tanh(x))), -1.0, 1.0, 1e-4),
}


@pytest.mark.parametrize("name", SCALARS)
def test_functions_of_scalars_are_lines_between_entries(name):
    function, lo, hi, close = SCALARS[name]
    x, a = row_table("x", lo, hi), symbol("a", lo, hi)

    def update(syn, pre, post, third, obs):
        return syn + (function(pre) - function(third)) / 64

    program = lowered(update, pre=x, third=a)
    compare_with_rule(update, program)
    places = {op.place for op in program.ops if op.code == "lookup"}
    assert places == {Place.GLOBAL, Place.PRE}
    assert program.error[1] - program.error[0] < close / 8 + 0.01


def test_a_table_of_scalars_is_as_close_as_it_says_everywhere():
    program = lowered(lambda w, x, n, a, c: w + 8 * jnp.exp(a), third=symbol("a", -2.0, 1.0))
    number = next(n for n, op in enumerate(program.ops) if op.code == "addf" and op.width == 32)
    op = program.ops[number]
    q = np.linspace(-(2.0**31), 2**30, 20_001).astype(np.int64).astype(np.int32)
    got = np.asarray(run_ops(program.ops, [number], [np.zeros_like(q), q], program.tables)[number])
    difference = got * op.ulp - np.exp(q * 2.0**-30)
    assert op.error[0] <= difference.min() and difference.max() <= op.error[1]
    assert op.error[1] < 9e-5 and op.lo <= got.min() and got.max() <= op.hi
    cells = [len(program.tables[o.imm[0]]) for o in program.ops if o.code == "lookup"]
    assert cells == [193, 193]


def test_equal_tables_are_kept_once():
    program = lowered(
        lambda w, x, n, a, c: w + jnp.exp(a) * jnp.exp(a) + jnp.tanh(n),
        third=symbol("a", -1.0, 1.0), post=rate(scale=1 / 64),
    )  # fmt: skip
    assert len(program.tables) == 3


@pytest.mark.skipif(host_compiler() is None, reason="g++ is not installed")
def test_kernels_read_tables_of_scalars_as_the_emulation():
    def update(name):
        function, lo, hi, _ = SCALARS[name]
        rule = lambda w, x, n, a, c: w + (function(x) / 64 * c - function(a)) / 8  # noqa: E731
        return lower(rule, syn=weight(), pre=row_table("x", lo, hi), third=symbol("a", lo, hi),
                     obs=causal(), name=name)  # fmt: skip

    programs = [update(name) for name in SCALARS]
    runs = [HostRun((random_inputs(p, (256, 12), seed=i),)) for i, p in enumerate(programs)]
    stored = run_on_host(programs, runs, optimize="-O0", sanitize=True)
    for program, run, (got,) in zip(programs, runs, stored, strict=True):
        np.testing.assert_array_equal(got["syn"], emulate(program)(run.inputs[0])["syn"])


def test_functions_that_are_not_finite_are_refused():
    for function, lo, hi in ((jnp.log, 0.0, 1.0), (jnp.sqrt, -1.0, 1.0), (jax.lax.rsqrt, 0.0, 2.0)):
        with pytest.raises(UnsupportedOnPPU, match=r"is not finite .*\]; clip the argument"):
            lowered(lambda w, x, n, a, c, f=function: w + f(a), third=symbol("a", lo, hi))
