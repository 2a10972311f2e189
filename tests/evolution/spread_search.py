"""A small search for the tests of devices and processes, run as a program of its own."""

import argparse
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from plasticjax.evolution import ADD, MUL, SUB, GenomeSpec, MuPlusLambda, Objective, Search, evolve
from plasticjax.runtime import (
    Checkpoints,
    device_mesh,
    enable_compilation_cache,
    start_processes,
    use_cpu_devices,
)

SPEC = GenomeSpec(("a", "b"), (ADD, SUB, MUL), columns=6)
ISLANDS = 8


def distance(rule, points, key):
    return -jnp.mean((rule(points)[:, 0] - points[:, 0] ** 2 * points[:, 1]) ** 2)


class Slow(Checkpoints):
    def __init__(self, directory, pause, leads):
        super().__init__(directory)
        self.pause, self.leads = pause, leads

    def save(self, step, state):
        if self.leads:
            super().save(step, state)
        time.sleep(self.pause)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--place", help="coordinator,processes,process")
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("--pause", type=float, default=0.0)
    options = parser.parse_args()
    enable_compilation_cache()
    use_cpu_devices(options.devices)
    if options.place:
        coordinator, processes, process = options.place.split(",")
        start_processes(coordinator, int(processes), int(process))
    mesh = device_mesh() if len(jax.devices()) > 1 else None
    points = jax.random.normal(jax.random.key(1), (1, 20, 2))
    leads = jax.process_index() == 0
    found = evolve(
        Objective(distance, SPEC, points, batch=4),
        Search(SPEC, MuPlusLambda(mu=1, lam=3, rate=0.1), memory=8),
        key=jax.random.key(0),
        generations=40,
        islands=ISLANDS,
        block=5,
        migrate_every=10,
        mesh=mesh,
        checkpoints=options.checkpoints and Slow(options.checkpoints, options.pause, leads),
    )
    if leads:
        leaves = {str(index): leaf for index, leaf in enumerate(jax.tree.leaves(found))}
        np.savez(options.out, **leaves)


if __name__ == "__main__":
    sys.exit(main())
