import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from plasticjax.runtime import compile_time, enable_compilation_cache


def test_compile_time_counts_programs_inside_the_block_only():
    with compile_time() as outer:
        jax.jit(lambda x: x * 3 + 1)(jnp.ones(3))
        first = outer.programs
        with compile_time() as inner:
            run = jax.jit(lambda x: x * 5 - 1)
            run(jnp.ones(3))
            new = inner.programs
            run(jnp.ones(3))
            assert inner.programs == new >= 1
    assert first >= 1
    assert outer.programs == first + new
    assert outer.seconds > inner.seconds > 0
    before = (outer.programs, outer.seconds)
    jax.jit(lambda x: x * 7 - 2)(jnp.ones(3))
    assert (outer.programs, outer.seconds) == before


_COMPILE = """
import jax, jax.numpy as jnp
from plasticjax.runtime import enable_compilation_cache
print(enable_compilation_cache())
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: jnp.linalg.svd(jnp.sin(x) @ x))(jnp.eye(3))
"""


def test_cache_is_where_the_environment_says(tmp_path):
    environment = os.environ | {"PLASTICJAX_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", _COMPILE],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == str(tmp_path / "cache")
    assert any((tmp_path / "cache").iterdir())


def test_unwritable_cache_is_a_warning(tmp_path):
    (tmp_path / "file").write_text("")
    before = jax.config.jax_compilation_cache_dir
    with pytest.warns(UserWarning, match="no compilation cache: directory .* is not writable"):
        assert enable_compilation_cache(tmp_path / "file") is None
    assert jax.config.jax_compilation_cache_dir == before
