import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
RUN = ("run", "random-walk", "--set", "pause=0.03")
START = "import sys; from experiments.__main__ import main; sys.exit(main(package='toys'))"


def _start(out, *arguments):
    paths = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    return subprocess.Popen(
        [sys.executable, "-c", START, *RUN, "--out", str(out), *arguments],
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _metrics(out):
    (path,) = out.glob("random-walk/*/metrics.json")
    return json.loads(path.read_text())


def _kill_in_the_middle(out):
    process = _start(out)
    deadline = time.monotonic() + 120
    while not list(out.glob("random-walk/*/checkpoints/5")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list(out.rglob("metrics.json"))


def test_kill_and_resume_give_the_result_of_one_run(tmp_path):
    whole = _start(tmp_path / "whole")
    _kill_in_the_middle(tmp_path / "killed")
    resumed = _start(tmp_path / "killed", "--resume")
    output, _ = resumed.communicate()
    assert resumed.returncode == 0, output
    whole.communicate()
    assert whole.returncode == 0
    one, other = _metrics(tmp_path / "whole"), _metrics(tmp_path / "killed")
    step = other["resumed_from"]
    assert 5 <= step < 30
    assert f"resuming from step {step}\n" in output
    assert one["resumed_from"] is None
    assert one["claims"] == other["claims"]


def test_without_resume_an_unfinished_run_starts_again(command, tmp_path):
    arguments = ("run", "random-walk", "--smoke")
    _, first, _ = command(*arguments)
    (metrics,) = tmp_path.rglob("metrics.json")
    claims = json.loads(metrics.read_text())["claims"]
    metrics.unlink()
    _, again, _ = command(*arguments)
    assert "removing the checkpoints of an earlier run" not in first
    assert "removing the checkpoints of an earlier run in results" in again.replace(
        str(tmp_path) + "/", ""
    )
    assert json.loads(metrics.read_text())["claims"] == claims


def test_resume_without_checkpoint_says_so(command):
    status, output, _ = command("run", "random-walk", "--smoke", "--resume")
    assert status == 0
    assert output.startswith("no checkpoint to resume from; starting from the beginning\n")


def test_resume_of_a_finished_run_keeps_its_result(command, tmp_path):
    arguments = ("run", "random-walk", "--smoke")
    command(*arguments)
    (path,) = tmp_path.rglob("metrics.json")
    before = json.loads(path.read_text())
    _, output, _ = command(*arguments, "--resume")
    after = json.loads(path.read_text())
    assert "resuming from step 4" in output
    assert (before["claims"], after["resumed_from"]) == (after["claims"], 4)


def test_damaged_checkpoint_is_a_clear_error(command, tmp_path):
    arguments = ("run", "random-walk", "--smoke")
    command(*arguments)
    for path in tmp_path.glob("results/random-walk/*/checkpoints/4/arrays/**/*"):
        if path.is_file():
            path.write_bytes(b"")
    status, _, error = command(*arguments, "--resume")
    assert status == 2
    assert re.fullmatch(
        r"error: checkpoint of step 4 in '.*checkpoints' cannot be read .*\n", error
    )
