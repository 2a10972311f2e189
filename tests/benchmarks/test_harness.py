"""The harness with workers that only pretend to work: order, ratios, failures. Nothing is timed."""

import json
import sys

import pytest

from benchmarks import first_spike
from benchmarks.__main__ import main
from benchmarks._harness import Measured, Worker, WorkerFailed, alternate, ratio, turns
from benchmarks._machine import against_peak, describe, step_cost
from benchmarks._report import lines

FAKE = """
import os, sys
from benchmarks._workers._protocol import serve

def prepare(case):
    print("noise on stdout")
    if case.get("fail_at") == 0:
        raise RuntimeError("cannot prepare")
    rounds = 0

    def measure():
        nonlocal rounds
        rounds += 1
        print("more noise")
        if case.get("garbage"):
            os.write(case_channel, b"not json\\n")
        if rounds == case.get("fail_at"):
            raise RuntimeError("lost in round " + str(rounds))
        with open(case["log"], "a") as log:
            log.write(case["name"])
        return {"seconds": case["seconds"] * (rounds if case.get("slower") else 1), "samples": 6}

    return measure, {"version": "1.0"}

case_channel = os.dup(1)
serve(prepare)
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    (tmp_path / "fake_worker.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    log = tmp_path / "log"

    def worker(name, **case):
        settings = {"name": name, "log": str(log), "seconds": 2.0, **case}
        return Worker(name, "fake_worker", settings)

    worker.log = log
    return worker


def test_turns_alternate():
    assert "".join(turns("AB", 3)) == "ABABAB"


def test_workers_take_turns_after_one_unmeasured_round(fake):
    measured = alternate([fake("A"), fake("B", seconds=6.0, slower=True)], 3)
    assert fake.log.read_text() == "AB" + "ABABAB"
    assert measured["A"].seconds == [2.0, 2.0, 2.0]
    assert measured["B"].seconds == [12.0, 18.0, 24.0]
    assert measured["A"].samples_per_second == 3.0
    assert measured["A"].ready["facts"]["version"] == "1.0"
    assert measured["A"].rounds[0]["peak_rss"] > 1e6
    times = ratio(measured["B"], measured["A"])
    assert (times.median, times.low, times.high) == (9.0, 6.0, 12.0)
    assert str(times) == "9 [6, 12]"


def test_compile_time_is_what_the_first_round_took_longer():
    rounds = [{"seconds": 1.0}, {"seconds": 3.0}, {"seconds": 2.0}]
    assert Measured({"first_seconds": 7.0}, rounds).compile_seconds == 5.0
    assert Measured({"first_seconds": 1.0}, rounds).compile_seconds == 0.0


def test_ratio_wants_as_many_turns():
    one, two = (Measured({}, [{"seconds": 1.0}] * n) for n in (1, 2))
    with pytest.raises(ValueError, match="1 turns against 2"):
        ratio(one, two)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ({"fail_at": 0}, "worker 'A'.* ended with status 1.*RuntimeError: cannot prepare"),
        ({"fail_at": 2}, "worker 'A'.* ended with status 1.*lost in round 2"),
        ({"garbage": True}, "worker 'A'.* said 'not json', not JSON"),
    ],
)
def test_a_failing_worker_is_named_with_its_last_words(fake, case, message):
    with pytest.raises(WorkerFailed, match=f"(?s){message}"):
        alternate([fake("A", **case), fake("B")], 2)


def test_a_silent_worker_is_given_up(tmp_path, monkeypatch):
    (tmp_path / "silent_worker.py").write_text("import sys; sys.stdin.read()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(WorkerFailed, match=r"said nothing for 0\.1 s"):
        alternate([Worker("silent", "silent_worker")], 1, timeout=0.1)


def test_a_missing_interpreter_is_named():
    with pytest.raises(WorkerFailed, match="peer: cannot start /no/python"):
        alternate([Worker("peer", "fake_worker", {}, "/no/python")], 1)


def test_repeats_and_names_are_checked(fake):
    with pytest.raises(ValueError, match="repeats is 0"):
        alternate([fake("A")], 0)
    with pytest.raises(ValueError, match="must differ"):
        alternate([fake("A"), fake("A")], 1)


def test_against_peak():
    peak = {"bytes_per_s": 10.0, "float32_flops_per_s": 8.0, "float64_flops_per_s": 4.0}
    share = against_peak({"flops": 4.0, "bytes": 20.0}, 8.0, peak, dtype="float64")
    expected = {"flops_fraction": 0.125, "bytes_fraction": 0.25}
    assert share == {**expected, "bound_seconds": 2.0, "times_bound": 4.0}
    with pytest.raises(ValueError, match="seconds is 0"):
        against_peak({"flops": 1.0, "bytes": 1.0}, 0.0, peak, dtype="float64")
    with pytest.raises(ValueError, match="'float32' or 'float64'"):
        against_peak({"flops": 1.0, "bytes": 1.0}, 1.0, peak, dtype="float16")


def test_step_cost_counts_a_matrix_product():
    import jax
    import jax.numpy as jnp

    x = jnp.ones((8, 8), "float32")
    cost = step_cost(jax.jit(jnp.matmul).lower(x, x).compile())
    assert cost["flops"] == pytest.approx(2 * 8**3, rel=0.1)
    assert cost["bytes"] == pytest.approx(3 * 8 * 8 * 4, rel=0.1)


def test_describe_knows_the_machine():
    machine = describe()
    assert machine["cores"] >= 1
    assert machine["memory_GiB"] > 0
    assert json.loads(json.dumps(machine)) == machine


def test_command_line_refuses_unknown_peers_and_a_missing_reference(capsys):
    assert main(["first_spike", "--peers", "torch"]) == 1
    assert "--reference PATH" in capsys.readouterr().err
    assert main(["first_spike", "--peers", "jaxnn"]) == 1
    assert "valid peers: torch, jaxsnn, eventax" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["first_spike", "--python", "jaxsnn"])
    assert "not NAME=PATH" in capsys.readouterr().err


def test_a_whole_report_with_fakes(fake, monkeypatch, tmp_path, capsys):
    cost = {"flops": 3.0, "transcendentals": 0.0, "bytes": 6.0}
    peak = {"bytes_per_s": 9.0, "float32_flops_per_s": 9.0, "float64_flops_per_s": 9.0}

    def fake_alternate(workers, repeats):
        rounds = [{"seconds": 1.0, "samples": 4, "loss": 0.5, "accuracy": 1.0, "peak_rss": 2e9}]
        seconds = {"plasticjax": 1.0, "jaxsnn": 5.0, "memory": 1.0}
        facts = {"steps": 2, "step_cost": cost, "rss_before": 1e9, "temporary": 5e8, "jax": "0"}
        first = {"loss": 1.0, "accuracy": 0.0}
        ready = {"setup_seconds": 1.0, "first_seconds": 9.0, "first": first, "facts": facts}
        return {
            worker.name: Measured(ready, [{**rounds[0], "seconds": seconds[worker.name]}] * repeats)
            for worker in workers
        }

    monkeypatch.setattr(first_spike, "alternate", fake_alternate)
    monkeypatch.setattr(first_spike, "measure_peak", lambda python: peak)
    monkeypatch.setattr(first_spike, "_write_data", lambda folder: "data")
    out = tmp_path / "report.json"
    options = ["--peers", "jaxsnn", "--repeats", "2", "--memory", "--out", str(out)]
    assert main(["first_spike", *options, "--python", f"jaxsnn={sys.executable}"]) == 0
    report = json.loads(out.read_text())
    assert report["pairs"]["jaxsnn"]["times_faster"] == {"median": 5.0, "low": 5.0, "high": 5.0}
    assert report["pairs"]["jaxsnn"]["against_peak"]["times_bound"] == pytest.approx(0.75)
    printed = capsys.readouterr().out
    assert printed.strip() == "\n".join(lines(report))
    assert "plasticjax is 5 times as fast as jaxsnn [5, 5]" in printed
    assert "peak 2.00 GB" in printed
