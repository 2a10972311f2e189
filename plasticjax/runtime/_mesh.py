"""Many devices and many processes: meshes, functions spread over them, results brought back."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree


def start_processes(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    """Joins this process to the others of one computation; call it before any other JAX function.

    Under SLURM and Open MPI all arguments are found by JAX. On CPUs processes talk by gloo.

    Args:
        coordinator: address of process 0, such as `"localhost:1234"`.
        processes: how many there are, dimensionless.
        process: the number of this one from 0, dimensionless.

    Raises:
        ValueError: if only some arguments are given, or `process` is out of range.
    """
    given = [argument is not None for argument in (coordinator, processes, process)]
    if any(given) and not all(given):
        raise ValueError(
            f"coordinator={coordinator!r}, processes={processes} and process={process} must be "
            "given together, or none of them where SLURM or Open MPI provides them"
        )
    if processes is not None and process is not None and not 0 <= process < processes:
        raise ValueError(f"process must be 0 to {processes - 1}, got {process}")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(coordinator, processes, process)


def use_cpu_devices(count: int) -> None:
    """Splits the CPU into several devices; call it before any computation.

    Args:
        count: number of devices, dimensionless; at most the number of cores is useful.

    Raises:
        ValueError: if `count` is less than 1, or JAX has started with another number.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1 device, got {count}")
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError as error:
        if len(jax.devices("cpu")) != count:
            raise ValueError(
                f"count={count} comes too late: JAX already runs on {len(jax.devices('cpu'))} CPU "
                "devices; call use_cpu_devices before any computation"
            ) from error


def device_mesh(count: int | None = None, *, axis: str = "islands") -> Mesh:
    """A mesh with one axis over the devices of all processes.

    Args:
        count: how many devices, dimensionless; None: all.
        axis: name of the axis.

    Returns:
        The mesh.

    Raises:
        ValueError: if there are fewer devices.
    """
    devices = jax.devices()
    count = len(devices) if count is None else count
    if not 1 <= count <= len(devices):
        raise ValueError(
            f"count must be 1 to {len(devices)}, the number of {devices[0].platform} devices "
            f"that JAX sees, got {count}; see use_cpu_devices"
        )
    return Mesh(np.array(devices[:count]), (axis,))


def shard_over(
    function: Callable[..., Any],
    mesh: Mesh,
    *,
    shared: Sequence[int] = (),
    out_axes: Any = 0,
) -> Callable[..., Any]:
    """Spreads the leading axis of a function's arguments over the first axis of a mesh.

    Every device runs `function` on its part; the parts do not communicate. Traceable, so it can be
    used under `jax.jit`, and `jax.vmap` can be used inside.

    Args:
        function: takes pytrees of arrays [many, ...], each of its own unit.
        mesh: the devices.
        shared: positions of arguments that every device gets whole.
        out_axes: the axis along which results are put together, for every output or, as a tuple,
            one for each.

    Returns:
        The function with the same signature and results.

    Raises:
        ValueError: if a leading axis is not a multiple of the number of devices.
    """
    axis = mesh.axis_names[0]

    def spread(*arguments):
        for position, argument in enumerate(arguments):
            for leaf in jax.tree.leaves(argument) if position not in shared else ():
                if np.ndim(leaf) == 0 or leaf.shape[0] % mesh.shape[axis]:
                    raise ValueError(
                        f"argument {position} must have a leading axis that is a multiple of "
                        f"{mesh.shape[axis]} devices, got shape {np.shape(leaf)}"
                    )
        into = tuple(
            PartitionSpec() if position in shared else PartitionSpec(axis)
            for position in range(len(arguments))
        )
        out = jax.tree.map(lambda place: PartitionSpec(*[None] * place, axis), out_axes)
        mapped = jax.shard_map(function, mesh=mesh, in_specs=into, out_specs=out, check_vma=False)
        return mapped(*arguments)

    return spread


def gather(tree: PyTree) -> PyTree:
    """Brings arrays from all devices and processes to this process.

    Args:
        tree: a pytree of arrays of any shape `[...]` and unit.

    Returns:
        The same as NumPy arrays; every process gets all of them.
    """
    leaves = jax.tree.leaves(tree)
    abroad = [
        leaf for leaf in leaves if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable
    ]
    if abroad:
        mesh = abroad[0].sharding.mesh  # pyright: ignore[reportAttributeAccessIssue]
        tree = _replicate(mesh)(tree)
    return jax.tree.map(np.asarray, tree)


def _replicate(mesh: Mesh):
    return jax.jit(lambda tree: tree, out_shardings=NamedSharding(mesh, PartitionSpec()))
