"""One presentation of latent equilibrium with plasticity on, by one of `_le_steps.VARIANTS`."""

import time

from benchmarks._machine import step_cost
from benchmarks._workers._protocol import Measure, forget_peak, peak_rss, serve


def prepare(case: dict) -> tuple[Measure, dict]:
    import jax

    jax.config.update("jax_enable_x64", case["dtype"] == "float64")
    import jax.numpy as jnp
    import numpy as np

    from benchmarks._workers._le_steps import VARIANTS

    data = np.load(case["data"])
    layers = range(len(case["sizes"]) - 1)
    step, carry, weights_of = VARIANTS[case["variant"]](
        jnp.asarray(data["x"]),
        jnp.asarray(data["y"]),
        tuple(jnp.asarray(data[f"weight{layer}"]) for layer in layers),
        tuple(jnp.asarray(data[f"bias{layer}"]) for layer in layers),
        case["rates"],
    )

    def presentation(carry, steps):
        return jax.lax.scan(lambda carry, _: (step(carry), None), carry, length=steps)[0]

    carry = jax.tree.map(jnp.copy, carry)  # a start may hold the same zeros twice
    jitted = jax.jit(presentation, static_argnums=1, donate_argnums=0)
    compiled = jitted.lower(carry, case["steps"]).compile()
    cost = step_cost(jax.jit(step).lower(carry).compile())
    planned = compiled.memory_analysis()
    before = forget_peak()
    first = None

    def measure() -> dict:
        nonlocal carry, first
        start = time.perf_counter()
        carry = jax.block_until_ready(compiled(carry))
        seconds = time.perf_counter() - start
        growth = peak_rss() - before
        if first is None:
            first = weights_of(carry)
            np.savez(case["out"], *map(np.asarray, first))
        return {"seconds": seconds, "samples": len(data["x"]), "growth": growth}

    return measure, {
        "jax": jax.__version__,
        "step_cost": cost,
        "temporary": planned.temp_size_in_bytes if planned else None,
    }


if __name__ == "__main__":
    serve(prepare)
