"""plasticjax: one epoch of training on first-spike times, shuffled and scanned in one call.

Takes any layer sizes, ratio of time constants and precision, so that it can be set to the size
that a peer's own example has.
"""

import time

from benchmarks._machine import step_cost
from benchmarks._workers._protocol import Measure, serve


def prepare(case: dict) -> tuple[Measure, dict]:
    import jax

    jax.config.update("jax_enable_x64", case["dtype"] == "float64")
    import jax.numpy as jnp
    import numpy as np
    import optax

    from plasticjax.neurons import CurrentLIF
    from plasticjax.simulate import first_spike_times

    sizes, batch, size = case["sizes"], case["batch"], case["samples"]
    bias, bias_times = int(case["bias"]), [0.9] * case["bias"]
    neuron = CurrentLIF(tau_mem=case["tau_mem"], tau_syn=1.0)
    data, dtype = np.load(case["data"]), case["dtype"]
    features = data["features"][:size]
    if sizes[0] == 5:
        features = np.hstack([features, np.zeros((size, 1))])
    inputs = jnp.asarray(0.15 + 1.85 * features, dtype)
    labels = jnp.asarray(data["labels"][:size])
    rng = np.random.default_rng(case["seed"])
    weights = [
        jnp.asarray(rng.normal(mean, 0.8, (post, pre + bias)), dtype)
        for mean, pre, post in zip((1.5, 0.5), sizes[:-1], sizes[1:], strict=True)
    ]
    optimizer = optax.adam(0.005)

    def sample_loss(weights, times, label):
        for layer in weights:
            times = jnp.concatenate([times, jnp.asarray(bias_times, times.dtype)])
            times = first_spike_times(neuron, layer, times)
        finite = jnp.where(jnp.isinf(times), 10.0, times)
        loss = -jax.nn.log_softmax(-finite / 0.2)[label] + 0.005 * jnp.exp(finite[label])
        return loss, jnp.argmin(times) == label

    def batch_loss(weights, times, labels):
        losses, right = jax.vmap(sample_loss, (None, 0, 0))(weights, times, labels)
        return losses.mean(), right.mean()

    def step(state, rows):
        weights, moments = state
        value_and_grad = jax.value_and_grad(batch_loss, has_aux=True)
        values, gradient = value_and_grad(weights, inputs[rows], labels[rows])
        updates, moments = optimizer.update(gradient, moments)
        return (optax.apply_updates(weights, updates), moments), values

    @jax.jit
    def epoch(state, key):
        order = jax.random.permutation(key, size)[: size - size % batch]
        return jax.lax.scan(step, state, order.reshape(-1, batch))

    state = weights, optimizer.init(weights)
    cost = step_cost(jax.jit(step).lower(state, jnp.arange(batch)).compile())
    key = jax.random.key(case["seed"])

    def measure() -> dict:
        nonlocal state, key
        key, shuffle = jax.random.split(key)
        start = time.perf_counter()
        state, (losses, right) = jax.block_until_ready(epoch(state, shuffle))
        seconds = time.perf_counter() - start
        figures = {"loss": float(losses.mean()), "accuracy": float(right.mean())}
        return {"seconds": seconds, "samples": size - size % batch, **figures}

    facts = {"jax": jax.__version__, "steps": size // batch, "step_cost": cost}
    return measure, facts


if __name__ == "__main__":
    serve(prepare)
