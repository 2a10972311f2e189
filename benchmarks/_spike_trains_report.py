"""Prints a report of `benchmarks.spike_trains` for people."""

from collections.abc import Iterator

from benchmarks._report import machine_lines
from benchmarks.spike_trains import GOALS


def lines(report: dict) -> Iterator[str]:
    """The report as lines of text."""
    yield from machine_lines(report)
    for name, pair in report["pairs"].items():
        yield ""
        yield from _pair_lines(name, pair)
    if "memory" in report:
        yield ""
        yield from _memory_lines(report["memory"])


def _pair_lines(name: str, pair: dict) -> Iterator[str]:
    case = pair["case"]
    size = "-".join(map(str, case["sizes"])) if "sizes" in case else f"5-{case['hidden']}-3"
    yield f"plasticjax and {name}: {case['kind']}, {size}, batch {case['batch']}, {case['dtype']}"
    yield f"  {'':12}{'step ms':>10}{'samples/s':>12}{'compile s':>11}{'loss':>18}  versions"
    for key, result in pair["results"].items():
        versions = {k: v for k, v in result["facts"].items() if isinstance(v, str)}
        loss = "{:.3f} -> {:.3f}".format(*result["loss"])
        yield (
            f"  {key:12}{1e3 * result['step_seconds']:10.2f}{result['samples_per_second']:12.0f}"
            f"{result['compile_seconds']:11.2f}{loss:>18}  "
            + ", ".join(f"{k} {v}" for k, v in versions.items())
        )
    error = pair["spike_time_error"]
    if error is not None:
        yield (
            f"  {error['compared']} label spikes of {name} differ from the exact ones by "
            f"{error['median']:.1e} ms (median), {error['largest']:.1e} ms (largest); "
            f"{error['in_one_only']} are found by one side only"
        )
    times = pair["times_faster"]
    yield (
        f"  plasticjax is {times['median']:.3g} times as fast as {name} "
        f"[{times['low']:.3g}, {times['high']:.3g}]"
    )
    verdict = "met" if times["median"] >= GOALS[name] else "MISSED"
    yield f"  goal {verdict}: {GOALS[name]:g} times as fast"


def _memory_lines(memory: dict) -> Iterator[str]:
    yield f"memory of a gradient, {memory['hidden']} recurrent neurons (kB)"
    for row in memory["lengths"]:
        yield (
            f"  {row['t_end']:7.0f} ms, room for 60 spikes: "
            f"EventProp {row['eventprop'] / 1e3:.0f}; a grid of 1 ms {row['grid'] / 1e3:.0f}"
        )
    for row in memory["spikes"]:
        yield (
            f"  {row['spikes']:7d} spikes: EventProp {row['eventprop'] / 1e3:.0f}; "
            f"implicit {row['implicit'] / 1e3:.0f}"
        )
    kilobytes = [row["eventprop"] for row in memory["lengths"]]
    flat = max(kilobytes) <= 1.01 * min(kilobytes)
    yield f"  goal {'met' if flat else 'MISSED'}: flat in the length of the sequence"
