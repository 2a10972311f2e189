"""plasticjax: one epoch of first-spike training with everything the paper's update does.

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

    from plasticjax.data import encode_first_spike
    from plasticjax.models import FirstSpikeNetwork
    from plasticjax.neurons import CurrentLIF
    from plasticjax.training import Batch, FirstSpikeUpdate, step_schedule, train_epoch

    sizes, batch, size = case["sizes"], case["batch"], case["samples"]
    data = np.load(case["data"])
    features, labels = data["features"][:size], jnp.asarray(data["labels"][:size])
    if sizes[0] == 5:  # the peer counts its bias as the fifth input
        features = np.hstack([features, np.zeros((size, 1))])
    times = jnp.asarray(encode_first_spike(features, t_early=0.15, t_late=2.0), case["dtype"])

    key = jax.random.key(case["seed"])
    biases = ((0.9,), (0.9,)) if case["bias"] else ((), ())
    initial = FirstSpikeNetwork.init(
        sizes,
        weight_means=(1.5, 0.5),
        weight_stds=(0.8, 0.8),
        bias_times=biases,
        neuron=CurrentLIF(tau_mem=case["tau_mem"]),
        key=key,
    )

    def forward(weights, times, sample_key, batch_key):
        return FirstSpikeNetwork(weights, initial.neuron, biases)(times)

    update = FirstSpikeUpdate(
        forward=forward,
        learning_rate=step_schedule(0.005, every=20, factor=0.95),
        max_silent=(0.3, 0.0),
    )

    @jax.jit
    def epoch(state, key):
        state, metrics = train_epoch(update, state, times, labels, batch=batch, key=key)
        learned = jnp.where(metrics.bumped, jnp.nan, metrics.loss)
        means = jnp.nanmean(learned), metrics.accuracy.mean(), metrics.bumped.mean()
        return state._replace(epoch=state.epoch + 1), means

    state = update.init(initial.weights)
    one = Batch(times[:batch], labels[:batch], jnp.ones(batch, bool))
    cost = step_cost(jax.jit(update).lower(state, one, key).compile())

    def measure() -> dict:
        nonlocal state, key
        key, shuffle = jax.random.split(key)
        start = time.perf_counter()
        state, means = jax.block_until_ready(epoch(state, shuffle))
        seconds = time.perf_counter() - start
        figures = dict(zip(("loss", "accuracy", "bumped"), map(float, means), strict=True))
        return {"seconds": seconds, "samples": size, **figures}

    return measure, {"jax": jax.__version__, "steps": -(-size // batch), "step_cost": cost}


if __name__ == "__main__":
    serve(prepare)
