"""The spike-train suite: workers do what they say at small sizes, and a report is readable."""

import json

import numpy as np
import pytest

from benchmarks import spike_trains
from benchmarks.__main__ import main
from benchmarks._harness import Measured
from benchmarks._spike_trains_report import lines
from benchmarks._workers import spike_trains as worker

SMALL = {
    "jaxsnn": {"hidden": 6, "batch": 8, "samples": 16, "spikes": 6},
    "eventax": {"hidden": 4, "batch": 8, "samples": 16, "spikes": 12, "dtype": "float32"},
    "snntorch": {"sizes": [5, 6, 3], "batch": 8, "samples": 16, "time_steps": 20, "steps": 2},
}


@pytest.fixture(params=[pytest.param("eventax", marks=pytest.mark.slow), "snntorch"])
def case(request, tmp_path):
    given = {**spike_trains.CASES[request.param], **SMALL[request.param]}
    data = spike_trains.write_data(given, tmp_path)
    return {**given, "data": data, "out": str(tmp_path / "out.npy")}


def test_rounds_of_training_lower_the_loss_or_keep_it_finite(case):
    measure, facts = worker.prepare({**case, "learning_rate": 1e-3})
    first = measure()
    assert first["samples"] == case["steps"] * case["batch"] and first["seconds"] > 0
    assert np.isfinite(measure()["loss"]) and "jax" in facts
    if case["kind"] == "layers":
        found = np.load(case["out"])
        assert found.shape == (8, 3) and np.isfinite(found).any()


@pytest.mark.slow
def test_a_round_of_the_recurrent_network_is_an_epoch(tmp_path):
    given = {**spike_trains.CASES["jaxsnn"], **SMALL["jaxsnn"]}
    measure, _ = worker.prepare({**given, "data": spike_trains.write_data(given, tmp_path)})
    found = measure()
    assert found["steps"] == 2 and np.isfinite(found["loss"])


@pytest.mark.parametrize("method", ["eventprop", "grid"])
def test_memory_of_events_is_flat_and_that_of_a_grid_is_not(method):
    small = {**spike_trains.MEMORY, "hidden": 3, "spikes": 8, "method": method}
    short, long = (
        worker.prepare({**small, "t_end": t_end})[0]()["bytes"] for t_end in (50.0, 500.0)
    )
    assert short == long if method == "eventprop" else long > 5 * short


def test_distances_count_what_only_one_side_finds(tmp_path):
    outs = {key: str(tmp_path / f"{key}.npy") for key in ("plasticjax", "peer")}
    np.save(outs["plasticjax"], [1.0, 2.0, np.inf, 4.0])
    np.save(outs["peer"], [1.5, np.inf, np.inf, 4.0])
    found = spike_trains._distance(outs, "peer")
    assert found == {"median": 0.25, "largest": 0.5, "compared": 2, "in_one_only": 1}


def test_an_unknown_peer_is_refused(capsys):
    assert main(["spike_trains", "--peers", "norse"]) == 1
    assert "valid peers: jaxsnn, eventax, snntorch" in capsys.readouterr().err


@pytest.mark.parametrize("seconds, verdict", [(20.0, "goal met"), (1.5, "goal MISSED")])
def test_a_report_with_fakes_reads_as_text(monkeypatch, tmp_path, capsys, seconds, verdict):
    def fake_alternate(workers, repeats):
        found = {}
        for each in workers:
            took = 1.0 if each.name in ("plasticjax", "memory") else seconds
            if "out" in each.case:
                np.save(each.case["out"], [[1.0, 2.0, 3.0]])
            entry = {"seconds": took, "samples": 8, "steps": 4, "loss": 0.5, "peak_rss": 1e9}
            ready = {"first_seconds": 30.0, "first": {"loss": 1.0}, "facts": {"jax": "0"}}
            kilobytes = 1e4 if each.case.get("method") == "eventprop" else 1e6
            found[each.name] = Measured(ready, [{**entry, "bytes": kilobytes}] * repeats)
        return found

    peak = dict.fromkeys(("bytes_per_s", "float32_flops_per_s", "float64_flops_per_s"), 1e9)
    monkeypatch.setattr(spike_trains, "alternate", fake_alternate)
    monkeypatch.setattr(spike_trains, "measure_peak", lambda python: peak)
    out = tmp_path / "report.json"
    assert main(["spike_trains", "--repeats", "2", "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["pairs"]["eventax"]["spike_time_error"]["largest"] == 0
    printed = capsys.readouterr().out
    assert printed.strip() == "\n".join(lines(report))
    assert f"{verdict}: 10 times as fast" in printed
    assert f"plasticjax is {seconds:.3g} times as fast as jaxsnn" in printed
    assert "goal met: flat in the length" in printed
