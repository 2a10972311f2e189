"""What surrounds a computation: progress, checkpoints, compilation."""

from ._checkpoints import CheckpointError as CheckpointError
from ._checkpoints import Checkpoints as Checkpoints
from ._compilation import CompileTime as CompileTime
from ._compilation import compile_time as compile_time
from ._compilation import enable_compilation_cache as enable_compilation_cache
from ._directories import require_writable as require_writable
from ._progress import Progress as Progress
from ._progress import progress as progress

__all__ = [
    "progress",
    "Progress",
    "Checkpoints",
    "CheckpointError",
    "enable_compilation_cache",
    "compile_time",
    "CompileTime",
    "require_writable",
]
