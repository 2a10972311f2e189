"""What an experiment promises, and what the command that runs it provides.

An experiment is a module of this package. The first line of its docstring is its summary, and it
exports `Config`, `run(config, *, key, job) -> Result`, `figure(result)` and `CLAIMS`. It may also
export `files(result) -> {name: text}`, texts that are written beside the figure.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import numpy.typing as npt
from jax.sharding import Mesh

Size = Literal["smoke", "default", "paper"]
SIZES: tuple[Size, ...] = ("smoke", "default", "paper")

State = TypeVar("State")


@dataclass(frozen=True)
class Claim:
    """A number of the literature that an experiment reproduces.

    Args:
        statement: what is claimed, in a few words, with the unit of the number.
        paper_value: the published number.
        source: where it is published (paper, figure or table).
        measure: takes the experiment's result and returns one number per seed, `[seeds]`, in the
            unit of `paper_value`; None if the run was told to leave out what is claimed.
        accept: for each size the closed interval `(lo, hi)` in which the mean over seeds counts as
            reproduced. A size that is left out is not judged.

    Raises:
        ValueError: if a size is unknown or an interval is empty.
    """

    statement: str
    paper_value: float
    source: str
    measure: Callable[[Any], npt.ArrayLike | None]
    accept: Mapping[Size, tuple[float, float]]

    def __post_init__(self):
        for size, (low, high) in self.accept.items():
            if size not in SIZES:
                raise ValueError(f"accept has the size {size!r}; valid sizes: {', '.join(SIZES)}")
            if not low <= high:
                raise ValueError(f"accept[{size!r}] is {(low, high)}; lo <= hi is required")


class Progress(Protocol):
    """A progress bar, as seen by an experiment."""

    def advance(self, n: int = 1, **metrics: Any) -> None:
        """Count `n` more steps as done and show the named scalars or texts `metrics`."""
        ...


class Job(Protocol):
    """What an experiment may ask of the command that runs it."""

    @property
    def mesh(self) -> Mesh | None:
        """The devices over which independent parts of the work may be spread; None: one device."""
        ...

    def part(self, name: str) -> "Job":
        """The job of one part of the work, with checkpoints of its own."""
        ...

    def progress(self, total: int, description: str) -> AbstractContextManager[Progress]:
        """Show a progress bar of `total` steps for the length of a `with` block."""
        ...

    def save(self, step: int, state: Any) -> None:
        """Store `state`, a pytree of arrays, as the checkpoint of `step`."""
        ...

    def restore(self, like: State) -> tuple[int, State] | None:
        """Return the last `(step, state)` of the run that is resumed, or None to start afresh.

        `like` is a state of the same structure, shapes and dtypes, such as the initial one.
        """
        ...


class NullProgress:
    """A progress bar that shows nothing."""

    def advance(self, n: int = 1, **metrics: Any) -> None:
        pass


class NullJob:
    """A `Job` that shows and stores nothing, for tests and for use inside notebooks."""

    mesh = None

    def part(self, name: str) -> "NullJob":
        return self

    @contextmanager
    def progress(self, total: int, description: str) -> Iterator[Progress]:
        yield NullProgress()

    def save(self, step: int, state: Any) -> None:
        pass

    def restore(self, like: State) -> tuple[int, State] | None:
        return None
