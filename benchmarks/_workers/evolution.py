"""plasticjax evolving rules: fitness of a population, offspring, and symbolic regression.

The kind of the case says which. Work is spread over CPU devices, one for each core.
"""

import os
import time

from benchmarks._workers._protocol import Measure, serve


def prepare(case: dict) -> tuple[Measure, dict]:
    import jax

    from plasticjax.runtime import device_mesh, enable_compilation_cache, use_cpu_devices

    use_cpu_devices(case["cores"])
    if case.get("cache"):
        enable_compilation_cache(case["cache"])
    # As hal-cgp; here and not in `_regression`, since it holds for the rest of the process.
    jax.config.update("jax_enable_x64", case["kind"] == "regression")
    kinds = {"oja": _oja, "offspring": _offspring, "regression": _regression}
    mesh = device_mesh(case["cores"])
    return kinds[case["kind"]](case, mesh), {"jax": jax.__version__}


def _oja(case: dict, mesh) -> Measure:
    """Fitness on the task of the first principal component, one round for all individuals."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from experiments._principal_component import Stream, angle_fitness
    from plasticjax.evolution import ADD, MUL, SUB, GenomeSpec, Objective, from_dna
    from plasticjax.runtime import shard_over

    data = np.load(case["data"])
    spec = GenomeSpec(("x", "w", "y"), (ADD, SUB, MUL), case["nodes"])
    genomes = [from_dna(spec, dna) for dna in data["dna"]]
    population = jax.tree.map(lambda *genes: jnp.stack(genes), *genomes)
    # A larger population of the same programs: an accelerator or a vector unit wants many.
    population = jax.tree.map(
        lambda leaf: jnp.tile(leaf, (case["copies"], *[1] * (leaf.ndim - 1))), population
    )
    streams = Stream(*(jnp.asarray(data[name]) for name in Stream._fields))
    sets, samples = streams.samples.shape[:2]

    def fitness(rule, stream, key):
        return sets * angle_fitness(rule, stream, learning_rate=case["eta"], penalty=2.0)

    objective = Objective(fitness, spec, streams, batch=case["batch"], short=4)

    def judge(genomes, streams):
        count = len(genomes.op)
        chunked = jax.tree.map(
            lambda leaf: leaf.reshape(count // case["batch"], case["batch"], *leaf.shape[1:]),
            genomes,
        )
        keys = jnp.broadcast_to(jax.random.key(0), case["batch"])
        return jax.lax.map(lambda chunk: objective.evaluate(chunk, keys), chunked).reshape(count)

    run = jax.jit(shard_over(judge, mesh, shared=(1,)))
    steps = len(population.op) * sets * samples

    def measure() -> dict:
        start = time.perf_counter()
        found = np.asarray(run(population, streams))
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "samples": steps, "fitness": found[: len(genomes)].tolist()}

    return measure


def _offspring(case: dict, mesh) -> Measure:
    """Clone, mutate, mask and compact; a round makes `offspring` mutants."""
    import jax
    import jax.numpy as jnp

    from plasticjax.evolution import compact, mutate, random_genome
    from plasticjax.runtime import shard_over

    spec = _grid(case)
    keys = jax.random.split(jax.random.key(0), case["offspring"])
    parents = jax.jit(jax.vmap(lambda key: random_genome(spec, key=key)))(keys)

    def one(parent, key):
        mutant, _ = mutate(spec, parent, case["rate"], key=key)
        return mutant, compact(spec, mutant, 8)

    def many(parents, numbers, round_key):
        key = jax.random.wrap_key_data(round_key)
        keys = jax.vmap(lambda number: jax.random.fold_in(key, number))(numbers)
        return jax.vmap(one)(parents, keys)

    run = jax.jit(shard_over(many, mesh, shared=(2,)))
    numbers = jnp.arange(case["offspring"], dtype=jnp.uint32)
    rounds = 0

    def measure() -> dict:
        nonlocal rounds
        rounds += 1
        words = jax.random.key_data(jax.random.key(rounds))
        start = time.perf_counter()
        jax.block_until_ready(run(parents, numbers, words))
        return {"seconds": time.perf_counter() - start, "samples": case["offspring"]}

    return measure


def _regression(case: dict, mesh) -> Measure:
    """The 40 searches until 60 % are solved; the unmeasured round finds how long that takes."""
    import jax
    import numpy as np

    from plasticjax.evolution import MuPlusLambda, Objective, Search, evolve

    spec = _grid(case)
    data = np.load(case["data"])
    points, wanted = data["points"], data["wanted"]

    def fitness(rule, environment, key):
        points, wanted = environment
        return -((rule(points)[:, 0] - wanted) ** 2).mean()

    objective = Objective(fitness, spec, (points[None], wanted[None]), batch=1)
    strategy = MuPlusLambda(
        mu=case["mu"], lam=case["lam"], rate=case["rate"], tournament=case["tournament"]
    )
    search = Search(spec, strategy, target=-case["loss"])
    generations = case["generations"]

    def measure() -> dict:
        nonlocal generations
        start = time.perf_counter()
        found = evolve(
            objective,
            search,
            key=jax.random.key(case["seed"]),
            generations=generations,
            islands=case["seeds"],
            block=case["block"],
            mesh=mesh,
        )
        seconds = time.perf_counter() - start
        solved = np.sort(_solved_at(found.history.fitness, case["loss"]))
        needed = int(np.ceil(case["share"] * case["seeds"]))
        reached = int(solved[needed - 1])
        generations = min(generations, reached + 1)
        return {
            "seconds": seconds,
            "generations": generations,
            "solved": int((solved <= reached).sum()),
        }

    return measure


def _solved_at(fitness, loss):
    import numpy as np

    solved = fitness >= -2 * loss
    return np.where(solved.any(axis=0), solved.argmax(axis=0), len(fitness))


def _grid(case):
    from plasticjax.evolution import ADD, DIV, MUL, SUB, GenomeSpec, constant

    columns, rows, levels_back = case["grid"]
    return GenomeSpec(("x0", "x1"), (ADD, SUB, MUL, DIV, constant(1.0)), columns, rows, levels_back)


def _prepare_on_own_cores(case: dict) -> tuple[Measure, dict]:
    """One device would else spread its loops over threads on the other cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: case["cores"]])
    return prepare(case)


if __name__ == "__main__":
    serve(_prepare_on_own_cores)
