"""jaxsnn's own analytical Yin-Yang example, with its own data, network and optimiser.

The example sets everything up itself; the call that would start its epochs is caught. A round is
its training scan over one epoch. Shuffling and testing are left out, in the peer's favour.
"""

import importlib.metadata
import time

from benchmarks._workers._protocol import Measure, serve


class _Caught(Exception):
    pass


def prepare(case: dict) -> tuple[Measure, dict]:
    import jax
    from jaxsnn.base.dataset import data_loader  # pyright: ignore[reportMissingImports]
    from jaxsnn.examples.event import (  # pyright: ignore[reportMissingImports]
        yinyang_analytical as example,
    )

    def catch(epoch, state, epochs):
        raise _Caught(epoch.args, state)

    example.scan = catch
    args = example.get_parser().parse_args(["--seed", str(case["seed"])])
    settings = [5, args.hidden_size, 3], args.batch_size, args.trainset_size
    if settings != (case["sizes"], case["batch"], case["samples"]):
        raise ValueError(f"the example has sizes, batch, samples {settings}; the case is {case}")
    try:
        example.main(args)
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
        state, (values, _) = jax.block_until_ready(jax.lax.scan(update, state, batches))
        seconds = time.perf_counter() - start
        loss, (first_spikes, _) = values
        right = first_spikes.argmin(-1) == batches[1].argmin(-1)
        return {
            "seconds": seconds,
            "samples": right.size,
            "loss": float(loss.mean()),
            "accuracy": float(right.mean()),
        }

    version = importlib.metadata.version
    return measure, {"jaxsnn": version("jaxsnn"), "jax": jax.__version__}


if __name__ == "__main__":
    serve(prepare)
