"""`python -m benchmarks first_spike`: measures plasticjax against its peers on this machine."""

import argparse
import json
import os
import pathlib
import sys

from benchmarks import first_spike
from benchmarks._harness import WorkerFailed
from benchmarks._report import lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    suites = parser.add_subparsers(dest="suite", required=True)
    suite = suites.add_parser("first_spike", help="training on first-spike times")
    suite.add_argument("--reference", metavar="PATH", help="checkout of the PyTorch code, v1.0.0")
    suite.add_argument("--peers", type=_names, default=[], help="comma-separated: torch,jaxsnn,...")
    suite.add_argument(
        "--repeats", type=int, default=7, help="rounds of each (default %(default)s)"
    )
    suite.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    suite.add_argument("--memory", action="store_true", help="also peak memory of 28x28 MNIST")
    suite.add_argument("--out", metavar="FILE", type=pathlib.Path, help="write the report as JSON")
    suite.add_argument(
        "--python",
        metavar="NAME=PATH",
        type=_assignment,
        action="append",
        default=[],
        help="interpreter of one implementation, e.g. jaxsnn=/envs/jaxsnn/bin/python",
    )
    return parser


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _assignment(text: str) -> tuple[str, str]:
    name, sign, path = text.partition("=")
    if not (name and sign and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, path


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    peers = options.peers or [
        name for name in first_spike.PEERS if name != "torch" or options.reference
    ]
    try:
        report = first_spike.run(
            peers,
            repeats=options.repeats,
            threads=options.threads,
            reference=options.reference,
            pythons=dict(options.python),
            memory=options.memory,
        )
    except (ValueError, WorkerFailed) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(lines(report)))
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
