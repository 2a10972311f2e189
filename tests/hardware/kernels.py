"""What the tests of emitted kernels share: the comparison with the emulation."""

import numpy as np
import pytest

from plasticjax.hardware import (
    HostRun,
    emulate,
    host_compiler,
    random_inputs,
    run_on_host,
)
from plasticjax.hardware._host_check import FLAGS, _call, _write_headers

needs_compiler = pytest.mark.skipif(
    host_compiler() is None, reason="g++ is not installed: emitted kernels are not compiled"
)


def rows_of(program, rows):
    """Pairs of rows need twice the room."""
    return min(rows, 128) if program.output().kind == "signed_weight" else rows


def check(programs, rows=200, handles=2, mask=None, **options):
    """Kernels agree with the emulation on random and extreme integers."""
    runs = [
        HostRun(
            tuple(
                random_inputs(program, (256, rows_of(program, rows)), seed=31 * index + half)
                for half in range(handles)
            ),
            mask,
        )
        for index, program in enumerate(programs)
    ]
    stored = run_on_host(programs, runs, **options)
    for program, run, halves in zip(programs, runs, stored, strict=True):
        for raw, got in zip(run.inputs, halves, strict=True):
            for name, value in emulate(program)(raw).items():
                expected = np.asarray(value)
                output = next(o for o in program.outputs if o.name == name)
                if mask is not None and output.kind != "state":
                    expected = np.where(mask[:, None] > 0, expected, raw[name])
                assert np.array_equal(got[name], expected), f"{name} of\n{program}"


def compile_and_run(folder, text, check_fails=False):
    _write_headers(folder)
    (folder / "ppu_host.hpp").write_text('#include "libnux/vx/vector.h"\n')
    (folder / "main.cpp").write_text(text)
    compiler = host_compiler()
    assert compiler
    binary = folder / "main"
    command = [compiler, *FLAGS, "-O0", f"-I{folder}", str(folder / "main.cpp"), "-o", str(binary)]
    _call(command)
    import subprocess

    return subprocess.run([str(binary)], capture_output=True, text=True, check=not check_fails)
