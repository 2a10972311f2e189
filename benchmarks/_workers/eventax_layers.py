"""eventax on two layers of leaky integrate-and-fire neurons, through its public interface.

Its solver and root finder are set so that its spike times are as exact as they can be made in
double precision at a reasonable price; the report says how exact.
"""

import importlib.metadata
import time

from benchmarks._workers._protocol import Measure, serve


def prepare(case: dict) -> tuple[Measure, dict]:
    import jax

    jax.config.update("jax_enable_x64", True)
    import diffrax
    import equinox as eqx
    import jax.numpy as jnp
    import numpy as np
    import optax
    import optimistix
    from eventax.evnn import FFEvNN  # pyright: ignore[reportMissingImports]
    from eventax.neuron_models import LIF  # pyright: ignore[reportMissingImports]

    data = np.load(case["data"])
    batch, steps, t_end = case["batch"], case["steps"], case["t_end"]
    times, labels = jnp.asarray(data["times"])[:, :, None], jnp.asarray(data["labels"])
    first, second = data["first"], data["second"]
    hidden, inputs = first.shape
    # Rows are neurons, then inputs; columns are targets.
    matrix = np.zeros((hidden + 3 + inputs, hidden + 3))
    matrix[hidden + 3 :, :hidden] = first.T
    matrix[:hidden, hidden:] = second.T
    network = FFEvNN(
        key=jax.random.PRNGKey(0),
        dtype=jnp.float64,
        in_size=inputs,
        layers=[hidden, 3],
        neuron_model=LIF,
        max_solver_time=t_end,
        solver_stepsize=case["solver_step"],
        max_event_steps=case["events"],
        solver=diffrax.Tsit5(),
        root_finder=optimistix.Newton(case["root_tolerance"], case["root_tolerance"]),
        thresh=1.0,
        tsyn=case["tau_syn"],
        tmem=case["tau_mem"],
        init_weights=jnp.asarray(matrix),
        init_bias=0.0,
    )
    optimizer = optax.adam(case["learning_rate"])
    state = optimizer.init(eqx.filter(network, eqx.is_inexact_array))

    def sample_loss(network, times, label):
        spikes = network.ttfs(times)
        finite = jnp.where(jnp.isinf(spikes), t_end, spikes)
        probability = jax.nn.softmax(-finite / case["tau_0"])[label]
        early = jnp.expm1(finite[label] / case["tau_1"])
        return -jnp.log(probability) + case["alpha"] * early

    def batch_loss(network, times, labels):
        return jax.vmap(sample_loss, (None, 0, 0))(network, times, labels).mean()

    @eqx.filter_jit
    def step(network, state, times, labels):
        value, gradient = eqx.filter_value_and_grad(batch_loss)(network, times, labels)
        updates, state = optimizer.update(gradient, state)
        return eqx.apply_updates(network, updates), state, value

    spikes = eqx.filter_jit(jax.vmap(lambda t: network.ttfs(t)))(times[:batch])
    np.save(case["out"], np.asarray(spikes))
    pieces = [(times[k : k + batch], labels[k : k + batch]) for k in range(0, len(times), batch)]
    at = 0

    def measure() -> dict:
        nonlocal network, state, at
        values, start = [], time.perf_counter()
        for _ in range(steps):
            network, state, value = step(network, state, *pieces[at % len(pieces)])
            values.append(value)
            at += 1
        jax.block_until_ready(values)
        seconds = time.perf_counter() - start
        figures = {"loss": float(values[-1])}
        return {"seconds": seconds, "samples": steps * batch, "steps": steps, **figures}

    version = importlib.metadata.version
    return measure, {"eventax": version("eventax"), "jax": jax.__version__}


if __name__ == "__main__":
    serve(prepare)
