"""BrainScaleS-2 in software: speed of the emulated chip, of the lowering, and of many rules."""

import statistics
import sys
from collections.abc import Mapping

from benchmarks._harness import Worker, alternate
from benchmarks._machine import describe, measure_peak, median_of

OURS = "benchmarks._workers.bridge"
HOMEOSTASIS = {
    "kind": "homeostasis",
    "hemispheres": 1,
    "columns": 64,
    "dt_us": 0.5,
    "duration_us": 100_000.0,
    "sensors": False,
}
# As large as the public demo on the chip.
LARGE_HOMEOSTASIS = {
    **HOMEOSTASIS,
    "hemispheres": 2,
    "columns": 256,
    "dt_us": 0.1,
    "duration_us": 20_000.0,
}
FULL_CHIP = {
    "kind": "full_chip",
    "hemispheres": 2,
    "columns": 256,
    "dt_us": 0.1,
    "duration_us": 2000.0,
    "input_hz": 20.0,  # biological
    "weight": 13,  # neurons spike at just less than 20 Hz
    "sensors": True,
}
LOWERING = {"kind": "lowering", "rules": 40}
BATCH = {"kind": "batch", "rules": 1000, "synapses": [128, 128]}
SPEED_UP = 1000  # of the chip against biology
# What the issue asks of two cores.
GOALS = {"full_chip": 1.0, "dense_sensors": 0.3, "lowering": 0.05, "batch": 3e7}


def run(
    *,
    repeats: int,
    pythons: Mapping[str, str],
    homeostasis: Mapping = HOMEOSTASIS,
    large_homeostasis: Mapping = LARGE_HOMEOSTASIS,
    full_chip: Mapping = FULL_CHIP,
    lowering: Mapping = LOWERING,
    batch: Mapping = BATCH,
) -> dict:
    """Runs all measurements, one process at a time.

    Args:
        repeats: rounds of each.
        pythons: interpreter by implementation name (`plasticjax`).
        homeostasis: the network of the public demo, small.
        large_homeostasis: the same at the size of the chip.
        full_chip: all neurons and synapses.
        lowering: rules that are lowered.
        batch: rules that run at once.

    Returns:
        A JSON-ready report: `machine`, `peak`, `chips` (speed as a multiple of the time of the
        chip and of biology), `lowering` and `batch`.

    Raises:
        WorkerFailed: if a measurement fails.
    """
    python = pythons.get("plasticjax", sys.executable)

    def measured(case: Mapping):
        return alternate([Worker("plasticjax", OURS, dict(case), python)], repeats)["plasticjax"]

    chips = {
        "homeostasis": homeostasis,
        "homeostasis, size of the chip": large_homeostasis,
        "full chip": full_chip,
        "full chip, no sensors": {**full_chip, "sensors": False},
        "full chip, all sensors at once": {**full_chip, "dense_sensors": True},
    }
    report: dict = {"machine": describe(), "peak": measure_peak(python), "chips": {}}
    for name, case in chips.items():
        found = measured(case)
        speeds = [1e-6 * case["duration_us"] / seconds for seconds in found.seconds]
        report["chips"][name] = {
            "case": dict(case),
            "chip_time": statistics.median(speeds),
            "biological_time": [SPEED_UP * f(speeds) for f in (statistics.median, min, max)],
            "rate_hz": median_of(found.rounds, "rate_hz"),
            "lost": found.rounds[-1]["lost"],
            "compile_seconds": found.compile_seconds,
        }
    found = measured(lowering)
    each = [seconds / lowering["rules"] for seconds in found.seconds]
    report["lowering"] = {"rules": lowering["rules"], "seconds": _spread(each)}
    found = measured(batch)
    rates = [entry["samples"] / entry["seconds"] for entry in found.rounds]
    report["batch"] = {
        **batch,
        "updates_per_second": _spread(rates),
        "table_seconds": median_of(found.rounds, "table_seconds"),
        "operations": found.rounds[-1]["operations"],
        "compile_seconds": found.compile_seconds,
    }
    return report


def _spread(values: list[float]) -> dict:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}
