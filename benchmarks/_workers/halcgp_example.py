"""hal-cgp evolving rules, through its public interface, on as many processes as there are cores.

The kind of the case says which. Version 0.3.0 asks NumPy for `float`, which newer ones lack; it is
given back here and the package is not changed.
"""

import importlib.metadata
import multiprocessing
import time
import warnings

from benchmarks._workers._protocol import Measure, serve


def prepare(case: dict) -> tuple[Measure, dict]:
    import numpy as np

    np.float = float  # pyright: ignore[reportAttributeAccessIssue]
    kinds = {"oja": _oja, "offspring": _offspring, "regression": _regression}
    facts = {"hal-cgp": importlib.metadata.version("hal-cgp"), "numpy": np.__version__}
    return kinds[case["kind"]](case), facts


def _oja(case: dict) -> Measure:
    """One neuron a data set, one sample after the other, as the example of the method does.

    The form `"together"` runs all data sets side by side in arrays, which NumPy likes better.
    """
    import numpy as np

    data = dict(np.load(case["data"]))
    dna = data.pop("dna")[: case["individuals"]]
    chunks = [(one, data, case) for one in dna]
    pool = multiprocessing.get_context("fork").Pool(case["cores"])
    sets, samples = data["samples"].shape[:2]

    def measure() -> dict:
        start = time.perf_counter()
        fitness = pool.map(_judge, chunks, chunksize=1)
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "samples": len(dna) * sets * samples, "fitness": fitness}

    return measure


def _judge(task) -> float:
    import cgp  # pyright: ignore[reportMissingImports]
    import numpy as np

    warnings.simplefilter("ignore")
    dna, data, case = task
    genome = cgp.genome.Genome(3, 1, case["nodes"], 1, (cgp.Add, cgp.Sub, cgp.Mul))
    genome.dna = dna.tolist()
    rule = cgp.CartesianGraph(genome).to_numpy()
    eta, total = case["eta"], 0.0
    samples, component, weights = data["samples"], data["component"], data["weights"]
    if case["form"] == "together":
        w, cosine = weights.copy(), np.zeros(len(weights))
        last = w
        for x in samples.swapaxes(0, 1):
            last = w
            y = np.sum(w * x, axis=1, keepdims=True)
            cosine += np.abs(np.sum(w * component, axis=1)) / np.linalg.norm(w, axis=1)
            w = w + eta * rule(x, w, np.broadcast_to(y, w.shape))
        cosine /= samples.shape[1]
        return float(np.sum(cosine - 2.0 * (np.linalg.norm(last, axis=1) - 1) ** 2))
    for xs, pc, w in zip(samples, component, weights, strict=True):
        cosine, last = 0.0, w
        for x in xs:
            last = w
            y = w @ x
            cosine += abs(w @ pc) / np.linalg.norm(w)
            w = w + eta * rule(x, w, np.full_like(w, y))
        total += cosine / len(xs) - 2.0 * (np.linalg.norm(last) - 1) ** 2
    return float(total)


def _offspring(case: dict) -> Measure:
    """Clone and mutate; the process pool of the package evaluates only, so every core has its own
    population."""
    pool = multiprocessing.get_context("fork").Pool(case["cores"])
    share = case["offspring"] // case["cores"]
    seeds = iter(range(1_000_000))

    def measure() -> dict:
        tasks = [(case, share, next(seeds)) for _ in range(case["cores"])]
        start = time.perf_counter()
        pool.map(_breed, tasks, chunksize=1)
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "samples": share * case["cores"]}

    return measure


def _breed(task) -> int:
    import cgp  # pyright: ignore[reportMissingImports]

    case, count, seed = task
    population = cgp.Population(n_parents=1, seed=seed, genome_params=_grid(case))
    strategy = cgp.ea.MuPlusLambda(n_offsprings=count, mutation_rate=case["rate"])
    parent = population.parents[0]
    offspring = strategy.mutate([parent.clone() for _ in range(count)], population.rng)
    return len(offspring)


def _regression(case: dict) -> Measure:
    """The searches until the given share of them is solved, spread over processes.

    All searches go on side by side, a few generations at a time; solved ones stop.
    """
    import numpy as np

    pool = multiprocessing.get_context("fork").Pool(case["cores"])
    data = np.load(case["data"])
    given = (case, data["points"], data["wanted"])
    needed = int(np.ceil(case["share"] * case["seeds"]))

    def measure() -> dict:
        start = time.perf_counter()
        tasks = [(given, case["seed"] + seed, case["limit"]) for seed in range(case["seeds"])]
        found = pool.map(_search, tasks, chunksize=1)
        seconds = time.perf_counter() - start
        solved = sorted(generation for generation, _ in found)
        return {
            "seconds": seconds,
            "generations": solved[needed - 1],
            "solved": sum(generation <= case["limit"] for generation in solved),
        }

    return measure


def _search(task):
    import cgp  # pyright: ignore[reportMissingImports]
    import numpy as np

    warnings.simplefilter("ignore")
    (case, points, wanted), seed, limit = task

    def objective(individual):
        if not individual.fitness_is_None():
            return individual
        values = individual.to_numpy()(points[:, 0], points[:, 1])
        loss = np.mean((values - wanted) ** 2)
        individual.fitness = -float(loss) if np.isfinite(loss) else -np.inf
        return individual

    population = cgp.Population(n_parents=case["mu"], seed=seed, genome_params=_grid(case))
    strategy = cgp.ea.MuPlusLambda(
        n_offsprings=case["lam"],
        mutation_rate=case["rate"],
        tournament_size=case["tournament"],
    )
    cgp.evolve(
        population,
        objective,
        strategy,
        max_generations=limit,
        termination_fitness=-case["loss"],
    )
    done = population.champion.fitness + 1e-10 >= -case["loss"]
    return (population.generation if done else limit + 1), population.champion.fitness


def _grid(case: dict) -> dict:
    import cgp  # pyright: ignore[reportMissingImports]

    columns, rows, levels_back = case["grid"]
    return {
        "n_inputs": 2,
        "n_outputs": 1,
        "n_columns": columns,
        "n_rows": rows,
        "levels_back": levels_back,
        "primitives": (cgp.Add, cgp.Sub, cgp.Mul, cgp.Div, cgp.ConstantFloat),
    }


if __name__ == "__main__":
    serve(prepare)
