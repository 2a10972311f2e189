"""kozax on the same symbolic regression, with the settings of its own introduction.

Every search runs until it is solved or has spent its generations; all share one compiled program.
A round is the searches of the case, one after the other: kozax has no axis for independent ones.
"""

import contextlib
import importlib.metadata
import io
import time

from benchmarks._workers._protocol import Measure, serve


def prepare(case: dict) -> tuple[Measure, dict]:
    import jax
    import jax.numpy as jnp
    import numpy as np
    from kozax.fitness_functions.base_fitness_function import (  # pyright: ignore
        BaseFitnessFunction,
    )
    from kozax.genetic_programming import GeneticProgramming  # pyright: ignore

    class Loss(BaseFitnessFunction):
        def __call__(self, candidate, data, tree_evaluator):
            points, wanted = data
            given = jax.vmap(tree_evaluator, in_axes=[None, 0])(candidate, points)
            return jnp.mean((jnp.squeeze(given) - wanted) ** 2)

    data = np.load(case["data"])
    given = jnp.asarray(data["points"]), jnp.asarray(data["wanted"])
    functions = {"+": jnp.add, "-": jnp.subtract, "*": jnp.multiply, "/": jnp.divide}
    operators = [
        {"string": name, "fn": function, "arity": 2} for name, function in functions.items()
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        model = GeneticProgramming(
            num_generations=case["limit"],
            population_size=case["population"],
            fitness_function=Loss(),
            operator_list=operators,
            variable_list=[["x0", "x1"]],
        )

    def search(seed: int) -> int:
        key, start = jax.random.split(jax.random.PRNGKey(seed))
        model.reset()
        population = model.initialize_population(start)
        for generation in range(case["limit"]):
            key, look, vary = jax.random.split(key, 3)
            fitness, population = model.evaluate_population(population, given, look)
            if float(jnp.nanmin(fitness)) <= 2 * case["loss"]:
                return generation
            population = model.evolve_population(population, fitness, vary)
        return case["limit"]

    def measure() -> dict:
        with contextlib.redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            solved = [search(case["seed"] + seed) for seed in range(case["seeds"])]
            seconds = time.perf_counter() - start
        return {
            "seconds": seconds,
            "solved": sum(generation < case["limit"] for generation in solved),
            "generations": sorted(solved),
        }

    version = importlib.metadata.version
    return measure, {"kozax": version("kozax"), "jax": jax.__version__}


if __name__ == "__main__":
    serve(prepare)
