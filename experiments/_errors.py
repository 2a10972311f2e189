"""What the user can put right."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Reported as one line, without a traceback."""


def unknown(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """Return the error for a name that does not exist, with the nearest one that does."""
    valid = list(valid)
    near = difflib.get_close_matches(name, valid, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UserError(f"unknown {kind} {name!r}; {hint}valid: {', '.join(valid) or 'none'}")
