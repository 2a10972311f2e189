"""`python -m benchmarks SUITE`: measures plasticjax against its peers on this machine."""

import argparse
import json
import os
import pathlib
import sys

from benchmarks import (
    _bridge_report,
    _energy_report,
    _evolution_report,
    _report,
    _spike_trains_report,
    bridge,
    energy,
    evolution,
    first_spike,
    spike_trains,
)
from benchmarks._harness import WorkerFailed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    suites = parser.add_subparsers(dest="suite", required=True)
    spikes = suites.add_parser("first_spike", help="training on first-spike times")
    spikes.add_argument("--memory", action="store_true", help="also peak memory of 28x28 MNIST")
    energies = suites.add_parser("energy", help="dynamics derived from energies")
    for suite, peers, code in (
        (spikes, first_spike.PEERS, "the first-spike PyTorch code, v1.0.0"),
        (energies, energy.PEERS, "the latent-equilibrium PyTorch code"),
    ):
        suite.add_argument("--reference", metavar="PATH", help=f"checkout of {code}")
        suite.add_argument("--threads", type=int, default=_cores())
        _add_common(suite, ",".join(peers))
    rules = suites.add_parser("evolution", help="evolving plasticity rules and formulas")
    rules.add_argument("--cores", type=int, default=_cores(), help="default %(default)s")
    rules.add_argument(
        "--populations",
        type=_numbers,
        default=evolution.POPULATIONS,
        metavar="LIST",
        help="sizes of the scaling table, by default 100 to 1000000",
    )
    _add_common(rules, ",".join(evolution.PEERS))
    trains = suites.add_parser("spike_trains", help="spike trains and surrogate gradients")
    trains.add_argument("--threads", type=int, default=_cores())
    trains.add_argument("--no-memory", action="store_true", help="leave memory out")
    _add_common(trains, ",".join(spike_trains.PEERS))
    chip = suites.add_parser("bridge", help="the emulated BrainScaleS-2 chip and lowered rules")
    _add_common(chip)
    return parser


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _add_common(suite: argparse.ArgumentParser, peers: str = "") -> None:
    if peers:
        suite.add_argument(
            "--peers", type=_names, metavar="LIST", help=f"of {peers}; by default all that can run"
        )
    suite.add_argument(
        "--repeats", type=int, default=7, help="rounds of each (default %(default)s)"
    )
    suite.add_argument("--out", metavar="FILE", type=pathlib.Path, help="write the report as JSON")
    suite.add_argument(
        "--python",
        metavar="NAME=PATH",
        type=_assignment,
        action="append",
        default=[],
        help="interpreter of one implementation, e.g. jpc=/envs/jpc/bin/python",
    )


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _numbers(text: str) -> list[int]:
    return [int(number) for number in _names(text)]


def _assignment(text: str) -> tuple[str, str]:
    name, sign, path = text.partition("=")
    if not (name and sign and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, path


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        report, text = _measure(options)
    except (ValueError, WorkerFailed) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(text))
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def _measure(options: argparse.Namespace):
    """The report of the chosen suite, and its lines for people."""
    common = {"repeats": options.repeats, "pythons": dict(options.python)}
    if options.suite == "bridge":
        report = bridge.run(**common)
        return report, _bridge_report.lines(report)
    if options.suite == "evolution":
        peers = list(evolution.PEERS) if options.peers is None else options.peers
        sizes = {"cores": options.cores, "populations": options.populations}
        report = evolution.run(peers, **sizes, **common)
        return report, _evolution_report.lines(report)
    common |= {"threads": options.threads}
    if options.suite == "spike_trains":
        peers = list(spike_trains.PEERS) if options.peers is None else options.peers
        report = spike_trains.run(peers, memory=not options.no_memory, **common)
        return report, _spike_trains_report.lines(report)
    common |= {"reference": options.reference}
    suite = {"first_spike": first_spike, "energy": energy}[options.suite]
    peers = options.peers
    if peers is None:
        peers = [name for name in suite.PEERS if name != "torch" or options.reference]
    if options.suite == "first_spike":
        report = first_spike.run(peers, memory=options.memory, **common)
        return report, _report.lines(report)
    report = energy.run(peers, **common)
    return report, _energy_report.lines(report)


if __name__ == "__main__":
    sys.exit(main())
