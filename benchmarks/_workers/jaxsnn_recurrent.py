"""jaxsnn's own recurrent EventProp example, with its own data, network and optimiser.

As `jaxsnn_example`: the call that would start its epochs is caught, a round is its training scan
over one epoch. Shuffling and testing are left out, in the peer's favour.
"""

import importlib.metadata
import time
import types

from benchmarks._workers._protocol import Measure, serve


class _Caught(Exception):
    pass


def prepare(case: dict) -> tuple[Measure, dict]:
    import jax
    from jaxsnn.base.dataset import data_loader  # pyright: ignore[reportMissingImports]
    from jaxsnn.examples.event import (  # pyright: ignore[reportMissingImports]
        yinyang_recurrent_event_prop as example,
    )

    def catch(epoch, state, epochs):
        raise _Caught(epoch.args, state)

    example.custom_lax = types.SimpleNamespace(scan=catch)
    sizes = {"hidden-size": "hidden", "batch-size": "batch", "trainset-size": "samples"}
    options = [f"--{name}={case[key]}" for name, key in {**sizes, "seed": "seed"}.items()]
    hidden, output = case["peer_events"]
    options += [f"--n-spikes-hidden={hidden}", f"--n-spikes-output={output}"]
    try:
        example.main(example.get_parser().parse_args(options))
    except _Caught as caught:
        (update, _, trainset, _, batch, _), state = caught.args
    else:
        raise RuntimeError("the example did not start its epochs through scan")
    key = jax.random.PRNGKey(case["seed"])

    def measure() -> dict:
        nonlocal state, key
        key, shuffle = jax.random.split(key)
        batches = jax.block_until_ready(data_loader(trainset, batch, rng=shuffle))
        start = time.perf_counter()
        state, ((loss, (first_spikes, _)), _) = jax.block_until_ready(
            jax.lax.scan(update, state, batches)
        )
        seconds = time.perf_counter() - start
        right = first_spikes.argmin(-1) == batches[1].argmin(-1)
        return {
            "seconds": seconds,
            "samples": right.size,
            "steps": len(loss),
            "loss": float(loss.mean()),
            "accuracy": float(right.mean()),
        }

    version = importlib.metadata.version
    return measure, {"jaxsnn": version("jaxsnn"), "jax": jax.__version__}


if __name__ == "__main__":
    serve(prepare)
