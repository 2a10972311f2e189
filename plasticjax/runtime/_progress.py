"""Progress of a long computation: a live bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """A progress bar of a `with progress(...)` block.

    Args:
        bar: the `rich.progress.Progress` that counts and, on a terminal, draws.
        task: identifier of the task in `bar`.
        live: whether `bar` draws; otherwise lines are printed.
    """

    def __init__(self, bar: Any, task: Any, live: bool):
        self._bar = bar
        self._task = task
        self._live = live
        self._shown_at = time.monotonic()
        self._shown: tuple[float, str] | None = None
        self._metrics: dict[str, str] = {}

    def advance(self, n: int = 1, **metrics: Any) -> None:
        """Count steps as done and show the latest metrics.

        Args:
            n: number of steps done since the last call, dimensionless.
            metrics: scalars or short texts by name, in the unit of their choice; a metric that is
                not given keeps its last value.
        """
        self._metrics |= {
            name: value if isinstance(value, str) else f"{float(value):.4g}"
            for name, value in metrics.items()
        }
        shown = "  ".join(f"{name} {value}" for name, value in self._metrics.items())
        self._bar.update(self._task, advance=n, metrics=shown)
        if not self._live and time.monotonic() - self._shown_at >= _SECONDS_BETWEEN_LINES:
            self._print()

    def _print(self) -> None:
        task = self._bar.tasks[self._task]
        metrics = task.fields["metrics"]
        if (task.completed, metrics) != self._shown:
            done = f"{task.description}  {task.completed:.0f}/{task.total:.0f}  {_rate(task)}"
            print(f"{done}  {metrics}".rstrip(), flush=True)
        self._shown = (task.completed, metrics)
        self._shown_at = time.monotonic()


@contextmanager
def progress(total: int, description: str) -> Iterator[Progress]:
    """Show the progress of the work done inside a `with` block.

    On a terminal this is a bar with rate, remaining time and live metrics. Where standard output
    is a file or a pipe, a plain line is printed every ten seconds and one at the end.

    Args:
        total: number of steps of the whole work, dimensionless; at least 0.
        description: a few words in front of the bar.

    Returns:
        A context manager whose value is a `Progress`; call its `advance` after each step.

    Raises:
        ValueError: if `total` is negative.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar
    from rich.text import Text

    if total < 0:
        raise ValueError(f"total is {total}; a number of steps >= 0 is required")

    class RateColumn(ProgressColumn):
        def render(self, task) -> Text:
            return Text(_rate(task), style="progress.data.speed")

    console = Console()
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[metrics]}"),
        console=console,
        disable=not console.is_terminal,
    )
    with bar:
        shown = Progress(bar, bar.add_task(description, total=total, metrics=""), not bar.disable)
        try:
            yield shown
        finally:
            if not shown._live:
                shown._print()


def _rate(task: Any) -> str:
    if not task.elapsed or not task.completed:
        return "-/s"
    average = task.completed / task.elapsed
    # The recent speed forgets the first steps, in which programs are compiled.
    rate = average if task.finished else task.speed or average
    text = f"{rate:.3g}/s" if rate >= 1 else f"{1 / rate:.3g} s each"
    return text if task.finished else f"{text}  {task.remaining / rate:.0f} s left"
