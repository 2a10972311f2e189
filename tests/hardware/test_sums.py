"""Sums over neurons inside of a rule: in real numbers, as integers, as a kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.hardware import (
    HostRun,
    UnsupportedOnPPU,
    batch_tables,
    causal,
    chip_rule,
    cost,
    emit_cpp,
    emulate,
    host_compiler,
    lower,
    noise,
    observed,
    random_inputs,
    rate,
    row_table,
    run_on_host,
    state,
    symbol,
    weight,
)
from plasticjax.plasticity import (
    EligibleSynapse,
    Update,
    over_synapses,
    sum_post,
    sum_pre,
)

ROWS = 20
SIGNALS = {
    "syn": weight(),
    "pre": row_table("x", -1.0, 1.0),
    "post": rate(scale=1 / 16),
    "third": symbol("target", 0.0, 1024.0),
    "obs": causal(scale=1 / 16),
}


def normalise(syn, pre, post, third, obs):
    """Weights share a sum."""
    return syn + 0.01 * (third - sum_pre(syn))


def drive(syn, pre, post, third, obs):
    """The presynaptic activity that a neuron gets, and that all of them share."""
    return syn + 0.02 * sum_pre(syn * pre) - 0.1 * pre * sum_pre(pre)


def compete(syn, pre, post, third, obs):
    """More than the mean of all neurons."""
    return syn + pre * (post - sum_post(post) / 256) + obs


def twice(syn, pre, post, third, obs):
    """A sum of a sum; columns that get much weight lose, and rows are visited three times."""
    mean = sum_pre(syn) / ROWS
    spread = sum_pre(jnp.abs(syn - mean)) / ROWS
    return syn + (mean - syn) * (spread > 9.5) / 8 + sum_post(spread) / 2048


def learn(syn, pre, post, third, obs):
    """Correlations are summed and not used again; the noise is used in the second visit only."""
    return syn + 0.5 * (sum_pre(obs[0]) / ROWS) + obs[1]


def balance(syn, pre, post, third, obs):
    """Weights with sign that sum to zero."""
    return syn - sum_pre(syn) / ROWS


RULES = {rule.__name__: rule for rule in (normalise, drive, compete, twice, learn, balance)}
OTHER = {"learn": {"obs": (causal(), noise())}, "balance": {"syn": weight(signed=True)}}


def lowered(name, rounding="nearest"):
    signals = {**SIGNALS, **OTHER.get(name, {})}
    return lower(RULES[name], rounding=rounding, rows=ROWS, **signals)


@pytest.mark.parametrize("name", RULES)
def test_integers_are_as_close_as_they_say(name):
    program = lowered(name)
    raw = random_inputs(program, (256, ROWS), seed=1)
    with jax.enable_x64(True):
        shapes = (256, ROWS), (ROWS,), (256,), (), (256, ROWS)
        seen = [
            jax.tree.map(lambda x, shape=shape: jnp.broadcast_to(x, shape), part)
            for part, shape in zip(observed(program, raw), shapes, strict=True)
        ]
        exact = np.asarray(over_synapses(Update(RULES[name]))(*seen))
    stored = np.asarray(emulate(program)(raw)["syn"])
    difference = stored - np.clip(exact, -63 if name == "balance" else 0, 63)
    low, high = program.error
    # The mean sum of `twice` can be on the other side of its threshold.
    assert np.all((difference > low - 0.5001) & (difference < high + 0.5001))
    assert np.mean(np.abs(difference)) < 0.6


def test_small_sums_by_hand():
    program = lower(normalise, rounding="floor", rows=4, syn=weight(),
                    third=symbol("target", 0.0, 256.0))  # fmt: skip
    weights = np.array([[1, 2, 3, 4], [60, 60, 60, 60]])
    raw = {"syn": weights, "third": 100 * 2**23}
    expected = np.floor(weights + 0.01 * (100 - weights.sum(1, keepdims=True)))
    np.testing.assert_array_equal(emulate(program)(raw)["syn"], expected)


@pytest.mark.skipif(host_compiler() is None, reason="g++ is not installed")
@pytest.mark.parametrize("target, part", [("pynn", 1.0), ("libnux", 0.7)])
def test_kernels_sum_as_the_emulation(target, part):
    """Of the columns that the handle has."""
    programs = [lowered(name, "stochastic") for name in RULES]
    used = np.random.default_rng(0).random(256) < part
    runs = [
        HostRun(tuple(random_inputs(p, (256, ROWS), seed=i + 9 * h) for h in (0, 1)), used * 1)
        for i, p in enumerate(programs)
    ]
    stored = run_on_host(programs, runs, target=target, optimize="-O0")
    for program, run, halves in zip(programs, runs, stored, strict=True):
        emulated = jax.jit(emulate(program))
        for raw, got in zip(run.inputs, halves, strict=True):
            columns = {i.name: i.place.name in ("POST", "SYN") for i in program.inputs}
            kept = {name: raw[name][used] if own else raw[name] for name, own in columns.items()}
            np.testing.assert_array_equal(got["syn"][used], emulated(kept)["syn"])
            np.testing.assert_array_equal(got["syn"][~used], raw["syn"][~used])


def test_rows_are_visited_once_more_for_each_sum_of_a_sum():
    for name, visits in (("compete", 1), ("normalise", 2), ("learn", 2), ("twice", 3)):
        text = emit_cpp(lowered(name))
        assert text.count("for (size_t r = 0; r < n_rows;") == visits
        assert text.count("get_correlation(r, true)") == (name in ("learn", "compete"))
    once = lower(lambda w, *_: w + 0.5, rows=ROWS, **SIGNALS)
    both = lower(lambda w, *_: w + sum_pre(w) / 64, rows=ROWS, **SIGNALS)
    assert cost(both).row_cycles > cost(once).row_cycles + 40  # the weights are read again


def eligible(syn, pre, post, third, obs):
    return EligibleSynapse(syn.w + 0.1 * sum_pre(syn.eligibility), 0.5 * syn.eligibility + obs / 64)


def test_states_are_summed_before_they_change():
    syn = EligibleSynapse(weight(), state(-4.0, 4.0))
    program = lower(eligible, syn=syn, obs=causal(), rounding="nearest", rows=ROWS)
    raw = random_inputs(program, (256, ROWS), seed=0)
    if host_compiler() is None:
        return
    stored = run_on_host([program], [HostRun((raw,))], optimize="-O0")[0][0]
    for name, value in emulate(program)(raw).items():
        np.testing.assert_array_equal(stored[name], value)


@pytest.mark.parametrize(
    "rule, reason",
    [
        (lambda w, x, n, a, c: w + sum_pre(n), "same for all presynaptic neurons; multiply it"),
        (lambda w, x, n, a, c: w + sum_pre(a), "same for all presynaptic neurons"),
        (lambda w, x, n, a, c: w + sum_post(x), "same for all postsynaptic neurons"),
        (lambda w, x, n, a, c: w + sum_post(w), "columns are summed once per call"),
        (lambda w, x, n, a, c: w + sum_pre(8.0 * w * w), r"the sum of 20 rows.* exceeds 2\^15"),
        (lambda w, x, n, a, c: w + sum_pre(c) * c, "obs is needed before and after a sum"),
        (lambda w, x, n, a, c: w + sum_pre(0 * x + 1), "it sums a constant"),
    ],
)
def test_refusals(rule, reason):
    with pytest.raises(UnsupportedOnPPU, match=reason):
        lower(rule, rows=ROWS, **SIGNALS)


def test_what_sums_cannot_be():
    program = lowered("normalise")
    raw = random_inputs(program, (4, ROWS + 1), seed=0)
    with pytest.raises(ValueError, match="at most 20 rows, got 21; lower it with rows=21"):
        emulate(program)(raw)
    with pytest.raises(ValueError, match="sums over neurons; inputs"):
        emulate(program)({"syn": 3, "third": 0})
    with pytest.raises(ValueError, match="program sums over neurons, and a rule"):
        chip_rule(program)
    with pytest.raises(ValueError, match="has sum_pre"):
        batch_tables([program])
