"""Equal keys give equal searches on any number of devices and processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("spread_search.py")


def start(out, *arguments):
    root = str(SCRIPT.parents[2])
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(out), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": root, "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(*processes):
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output


def pair(out, *arguments):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    return [start(out, "--place", f"{address},2,{index}", *arguments) for index in range(2)]


def same(one, other):
    with np.load(one) as left, np.load(other) as right:
        assert left.files == right.files
        for name in left.files:
            np.testing.assert_array_equal(left[name], right[name])


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "found.npz"
    finish(start(out))
    return out


def test_eight_devices_find_the_same_champions_as_one(alone, tmp_path):
    out = tmp_path / "found.npz"
    finish(start(out, "--devices", 8))
    same(alone, out)


def test_two_processes_one_killed_and_resumed_find_the_same(alone, tmp_path):
    checkpoints, out = tmp_path / "checkpoints", tmp_path / "found.npz"
    first = pair(out, "--devices", 2, "--checkpoints", checkpoints, "--pause", 1)
    deadline = time.monotonic() + 100
    while not (checkpoints / "10").exists():
        assert all(process.poll() is None for process in first) and time.monotonic() < deadline
        time.sleep(0.02)
    first[1].send_signal(signal.SIGKILL)
    first[1].wait()
    first[0].kill()
    first[0].wait()
    assert not out.exists()
    finish(*pair(out, "--devices", 2, "--checkpoints", checkpoints))
    same(alone, out)


def test_islands_must_fit_the_devices(tmp_path):
    process = start(tmp_path / "found.npz", "--devices", 3)
    output, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "multiple of 3 devices" in output
