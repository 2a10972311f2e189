"""Predictive coding in plasticjax: inference in Euler steps, then the gradient of the parameters.

The energy of a batch is the sum over its samples, so that the gradient is a matrix product. The
worker also writes the gradient after many times as many steps, the limit of inference.
"""

import time

from benchmarks._workers._protocol import Measure, serve

LIMIT = 20  # times as many inference steps


def gradient_of(layers, x, y, *, steps: int, dt: float):
    """The mean over samples of the gradient of the energy after inference.

    Args:
        layers: one `eqx.nn.Linear` a layer.
        x: inputs [samples, inputs].
        y: targets [samples, outputs].
        steps: Euler steps of inference, from the forward pass.
        dt: their size (units of the time constant).

    Returns:
        The gradient, structured as the layers.
    """
    import jax
    import jax.numpy as jnp

    from plasticjax.energy import (
        PredictiveCodingEnergy,
        Stimulus,
        gradient_flow,
        param_rule,
        tanh,
    )

    one = PredictiveCodingEnergy(tanh)
    drive = Stimulus(x, y, jnp.zeros(len(x), x.dtype))

    def energy(s, theta, x):
        return jnp.sum(jax.vmap(one, (0, None, 0))(s, theta, x))

    flow = gradient_flow(energy, 1.0)

    def euler(s, _):
        slope = flow(0.0, s, (layers, lambda t: drive))
        return jax.tree.map(lambda s, slope: s + dt * slope, s, slope), None

    s = jax.vmap(one.predictions, (None, 0))(layers, drive)
    s, _ = jax.lax.scan(euler, s, length=steps)
    return jax.tree.map(lambda change: -change / len(x), param_rule(energy)(s, layers, drive))


def prepare(case: dict) -> tuple[Measure, dict]:
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    from benchmarks._workers._le_steps import linears

    data = np.load(case["data"])
    count = range(len(case["sizes"]) - 1)
    layers = linears(
        [jnp.asarray(data[f"weight{layer}"]) for layer in count],
        [jnp.asarray(data[f"bias{layer}"]) for layer in count],
    )
    x, y = jnp.asarray(data["x"]), jnp.asarray(data["y"])

    def gradient(steps):
        return eqx.filter_jit(lambda layers: gradient_of(layers, x, y, steps=steps, dt=case["dt"]))

    limit = gradient(LIMIT * case["steps"])(layers)
    np.savez(case["limit"], *(layer.weight for layer in limit))
    run = gradient(case["steps"])
    np.savez(case["out"], *(layer.weight for layer in run(layers)))

    def measure() -> dict:
        start = time.perf_counter()
        for _ in range(case["gradients"]):
            jax.block_until_ready(run(layers))
        return {"seconds": (time.perf_counter() - start) / case["gradients"], "samples": len(x)}

    return measure, {"jax": jax.__version__}


if __name__ == "__main__":
    serve(prepare)
