"""Emulation: integers only, invariant, unbiased; many programs at once agree with each alone."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.hardware import (
    anticausal,
    batch_tables,
    causal,
    column_table,
    decode,
    emulate,
    emulate_batch,
    encode,
    lower,
    observed,
    random_inputs,
    random_tape,
    rate,
    row_table,
    shipped_rules,
    state,
    symbol,
    weight,
)
from plasticjax.hardware._emulate_batch import _load, _run
from plasticjax.hardware._loader import loader_of
from plasticjax.plasticity import EligibleSynapse, EpisodicReward, Hebb, increment
from tests.hardware.random_rules import evolved_programs, quietly

SHAPE = (24, 20)


def jaxprs_in(jaxpr):
    yield jaxpr
    for eqn in jaxpr.eqns:
        for value in eqn.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if hasattr(inner, "jaxpr"):
                    yield from jaxprs_in(inner.jaxpr)
                elif hasattr(inner, "eqns"):
                    yield from jaxprs_in(inner)


def floats_in(closed):
    return {
        str(eqn)
        for jaxpr in jaxprs_in(closed.jaxpr)
        for eqn in jaxpr.eqns
        for atom in (*eqn.invars, *eqn.outvars)
        if jnp.issubdtype(atom.aval.dtype, jnp.inexact)
    }


@pytest.mark.parametrize("name", shipped_rules())
def test_no_floating_point_operation(name):
    program = shipped_rules()[name].lower()
    raw = random_inputs(program, SHAPE, seed=0)
    assert floats_in(jax.make_jaxpr(emulate(program))(raw)) == set()


def test_no_floating_point_operation_in_the_interpreter():
    program = shipped_rules()["r_stdp"].lower()
    tables = batch_tables([program])
    raw = random_inputs(loader_of(program), SHAPE, seed=0)
    vectors, scalars, _ = _load(tables, raw)
    code = [
        jnp.asarray(table)
        for table in (
            tables.scalars, tables.scalar_counts, tables.constants, tables.constant_counts,
            tables.vectors, tables.vector_counts, tables.stores,
        )
    ]  # fmt: skip
    run = partial(_run, tables.registers, 4, vectors=vectors, scalars=scalars)
    assert floats_in(jax.make_jaxpr(run)(jnp.arange(1), code)) == set()


@pytest.mark.parametrize("name", ["r_stdp", "delta", "structural"])
def test_jit_vmap_and_single_synapses_agree(name):
    program = shipped_rules()[name].lower()
    run = emulate(program)
    raws = [random_inputs(program, SHAPE, seed=seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *x: np.stack(x), *raws)
    many = jax.jit(jax.vmap(run))(stacked)
    for index, raw in enumerate(raws):
        for key, value in run(raw).items():
            np.testing.assert_array_equal(many[key][index], value)
    places = {wanted.name: wanted.place.name for wanted in program.inputs}
    pick = {"SYN": (3, 5), "POST": (3,), "PRE": (5,), "GLOBAL": ()}
    one = run({key: value[pick[places[key]]] for key, value in raws[0].items()})
    for key, value in one.items():
        assert value.shape == () and value == run(raws[0])[key][3, 5]


def test_stochastic_rounding_is_unbiased():
    program = shipped_rules()["stdp"].lower()
    raw = random_inputs(program, (16, 16), seed=1, extremes=0.0)
    run = jax.jit(jax.vmap(emulate(program), ({name: 0 if "round" in name else None
                                              for name in raw},)))  # fmt: skip
    nearest = shipped_rules()["stdp"].lower("floor")
    bound = nearest.output().bound
    from plasticjax.hardware._evaluate_ops import run_ops

    arrays = [
        raw[wanted.name] if raw[wanted.name].ndim == 2 else raw[wanted.name][:, None]
        for wanted in nearest.inputs
    ]
    value = np.asarray(run_ops(nearest.ops, [bound], arrays, ())[bound]) / 256
    inside = value < 63
    every = np.broadcast_to(np.arange(256)[:, None, None] << 8, (256, 16, 16))
    mean = np.asarray(run({**raw, "rounding.syn": every})["syn"]).mean(0)
    np.testing.assert_array_equal(mean[inside], value[inside])
    tapes = np.stack(
        [random_tape(program, (16, 16), key=jax.random.key(k))["rounding.syn"] for k in range(512)]
    )
    drawn = np.asarray(run({**raw, "rounding.syn": tapes})["syn"])
    part = value - np.floor(value)
    error = (drawn - value)[:, inside].mean()
    sem = np.sqrt((part * (1 - part))[inside].mean() / drawn[:, inside].size)
    assert abs(error) < 3 * sem


def test_zero_correlation_changes_nothing_on_average():
    program = shipped_rules()["stdp"].lower()
    shape = (64, 64)
    generator = np.random.default_rng(0)
    noisy = lambda: 180 + np.rint(generator.normal(0, 1, shape)).astype(int)  # noqa: E731
    raw = {
        "syn": np.full(shape, 30),
        "obs.causal": noisy(),
        "obs.anticausal": noisy(),
        "baseline.causal": np.full(64, 180),
        "baseline.anticausal": np.full(64, 180),
        **random_tape(program, shape, key=jax.random.key(1)),
    }
    change = np.asarray(emulate(program)(raw)["syn"]) - 30.0
    assert abs(change.mean()) < 3 * change.std() / 64 + 0.005


def test_debug_asserts_the_declared_ranges():
    program = lower(increment(EpisodicReward(0.3)), syn=EligibleSynapse(weight(), state(-1.0, 1.0)),
                    third=symbol("r", -1.0, 1.0))  # fmt: skip
    raw = random_inputs(program, SHAPE, seed=0)
    run = eqx.filter_jit(emulate(program, debug=True))
    run(raw)
    with pytest.raises(eqx.EquinoxRuntimeError, match=r"syn.w must lie in \[0, 63\]"):
        run({**raw, "syn.w": raw["syn.w"] + 64})["syn.w"].block_until_ready()


def test_bad_inputs_are_named():
    program = shipped_rules()["r_stdp"].lower()
    raw = random_inputs(program, SHAPE, seed=0)
    for change, message in (
        ({"syn": raw["syn"] * 1.0}, "'syn' must be integers, got float"),
        ({"syn": raw["syn"][0]}, r"'syn' must be \[post, pre\] or a scalar"),
        ({"third.reward": raw["syn"][0]}, "'third.reward' must be a scalar"),
    ):
        with pytest.raises(ValueError, match=message):
            emulate(program)({**raw, **change})
    del raw["obs"]
    with pytest.raises(ValueError, match="'obs' is missing"):
        emulate(program)(raw)


def test_what_the_host_writes():
    signal = symbol("f", -1 / 8, 1 / 8)
    assert encode(signal, 0.07) == 1202590843
    assert encode(signal, 5.0) == 2**31 - 1
    assert encode(row_table("x", 0.0, 3.0), 1.5) == round(1.5 * 2**29)
    kept = state(-1.0, 1.0)
    np.testing.assert_allclose(decode(kept, encode(kept, [0.25, -2.0])), [0.25, -1.0])
    np.testing.assert_array_equal(decode(weight(scale=1 / 64), [32]), [0.5])
    with pytest.raises(ValueError, match="does not write weight"):
        encode(weight(), 3)
    with pytest.raises(ValueError, match="must be finite"):
        encode(signal, np.nan)


def test_what_the_rule_sees():
    program = lower(
        increment(lambda syn, pre, post, third, obs: pre * post[0] * post[1] * third * obs),
        syn=weight(), pre=row_table("x", 0.0, 1.0), third=symbol("r", -2.0, 2.0),
        post=(rate(scale=1 / 256), column_table("t", -1.0, 1.0)), obs=causal(),
    )  # fmt: skip
    raw = {
        "syn": np.full((2, 3), 7), "pre": np.full(3, 2**30), "post.0": np.array([128, 255]),
        "post.1": np.array([-(2**14), 2**14]), "third": 2**30, "obs": np.full((2, 3), 100),
        "baseline.causal": np.array([90, 120]),
    }  # fmt: skip
    syn, pre, post, third, obs = observed(program, raw)
    assert np.all(syn == 7) and np.all(pre == 0.5) and third == 1.0
    np.testing.assert_array_equal(post[0], [0.5, 255 / 256])
    np.testing.assert_array_equal(post[1], [-0.5, 0.5])
    np.testing.assert_array_equal(obs[:, 0], [-10, 20])


def test_integers_stay_32_bits_wide_in_double_precision(x64):
    program = shipped_rules()["r_stdp"].lower()
    raw = random_inputs(program, SHAPE, seed=0)
    with jax.enable_x64(False):
        single = emulate(program)(raw)["syn"]
        batch = emulate_batch(batch_tables([program]))(raw)["syn"][0]
    np.testing.assert_array_equal(emulate(program)(raw)["syn"], single)
    np.testing.assert_array_equal(emulate_batch(batch_tables([program]))(raw)["syn"][0], batch)
    np.testing.assert_array_equal(single, batch)


# -- many programs -------------------------------------------------------------------------------


def check_batch(programs, shape=SHAPE, threads=None, raw=None):
    tables = batch_tables(programs)
    raw = random_inputs(tables.loader, shape, seed=3) if raw is None else raw
    many = emulate_batch(tables, threads=threads)(raw)
    for index, program in enumerate(programs):
        mine = {
            wanted.name: raw[wanted.name][index]
            if np.shape(raw[wanted.name])[:1] == (len(programs),)
            and np.ndim(raw[wanted.name]) > {"SYN": 2, "GLOBAL": 0}.get(wanted.place.name, 1)
            else raw[wanted.name]
            for wanted in program.inputs
        }
        for key, value in emulate(program)(mine).items():
            np.testing.assert_array_equal(many[key][index], value, err_msg=f"{key} of\n{program}")


@pytest.mark.parametrize("rounding", ["stochastic", "toward_zero"])
def test_a_batch_of_evolved_rules(rounding):
    check_batch([program for _, program in evolved_programs(8, rounding)])


def test_batches_of_one_and_of_odd_sizes_and_threads():
    programs = [program for _, program in evolved_programs(7)]
    for count, threads in ((1, 1), (7, 3)):
        check_batch(programs[:count], (5, 3), threads)


def test_blocks_of_lanes():
    check_batch([program for _, program in evolved_programs(2)], (200, 150))


def test_inputs_of_their_own():
    programs = [program for _, program in evolved_programs(4)]
    loader = loader_of(programs[0])
    raws = [random_inputs(loader, SHAPE, seed=seed) for seed in range(4)]
    raw = {
        key: value if key in ("pre", "baseline.causal") else np.stack([r[key] for r in raws])
        for key, value in raws[0].items()
    }
    check_batch(programs, raw=raw)


def test_states_signed_weights_and_reciprocals_in_a_batch():
    syn = EligibleSynapse(weight(signed=True), state(-4.0, 4.0))
    post = (rate(scale=1 / 256), column_table("t", -1.0, 1.0))
    third = (symbol("r", -1.0, 1.0), symbol("s", 0.5, 2.0))

    def make(a, b):
        def rule(syn, pre, post, third, obs):
            change = a * pre * post[0] * obs[0] / third[1] - third[0] * jnp.abs(obs[1]) * b
            return EligibleSynapse(syn.eligibility * third[0], change - 0.1 * syn.eligibility)

        return rule

    programs = [
        quietly(increment(make(a, b)), "stochastic", f"{a}",
                {"syn": syn, "post": post, "third": third, "pre": row_table("x", -1.0, 1.0),
                 "obs": (causal(scale=1 / 64), anticausal(scale=1 / 64))})
        for a, b in ((0.3, 1.0), (2.0, -0.25), (-1.7, 0.0))
    ]  # fmt: skip
    check_batch(programs)


def test_batches_of_different_signals_are_refused():
    first = lower(increment(Hebb()), syn=weight(), pre=row_table("x", 0.0, 1.0), post=rate())
    other = lower(increment(Hebb()), syn=weight(), pre=row_table("x", 0.0, 2.0), post=rate())
    with pytest.raises(ValueError, match="must have the signals and rounding"):
        batch_tables([first, other])
    with pytest.raises(ValueError, match="must not be empty"):
        batch_tables([])
    table = lower(
        lambda s, pre, post, *_: s + jnp.tanh(post), syn=weight(), post=rate(scale=1 / 64)
    )
    with pytest.raises(ValueError, match="has lookup tables; run it with emulate"):
        batch_tables([table])


SPEED = """
import time
import numpy as np
from plasticjax.hardware import batch_tables, emulate_batch, random_inputs
from benchmarks._workers._evolved_rules import SIGNALS, quietly
from tests.hardware.random_rules import evolved_programs

pairs = evolved_programs(1000)
lowering = []
for update, program in pairs[:20]:
    start = time.perf_counter()
    quietly(update, "stochastic", "again", SIGNALS)
    lowering.append(time.perf_counter() - start)
programs = [program for _, program in pairs]
raw = random_inputs(batch_tables(programs[:1]).loader, (128, 128), seed=0)
speeds = []
for _ in range(4):
    start = time.perf_counter()
    out = emulate_batch(batch_tables(programs))(raw)["syn"]
    speeds.append(out.block_until_ready().size / (time.perf_counter() - start))
print(np.median(lowering), max(speeds))
"""


@pytest.mark.slow
def test_a_thousand_rules_run_at_speed():
    # In a process of its own: here every call is checked for types, which takes most of the time.
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SPEED], capture_output=True, text=True, check=True, cwd=root
    )
    lowering, speed = map(float, done.stdout.split())
    assert lowering < 0.05
    assert speed > 3e7
