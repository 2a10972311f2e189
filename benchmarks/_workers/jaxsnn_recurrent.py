"""jaxsnn's own recurrent EventProp example."""

import types

from benchmarks._workers._jaxsnn_training import catch, training_of
from benchmarks._workers._protocol import Measure, serve


def prepare(case: dict) -> tuple[Measure, dict]:
    from jaxsnn.examples.event import (  # pyright: ignore[reportMissingImports]
        yinyang_recurrent_event_prop as example,
    )

    example.custom_lax = types.SimpleNamespace(scan=catch)
    sizes = {"hidden-size": "hidden", "batch-size": "batch", "trainset-size": "samples"}
    options = [f"--{name}={case[key]}" for name, key in {**sizes, "seed": "seed"}.items()]
    hidden, output = case["peer_events"]
    options += [f"--n-spikes-hidden={hidden}", f"--n-spikes-output={output}"]
    arguments = example.get_parser().parse_args(options)
    return training_of(lambda: example.main(arguments), case["seed"])


if __name__ == "__main__":
    serve(prepare)
