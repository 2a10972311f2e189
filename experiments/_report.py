"""Collect the metrics of all runs into the reproduction table."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._claims import interval, spread
from ._contract import SIZES
from ._errors import UserError
from ._files import write_text

_INTRODUCTION = """\
# Reproduction

What the experiments measure, next to what was published.
A claim is reproduced if the mean over seeds lies in the accepted interval of that size.
`default` runs take minutes on two CPU cores; `paper` runs have the size of `Config.paper()`,
which is the published one unless the experiment says otherwise (MNIST: 30 of 200 epochs).
The number in brackets is the number of seeds.
This page is made by `python -m experiments report`.
"""


@dataclass(frozen=True)
class _Run:
    path: Path
    text: str
    metrics: dict[str, Any]

    @property
    def experiment(self) -> str:
        return self.metrics["experiment"]

    @property
    def rank(self) -> tuple[int, int]:
        return SIZES.index(self.metrics["size"]), self.metrics["config"]["seeds"]


def report(*, results: Path, output: Path, kept: Path, keep: bool) -> list[str]:
    """Write the reproduction table and return the names of the experiments in it.

    Runs are read from `results` and from the folder of committed metrics, `kept`. Of several runs
    of an experiment the largest size is shown, and of these the one with the most seeds. Runs
    with changed fields are left out.
    """
    paths = [*sorted(results.glob("*/*/metrics.json")), *sorted(kept.glob("*.json"))]
    chosen = _choose(_read(path) for path in paths)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, _page(chosen))
        if keep:
            kept.mkdir(parents=True, exist_ok=True)
            for run in chosen:
                write_text(kept / f"{run.experiment}.json", run.text)
    except OSError as error:
        raise UserError(f"cannot write the report: {error}") from error
    return [run.experiment for run in chosen]


def _read(path: Path) -> _Run:
    try:
        text = path.read_text(encoding="utf-8")
        run = _Run(path, text, json.loads(text))
        if run.metrics["size"] in SIZES:
            _rows(run)
            _facts(run)
            _ = run.rank
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(
            f"{path} is not a complete metrics file ({type(error).__name__}: {error}); "
            "run that experiment again or delete the file"
        ) from error
    return run


def _choose(runs: Iterable[_Run]) -> list[_Run]:
    best: dict[str, _Run] = {}
    for run in runs:
        if run.metrics["size"] in SIZES:
            other = best.get(run.experiment)
            # At equal rank the first one stays: fresh results come before committed ones.
            if other is None or run.rank > other.rank:
                best[run.experiment] = run
    return [best[name] for name in sorted(best)]


def _page(runs: list[_Run]) -> str:
    if not runs:
        return f"{_INTRODUCTION}\nNo runs yet.\n"
    columns = ("experiment", "size", "claim", "paper", "source", "ours", "accepted", "verdict")
    claims = _table(columns, [row for run in runs for row in _rows(run)])
    columns = ("experiment", "command", "time", "device", "jax", "config")
    return f"{_INTRODUCTION}\n{claims}\n## Runs\n\n{_table(columns, [_facts(r) for r in runs])}"


def _rows(run: _Run) -> list[tuple[str, ...]]:
    return [
        (
            run.experiment,
            run.metrics["size"],
            claim["statement"],
            f"{claim['paper']:.4g}",
            claim["source"],
            f"{spread(claim)} ({claim['n']})",
            interval(claim),
            claim["verdict"],
        )
        for claim in run.metrics["claims"]
    ]


def _facts(run: _Run) -> tuple[str, ...]:
    metrics = run.metrics
    seconds = metrics["wall_seconds"]
    return (
        run.experiment,
        f"`{metrics['command']}`",
        f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min",
        metrics["machine"]["device"],
        metrics["versions"]["jax"],
        metrics["config_hash"],
    )


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    cells = ([cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)
