"""Prints a report of `benchmarks.first_spike` for people."""

from collections.abc import Iterator


def lines(report: dict) -> Iterator[str]:
    """The report as lines of text."""
    yield from machine_lines(report)
    for name, pair in report["pairs"].items():
        yield ""
        yield from _pair_lines(name, pair)
    if "memory" in report:
        memory = report["memory"]
        yield ""
        yield (
            f"memory, {'-'.join(map(str, memory['case']['sizes']))}, "
            f"batch {memory['case']['batch']}, {memory['case']['dtype']}, forward and backward: "
            f"peak {memory['peak_rss'] / 1e9:.2f} GB of the process, of which "
            f"{memory['rss_before'] / 1e9:.2f} GB before the first pass "
            f"(limit {memory['limit'] / 1e9:.2f} GB); XLA plans {memory['temporary'] / 1e9:.2f} GB "
            f"of temporaries; {memory['seconds']:.3f} s a pass"
        )


def machine_lines(report: dict) -> Iterator[str]:
    """The machine and its measured peak."""
    machine, peak = report["machine"], report["peak"]
    yield (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_GiB']} GiB, "
        f"load {machine['load_1min']}; {machine['system']}, Python {machine['python']}"
    )
    yield (
        f"measured peak: {peak['bytes_per_s'] / 1e9:.1f} GB/s, "
        f"{peak['float32_flops_per_s'] / 1e9:.0f} GFLOP/s float32, "
        f"{peak['float64_flops_per_s'] / 1e9:.0f} GFLOP/s float64"
    )


def _pair_lines(name: str, pair: dict) -> Iterator[str]:
    case = pair["case"]
    bias = " and a bias in each layer" if case["bias"] else ""
    yield (
        f"plasticjax and {name}: {'-'.join(map(str, case['sizes']))}{bias}, "
        f"batch {case['batch']}, {case['samples']} samples, {case['dtype']}"
    )
    heads = f"{'epoch s':>10}{'samples/s':>12}{'compile s':>11}{'loss':>18}{'accuracy':>16}"
    yield f"  {'':12}{heads}  versions"
    for key, result in pair["results"].items():
        versions = {k: v for k, v in result["facts"].items() if isinstance(v, str)}
        loss, accuracy = ("{:.3f} -> {:.3f}".format(*result[name]) for name in ("loss", "accuracy"))
        yield (
            f"  {key:12}{result['seconds_median']:10.4f}{result['samples_per_second']:12.0f}"
            f"{result['compile_seconds']:11.2f}{loss:>18}{accuracy:>16}  "
            + ", ".join(f"{k} {v}" for k, v in versions.items())
        )
    for key, result in pair["results"].items():
        if result["accuracy"][1] <= result["accuracy"][0]:
            yield f"  {key} did not learn: its accuracy did not rise. Do not trust this comparison."
    times = pair["times_faster"]
    yield (
        f"  plasticjax is {times['median']:.3g} times as fast as {name} "
        f"[{times['low']:.3g}, {times['high']:.3g}]"
    )
    if "against_peak" in pair:
        share = pair["against_peak"]
        yield (
            f"  a step uses {share['flops_fraction']:.1%} of the peak FLOP rate and "
            f"{share['bytes_fraction']:.1%} of the peak bandwidth; "
            f"{share['times_bound']:.1f} times the larger bound"
        )
