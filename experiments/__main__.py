"""The command: `python -m experiments list | run NAME | report`."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import jax

from plasticjax.runtime import CheckpointError

from ._claims import NOT_REPRODUCED, NotFiniteError, print_table
from ._config import override, replace
from ._discovery import discover, find
from ._errors import UserError
from ._processes import is_worker, join, launch
from ._report import report
from ._run import execute

_RUN_HELP = """\
Runs an experiment and compares what it measures with the literature. Files are written to
OUT/NAME/HASH: config.json, metrics.json, figure.png and checkpoints/. HASH stands for the
configuration and the key, so that different runs do not mix.
"""
_RUN_EXAMPLES = """\
examples:
  python -m experiments run yin-yang-first-spike
  python -m experiments run yin-yang-first-spike --smoke --check
  python -m experiments run yin-yang-first-spike --paper --resume
  python -m experiments run yin-yang-first-spike --set epochs=15 --seeds 5
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None, package: str = "experiments") -> int:
    """Run the command with the experiments of `package` and return its exit status."""
    options = _parser().parse_args(arguments)
    options.arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return options.action(options, package)
    except (UserError, CheckpointError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except NotFiniteError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command with --resume goes on", file=sys.stderr)
        return 130


def _list(options: argparse.Namespace, package: str) -> int:
    experiments = discover(package)
    width = max(map(len, experiments), default=0)
    for experiment in experiments.values():
        print(f"{experiment.name:{width}}  {experiment.summary}")
    return 0


def _run(options: argparse.Namespace, package: str) -> int:
    experiment = find(options.name, package)
    if options.processes > 1 and not is_worker():
        return launch(options.processes, options.arguments)
    join(cluster=options.cluster, devices=options.devices)
    config, size = _configure(experiment.load().Config, options)
    directory, metrics = execute(
        experiment,
        config,
        size=size,
        key=options.key,
        command=_command(options),
        out=options.out,
        resume=options.resume,
        spread=options.devices is not None or options.processes > 1 or options.cluster,
    )
    if jax.process_index() > 0:
        return 0
    print_table(f"{experiment.name} ({size})", metrics["claims"])
    print(f"{metrics['wall_seconds']:.0f} s, {metrics['compile_seconds']:.0f} s of it compiling")
    print(f"wrote {directory}")
    failed = any(claim["verdict"] == NOT_REPRODUCED for claim in metrics["claims"])
    return 1 if options.check and failed else 0


def _configure(config_class: Any, options: argparse.Namespace) -> tuple[Any, str]:
    makers = {
        "default": config_class,
        "smoke": config_class.smoke,
        "paper": config_class.paper,
    }
    config = makers[options.size]()
    if options.seeds is not None:
        config = replace(config, seeds=options.seeds)
    if options.set:
        return override(config, options.set), "custom"
    return config, options.size


def _command(options: argparse.Namespace) -> str:
    words = ["python", "-m", "experiments", "run", options.name]
    if options.size != "default":
        words.append(f"--{options.size}")
    for assignment in options.set:
        words += ["--set", assignment]
    if options.seeds is not None:
        words += ["--seeds", str(options.seeds)]
    if options.key:
        words += ["--key", str(options.key)]
    return shlex.join(words)


def _report(options: argparse.Namespace, package: str) -> int:
    names = report(
        results=options.results, output=options.output, kept=options.kept, keep=options.keep
    )
    print(f"wrote {options.output}: {', '.join(names) or 'no runs yet'}")
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not valid; a number >= 1 is expected")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m experiments", description="Runs results of the literature again."
    )
    actions = parser.add_subparsers(required=True, metavar="list | run | report")

    action = actions.add_parser("list", help="list the experiments")
    action.set_defaults(action=_list)

    action = actions.add_parser(
        "run",
        help="run an experiment and print its claims",
        description=_RUN_HELP,
        epilog=_RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    action.set_defaults(action=_run, size="default")
    action.add_argument("name", metavar="NAME", help="an experiment of `list`")
    size = action.add_mutually_exclusive_group()
    for name, text in (("smoke", "the whole path in seconds"), ("paper", "the published size")):
        size.add_argument(f"--{name}", dest="size", action="store_const", const=name, help=text)
    action.add_argument(
        "--seeds", type=int, metavar="N", help="number of seeds; claims are judged as before"
    )
    action.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change a field of the Config; may be repeated; claims are not judged then",
    )
    action.add_argument(
        "--key", type=int, default=0, metavar="INT", help="random key, default %(default)s"
    )
    action.add_argument(
        "--out",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="where to write, default %(default)s",
    )
    action.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    action.add_argument(
        "--check", action="store_true", help="exit with status 1 if a claim is not reproduced"
    )

    action.add_argument(
        "--devices",
        type=_count,
        metavar="N",
        help="spread independent searches over N CPU devices of each process, or over all GPUs",
    )
    together = action.add_mutually_exclusive_group()
    together.add_argument(
        "--processes",
        type=_count,
        default=1,
        metavar="N",
        help="start N processes on this machine that share the work",
    )
    together.add_argument(
        "--cluster", action="store_true", help="join the processes that SLURM or MPI started"
    )

    action = actions.add_parser("report", help="collect all runs into the reproduction table")
    action.set_defaults(action=_report)
    for name, default, text in (
        ("results", "results", "folder of runs"),
        ("kept", "docs/reproduction", "folder of committed metrics"),
        ("output", "docs/reproduction.md", "page to write"),
    ):
        action.add_argument(
            f"--{name}",
            type=Path,
            default=Path(default),
            metavar="FILE" if name == "output" else "DIR",
            help=f"{text}, default %(default)s",
        )
    action.add_argument(
        "--keep", action="store_true", help="copy the metrics behind the table to KEPT"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
