"""Measure an experiment's claims and say whether they are reproduced."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._contract import Claim

NOT_JUDGED = "not judged"
REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"


class NotFiniteError(ArithmeticError):
    """A claim could not be measured because the result holds NaN or infinity."""


def judge(claims: Sequence[Claim], result: Any, *, seeds: int, size: str) -> list[dict[str, Any]]:
    """Measure each claim and compare the mean over seeds with the interval for this size.

    Claims about a part that the run was told to leave out are left out.
    """
    measured = [(claim, claim.measure(result)) for claim in claims]
    return [
        _judge(claim, np.asarray(values, dtype=np.float64), seeds, size)
        for claim, values in measured
        if values is not None
    ]


def _judge(claim: Claim, values: np.ndarray, seeds: int, size: str) -> dict[str, Any]:
    if values.shape != (seeds,):
        raise ValueError(
            f"claim {claim.statement!r} measures an array of shape {values.shape}; "
            f"one number per seed, {(seeds,)}, is required"
        )
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        numbers = ", ".join(f"{seed} ({values[seed]})" for seed in bad)
        raise NotFiniteError(f"claim {claim.statement!r} is not finite for seed {numbers}")
    mean = float(values.mean())
    interval = claim.accept.get(size)  # pyright: ignore[reportArgumentType]
    if interval is None:
        verdict = NOT_JUDGED
    else:
        verdict = REPRODUCED if interval[0] <= mean <= interval[1] else NOT_REPRODUCED
    return {
        "statement": claim.statement,
        "paper": float(claim.paper_value),
        "source": claim.source,
        "mean": mean,
        "sd": float(values.std(ddof=1)) if seeds > 1 else None,
        "n": seeds,
        "values": values.tolist(),
        "accept": None if interval is None else [float(bound) for bound in interval],
        "verdict": verdict,
    }


def spread(claim: dict[str, Any]) -> str:
    """Return the measured mean and standard deviation over seeds as text."""
    sd = "" if claim["sd"] is None else f" ± {claim['sd']:.2g}"
    return f"{claim['mean']:.4g}{sd}"


def interval(claim: dict[str, Any]) -> str:
    """Return the accepted interval as text."""
    return "-" if claim["accept"] is None else "[{:.4g}, {:.4g}]".format(*claim["accept"])


def print_table(name: str, claims: Sequence[dict[str, Any]]) -> None:
    """Print the claims of a run next to what was measured."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    table = Table(title=name)
    for column in ("claim", "paper", "measured", "seeds", "accepted", "verdict"):
        table.add_column(column, justify="left" if column in ("claim", "verdict") else "right")
    style = {REPRODUCED: "green", NOT_REPRODUCED: "bold red", NOT_JUDGED: "dim"}
    for claim in claims:
        table.add_row(
            Text(claim["statement"]),
            f"{claim['paper']:.4g}",
            spread(claim),
            str(claim["n"]),
            Text(interval(claim)),
            Text(claim["verdict"], style=style[claim["verdict"]]),
        )
    console.print(table)
