"""What surrounds a computation: progress, checkpoints, compilation, devices."""

from ._checkpoints import CheckpointError as CheckpointError
from ._checkpoints import Checkpoints as Checkpoints
from ._compilation import CompileTime as CompileTime
from ._compilation import compile_time as compile_time
from ._compilation import enable_compilation_cache as enable_compilation_cache
from ._directories import require_writable as require_writable
from ._mesh import device_mesh as device_mesh
from ._mesh import gather as gather
from ._mesh import shard_over as shard_over
from ._mesh import start_processes as start_processes
from ._mesh import use_cpu_devices as use_cpu_devices
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
    "shard_over",
    "device_mesh",
    "gather",
    "use_cpu_devices",
    "start_processes",
]
