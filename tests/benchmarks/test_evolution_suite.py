"""The evolution suite: workers do what they say at small sizes, and a report is readable."""

import json

import numpy as np
import pytest

from benchmarks import evolution
from benchmarks.__main__ import main
from benchmarks._evolution_report import lines
from benchmarks._harness import Measured, WorkerFailed
from benchmarks._workers import evolution as ours
from plasticjax.runtime import device_mesh

SMALL_OJA = {**evolution.OJA, "sets": 2, "samples": 50, "individuals": 4, "copies": 2, "batch": 4}
SMALL_REGRESSION = {
    **evolution.REGRESSION,
    "kind": "regression",
    "points": 20,
    "seeds": 5,
    "generations": 100,
}


def test_fitness_is_that_of_the_rules_one_by_one(tmp_path):
    path = evolution._oja_data(SMALL_OJA, tmp_path / "oja.npz")
    found = ours._oja({**SMALL_OJA, "data": path}, device_mesh(1))()
    assert found["samples"] == 4 * 2 * 2 * 50
    data = np.load(path)
    expected = [_learn(dna, data) for dna in data["dna"]]
    np.testing.assert_allclose(found["fitness"], expected, rtol=1e-4)


def _learn(dna, data):
    """The programs in plain NumPy: functions of x, w and y by the names of hal-cgp."""
    operations = (np.add, np.subtract, np.multiply)

    def rule(x, w, y):
        values = [x, w, np.full_like(w, y)]
        for op, one, two in dna[9:-3].reshape(-1, 3):
            values.append(operations[op](values[one], values[two]))
        return values[dna[-2]]

    total = 0.0
    for xs, component, w in zip(data["samples"], data["component"], data["weights"], strict=True):
        cosine = 0.0
        for x in xs:
            last = w
            cosine += abs(w @ component) / np.linalg.norm(w)
            w = w + 0.01 * rule(x, w, w @ x)
        total += cosine / len(xs) - 2 * (np.linalg.norm(last) - 1) ** 2
    return total


def test_the_second_round_of_a_regression_stops_where_enough_are_solved(tmp_path, x64):
    path = evolution._regression_data(SMALL_REGRESSION, tmp_path / "regression.npz")
    measure = ours._regression({**SMALL_REGRESSION, "data": path}, device_mesh(1))
    first, second = measure(), measure()
    assert first["generations"] == second["generations"]
    assert second["solved"] >= 3 or first["generations"] == 100


def test_an_unknown_peer_is_named():
    with pytest.raises(ValueError, match="unknown peer 'neat'; valid peers: halcgp, kozax"):
        evolution.run(["neat"], repeats=1, cores=1, pythons={})


def test_a_peer_that_is_not_installed_fails_with_its_last_words(tmp_path, capsys):
    case = {**SMALL_OJA, "kind": "oja", "cores": 1}
    case["data"] = evolution._oja_data(SMALL_OJA, tmp_path / "oja.npz")
    with pytest.raises(WorkerFailed, match=r"cannot start .*no-such-python"):
        evolution.measure_oja(case, repeats=1, python="no-such-python", halcgp=None)


def test_ratios_count_work_done_not_rounds():
    ready = {"first_seconds": 3.0, "facts": {}}
    mine = Measured(ready, [{"seconds": 1.0, "samples": 800}, {"seconds": 2.0, "samples": 800}])
    theirs = Measured(ready, [{"seconds": 4.0, "samples": 8}, {"seconds": 4.0, "samples": 8}])
    report = evolution._throughput({"plasticjax": mine, "peer": theirs})
    assert report["times_faster"]["peer"] == {"median": 300.0, "low": 200.0, "high": 400.0}


def test_a_report_reads_as_text():
    ratio = {"median": 2.0, "low": 1.0, "high": 3.0}
    rates = {"plasticjax": {"per_second": 5.0}, "hal-cgp": {"per_second": 2.5}}
    part = {"results": rates, "times_faster": {"hal-cgp": ratio}, "difference": 1e-6}
    machine = {"processor": "p", "cores": 2, "memory_GiB": 1, "load_1min": 0.1, "system": "s"}
    peak = dict.fromkeys(("bytes_per_s", "float32_flops_per_s", "float64_flops_per_s"), 1e9)
    search = {"seconds_median": 2.0, "generations": 300, "solved": 24}
    report = {
        "machine": {**machine, "python": "3"},
        "peak": peak,
        "cores": 2,
        "oja": part,
        "offspring": part,
        "regression": {
            "seeds": 40,
            "results": {"plasticjax": search},
            "cold_seconds": 9.0,
            "warm_seconds": 4.0,
            "times_faster": ratio,
            "times_faster_cold": 11.0,
            "times_faster_warm": 50.0,
            "times_faster_kozax_per_search": 70.0,
        },
        "scaling": {"steps_per_second": {100: 1e6}, "efficiency": ratio},
    }
    text = "\n".join(lines(json.loads(json.dumps(report))))
    for wanted in ("2 [1, 3] times as many as hal-cgp", "50 times with a warm cache", "efficiency"):
        assert wanted in text


def test_the_command_names_bad_options(capsys):
    with pytest.raises(SystemExit):
        main(["evolution", "--populations", "many"])
    assert "--populations" in capsys.readouterr().err
