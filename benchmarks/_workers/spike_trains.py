"""plasticjax on spike trains: training steps of a recurrent circuit, of layers, and on a grid; and
what memory a gradient needs.

The weights of all kinds come from a file, so that a peer has the same.
"""

import time

from benchmarks._workers._protocol import Measure, serve

PART = 16  # samples of a batch whose gradient the grid takes at once; their traces fit the cache


def prepare(case: dict) -> tuple[Measure, dict]:
    import jax

    jax.config.update("jax_enable_x64", case.get("dtype") == "float64")
    kinds = {"recurrent": _recurrent, "layers": _layers, "grid": _grid, "memory": _memory}
    measure, facts = kinds[case["kind"]](case)
    return measure, {"jax": jax.__version__, **facts}


def _recurrent(case: dict):
    """The training scan of `yin-yang-recurrent`, an epoch a round."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from experiments import yin_yang_recurrent as example
    from plasticjax.training import train_epoch

    data = np.load(case["data"])
    config = example.Config(
        hidden=case["hidden"], batch=case["batch"], spikes=case["spikes"], adjoint=case["adjoint"]
    )
    size = case["samples"]
    times = example.encode(data["features"][:size], config)
    labels = jnp.asarray(data["labels"][:size])
    weights = example.initial_weights(jax.random.key(case["seed"]), config)
    state = example.State(weights, optax.scale_by_adam().init(weights), jnp.zeros((), jnp.int32))
    key = jax.random.key(case["seed"])

    @jax.jit
    def epoch(state, key):
        def update(state, batch, key):
            return example.train_step(state, batch, key, config=config)

        return train_epoch(update, state, times, labels, batch=config.batch, key=key)

    look = jax.jit(lambda weights: example.accuracy(weights, times[:500], labels[:500], config))

    def measure() -> dict:
        nonlocal state, key
        key, shuffle = jax.random.split(key)
        start = time.perf_counter()
        state, losses = jax.block_until_ready(epoch(state, shuffle))
        seconds = time.perf_counter() - start
        figures = {"loss": float(losses.mean()), "accuracy": float(look(state.weights))}
        return {"seconds": seconds, "samples": size, "steps": len(losses), **figures}

    return measure, {}


def _layers(case: dict):
    """Training steps of two layers whose neurons may fire many times, and their spike times."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from plasticjax.neurons import CurrentLIF
    from plasticjax.simulate import InputSpikes, SpikingCircuit, solve_layer

    data = np.load(case["data"])
    batch, steps, t_end = case["batch"], case["steps"], case["t_end"]
    times, labels = jnp.asarray(data["times"]), jnp.asarray(data["labels"])
    weights = tuple(jnp.asarray(data[name]) for name in ("first", "second"))
    neuron = CurrentLIF.event_prop(case["tau_mem"], case["tau_syn"])

    def label_times(weights, times):
        hidden = solve_layer(
            SpikingCircuit(neuron, weights[0]),
            InputSpikes(times),
            t_end=t_end,
            max_spikes=case["spikes"],
        )
        output = solve_layer(
            SpikingCircuit(neuron, weights[1]),
            hidden.as_input(),
            t_end=t_end,
            max_spikes=1,
            until_full=True,
        )
        return jnp.where(jnp.any(hidden.overflow), jnp.nan, output.times[:, 0])

    def sample_loss(weights, times, label):
        first = label_times(weights, times)
        finite = jnp.where(jnp.isinf(first), t_end, first)
        probability = jax.nn.softmax(-finite / case["tau_0"])[label]
        early = jnp.expm1(finite[label] / case["tau_1"])
        return -jnp.log(probability) + case["alpha"] * early

    optimizer = optax.adam(case["learning_rate"])

    @jax.jit
    def step(weights, state, times, labels):
        def loss(weights):
            return jax.vmap(sample_loss, (None, 0, 0))(weights, times, labels).mean()

        value, gradient = jax.value_and_grad(loss)(weights)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(weights, updates), state, value

    state = optimizer.init(weights)
    found = jax.jit(jax.vmap(label_times, (None, 0)))(weights, times[:batch])
    np.save(case["out"], np.asarray(found))
    return _timed(step, (weights, state), _pieces(times, labels, batch), batch, steps), {}


def _grid(case: dict):
    """Training steps of a network with surrogate gradients on a grid."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from plasticjax.models import surrogate_network
    from plasticjax.training import membrane_loss, value_and_grad_in_parts

    data = np.load(case["data"])
    rasters, labels = jnp.asarray(data["rasters"]), jnp.asarray(data["labels"])
    network = surrogate_network(case["sizes"], key=jax.random.key(case["seed"]))
    weights = [jnp.asarray(data[name]) for name in ("first", "second")]
    places = lambda net: (net.hidden[0].weights, net.readout.weights)  # noqa: E731
    plastic, static = eqx.partition(eqx.tree_at(places, network, weights), eqx.is_array)
    optimizer = optax.adam(case["learning_rate"])

    def loss(plastic, part):
        rasters, labels = part
        network = eqx.combine(plastic, static)
        # Time stays the first axis, so that scans need not move it.
        traces = jax.vmap(network, in_axes=1, out_axes=1)(rasters)
        return jax.vmap(membrane_loss, (1, 0))(traces.readout, labels).mean()

    @jax.jit
    def step(plastic, state, rasters, labels):
        batch, parts = (rasters, labels), -(-labels.size // PART)
        value, gradient = value_and_grad_in_parts(loss, plastic, batch, parts=parts, axes=(1, 0))
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(plastic, updates), state, value

    state = optimizer.init(plastic)
    pieces = [
        (jnp.moveaxis(rasters, 1, 0), labels)
        for rasters, labels in _pieces(rasters, labels, case["batch"])
    ]
    return _timed(step, (plastic, state), pieces, case["batch"], case["steps"]), {}


def _pieces(inputs, labels, batch: int) -> list:
    return [(inputs[k : k + batch], labels[k : k + batch]) for k in range(0, len(inputs), batch)]


def _timed(step, carry, pieces: list, batch: int, steps: int) -> Measure:
    """Rounds of `steps` training steps on batches in their order, again and again."""
    import jax

    at = 0

    def measure() -> dict:
        nonlocal carry, at
        values, start = [], time.perf_counter()
        for _ in range(steps):
            *carry, value = step(*carry, *pieces[at % len(pieces)])
            values.append(value)
            at += 1
        jax.block_until_ready(values)
        seconds = time.perf_counter() - start
        figures = {"loss": float(values[-1])}
        return {"seconds": seconds, "samples": steps * batch, "steps": steps, **figures}

    return measure


def _memory(case: dict):
    """What XLA plans beside arguments and results, for gradients of three kinds."""
    import jax

    kinds = {"eventprop": _events_gradient, "implicit": _events_gradient, "grid": _grid_gradient}
    gradient, arguments = kinds[case["method"]](case)
    compiled = jax.jit(gradient).lower(*arguments).compile()
    planned = compiled.memory_analysis()
    assert planned is not None, "this backend does not say how much memory it plans"

    def measure() -> dict:
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "bytes": planned.temp_size_in_bytes}

    return measure, {}


def _events_gradient(case: dict):
    import jax
    import jax.numpy as jnp

    from plasticjax.neurons import CurrentLIF
    from plasticjax.simulate import (
        EventPropAdjoint,
        ImplicitAdjoint,
        InputSpikes,
        SpikingCircuit,
        solve_events,
    )

    adjoint = {"eventprop": EventPropAdjoint(), "implicit": ImplicitAdjoint()}[case["method"]]
    size = case["hidden"]
    key = jax.random.key(0)
    weights = jnp.full((size, 5), 2.0)
    recurrent = 0.1 * jax.random.normal(key, (size, size))
    times = jnp.linspace(0.0, 0.9 * case["t_end"], 5)

    def loss(weights, recurrent):
        circuit = SpikingCircuit(CurrentLIF.event_prop(), weights, recurrent)
        trains = solve_events(
            circuit,
            InputSpikes(times),
            t_end=case["t_end"],
            max_spikes=case["spikes"],
            adjoint=adjoint,
        )
        return jnp.sum(jnp.where(trains.sources >= 0, trains.times, 0))

    return jax.grad(loss, (0, 1)), (weights, recurrent)


def _grid_gradient(case: dict):
    import jax
    import jax.numpy as jnp

    from plasticjax.models import SurrogateLayer

    size, steps = case["hidden"], round(case["t_end"])
    weights = jnp.full((size, 5), 0.2)
    recurrent = 0.01 * jax.random.normal(jax.random.key(0), (size, size))
    at = jnp.linspace(0.0, 0.9 * steps, 5).astype(int)
    raster = jnp.zeros((steps, 5)).at[at, jnp.arange(5)].set(1)

    def loss(weights, recurrent):
        return SurrogateLayer(weights, recurrent)(raster).spikes.sum()

    return jax.grad(loss, (0, 1)), (weights, recurrent)


if __name__ == "__main__":
    serve(prepare)
