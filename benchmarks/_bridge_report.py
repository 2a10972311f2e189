"""Prints a report of `benchmarks.bridge` for people."""

from collections.abc import Iterator

from benchmarks._report import machine_lines
from benchmarks.bridge import GOALS


def lines(report: dict) -> Iterator[str]:
    """The report as lines of text."""
    yield from machine_lines(report)
    yield ""
    yield "emulated chip: speed as a multiple of the chip's own time and of biological time"
    for name, chip in report["chips"].items():
        case = chip["case"]
        neurons = case["hemispheres"] * case["columns"]
        middle, low, high = chip["biological_time"]
        yield (
            f"  {name:31} {neurons} neurons, step {case['dt_us']} us, {chip['rate_hz']:.0f} Hz "
            f"biological: {chip['chip_time']:.2g} of chip time, {middle:.3g} [{low:.3g}, "
            f"{high:.3g}] of biological time, compiled in {chip['compile_seconds']:.0f} s"
        )
        if any(chip["lost"]):
            yield f"    lost: overflow, unlisted spikes, dropped events {chip['lost']}"
    speed = {name: chip["biological_time"][0] for name, chip in report["chips"].items()}
    yield _goal("full chip at biological time", speed["full chip"] >= GOALS["full_chip"])
    dense = speed["full chip, all sensors at once"]
    yield _goal("0.3 of it with all sensors at once", dense >= GOALS["dense_sensors"])
    yield ""
    seconds = report["lowering"]["seconds"]
    yield (
        f"lowering {report['lowering']['rules']} rules: {1e3 * seconds['median']:.0f} "
        f"[{1e3 * seconds['low']:.0f}, {1e3 * seconds['high']:.0f}] ms each"
    )
    yield _goal("a rule in less than 50 ms", seconds["median"] < GOALS["lowering"])
    batch = report["batch"]
    rate = batch["updates_per_second"]
    yield (
        f"{batch['rules']} rules of {batch['operations']:.0f} operations on "
        f"{batch['synapses'][0]} x {batch['synapses'][1]} synapses: {rate['median']:.2e} "
        f"[{rate['low']:.2e}, {rate['high']:.2e}] synapse updates/s, of which tables take "
        f"{batch['table_seconds']:.2f} s"
    )
    yield _goal("3e7 synapse updates/s", rate["median"] >= GOALS["batch"])


def _goal(text: str, met: bool) -> str:
    return f"  goal {'met' if met else 'MISSED'}: {text}"
