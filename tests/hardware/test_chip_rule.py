"""Lowered programs as rules of the emulated chip, one by one and as data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.hardware import (
    Plasticity,
    RowView,
    RowWrite,
    batch_tables,
    chip_rule,
    emulate,
    lower,
    random_inputs,
    rate,
    rule_code,
    shipped_rules,
    state,
    symbol,
    time_index,
    weight,
)
from plasticjax.plasticity import increment
from tests.hardware.random_rules import evolved_programs, quietly
from tests.hardware.small_chip import KEY, ideal_chip, one_row
from tests.hardware.small_chip import emulate as run_small

SHAPE = (5, 3)


def check_code(programs, shape=SHAPE):
    code = rule_code(batch_tables(programs))
    loader = batch_tables(programs).loader
    raw = random_inputs(loader, shape, seed=1)
    many = jax.jit(jax.vmap(lambda one: one(raw)))(code)
    for index, program in enumerate(programs):
        mine = {wanted.name: raw[wanted.name] for wanted in program.inputs}
        for name, value in emulate(program)(mine).items():
            np.testing.assert_array_equal(many[name][index], value, err_msg=str(program))


@pytest.mark.parametrize("rounding", ["stochastic", "toward_zero"])
def test_code_gives_what_each_program_gives(rounding):
    check_code([program for _, program in evolved_programs(6, rounding)])


def test_code_divides_and_keeps_states():
    def make(a):
        def rule(syn, pre, post, third, obs):
            return {"w": syn["e"] * a / third[1], "e": a * post - third[0] * syn["e"]}

        return rule

    signals = {
        "syn": {"w": weight(), "e": state(-4.0, 4.0)},
        "post": rate(scale=1 / 256),
        "third": (symbol("r", -1.0, 1.0), symbol("s", 0.5, 2.0)),
    }
    check_code([quietly(increment(make(a)), "nearest", f"{a}", signals) for a in (0.5, -1.3)])


def test_equal_sizes_of_code_compile_once():
    programs = [program for _, program in evolved_programs(6)]
    raw = random_inputs(batch_tables(programs).loader, SHAPE, seed=0)
    traced = []

    @jax.jit
    def run(code):
        traced.append(code)
        return jax.vmap(lambda one: one(raw)["syn"])(code)

    for some in (programs[:3], programs[3:]):
        run(rule_code(batch_tables(some)))
    assert len(traced) <= 2  # lengths may differ by a multiple of 16
    run(rule_code(batch_tables(programs[:3][::-1])))
    assert len(traced) <= 2


# -- what a rule reads of a row --------------------------------------------------------------------

HOST = {
    "third.reward": 2**20,
    "third.mean": 2**19,
    "third": -(2**28),
    "post.target": np.array([[0, 1, 2, 3, 4], [50, 6000, 7000, 8000, 90]]),
    "pre": np.array([2**30, 2**29]),
}


def row_view(**changes):
    generator = np.random.default_rng(0)
    bytes_of = lambda hi=255: jnp.asarray(generator.integers(0, hi + 1, 5), jnp.int32)  # noqa: E731
    view = RowView(
        *(bytes_of(63), bytes_of(63), *(bytes_of() for _ in range(6))),
        row=jnp.int32(1), hemisphere=jnp.int32(1), call=jnp.int32(3), state=None, symbols=HOST,
    )  # fmt: skip
    return view._replace(**changes)


def by_hand(program, view, key):
    """Renames the fields of a view for one program, in NumPy."""
    column = lambda values: np.asarray(values)[:, None]  # noqa: E731
    found = {
        "syn": column(view.weights), "syn.w": column(view.weights),
        "syn.label": column(view.labels),
        "post": view.rates, "post.membrane": view.membranes,
        "post.target": HOST["post.target"][1], "pre": HOST["pre"][1:2],
        "obs.causal": column(view.causal), "obs.anticausal": column(view.anticausal),
        "obs": column(view.causal), "baseline.causal": view.baseline_causal,
        "baseline.anticausal": view.baseline_anticausal,
        **{name: HOST[name] for name in ("third", "third.reward", "third.mean")},
    }  # fmt: skip
    words = [raw.name for raw in program.inputs if raw.kind == "tape"]
    drawn = {
        name: jax.random.randint(jax.random.fold_in(key, number), (5, 1), 0, 65536)
        for number, name in enumerate(words)
    }
    return {**found, **drawn}


@pytest.mark.parametrize("name", ["homeostasis", "stdp", "r_stdp", "structural", "delta"])
def test_rows_become_the_inputs_of_a_program(name):
    shipped = shipped_rules()[name]
    signals = {**shipped.signals, "syn": weight()} if name == "delta" else shipped.signals
    program = quietly(shipped.update, shipped.rounding, name, signals)
    view = row_view()
    raw = by_hand(program, view, KEY)
    expected = emulate(program)({wanted.name: raw[wanted.name] for wanted in program.inputs})
    code = jax.tree.map(lambda leaf: leaf[0], rule_code(batch_tables([program])))
    one = chip_rule(program)(view, KEY)
    two = chip_rule(code)(view, KEY)
    for written in (one, two):
        path = "syn.w" if name == "structural" else "syn"
        np.testing.assert_array_equal(written.weights, expected[path][:, 0])
        if name == "structural":
            np.testing.assert_array_equal(written.labels, expected["syn.label"][:, 0])
        else:
            assert written.labels is None


def test_states_and_the_time_index_are_kept():
    def update(syn, pre, post, third, obs):
        return {"w": syn["w"] + 1, "e": syn["e"] + 0.125 * jnp.minimum(third, 4.0)}

    program = lower(update, syn={"w": weight(), "e": state(0.0, 1.0)}, third=time_index(),
                    rounding="floor")  # fmt: skip
    chip = ideal_chip(columns=2, hemispheres=2)
    rule = Plasticity(chip_rule(program), 10.0, 30.0, 3, rows=(0,), row_us=1.0, call_us=0.0,
                      state={"syn.e": jnp.zeros(chip.shape, jnp.int32)})  # fmt: skip
    run = run_small([], 100.0, chip=chip, config=one_row(chip, 7), rules=[rule])
    np.testing.assert_array_equal(run.state.weights[..., 0], 10)
    kept = run.rules[0].state["syn.e"]
    np.testing.assert_array_equal(kept[..., 0], 3 * 2**12)  # (0 + 1 + 2) / 8
    np.testing.assert_array_equal(kept[..., 1], 0)


def test_rules_that_read_nothing_of_a_synapse():
    half = lower(lambda syn, pre, *_: 32.0 * pre, syn=weight(), pre=symbol("p", 0.0, 1.0),
                 rounding="floor")  # fmt: skip
    written = chip_rule(half)(row_view(symbols={"pre": 2**30}), KEY)
    np.testing.assert_array_equal(written.weights, np.full(5, 16))


# -- on the chip -----------------------------------------------------------------------------------


def towards_three(syn, pre, post, third, obs):
    return syn + jnp.sign(3.0 - post)


def by_integers(view, key):
    return RowWrite(view.weights + jnp.sign(3 - view.rates))


def weights_under(rule):
    chip = ideal_chip(columns=4)
    config = one_row(chip, np.array([[[10, 0], [45, 0], [62, 0], [63, 0]]]))
    times = np.arange(1.0, 2000.0, 3.0)
    rule = Plasticity(rule, 40.0, 40.0, 45, rows=(0,), row_us=2.0, call_us=0.0)
    run = run_small(times, 1960.0, chip=chip, config=config, rules=[rule], sensors=False)
    return np.asarray(run.weights)[:, 0, :, 0]


def test_a_lowered_rule_runs_as_integers_written_by_hand():
    program = lower(towards_three, syn=weight(), post=rate(), rounding="floor")
    lowered = weights_under(chip_rule(program))
    np.testing.assert_array_equal(lowered, weights_under(by_integers))
    assert lowered[0].tolist() == [11, 44, 61, 62] and lowered[-1].max() < 30


@pytest.mark.slow
def test_many_rules_on_as_many_chips():
    targets = (1.0, 7.0)

    def make(target):
        return lambda syn, pre, post, *_: syn + jnp.sign(target - post)

    programs = [
        lower(make(target), syn=weight(), post=rate(), rounding="floor") for target in targets
    ]
    chip = ideal_chip(columns=2)

    def course(one):
        rule = Plasticity(chip_rule(one), 40.0, 40.0, 10, rows=(0,), row_us=2.0, call_us=0.0)
        run = run_small(np.arange(1.0, 400.0, 3.0), 450.0, chip=chip, config=one_row(chip, 50),
                        rules=[rule], sensors=False)  # fmt: skip
        return run.weights

    many = jax.jit(jax.vmap(course))(rule_code(batch_tables(programs)))
    for program, found in zip(programs, many, strict=True):
        np.testing.assert_array_equal(found, course(program))


def test_what_is_missing_is_named():
    delta = shipped_rules()["delta"]
    with pytest.raises(ValueError, match="signed=False must be True"):
        Plasticity(chip_rule(delta.lower()), 0.0, 10.0, 1)
    pairs = Plasticity(chip_rule(delta.lower()), 0.0, 10.0, 1, rows=(3,), signed=True)
    with pytest.raises(ValueError, match="leave room for the inhibitory row"):
        pairs.served(4)
    assert Plasticity(pairs.rule, 0.0, 10.0, 1, signed=True).served(4) == (0, 2)
    program = quietly(delta.update, "nearest", "delta", {**delta.signals, "syn": weight()})
    with pytest.raises(ValueError, match=r"symbols must be a dictionary with 'pre'.*got NoneType"):
        chip_rule(program)(row_view(symbols=None), KEY)
    with pytest.raises(ValueError, match=r"with 'post.target', a column_table"):
        chip_rule(program)(row_view(symbols={"pre": 1}), KEY)
