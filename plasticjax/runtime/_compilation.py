"""Compile once per machine, and know how long compiling took."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import jax
import jax.monitoring

from ._directories import require_writable

_COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"


def enable_compilation_cache(directory: str | PathLike[str] | None = None) -> Path | None:
    """Keep compiled programs on disk, so that the next process need not compile them again.

    The setting holds for the rest of the process. A cache that cannot be written is a warning, not
    an error, since results do not depend on it.

    Args:
        directory: where the cache lives. By default `$PLASTICJAX_CACHE`, else
            `~/.cache/plasticjax/xla`.

    Returns:
        The absolute path of the cache, or None if it cannot be written.
    """
    chosen = directory or os.environ.get("PLASTICJAX_CACHE") or "~/.cache/plasticjax/xla"
    try:
        path = require_writable(chosen)
    except ValueError as error:
        warnings.warn(f"no compilation cache: {error}", stacklevel=2)
        return None
    jax.config.update("jax_compilation_cache_dir", str(path))
    # Programs that compile faster than this are not worth a file.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    return path


@dataclass
class CompileTime:
    """How long JAX has compiled so far, in a `with compile_time()` block.

    Args:
        seconds: sum of the durations in seconds, including loads from the compilation cache.
        programs: number of compiled programs, dimensionless.
    """

    seconds: float = 0.0
    programs: int = 0


_open: list[CompileTime] = []
_listening = False


@contextmanager
def compile_time() -> Iterator[CompileTime]:
    """Measure the time that JAX spends on compiling inside a `with` block.

    Blocks may be nested; each counts all that happens inside it.

    Returns:
        A context manager whose value is a `CompileTime`, in seconds, that grows with each program.
    """
    global _listening
    if not _listening:
        # Listeners cannot be removed in every supported version of JAX, so there is only one.
        jax.monitoring.register_event_duration_secs_listener(_record)
        _listening = True
    spent = CompileTime()
    _open.append(spent)
    try:
        yield spent
    finally:
        _open[:] = [other for other in _open if other is not spent]


def _record(event: str, duration_secs: float, **_: Any) -> None:
    if event == _COMPILE_EVENT:
        for spent in _open:
            spent.seconds += duration_secs
            spent.programs += 1
