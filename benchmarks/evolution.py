"""Evolving rules: fitness, offspring and symbolic regression against other genetic programming."""

import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks._harness import Measured, Worker, alternate, ratio
from benchmarks._machine import describe, measure_peak, median_of

PEERS = ("halcgp", "kozax")
OURS = "benchmarks._workers.evolution"
OJA = {
    "nodes": 12,
    "active": [3, 4],  # nodes that the programs use, as Oja's rule does
    "individuals": 64,
    "copies": 64,  # of the same programs, for plasticjax
    "batch": 64,
    "sets": 10,
    "samples": 1800,
    "eta": 0.01,
}
GRID = {"grid": [12, 2, 5], "rate": 0.03}
OFFSPRING = {**GRID, "offspring": 65_536}
REGRESSION = {
    **GRID,
    "points": 1000,
    "seeds": 40,
    "seed": 0,
    "mu": 10,
    "lam": 10,
    "tournament": 2,
    "loss": 1e-10,
    "share": 0.6,
    "generations": 1000,
    "block": 25,
}
# How the peers are asked for the same, at sizes that they finish.
HALCGP_OFFSPRING = 2000
HALCGP_INDIVIDUALS = 12
# The generation by which 60 % of hal-cgp's 40 searches are solved: found by a longer run of them.
HALCGP_LIMIT = 217
KOZAX = {"seeds": 2, "population": 500, "limit": 100}
SEARCH_ROUNDS = 2  # at most: a round of hal-cgp's searches takes minutes
POPULATIONS = (100, 1_000, 10_000, 100_000, 1_000_000)
SCALING_SAMPLES = 100


def run(
    peers: Sequence[str],
    *,
    repeats: int,
    cores: int,
    pythons: Mapping[str, str],
    oja: Mapping = OJA,
    offspring: Mapping = OFFSPRING,
    regression: Mapping = REGRESSION,
    populations: Sequence[int] = POPULATIONS,
) -> dict:
    """Runs the whole comparison.

    Args:
        peers: of `PEERS`.
        repeats: rounds of each.
        cores: processes of hal-cgp, and CPU devices of plasticjax.
        pythons: interpreter by implementation name (`plasticjax` or a peer).
        oja: fitness on the task of the first principal component.
        offspring: how offspring are made.
        regression: symbolic regression.
        populations: sizes of the scaling table.

    Returns:
        A JSON-ready report: `machine`, `peak`, `cores`, `oja`, `offspring`, `regression` and
        `scaling`.

    Raises:
        ValueError: for an unknown peer.
        WorkerFailed: if an implementation cannot be measured.
    """
    for name in peers:
        if name not in PEERS:
            raise ValueError(f"unknown peer {name!r}; valid peers: {', '.join(PEERS)}")
    ours = pythons.get("plasticjax", sys.executable)
    halcgp = pythons.get("halcgp", sys.executable) if "halcgp" in peers else None
    kozax = pythons.get("kozax", sys.executable) if "kozax" in peers else None
    report: dict = {"machine": describe(), "cores": cores, "peak": measure_peak(ours)}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        data = _oja_data(oja, place / "oja.npz")
        given = {**oja, "kind": "oja", "data": data, "cores": cores}
        report["oja"] = measure_oja(given, repeats=repeats, python=ours, halcgp=halcgp)
        given = {**offspring, "kind": "offspring", "cores": cores}
        report["offspring"] = measure_offspring(given, repeats=repeats, python=ours, halcgp=halcgp)
        data = _regression_data(regression, place / "regression.npz")
        given = {**regression, "kind": "regression", "data": data, "cores": cores}
        report["regression"] = measure_regression(
            given, place, repeats=repeats, python=ours, halcgp=halcgp, kozax=kozax
        )
        report["scaling"] = measure_scaling(
            oja, place, populations=populations, repeats=repeats, cores=cores, python=ours
        )
    return report


def measure_oja(case: dict, *, repeats: int, python: str, halcgp: str | None) -> dict:
    """One neuron of one individual that learns from one sample is one step."""
    workers = [Worker("plasticjax", OURS, case, python)]
    if halcgp:
        asked = {**case, "individuals": HALCGP_INDIVIDUALS}
        workers += [
            Worker(
                f"hal-cgp {form}",
                "benchmarks._workers.halcgp_example",
                {**asked, "form": form},
                halcgp,
            )
            for form in ("one by one", "together")
        ]
    measured = alternate(workers, repeats)
    return {**_throughput(measured), "difference": _difference(measured)}


def measure_offspring(case: dict, *, repeats: int, python: str, halcgp: str | None) -> dict:
    """Cloned and mutated individuals; ours are also masked and compacted."""
    workers = [Worker("plasticjax", OURS, case, python)]
    if halcgp:
        asked = {**case, "offspring": HALCGP_OFFSPRING}
        workers.append(Worker("hal-cgp", "benchmarks._workers.halcgp_example", asked, halcgp))
    return _throughput(alternate(workers, repeats))


def measure_regression(
    case: dict, folder: Path, *, repeats: int, python: str, halcgp: str | None, kozax: str | None
) -> dict:
    """Wall time until a share of the searches is solved; the first round of ours compiles."""
    # The number of generations follows from the seeds; all measured rounds stop there.
    found = alternate([Worker("plasticjax", OURS, case, python)], 1)["plasticjax"]
    case = {**case, "generations": found.rounds[0]["generations"], "cache": str(folder / "cache")}
    cold = alternate([Worker("plasticjax", OURS, case, python)], 1)["plasticjax"]
    workers = [Worker("plasticjax", OURS, case, python)]
    if halcgp:
        asked = {**case, "limit": HALCGP_LIMIT}
        workers.append(Worker("hal-cgp", "benchmarks._workers.halcgp_example", asked, halcgp))
    if kozax:
        asked = {**case, **KOZAX}
        workers.append(Worker("kozax", "benchmarks._workers.kozax_example", asked, kozax))
    measured = alternate(workers, min(repeats, SEARCH_ROUNDS), timeout=1800.0)
    ours = measured["plasticjax"]
    report: dict = {
        "seeds": case["seeds"],
        "results": {name: _searches(value) for name, value in measured.items()},
        "cold_seconds": cold.ready["first_seconds"],
        "warm_seconds": ours.ready["first_seconds"],
    }
    if halcgp:
        theirs = measured["hal-cgp"]
        report["times_faster"] = asdict(ratio(theirs, ours))
        for start in ("cold", "warm"):
            seconds = median_of(theirs.rounds, "seconds")
            report[f"times_faster_{start}"] = seconds / report[f"{start}_seconds"]
    if kozax:
        per_search = median_of(measured["kozax"].rounds, "seconds") / KOZAX["seeds"]
        mine = median_of(ours.rounds, "seconds") / case["seeds"]
        report["times_faster_kozax_per_search"] = per_search / mine
    return report


def measure_scaling(
    case: Mapping,
    folder: Path,
    *,
    populations: Sequence[int],
    repeats: int,
    cores: int,
    python: str,
) -> dict:
    """Throughput against population, and islands on one device against as many as cores."""
    case = {**case, "samples": SCALING_SAMPLES}
    data = _oja_data(case, folder / "scaling.npz")
    given = {**case, "kind": "oja", "data": data}

    def worker(name, cores, individuals):
        share = given["batch"] * cores
        copies = math.ceil(individuals / share) * share / given["individuals"]
        return Worker(name, OURS, {**given, "cores": cores, "copies": math.ceil(copies)}, python)

    table = {}
    for population in populations:
        found = alternate([worker("plasticjax", cores, population)], 3)["plasticjax"]
        table[population] = found.samples_per_second
    pair = [worker("one", 1, 2048), worker("all", cores, 2048 * cores)]
    measured = alternate(pair, max(repeats, 5))
    return {
        "steps_per_second": table,
        "efficiency": asdict(ratio(measured["one"], measured["all"])),
    }


def _throughput(measured: Mapping[str, Measured]) -> dict:
    """Work per second of each, and how many times that of a peer ours is, turn by turn."""
    ours = measured["plasticjax"]
    report: dict = {
        "results": {
            name: {
                "seconds": value.seconds,
                "per_second": value.samples_per_second,
                "compile_seconds": value.compile_seconds,
                "facts": value.ready["facts"],
            }
            for name, value in measured.items()
        },
        "times_faster": {},
    }
    for name, theirs in measured.items():
        if name != "plasticjax":
            turn = asdict(ratio(theirs, ours))
            scale = ours.rounds[0]["samples"] / theirs.rounds[0]["samples"]
            report["times_faster"][name] = {key: scale * value for key, value in turn.items()}
    return report


def _difference(measured: Mapping[str, Measured]) -> float | None:
    """Largest relative difference of fitness between ours and the peers, of the same programs."""
    mine = measured["plasticjax"].rounds[0]["fitness"]
    far = [
        abs(a - b) / max(1.0, abs(b))
        for name, value in measured.items()
        if name != "plasticjax"
        for a, b in zip(mine, value.rounds[0]["fitness"], strict=False)
    ]
    return max(far) if far else None


def _searches(measured: Measured) -> dict:
    return {
        "seconds": measured.seconds,
        "seconds_median": median_of(measured.rounds, "seconds"),
        "generations": measured.rounds[-1]["generations"],
        "solved": measured.rounds[-1]["solved"],
        "facts": measured.ready["facts"],
    }


def _oja_data(case: Mapping, path: Path) -> str:
    """Data sets, and programs of the wanted size that do not diverge on them."""
    import equinox as eqx
    import jax
    import numpy as np

    from experiments._principal_component import angle_fitness, streams
    from plasticjax.evolution import (
        ADD,
        MUL,
        SUB,
        GenomeSpec,
        Objective,
        active_nodes,
        random_genome,
        to_dna,
    )

    spec = GenomeSpec(("x", "w", "y"), (ADD, SUB, MUL), case["nodes"])
    data = streams("general", count=case["sets"], samples=case["samples"], key=jax.random.key(1))

    def fitness(rule, stream, key):
        return angle_fitness(rule, stream, learning_rate=case["eta"], penalty=2.0)

    keys = jax.random.split(jax.random.key(0), 16 * case["individuals"])
    genomes = jax.jit(jax.vmap(lambda key: random_genome(spec, key=key)))(keys)
    sizes = np.asarray(jax.vmap(lambda genome: active_nodes(spec, genome).sum())(genomes))
    judge = eqx.filter_jit(Objective(fitness, spec, data).evaluate)
    found = np.asarray(judge(genomes, keys))
    low, high = case["active"]
    usable = np.flatnonzero((sizes >= low) & (sizes <= high) & (found > -10))
    usable = np.resize(usable, case["individuals"])
    dna = [to_dna(spec, jax.tree.map(lambda leaf, at=at: leaf[at], genomes)) for at in usable]
    arrays = {name: np.asarray(value) for name, value in data._asdict().items()}
    np.savez(path, allow_pickle=False, dna=np.stack(dna), **arrays)
    return str(path)


def _regression_data(case: Mapping, path: Path) -> str:
    """Points uniform in -4 to 4, and x0^2 + 2 x0 x1 + x1^2."""
    import numpy as np

    points = np.random.default_rng(0).uniform(-4, 4, (case["points"], 2))
    wanted = points[:, 0] ** 2 + 2 * points[:, 0] * points[:, 1] + points[:, 1] ** 2
    np.savez(path, allow_pickle=False, points=points, wanted=wanted)
    return str(path)
