"""First-spike-time training against its peers, each at the size of the peer's own example."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks._harness import Measured, Worker, alternate, ratio
from benchmarks._machine import against_peak, describe, measure_peak, median_of

MEMORY_LIMIT = 0.8e9  # bytes, for 28 x 28 MNIST


@dataclass(frozen=True)
class Peer:
    """A peer and the network of its own Yin-Yang example, at which it is measured.

    Attributes:
        module: its worker.
        sizes: neurons per layer, inputs first.
        bias: whether each layer also gets a bias spike, on top of `sizes`.
        batch: samples a step.
        samples: samples an epoch.
        tau_mem: membrane time constant of our neuron (units of tau_syn).
        dtype: precision of both.
    """

    module: str
    sizes: tuple[int, ...]
    bias: bool
    batch: int
    samples: int
    tau_mem: float
    dtype: str

    def case(self) -> dict:
        """The settings that the workers receive."""
        settings = asdict(self)
        del settings["module"]
        return {**settings, "sizes": list(self.sizes), "seed": 2000}


PEERS = {
    "torch": Peer(
        "benchmarks._workers.torch_reference",
        sizes=(4, 120, 3),
        bias=True,
        batch=150,
        samples=5000,
        tau_mem=1.0,
        dtype="float64",
    ),
    "jaxsnn": Peer(
        "benchmarks._workers.jaxsnn_example",
        sizes=(5, 100, 3),
        bias=False,
        batch=64,
        samples=4992,
        tau_mem=2.0,
        dtype="float32",
    ),
    "eventax": Peer(
        "benchmarks._workers.eventax_example",
        sizes=(5, 20, 3),
        bias=False,
        batch=256,
        samples=5000,
        tau_mem=4.0,
        dtype="float64",
    ),
}


def measure_pair(
    name: str, *, repeats: int, pythons: Mapping[str, str], extra: Mapping[str, object]
) -> dict:
    """Measures plasticjax and one peer in turns.

    Args:
        name: a key of `PEERS`.
        repeats: rounds of each.
        pythons: interpreter by implementation name (`plasticjax` or a peer).
        extra: settings beyond the peer's own, such as `data`, `reference`, `threads`.

    Returns:
        A JSON-ready entry with both measurements and the ratio of their run times.
    """
    peer = PEERS[name]
    case = {**peer.case(), **extra}
    workers = [
        Worker(
            "plasticjax",
            "benchmarks._workers.ours",
            case,
            _python("plasticjax", pythons),
        ),
        Worker(name, peer.module, case, _python(name, pythons)),
    ]
    measured = alternate(workers, repeats)
    times_faster = ratio(measured[name], measured["plasticjax"])
    return {
        "case": peer.case(),
        "results": {key: _summary(value) for key, value in measured.items()},
        "times_faster": asdict(times_faster),
    }


def measure_memory(*, repeats: int, pythons: Mapping[str, str]) -> dict:
    """Peak memory of a forward and backward pass through 784-350-10 at batch 80 in float64."""
    case = {"sizes": [784, 350, 10], "batch": 80, "dtype": "float64", "seed": 0}
    worker = Worker(
        "memory",
        "benchmarks._workers.ours_memory",
        case,
        _python("plasticjax", pythons),
    )
    measured = alternate([worker], repeats)["memory"]
    return {
        "case": case,
        "peak_rss": max(entry["peak_rss"] for entry in measured.rounds),
        "rss_before": measured.ready["facts"]["rss_before"],
        "temporary": measured.ready["facts"]["temporary"],
        "seconds": median_of(measured.rounds, "seconds"),
        "limit": MEMORY_LIMIT,
    }


def run(
    peers: Sequence[str],
    *,
    repeats: int,
    threads: int,
    reference: str | None,
    pythons: Mapping[str, str],
    memory: bool,
) -> dict:
    """Runs the whole comparison.

    Returns:
        A JSON-ready report: `machine`, `peak`, `pairs` by peer and, if asked for, `memory`.

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
    report["peak"] = peak = measure_peak(_python("plasticjax", pythons))
    with tempfile.TemporaryDirectory() as folder:
        extra = {
            "data": _write_data(Path(folder)),
            "threads": threads,
            "reference": reference,
        }
        report["pairs"] = {
            name: measure_pair(name, repeats=repeats, pythons=pythons, extra=extra)
            for name in peers
        }
    for pair in report["pairs"].values():
        ours = pair["results"]["plasticjax"]
        step_seconds = ours["seconds_median"] / ours["facts"]["steps"]
        cost, dtype = ours["facts"]["step_cost"], pair["case"]["dtype"]
        pair["against_peak"] = against_peak(cost, step_seconds, peak, dtype=dtype)
    if memory:
        report["memory"] = measure_memory(repeats=repeats, pythons=pythons)
    return report


def _python(name: str, pythons: Mapping[str, str]) -> str:
    return pythons.get(name, sys.executable)


def _write_data(folder: Path) -> str:
    import numpy as np

    from plasticjax.data import yin_yang

    features, labels = yin_yang(5000, seed=42)
    path = folder / "yin_yang.npz"
    np.savez(path, features=features, labels=labels)
    return str(path)


def _summary(measured: Measured) -> dict:
    return {
        "seconds": measured.seconds,
        "seconds_median": median_of(measured.rounds, "seconds"),
        "compile_seconds": measured.compile_seconds,
        "setup_seconds": measured.ready["setup_seconds"],
        "samples_per_second": measured.samples_per_second,
        "loss": [measured.ready["first"]["loss"], measured.rounds[-1]["loss"]],
        "accuracy": [
            measured.ready["first"]["accuracy"],
            measured.rounds[-1]["accuracy"],
        ],
        "peak_rss": measured.rounds[-1]["peak_rss"],
        "facts": measured.ready["facts"],
    }
