"""plasticjax: forward and backward pass of the 28 x 28 MNIST network, for its peak memory.

Random spike times in [0.15, 2] stand in for the pictures: memory does not depend on them.
"""

import time

from benchmarks._workers._protocol import Measure, peak_rss, serve


def prepare(case: dict) -> tuple[Measure, dict]:
    import jax

    jax.config.update("jax_enable_x64", case["dtype"] == "float64")
    import jax.numpy as jnp
    import numpy as np

    from plasticjax.neurons import CurrentLIF
    from plasticjax.simulate import first_spike_times

    sizes = case["sizes"]
    rng = np.random.default_rng(case["seed"])
    weights = [
        jnp.asarray(rng.normal(mean, 0.8, (post, pre)), case["dtype"])
        for mean, pre, post in zip((0.05, 0.15), sizes[:-1], sizes[1:], strict=True)
    ]
    times = jnp.asarray(rng.uniform(0.15, 2.0, (case["batch"], sizes[0])), case["dtype"])
    neuron = CurrentLIF()

    def output_times(weights, times):
        for layer in weights:
            times = first_spike_times(neuron, layer, times)
        return times

    def loss(weights):
        spikes = jax.vmap(output_times, (None, 0))(weights, times)
        return jnp.mean(jnp.where(jnp.isinf(spikes), 0, spikes))

    compiled = jax.jit(jax.value_and_grad(loss)).lower(weights).compile()
    planned = compiled.memory_analysis()
    assert planned is not None, "this backend does not say how much memory it plans"
    before = peak_rss()

    def measure() -> dict:
        start = time.perf_counter()
        value, _ = jax.block_until_ready(compiled(weights))
        return {"seconds": time.perf_counter() - start, "loss": float(value)}

    return measure, {
        "jax": jax.__version__,
        "rss_before": before,
        "temporary": planned.temp_size_in_bytes,
    }


if __name__ == "__main__":
    serve(prepare)
