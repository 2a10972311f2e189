"""Runs of several processes: on this machine, or wherever a cluster started them."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence

import jax

from plasticjax.runtime import start_processes, use_cpu_devices

from ._errors import UserError

_PLACE = "PLASTICJAX_PROCESS"


def is_worker() -> bool:
    """Whether this process was started by `launch`."""
    return _PLACE in os.environ


def launch(processes: int, arguments: Sequence[str]) -> int:
    """Runs the same command in several processes that talk over loopback.

    If one of them fails the others are stopped, since they would wait for it.

    Args:
        processes: how many.
        arguments: of the command.

    Returns:
        The exit status: the first one that is not 0, else 0.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "experiments", *arguments],
            env=os.environ | {_PLACE: f"{address},{processes},{index}"},
        )
        for index in range(processes)
    ]
    running, status = list(started), 0
    try:
        while running and not status:
            for process in list(running):
                try:
                    status = status or process.wait(timeout=0.2)
                    running.remove(process)
                except subprocess.TimeoutExpired:
                    pass
    finally:
        for process in running:
            process.kill()
        for process in started:
            process.wait()
    return status


def join(*, cluster: bool, devices: int | None) -> None:
    """Takes this process's place among the others, and splits its CPU into devices.

    Args:
        cluster: whether SLURM or MPI started the processes.
        devices: CPU devices of each process; None: one.

    Raises:
        UserError: if no cluster is found.
    """
    platforms = jax.config.jax_platforms  # pyright: ignore[reportAttributeAccessIssue]
    if devices is not None and platforms in (None, "", "cpu"):
        use_cpu_devices(devices)
    if is_worker():
        coordinator, processes, process = os.environ[_PLACE].split(",")
        start_processes(coordinator, int(processes), int(process))
    elif cluster:
        try:
            start_processes()
        except (ValueError, RuntimeError) as error:
            raise UserError(f"--cluster: no SLURM or MPI job was found ({error})") from error
