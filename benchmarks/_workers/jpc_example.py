"""jpc: the same predictive-coding inference and gradient through its public functions.

`solver` integrates with `jpc.solve_inference` (diffrax, Euler, constant step); `scan` repeats
`jpc.update_pc_activities` with plain gradient descent. Both are compiled as a whole with the
gradient, which jpc's own training steps do not always do, in its favour. jpc's energy is the mean
over the batch, so a step is longer by the number of samples.
"""

import time

from benchmarks._workers._protocol import Measure, serve


def prepare(case: dict) -> tuple[Measure, dict]:
    import diffrax
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import jpc  # pyright: ignore[reportMissingImports]
    import numpy as np
    import optax

    data = np.load(case["data"])
    x, y = jnp.asarray(data["x"]), jnp.asarray(data["y"])
    model = []
    for index in range(len(case["sizes"]) - 1):
        weight, bias = data[f"weight{index}"], data[f"bias{index}"]
        empty = eqx.nn.Linear(*weight.shape, key=jax.random.PRNGKey(0))
        leaves = lambda layer: (layer.weight, layer.bias)  # noqa: E731
        layer = eqx.tree_at(leaves, empty, (jnp.asarray(weight.T), jnp.asarray(bias)))
        before = eqx.nn.Lambda(jnp.tanh) if index else eqx.nn.Identity()
        model.append(eqx.nn.Sequential([before, layer]))
    steps, dt = case["steps"], case["dt"] * len(x)

    def by_solver(model, activities):
        solution = jpc.solve_inference(
            (model, None),
            activities,
            y,
            input=x,
            solver=diffrax.Euler(),
            max_t1=steps * dt,
            dt=dt,
            stepsize_controller=diffrax.ConstantStepSize(),
        )
        return [each[-1] for each in solution]

    def by_scan(model, activities):
        descent = optax.sgd(dt)

        def update(carry, _):
            activities, state = carry
            result = jpc.update_pc_activities((model, None), activities, descent, state, y, input=x)
            return (result["activities"], result["opt_state"]), None

        start = activities, descent.init(activities)
        return jax.lax.scan(update, start, length=steps)[0][0]

    infer = {"solver": by_solver, "scan": by_scan}[case["form"]]

    @eqx.filter_jit
    def run(model):
        activities = jpc.init_activities_with_ffwd(model, x)
        activities = infer(model, activities)
        return jpc.compute_pc_param_grads((model, None), activities, y, x=x)[0]

    np.savez(case["out"], *(layer[1].weight for layer in run(model)))

    def measure() -> dict:
        start = time.perf_counter()
        for _ in range(case["gradients"]):
            jax.block_until_ready(eqx.filter(run(model), eqx.is_array))
        return {"seconds": (time.perf_counter() - start) / case["gradients"], "samples": len(x)}

    return measure, {"jpc": jpc.__version__, "jax": jax.__version__}


if __name__ == "__main__":
    serve(prepare)
