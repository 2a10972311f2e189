"""Directories that a long computation will write to."""

import tempfile
from os import PathLike
from pathlib import Path


def require_writable(directory: str | PathLike[str]) -> Path:
    """Create a directory where needed and check that files can be written there.

    Call it before the work whose results go there.

    Args:
        directory: path of the directory, absolute or relative to the working directory.

    Returns:
        The directory as an absolute path.

    Raises:
        ValueError: if it cannot be created or written to.
    """
    path = Path(directory).expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ValueError(
            f"directory {str(path)!r} is not writable ({error.strerror}); "
            "name a directory in which files can be created"
        ) from error
    return path
