"""Prints a report of `benchmarks.energy` for people."""

from collections.abc import Iterator

from benchmarks._report import machine_lines


def lines(report: dict) -> Iterator[str]:
    """The report as lines of text."""
    yield from machine_lines(report)
    yield ""
    yield from _step_lines(report["step"])
    if "torch" in report:
        yield ""
        yield from _torch_lines(report["torch"])
    if "jpc" in report:
        yield ""
        yield from _jpc_lines(report["jpc"])


def _step_lines(step: dict) -> Iterator[str]:
    case = step["case"]
    yield (
        f"latent equilibrium, training step: {'-'.join(map(str, case['sizes']))}, "
        f"batch {case['batch']}, {case['dtype']}, {case['steps']} steps a round"
    )
    for name, result in step["results"].items():
        share = result["against_peak"]
        yield f"  {name:12}{_times(result, case['steps'])}  {share['flops_fraction']:.0%} of peak"
    yield f"  the products alone are {step['product_flops'] / 1e6:.0f} MFLOP"
    yield f"  plasticjax takes {_ratio(step['times_hand'])} times as long as by hand"
    yield f"  plasticjax takes {_ratio(step['times_products'])} times as long as its products"
    yield f"  weights differ from those by hand by {step['difference']:.1e} of their change"


def _torch_lines(torch: dict) -> Iterator[str]:
    steps = torch["case"]["steps"]
    yield f"latent equilibrium against the PyTorch code, {steps} of the same steps a round"
    for name, result in torch["results"].items():
        yield (
            f"  {name:12}{_times(result, steps)}, working memory "
            f"{torch['growth'][name] / 1e6:.1f} MB"
        )
    yield (
        f"  plasticjax is {_ratio(torch['times_faster'])} times as fast, with "
        f"1/{torch['times_less_memory']:.0f} of the working memory"
    )
    yield f"  weights differ by {torch['difference']:.1e} of their change"


def _jpc_lines(jpc: dict) -> Iterator[str]:
    case = jpc["case"]
    yield (
        f"predictive coding: {'-'.join(map(str, case['sizes']))}, batch {case['batch']}, "
        f"{case['dtype']}, {case['steps']} Euler steps of {case['dt']}, then the gradient"
    )
    for name, result in jpc["results"].items():
        yield (
            f"  {name:12}{_times(result, 1)}, "
            f"{jpc['distance_to_limit'][name]:.4e} from the converged gradient"
        )
    for name, times in jpc["times_faster"].items():
        yield f"  plasticjax is {_ratio(times)} times as fast as {name}"


def _times(result: dict, parts: int) -> str:
    best, median, worst = (
        1e3 * seconds / parts
        for seconds in (result["seconds_best"], result["seconds_median"], max(result["seconds"]))
    )
    return f"{median:9.3f} ms [{best:.3f}, {worst:.3f}]"


def _ratio(times: dict) -> str:
    spread = f"{times['low']:.3g}, {times['high']:.3g}; best rounds {times['best']:.3g}"
    return f"{times['median']:.3g} [{spread}]"
