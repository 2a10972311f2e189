"""What a worker process and the harness say to each other: one JSON object a line.

A worker gets its case as its only argument. It prepares, runs one unmeasured round (which pays
for compilation), reports that it is ready, and then runs one measured round for every line it
receives. This module needs nothing but the standard library, because peers have their own
environments.
"""

import json
import os
import sys
import time
from collections.abc import Callable

Measure = Callable[[], dict]


def peak_rss() -> int:
    """Largest resident memory of this process so far, or since `forget_peak`, in bytes.

    `VmHWM` counts this program only; `ru_maxrss` would also count the parent it was started from.
    """
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    raise RuntimeError("/proc/self/status has no VmHWM line; peak memory needs Linux")


def forget_peak() -> int:
    """Starts `peak_rss` anew, and returns the memory that is resident now, in bytes."""
    with open("/proc/self/clear_refs", "w") as control:
        control.write("5")
    return peak_rss()


def serve(prepare: Callable[[dict], tuple[Measure, dict]]) -> None:
    """Answers the harness until it closes the connection.

    Args:
        prepare: maps a case to a function that runs one round and a dictionary of facts
            (versions, settings) for the report. A round returns at least `seconds`.
    """
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not end up between our lines
    start = time.perf_counter()
    measure, facts = prepare(json.loads(sys.argv[1]))
    setup_seconds = time.perf_counter() - start
    start = time.perf_counter()
    first = measure()
    ready = {
        "setup_seconds": setup_seconds,
        "first_seconds": time.perf_counter() - start,
        "first": first,
        "facts": {"python": sys.version.split()[0], **facts},
    }
    channel.write(json.dumps(ready) + "\n")
    for _ in sys.stdin:
        channel.write(json.dumps({**measure(), "peak_rss": peak_rss()}) + "\n")
