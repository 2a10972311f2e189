"""Runs implementations side by side: one process each, taking turns on the same machine."""

import contextlib
import json
import os
import pathlib
import select
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parent.parent


class WorkerFailed(RuntimeError):
    """A worker ended, said something unreadable, or took too long."""


@dataclass(frozen=True)
class Worker:
    """How to start one implementation.

    Attributes:
        name: as it appears in the report.
        module: the module to run, e.g. `benchmarks._workers.ours`.
        case: settings that the module understands; must be plain JSON.
        python: the interpreter; a peer may live in an environment of its own.
    """

    name: str
    module: str
    case: dict = field(default_factory=dict)
    python: str = sys.executable


@dataclass(frozen=True)
class Measured:
    """What one worker reported: `ready` once, then one entry of `rounds` a turn."""

    ready: dict
    rounds: list[dict]

    @property
    def seconds(self) -> list[float]:
        """Run time of each round in s, without compilation."""
        return [entry["seconds"] for entry in self.rounds]

    @property
    def compile_seconds(self) -> float:
        """How much longer the first, unmeasured round took than a usual one, in s."""
        return max(0.0, self.ready["first_seconds"] - statistics.median(self.seconds))

    @property
    def samples_per_second(self) -> float:
        """Median over rounds of samples per s; NaN where a round does not count samples."""
        return statistics.median(
            entry.get("samples", float("nan")) / entry["seconds"] for entry in self.rounds
        )


@dataclass(frozen=True)
class Ratio:
    """Median, smallest and largest of the per-turn ratios of two workers' run times."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} [{self.low:.3g}, {self.high:.3g}]"


def ratio(slow: Measured, fast: Measured) -> Ratio:
    """How many times longer `slow` takes than `fast`, turn by turn.

    Raises:
        ValueError: if they did not have the same number of turns.
    """
    if len(slow.rounds) != len(fast.rounds):
        raise ValueError(f"{len(slow.rounds)} turns against {len(fast.rounds)}; need as many")
    turns = [a / b for a, b in zip(slow.seconds, fast.seconds, strict=True)]
    return Ratio(statistics.median(turns), min(turns), max(turns))


class _Process:
    def __init__(self, worker: Worker, timeout: float):
        self._worker, self._timeout = worker, timeout
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        command = [worker.python, "-m", worker.module, json.dumps(worker.case)]
        try:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": path},
            )
        except OSError as error:
            raise WorkerFailed(f"{worker.name}: cannot start {worker.python}: {error}") from error
        assert self._popen.stdin is not None and self._popen.stdout is not None
        self._to, self._from = self._popen.stdin, self._popen.stdout

    def __enter__(self) -> "_Process":
        return self

    def __exit__(self, *_) -> None:
        self._popen.kill()
        self._popen.wait()
        for stream in (self._to, self._from, self._stderr):
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def ask(self) -> None:
        """Starts one round."""
        with contextlib.suppress(BrokenPipeError):  # `answer` says why it is gone
            print("round", file=self._to, flush=True)

    def answer(self) -> dict:
        """Waits for one line."""
        if not select.select([self._from], [], [], self._timeout)[0]:
            raise self._failure(f"said nothing for {self._timeout:g} s")
        line = self._from.readline()
        if not line:
            raise self._failure(f"ended with status {self._popen.wait()}")
        try:
            return json.loads(line)
        except json.JSONDecodeError:
            raise self._failure(f"said {line.strip()[:200]!r}, not JSON") from None

    def _failure(self, what: str) -> WorkerFailed:
        self._stderr.seek(0)
        tail = "\n".join(self._stderr.read().splitlines()[-15:])
        return WorkerFailed(
            f"worker {self._worker.name!r} ({self._worker.python} -m {self._worker.module}) {what}"
            + (f"; its last words:\n{tail}" if tail else "")
        )


def turns(names: Sequence[str], repeats: int) -> Iterator[str]:
    """The order of measurement: A B A B ..., `repeats` rounds of each."""
    for _ in range(repeats):
        yield from names


def alternate(
    workers: Sequence[Worker], repeats: int, *, timeout: float = 600.0
) -> dict[str, Measured]:
    """Measures workers in turns; while one runs, the others wait for their input.

    Args:
        workers: what to run; names must differ.
        repeats: measured rounds of each, at least 1.
        timeout: seconds after which a silent worker counts as failed.

    Returns:
        The measurements by name.

    Raises:
        ValueError: for `repeats` below 1 or two workers of one name.
        WorkerFailed: if a worker does not start, ends early or stays silent.
    """
    names = [worker.name for worker in workers]
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; must be at least 1")
    if len(set(names)) < len(names):
        raise ValueError(f"worker names are {names}; they must differ")
    with contextlib.ExitStack() as stack:
        processes, measured = {}, {}
        for worker in workers:
            processes[worker.name] = stack.enter_context(_Process(worker, timeout))
            measured[worker.name] = Measured(processes[worker.name].answer(), [])
        for name in turns(names, repeats):
            processes[name].ask()
            measured[name].rounds.append(processes[name].answer())
    return measured
