"""The job of a run: progress on the terminal, checkpoints in the run's directory."""

import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from jax.sharding import Mesh

from plasticjax.runtime import Checkpoints, progress

from ._contract import NullProgress, Progress

_State = TypeVar("_State")


class RunJob:
    """What `python -m experiments run` gives to an experiment.

    Args:
        directory: where the checkpoints live.
        resume: whether to go on from the last checkpoint; otherwise old ones are removed.
        mesh: the devices that experiments may spread over; None: one device.
        leads: whether this process speaks and writes for the others.
    """

    def __init__(self, directory: Path, resume: bool, mesh: Mesh | None = None, leads: bool = True):
        if leads and not resume and directory.exists():
            if any(directory.iterdir()):
                print(f"removing the checkpoints of an earlier run in {directory}", flush=True)
            shutil.rmtree(directory)
        self._directory = directory
        self._checkpoints = Checkpoints(directory)
        self._resume = resume
        self._mesh = mesh
        self._leads = leads
        self.resumed_from: int | None = None
        self.spreads = False

    @property
    def mesh(self) -> Mesh | None:
        self.spreads = True
        return self._mesh

    def part(self, name: str) -> "RunJob":
        job = RunJob(self._directory / name, self._resume, self._mesh, self._leads)
        self.spreads = True
        return job

    def progress(self, total: int, description: str) -> AbstractContextManager[Progress]:
        return progress(total, description) if self._leads else nullcontext(NullProgress())

    def save(self, step: int, state: Any) -> None:
        if self._leads:
            self._checkpoints.save(step, state)

    def restore(self, like: _State) -> tuple[int, _State] | None:
        if not self._resume:
            return None
        found = self._checkpoints.restore(like)
        if found is None and self._leads:
            print("no checkpoint to resume from; starting from the beginning", flush=True)
        elif found is not None:
            self.resumed_from = found[0]
            if self._leads:
                print(f"resuming from step {self.resumed_from}", flush=True)
        return found
