"""plasticjax and BrainScaleS-2: the emulated chip, the lowering of rules, and many rules at once.

The kind of the case says which.
"""

import itertools
import time
from functools import partial

from benchmarks._workers._evolved_rules import SIGNALS, evolved_rules, quietly
from benchmarks._workers._protocol import Measure, serve


def prepare(case: dict) -> tuple[Measure, dict]:
    import jax

    kinds = {
        "homeostasis": _homeostasis,
        "full_chip": _full_chip,
        "lowering": _lowering,
        "batch": _batch,
    }
    return kinds[case["kind"]](case), {"jax": jax.__version__}


def _homeostasis(case: dict) -> Measure:
    """The network of the public demo with its lowered rule, each weight at its steady value."""
    import jax

    from experiments.bss2_homeostasis import Config, one_source, rule_on_chip
    from plasticjax.hardware import ChipProfile, Plasticity

    config = Config(hemispheres=case["hemispheres"], columns=case["columns"], dt=case["dt_us"])
    events = one_source(config, case["duration_us"], jax.random.key(1))
    rule = Plasticity(rule_on_chip(60), config.period, config.period, config.calls, rows=(0,))
    return _chip_rounds(
        case,
        ChipProfile.bss2_calibrated(),
        events,
        weights=24,
        rows=2,
        rules=[rule],
        row_modes=[[1, 0]] * case["hemispheres"],
    )


def _full_chip(case: dict) -> Measure:
    """512 neurons, all synapses in use, a source for each row; every second row is inhibitory."""
    import jax
    import numpy as np

    from plasticjax.hardware import ChipEvents, ChipProfile, event_word

    rng = np.random.default_rng(0)
    sources = 256 * case["hemispheres"]
    count = rng.poisson(1e-6 * case["input_hz"] * case["duration_us"] * 1000 * sources)
    ticks = np.sort(rng.integers(0, int(125 * case["duration_us"]), count)).astype(np.int32)
    source = rng.integers(0, sources, count)
    words = event_word(source % 256, source % 2, source // 256).astype(np.int32)
    # The two rows of a driver are told apart by the label.
    labels = np.broadcast_to(np.arange(256) % 2, (case["hemispheres"], case["columns"], 256))
    return _chip_rounds(
        case,
        ChipProfile.bss2_calibrated(),
        ChipEvents(jax.numpy.asarray(ticks), jax.numpy.asarray(words)),
        weights=case["weight"],
        rows=256,
        labels=labels.astype(int),
        row_modes=[[1, 2] * 128] * case["hemispheres"],
    )


def _chip_rounds(case, profile, events, *, weights, rows, rules=(), **more) -> Measure:
    """A round is one run."""
    import jax
    import numpy as np

    from plasticjax.hardware import EmulatorSettings, configure, draw_chip, run_chip

    region = {"hemispheres": case["hemispheres"], "columns": case["columns"], "rows": rows}
    chip = draw_chip(profile, **region, key=jax.random.key(0))
    if "row_modes" in more:
        more["row_modes"] = np.asarray(more["row_modes"])
    config = configure(chip, weights=weights, **more)
    settings = EmulatorSettings(
        dt_us=case["dt_us"],
        sensors=case["sensors"],
        dense_sensors=case.get("dense_sensors", False),
        max_spikes=200_000,
        events_per_step=64,
    )

    def measure() -> dict:
        start = time.perf_counter()
        run = run_chip(
            *(chip, config, events, case["duration_us"]),
            key=jax.random.key(2),
            rules=rules,
            settings=settings,
        )
        spikes = int(np.sum(np.asarray(run.spike_neurons) >= 0))
        seconds = time.perf_counter() - start
        neurons = case["hemispheres"] * case["columns"]
        lost = (run.stats.n_overflow, run.stats.n_lost_spikes, run.stats.n_dropped)
        return {
            "seconds": seconds,
            # A microsecond of the chip is a millisecond of biology.
            "rate_hz": spikes / neurons / (1e-3 * case["duration_us"]),
            "lost": [int(number) for number in lost],
        }

    return measure


def _rules(count: int):
    """Evolved rules as what lowers them again, and their programs."""
    rules = list(itertools.islice(evolved_rules(), count))
    return [
        (partial(quietly, update, "stochastic", program.name, SIGNALS), program)
        for update, program in rules
    ]


def _lowering(case: dict) -> Measure:
    """A round lowers one rule after the other."""
    rules = _rules(case["rules"])

    def measure() -> dict:
        start = time.perf_counter()
        for again, _ in rules:
            again()
        return {"seconds": time.perf_counter() - start, "samples": len(rules)}

    return measure


def _batch(case: dict) -> Measure:
    """A round makes the tables and runs all rules on as many synapses."""
    from plasticjax.hardware import batch_tables, emulate_batch, random_inputs

    programs = [program for _, program in _rules(case["rules"])]
    raw = random_inputs(batch_tables(programs[:1]).loader, tuple(case["synapses"]), seed=0)

    def measure() -> dict:
        start = time.perf_counter()
        tables = batch_tables(programs)
        built = time.perf_counter() - start
        updates = emulate_batch(tables)(raw)["syn"].block_until_ready().size
        return {
            "seconds": time.perf_counter() - start,
            "samples": updates,
            "table_seconds": built,
            "operations": float(tables.vector_counts.mean()),
        }

    return measure


if __name__ == "__main__":
    serve(prepare)
