"""The bridge suite: workers do what they say at small sizes, and a report is readable."""

import json

import pytest

from benchmarks import bridge
from benchmarks._bridge_report import lines
from benchmarks._workers import bridge as worker


def test_the_network_of_the_demo_runs_near_its_target():
    case = {**bridge.HOMEOSTASIS, "columns": 4, "duration_us": 5000.0, "dt_us": 1.0}
    found = worker._homeostasis(case)()
    assert 3 < found["rate_hz"] < 12 and found["lost"] == [0, 0, 0]
    assert found["seconds"] > 0


def test_rows_of_the_full_chip_are_told_apart():
    case = {**bridge.FULL_CHIP, "hemispheres": 1, "columns": 4, "duration_us": 40.0,
            "dense_sensors": True, "weight": 0}  # fmt: skip
    found = worker._full_chip(case)()
    assert found["rate_hz"] == 0 and found["lost"] == [0, 0, 0]


def test_rules_are_many_and_different():
    rules = worker._rules(3)
    assert len({str(program) for _, program in rules}) == 3
    assert all(len(program.ops) >= 20 for _, program in rules)
    again, program = rules[0]
    assert str(again()) == str(program)


def test_all_rules_and_synapses_count():
    found = worker._batch({**bridge.BATCH, "rules": 3, "synapses": [5, 4]})()
    assert found["samples"] == 3 * 5 * 4
    assert found["table_seconds"] < found["seconds"]


@pytest.mark.parametrize("speed, verdict", [(1.4, "goal met"), (0.4, "goal MISSED")])
def test_a_report_reads_as_text(speed, verdict):
    spread = {"median": 2e7, "low": 1e7, "high": 4e7}
    machine = {"processor": "p", "cores": 2, "memory_GiB": 1, "load_1min": 5.1, "system": "s"}
    peak = dict.fromkeys(("bytes_per_s", "float32_flops_per_s", "float64_flops_per_s"), 1e9)
    chip = {
        "case": bridge.FULL_CHIP,
        "chip_time": speed / 1000,
        "biological_time": [speed, 0.3, 2.0],
        "rate_hz": 19.2,
        "lost": [0, 0, 0],
        "compile_seconds": 7.0,
    }
    report = {
        "machine": {**machine, "python": "3"},
        "peak": peak,
        "chips": {
            "full chip": chip,
            "full chip, all sensors at once": chip,
            "homeostasis": {**chip, "lost": [1, 0, 0]},
        },
        "lowering": {"rules": 40, "seconds": {"median": 0.03, "low": 0.02, "high": 0.04}},
        "batch": {**bridge.BATCH, "updates_per_second": spread, "table_seconds": 0.1,
                  "operations": 25.0, "compile_seconds": 1.0},
    }  # fmt: skip
    text = "\n".join(lines(json.loads(json.dumps(report))))
    assert f"{verdict}: full chip at biological time" in text
    assert "goal met: a rule in less than 50 ms" in text
    assert "goal MISSED: 3e7 synapse updates/s" in text
    assert "512 neurons" in text and "30 [20, 40] ms each" in text
    assert "lost: overflow, unlisted spikes, dropped events [1, 0, 0]" in text
