"""The job of a run: progress on the terminal, checkpoints in the run's directory."""

import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

from plasticjax.runtime import Checkpoints, Progress, progress

_State = TypeVar("_State")


class RunJob:
    """What `python -m experiments run` gives to an experiment.

    Args:
        directory: where the checkpoints live.
        resume: whether to go on from the last checkpoint; otherwise old ones are removed.
    """

    def __init__(self, directory: Path, resume: bool):
        if not resume and directory.exists():
            if any(directory.iterdir()):
                print(f"removing the checkpoints of an earlier run in {directory}", flush=True)
            shutil.rmtree(directory)
        self._checkpoints = Checkpoints(directory)
        self._resume = resume
        self.resumed_from: int | None = None

    def progress(self, total: int, description: str) -> AbstractContextManager[Progress]:
        return progress(total, description)

    def save(self, step: int, state: Any) -> None:
        self._checkpoints.save(step, state)

    def restore(self, like: _State) -> tuple[int, _State] | None:
        if not self._resume:
            return None
        found = self._checkpoints.restore(like)
        if found is None:
            print("no checkpoint to resume from; starting from the beginning", flush=True)
        else:
            self.resumed_from = found[0]
            print(f"resuming from step {self.resumed_from}", flush=True)
        return found
