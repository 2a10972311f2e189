"""Dynamics derived from energies against hand-written code, the products alone, and peers."""

import itertools
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks._harness import Measured, Worker, alternate, ratio
from benchmarks._machine import against_peak, describe, measure_peak, median_of

PEERS = ("torch", "jpc")
STEP = {
    "sizes": [784, 300, 100, 10],
    "batch": 512,
    "steps": 100,
    "rates": [0.16, 0.032, 0.016],
    "dtype": "float32",
}
CODING = {
    "sizes": [64, 100, 50, 10],
    "batch": 64,
    "steps": 100,
    "dt": 0.1,
    "gradients": 20,
    "dtype": "float32",
}
REFERENCE_STEPS = 5  # a round of the pair with the PyTorch code, which is slow
JAX_TURNS = 4  # turns of the JAX variants for one of a peer


def run(
    peers: Sequence[str],
    *,
    repeats: int,
    threads: int,
    reference: str | None,
    pythons: Mapping[str, str],
    step: Mapping = STEP,
    coding: Mapping = CODING,
) -> dict:
    """Runs the whole comparison.

    Args:
        peers: of `PEERS`.
        repeats: rounds of each.
        threads: threads for PyTorch.
        reference: checkout of the PyTorch code of the latent-equilibrium paper.
        pythons: interpreter by implementation name (`plasticjax` or a peer).
        step: the training step of latent equilibrium.
        coding: the inference of predictive coding.

    Returns:
        A JSON-ready report: `machine`, `peak`, `step`, and for the peers `torch` and `jpc`.

    Raises:
        ValueError: for an unknown peer, or the PyTorch reference without its checkout.
        WorkerFailed: if an implementation cannot be measured.
    """
    for name in peers:
        if name not in PEERS:
            raise ValueError(f"unknown peer {name!r}; valid peers: {', '.join(PEERS)}")
    if "torch" in peers and reference is None:
        raise ValueError("the peer 'torch' needs --reference PATH, a checkout of its code")
    report: dict = {"machine": describe()}
    ours = pythons.get("plasticjax", sys.executable)
    before = measure_peak(ours)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        report["step"] = measure_step(step, place, repeats=JAX_TURNS * repeats, python=ours)
        if "torch" in peers:
            extra = {"reference": reference, "threads": threads}
            pair = {"plasticjax": ours, "torch": pythons.get("torch", sys.executable)}
            report["torch"] = measure_torch(step, place, repeats=repeats, pythons=pair, extra=extra)
        if "jpc" in peers:
            pair = {"plasticjax": ours, "jpc": pythons.get("jpc", sys.executable)}
            report["jpc"] = measure_jpc(coding, place, repeats=repeats, pythons=pair)
    after = measure_peak(ours)
    report["peak"] = peak = {name: max(before[name], after[name]) for name in before}
    for result in report["step"]["results"].values():
        cost = {**result["facts"]["step_cost"], "flops": report["step"]["product_flops"]}
        seconds = result["seconds_best"] / step["steps"]
        result["against_peak"] = against_peak(cost, seconds, peak, dtype=step["dtype"])
    return report


def measure_step(case: Mapping, folder: Path, *, repeats: int, python: str) -> dict:
    """The step derived from the energy, by hand, and the bare matrix products, in turns."""
    from benchmarks._workers._le_steps import VARIANTS, product_flops

    given = _write_data(folder, case)
    module = "benchmarks._workers.latent_equilibrium"
    workers = [
        Worker(name, module, {**given, "variant": name, "out": str(folder / name)}, python)
        for name in VARIANTS
    ]
    measured = alternate(workers, repeats)
    return {
        "case": dict(case),
        "product_flops": product_flops(case["sizes"], case["batch"]),
        "results": {name: _summary(value) for name, value in measured.items()},
        "times_hand": _compare(measured["plasticjax"], measured["hand"]),
        "times_products": _compare(measured["plasticjax"], measured["products"]),
        "difference": _difference(folder, "plasticjax", "hand", given["data"]),
    }


def measure_torch(
    case: Mapping, folder: Path, *, repeats: int, pythons: Mapping[str, str], extra: Mapping
) -> dict:
    """The derived step and the PyTorch code, in turns."""
    case = {**case, "steps": min(case["steps"], REFERENCE_STEPS)}
    given = {**_write_data(folder, case), **extra}
    modules = {
        "plasticjax": "benchmarks._workers.latent_equilibrium",
        "torch": "benchmarks._workers.le_torch_reference",
    }
    workers = [
        Worker(
            name,
            module,
            {**given, "variant": "plasticjax", "out": str(folder / name)},
            pythons[name],
        )
        for name, module in modules.items()
    ]
    measured = alternate(workers, repeats)
    growth = {name: value.rounds[-1]["growth"] for name, value in measured.items()}
    return {
        "case": case,
        "results": {name: _summary(value) for name, value in measured.items()},
        "times_faster": _compare(measured["torch"], measured["plasticjax"]),
        "growth": growth,
        "times_less_memory": growth["torch"] / growth["plasticjax"],
        "difference": _difference(folder, "plasticjax", "torch", given["data"]),
    }


def measure_jpc(case: Mapping, folder: Path, *, repeats: int, pythons: Mapping[str, str]) -> dict:
    """Inference and gradient of predictive coding in plasticjax and in both forms of jpc."""
    given = {**_write_data(folder, case), "limit": str(folder / "limit")}
    peer = "benchmarks._workers.jpc_example"
    workers = [
        Worker(
            "plasticjax",
            "benchmarks._workers.predictive_coding",
            {**given, "out": str(folder / "plasticjax")},
            pythons["plasticjax"],
        )
    ]
    for form in ("solver", "scan"):
        settings = {**given, "form": form, "out": str(folder / f"jpc {form}")}
        workers.append(Worker(f"jpc {form}", peer, settings, pythons["jpc"]))
    measured = alternate(workers, repeats)
    ours = measured["plasticjax"]
    return {
        "case": dict(case),
        "results": {name: _summary(value) for name, value in measured.items()},
        "times_faster": {
            name: _compare(value, ours) for name, value in measured.items() if name != "plasticjax"
        },
        "distance_to_limit": {name: _difference(folder, "limit", name) for name in measured},
    }


def _write_data(folder: Path, case: Mapping) -> dict:
    """The settings that the workers receive, with the file of weights, inputs and targets."""
    import numpy as np

    rng = np.random.default_rng(0)
    dtype, sizes, batch = case["dtype"], case["sizes"], case["batch"]
    arrays = {
        "x": rng.uniform(size=(batch, sizes[0])),
        "y": np.eye(sizes[-1])[np.arange(batch) % sizes[-1]],
    }
    for index, (pre, post) in enumerate(itertools.pairwise(sizes)):
        arrays[f"weight{index}"] = rng.normal(0, 0.05, (pre, post))
        arrays[f"bias{index}"] = rng.normal(0, 0.05, post)
    path = folder / f"data-{'-'.join(map(str, sizes))}.npz"
    cast = {name: array.astype(dtype) for name, array in arrays.items()}
    np.savez(path, allow_pickle=False, **cast)
    return {**case, "data": str(path)}


def _difference(folder: Path, one: str, other: str, start: str | None = None) -> float:
    """Largest difference of two results, relative to the largest change from the start."""
    import numpy as np

    a, b = (np.load(folder / f"{name}.npz") for name in (one, other))
    origin = None if start is None else np.load(start)
    far = change = 0.0
    for index, name in enumerate(a.files):
        far = max(far, float(np.abs(a[name] - b[name]).max()))
        moved = a[name] if origin is None else a[name] - origin[f"weight{index}"]
        change = max(change, float(np.abs(moved).max()))
    return far / change


def _compare(slow: Measured, fast: Measured) -> dict:
    """The ratios turn by turn, and that of the best rounds: what a quiet machine would show."""
    return {**asdict(ratio(slow, fast)), "best": min(slow.seconds) / min(fast.seconds)}


def _summary(measured: Measured) -> dict:
    return {
        "seconds": measured.seconds,
        "seconds_best": min(measured.seconds),
        "seconds_median": median_of(measured.rounds, "seconds"),
        "samples_per_second": measured.samples_per_second,
        "peak_rss": measured.rounds[-1]["peak_rss"],
        "facts": measured.ready["facts"],
    }
