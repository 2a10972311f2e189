"""Prints a report of `benchmarks.evolution` for people."""

from collections.abc import Iterator

from benchmarks._report import machine_lines


def lines(report: dict) -> Iterator[str]:
    """The report as lines of text."""
    yield from machine_lines(report)
    yield ""
    yield f"fitness on the task of the first principal component, {report['cores']} cores"
    yield from _throughput(report["oja"], "steps")
    if report["oja"]["difference"] is not None:
        yield f"  fitness of the same programs differs by at most {report['oja']['difference']:.1e}"
    yield ""
    yield "offspring: clone and mutate; plasticjax also masks and compacts"
    yield from _throughput(report["offspring"], "offspring")
    yield ""
    yield from _regression(report["regression"])
    yield ""
    yield "fitness against population"
    for population, rate in report["scaling"]["steps_per_second"].items():
        yield f"  {population:>9} individuals  {rate:.3g} steps/s"
    efficiency = _ratio(report["scaling"]["efficiency"])
    yield f"  islands on all cores against one: parallel efficiency {efficiency}"


def _throughput(part: dict, unit: str) -> Iterator[str]:
    for name, result in part["results"].items():
        yield f"  {name:20}{result['per_second']:.3g} {unit}/s"
    for name, times in part["times_faster"].items():
        yield f"  plasticjax does {_ratio(times)} times as many as {name}"


def _regression(part: dict) -> Iterator[str]:
    yield f"symbolic regression until 60 % of {part['seeds']} searches are solved"
    for name, result in part["results"].items():
        yield (
            f"  {name:20}{result['seconds_median']:.3g} s, generations {result['generations']}, "
            f"{result['solved']} solved"
        )
    yield (
        f"  plasticjax takes {part['warm_seconds']:.3g} s with a warm compilation cache, "
        f"{part['cold_seconds']:.3g} s cold"
    )
    if "times_faster" in part:
        yield (
            f"  hal-cgp takes {_ratio(part['times_faster'])} times as long as a compiled program, "
            f"{part['times_faster_warm']:.3g} times with a warm cache, "
            f"{part['times_faster_cold']:.3g} times cold"
        )
    if "times_faster_kozax_per_search" in part:
        times = part["times_faster_kozax_per_search"]
        yield f"  kozax takes {times:.3g} times as long for a search"


def _ratio(value: dict) -> str:
    return f"{value['median']:.3g} [{value['low']:.3g}, {value['high']:.3g}]"
