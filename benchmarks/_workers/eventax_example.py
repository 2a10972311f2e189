"""eventax on the Yin-Yang network of its classification notebook, through its public interface.

5-20-3 quadratic integrate-and-fire neurons, float64, batch 256, Adam; the loss is the one the
notebook states. A round is one pass over the full batches.
"""

import importlib.metadata
import time

from benchmarks._workers._protocol import Measure, serve

T_MAX = 30.0  # ms, latest input and end of the simulation
TAU_0, TAU_1, ALPHA = 0.5, 6.4, 3e-3  # loss: ms, ms, 1


def prepare(case: dict) -> tuple[Measure, dict]:
    import jax

    jax.config.update("jax_enable_x64", True)
    import equinox as eqx
    import jax.numpy as jnp
    import numpy as np
    import optax
    from eventax.evnn import FFEvNN  # pyright: ignore[reportMissingImports]
    from eventax.neuron_models import QIF  # pyright: ignore[reportMissingImports]

    data = np.load(case["data"])
    size, batch = case["samples"], case["batch"]
    features = np.hstack([data["features"][:size], np.zeros((size, 1))])
    times = T_MAX * features[:, :, None]
    labels = data["labels"][:size]
    network = FFEvNN(
        key=jax.random.PRNGKey(case["seed"]),
        dtype=jnp.float64,
        in_size=case["sizes"][0],
        layers=case["sizes"][1:],
        neuron_model=QIF,
        max_solver_time=T_MAX,
        solver_stepsize=0.05,
        max_event_steps=200,
        tsyn=5.0,
        tmem=20.0,
        blim=1.0,
        wlim=40.0,
        wmean=20.0,
    )
    optimizer = optax.adam(0.05)
    state = optimizer.init(eqx.filter(network, eqx.is_inexact_array))

    def sample_loss(network, times, label):
        spikes = network.ttfs(times)
        finite = jnp.where(jnp.isinf(spikes), T_MAX, spikes)
        probability = jax.nn.softmax(-finite / TAU_0)[label]
        early = jnp.expm1(finite[label] / TAU_1)
        return -jnp.log(probability + ALPHA * early), jnp.argmin(spikes) == label

    def batch_loss(network, times, labels):
        losses, right = jax.vmap(sample_loss, (None, 0, 0))(network, times, labels)
        return losses.mean(), right.mean()

    @eqx.filter_jit
    def step(network, state, times, labels):
        value_and_grad = eqx.filter_value_and_grad(batch_loss, has_aux=True)
        values, gradient = value_and_grad(network, times, labels)
        updates, state = optimizer.update(gradient, state)
        return eqx.apply_updates(network, updates), state, values

    rng = np.random.default_rng(case["seed"])

    def measure() -> dict:
        nonlocal network, state
        order = rng.permutation(size)[: size - size % batch].reshape(-1, batch)
        batches = [(jnp.asarray(times[rows]), jnp.asarray(labels[rows])) for rows in order]
        values = []
        start = time.perf_counter()
        for one in batches:
            network, state, value = step(network, state, *one)
            values.append(value)
        jax.block_until_ready(values)
        seconds = time.perf_counter() - start
        loss, accuracy = np.mean(values, axis=0)
        figures = {"loss": float(loss), "accuracy": float(accuracy)}
        return {"seconds": seconds, "samples": order.size, **figures}

    version = importlib.metadata.version
    return measure, {"eventax": version("eventax"), "jax": jax.__version__}


if __name__ == "__main__":
    serve(prepare)
