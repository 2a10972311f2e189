"""Training of jaxsnn's own examples, with their own data, networks and optimisers.

An example sets everything up itself; the call that would start its epochs is caught. A round is its
training scan over one epoch. Shuffling and testing are left out, in the peer's favour.
"""

import importlib.metadata
import time
from collections.abc import Callable
from typing import Any

from benchmarks._workers._protocol import Measure


class _Caught(Exception):
    pass


def catch(epoch, state, epochs):
    """Stands in for the scan over epochs."""
    raise _Caught(epoch.args, state)


def training_of(start: Callable[[], Any], seed: int) -> tuple[Measure, dict]:
    """Rounds of the example that `start` starts, whose scan over epochs has become `catch`."""
    import jax
    from jaxsnn.base.dataset import data_loader  # pyright: ignore[reportMissingImports]

    try:
        start()
    except _Caught as caught:
        (update, _, trainset, _, batch, _), state = caught.args
    else:
        raise RuntimeError("the example did not start its epochs through scan")
    key = jax.random.PRNGKey(seed)

    def measure() -> dict:
        nonlocal state, key
        key, shuffle = jax.random.split(key)
        batches = jax.block_until_ready(data_loader(trainset, batch, rng=shuffle))
        begin = time.perf_counter()
        state, ((loss, (first_spikes, _)), _) = jax.block_until_ready(
            jax.lax.scan(update, state, batches)
        )
        seconds = time.perf_counter() - begin
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
