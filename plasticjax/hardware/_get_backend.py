"""The choice of a back-end."""

import os
import warnings
from typing import Any

from ._backend import Backend, BackendUnavailable
from ._emulator_backend import EmulatorBackend
from ._hxtorch_backend import HxtorchBackend
from ._pynn_backend import PyNNBackend

VARIABLE = "PLASTICJAX_BSS2"
BACKENDS: dict[str, Any] = {
    "pynn": PyNNBackend,
    "hxtorch": HxtorchBackend,
    "emulator": EmulatorBackend,
}


def get_backend(name: str = "auto", **options: Any) -> Backend:
    """What runs a network: a chip or its emulator.

    "auto" tries `pynn`, then `hxtorch`. A chip is used only if its packages import and a connection
    opens; otherwise the emulator is, and a warning says why. `.name` tells the choice. With the
    environment variable `PLASTICJAX_BSS2=emulator`, "auto" is the emulator without a warning.

    Args:
        name: which one; every name but "auto" fails if it cannot be had.
        options: arguments of `PyNNBackend`, `HxtorchBackend` or `EmulatorBackend`; not for "auto".

    Returns:
        The back-end (times in us).

    Raises:
        BackendUnavailable: if the chip that was asked for cannot be reached.
        ValueError: for another name, or options of "auto".
    """
    if name in BACKENDS:
        return BACKENDS[name](**options)
    if name != "auto":
        raise ValueError(f"name={name!r}; valid: auto, {', '.join(BACKENDS)}")
    if options:
        raise ValueError(f"options={sorted(options)} need a named back-end, not 'auto'")
    wish = os.environ.get(VARIABLE, "")
    if wish not in ("", "emulator"):
        raise ValueError(f"{VARIABLE}={wish!r}; valid: emulator, or nothing")
    if wish == "emulator":
        return EmulatorBackend()
    reasons = []
    for chip in ("pynn", "hxtorch"):
        try:
            return BACKENDS[chip]()
        except BackendUnavailable as error:
            reasons.append(f"{chip}: {error}")
    warnings.warn(
        f"get_backend('auto') chose the emulator. {'; '.join(reasons)}", UserWarning, stacklevel=2
    )
    return EmulatorBackend()
