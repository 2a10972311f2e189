"""What the staggered steps require of their arguments."""

from typing import Any

from ._mismatch import AbstractMismatchEnergy


def check_mismatch_energy(energy: Any) -> None:
    if not isinstance(energy, AbstractMismatchEnergy):
        raise ValueError(
            f"energy must be a mismatch energy (MismatchEnergy or BatchEnergy), got "
            f"{type(energy).__name__}; a general energy has prospective, prospective_state and "
            "least_action_step"
        )


def check_time_step(dt: Any) -> None:
    if isinstance(dt, float | int) and not dt > 0:
        raise ValueError(f"dt must be a positive time in ms, got {dt}")
