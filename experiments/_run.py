"""Run one experiment and write what it measured."""

import dataclasses
import importlib.metadata
import os
import platform
import time
from pathlib import Path
from typing import Any

import jax

from plasticjax.runtime import (
    compile_time,
    device_mesh,
    enable_compilation_cache,
    require_writable,
)

from ._claims import judge
from ._config import fingerprint
from ._discovery import Experiment
from ._errors import UserError
from ._files import write, write_json, write_text
from ._job import RunJob

_DTYPES = ("float32", "float64")


def execute(
    experiment: Experiment,
    config: Any,
    *,
    size: str,
    key: int,
    command: str,
    out: Path,
    resume: bool,
    spread: bool = False,
) -> tuple[Path, dict[str, Any]]:
    """Run `experiment`, write its files, and return their directory and the metrics."""
    if config.dtype not in _DTYPES:
        raise UserError(f"dtype={config.dtype} is not valid; {' or '.join(_DTYPES)} is expected")
    if config.seeds < 1:
        raise UserError(f"seeds={config.seeds} is not valid; at least 1 seed is required")
    name = fingerprint(experiment.name, config, key)
    try:
        directory = require_writable(out / experiment.name / name)
    except ValueError as error:
        raise UserError(str(error)) from error
    module = experiment.load()
    described = {"experiment": experiment.name, "config": dataclasses.asdict(config), "key": key}
    leads = jax.process_index() == 0
    if leads:
        write_json(directory / "config.json", described)
    mesh = device_mesh() if spread else None
    job = RunJob(directory / "checkpoints", resume, mesh, leads)
    enable_compilation_cache()
    started = time.monotonic()
    with jax.enable_x64(config.dtype == "float64"), compile_time() as compiling:
        result = module.run(config, key=jax.random.key(key), job=job)
        result = jax.block_until_ready(result)
        wall_seconds = time.monotonic() - started
        claims = judge(module.CLAIMS, result, seeds=config.seeds, size=size)
        if leads:
            _write_figure(directory / "figure.png", module.figure, result)
            for file, text in getattr(module, "files", _no_files)(result).items():
                write_text(directory / file, text)
    if spread and not job.spreads and leads:
        print(f"note: {experiment.name} runs on one device; --devices does not speed it up")
    metrics = {
        **described,
        "size": size,
        "command": command,
        "config_hash": name,
        "versions": _versions(),
        "machine": {
            "cpus": os.cpu_count(),
            "device": jax.devices()[0].device_kind,
            "devices": mesh.size if mesh is not None and job.spreads else 1,
            "processes": jax.process_count(),
        },
        "wall_seconds": round(wall_seconds, 3),
        "compile_seconds": round(compiling.seconds, 3),
        "resumed_from": job.resumed_from,
        "claims": claims,
    }
    if leads:
        write_json(directory / "metrics.json", metrics)
    return directory, metrics


def _no_files(result: Any) -> dict[str, str]:
    return {}


def _write_figure(path: Path, figure: Any, result: Any) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawn = figure(result)
    write(path, lambda file: drawn.savefig(file, format="png", dpi=150))
    plt.close(drawn)


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in ("jax", "jaxlib", "equinox", "optax", "plasticjax"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions
