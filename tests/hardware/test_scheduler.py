from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasticjax.hardware import Plasticity, timetable


def timer(start, period, calls):
    return SimpleNamespace(start_us=start, period_us=period, calls=calls)


def entries(plan):
    return [(call.start_us, call.rule, call.slot) for call in plan.calls]


def test_two_rules_interleave_as_computed_by_hand():
    plan = timetable([timer(0.0, 10.0, 4), timer(0.0, 20.0, 2)], [3.0, 4.0], 50.0)
    by_hand = [
        (0.0, 0, 0),
        (3.0, 1, 0),
        (10.0, 0, 1),
        (20.0, 0, 2),
        (23.0, 1, 1),
        (30.0, 0, 3),
    ]
    assert entries(plan) == by_hand
    assert plan.skipped == 0


def test_the_earliest_deadline_goes_first():
    plan = timetable([timer(5.0, 100.0, 1), timer(2.0, 100.0, 1), timer(0.0, 100.0, 1)],
                     [1.0, 1.0, 7.0], 50.0)  # fmt: skip
    assert entries(plan) == [(0.0, 2, 0), (7.0, 1, 0), (8.0, 0, 0)]


def test_an_overrun_skips_slots_and_queues_none():
    plan = timetable([timer(0.0, 10.0, 8)], [25.0], 100.0)
    assert entries(plan) == [(0.0, 0, 0), (30.0, 0, 3), (60.0, 0, 6)]
    assert plan.skipped == 5
    exact = timetable([timer(0.0, 10.0, 8)], [10.0], 100.0)
    assert len(exact.calls) == 8 and exact.skipped == 0


def test_a_call_that_does_not_fit_is_skipped():
    plan = timetable([timer(0.0, 10.0, 3)], [6.0], 25.0)
    assert entries(plan) == [(0.0, 0, 0), (10.0, 0, 1)]
    assert plan.skipped == 1


def test_a_later_piece_goes_on():
    rules, took = [timer(0.0, 10.0, 6), timer(0.0, 20.0, 3)], [3.0, 4.0]
    whole = entries(timetable(rules, took, 60.0))
    pieces = [*entries(timetable(rules, took, 30.0)), *entries(timetable(rules, took, 60.0, 30.0))]
    assert pieces == whole


@given(
    timers=st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 30), st.integers(0, 10), st.integers(0, 40)),
        min_size=1,
        max_size=4,
    )
)
def test_every_slot_is_executed_or_skipped(timers):
    rules = [timer(float(start), float(period), calls) for start, period, calls, _ in timers]
    plan = timetable(rules, [float(took) for *_, took in timers], 1e5)
    assert len(plan.calls) + plan.skipped == sum(calls for _, _, calls, _ in timers)
    now = 0.0
    for call in plan.calls:
        rule = rules[call.rule]
        assert call.start_us >= max(now, rule.start_us + call.slot * rule.period_us)
        now = call.start_us + timers[call.rule][3]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: timetable([timer(0.0, 1.0, 1)] * 33, [0.0] * 33, 1.0), "33 rules"),
        (lambda: timetable([timer(0.0, 0.0, 1)], [0.0], 1.0), "period_us"),
        (lambda: Plasticity(lambda view, key: view, -1.0, 1.0, 1), "start_us"),
        (lambda: Plasticity(lambda view, key: view, 0.0, 1.0, 1, row_us=0.0), "row_us"),
        (lambda: Plasticity(lambda view, key: view, 0.0, 1.0, 1, rows=(4,)).served(4), "rows"),
    ],
)
def test_bad_timers_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
