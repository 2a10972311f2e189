"""The best rates that plain array code reaches on this machine."""

import time

from benchmarks._machine import best_rate
from benchmarks._workers._protocol import Measure, serve

STREAM = 2**28  # bytes, far larger than any cache
SIDE = 2048  # of the square matrices


def prepare(case: dict) -> tuple[Measure, dict]:
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    add = jax.jit(lambda x: x + 1, donate_argnums=0)  # in place: no fresh pages in the timing
    multiply = jax.jit(jnp.matmul)
    stream = jnp.zeros(STREAM // 4, "float32")
    squares = {name: jnp.ones((SIDE, SIDE), name) for name in ("float32", "float64")}

    def pass_over_stream() -> None:
        nonlocal stream
        stream = add(stream).block_until_ready()

    def measure() -> dict:
        start = time.perf_counter()
        rates = {
            f"{name}_flops_per_s": best_rate(
                lambda x=x: multiply(x, x).block_until_ready(), 2.0 * SIDE**3
            )
            for name, x in squares.items()
        }
        rates["bytes_per_s"] = best_rate(pass_over_stream, 2.0 * STREAM)
        return {"seconds": time.perf_counter() - start, **rates}

    return measure, {"jax": jax.__version__}


if __name__ == "__main__":
    serve(prepare)
