"""What the machine is, what it can do at best, and how close a compiled step comes to that."""

import os
import platform
import statistics
import time
from collections.abc import Mapping

from benchmarks._harness import Worker, alternate


def describe() -> dict:
    """Processor, cores usable here, memory, load, system and Python of this machine."""
    info = {}
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as lines:
            fields = (line.partition(":") for line in lines)
            info = {key.strip(): value.strip() for key, _, value in fields}
    return {
        "processor": info.get("model name", platform.processor() or platform.machine()),
        "cores": len(os.sched_getaffinity(0)),
        "memory_GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_1min": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def measure_peak(python: str, repeats: int = 3) -> dict[str, float]:
    """Best rates that plain array code reaches here, measured in a process of its own.

    Args:
        python: an interpreter that has jax.
        repeats: rounds of each probe; the best one counts.

    Returns:
        `bytes_per_s` (streaming 256 MiB in and out), `float32_flops_per_s` and
        `float64_flops_per_s` (a 2048 x 2048 matrix product).
    """
    probe = Worker("peak", "benchmarks._workers.peak", python=python)
    rounds = alternate([probe], repeats)["peak"].rounds
    names = ("bytes_per_s", "float32_flops_per_s", "float64_flops_per_s")
    return {name: max(entry[name] for entry in rounds) for name in names}


def best_rate(run, amount: float, *, repeats: int = 5) -> float:
    """`amount` per s in the fastest of `repeats` calls of `run`, after one unmeasured call."""
    run()
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        rates.append(amount / (time.perf_counter() - start))
    return max(rates)


def step_cost(compiled) -> dict[str, float]:
    """What XLA says one compiled step does.

    A loop's body counts once however often it runs, so hand in a step, not a scanned epoch.

    Args:
        compiled: `jax.jit(f).lower(...).compile()`.

    Returns:
        `flops`, `transcendentals` (exponentials and the like, not in `flops`) and `bytes` moved.
    """
    analysis = compiled.cost_analysis()
    if isinstance(analysis, list):
        analysis = analysis[0]
    names = {
        "flops": "flops",
        "transcendentals": "transcendentals",
        "bytes": "bytes accessed",
    }
    return {ours: float(analysis.get(theirs, 0.0)) for ours, theirs in names.items()}


def against_peak(
    cost: Mapping[str, float], seconds: float, peak: Mapping[str, float], *, dtype: str
) -> dict[str, float]:
    """How far a step is from what the machine can do.

    Args:
        cost: from `step_cost`.
        seconds: run time of one step in s.
        peak: from `measure_peak`.
        dtype: `"float32"` or `"float64"`.

    Returns:
        `flops_fraction` and `bytes_fraction` of the peak rates, `bound_seconds` (the longer of the
        two times that the peak rates allow) and `times_bound` (`seconds` over it).

    Raises:
        ValueError: for a run time that is not positive or an unknown dtype.
    """
    if not seconds > 0:
        raise ValueError(f"seconds is {seconds}; must be positive")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype is {dtype!r}; must be 'float32' or 'float64'")
    compute = cost["flops"] / peak[f"{dtype}_flops_per_s"]
    traffic = cost["bytes"] / peak["bytes_per_s"]
    bound = max(compute, traffic)
    return {
        "flops_fraction": compute / seconds,
        "bytes_fraction": traffic / seconds,
        "bound_seconds": bound,
        "times_bound": seconds / bound if bound else float("inf"),
    }


def median_of(rounds: list[dict], name: str) -> float:
    """Median of one entry over rounds."""
    return statistics.median(entry[name] for entry in rounds)
