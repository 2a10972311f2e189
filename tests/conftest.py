import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # The workers share the cores already. XLA reads this when JAX is first used.
    os.environ["XLA_FLAGS"] = (
        f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    )
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax
import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

jaxtyping.install_import_hook("plasticjax", "beartype.beartype")

from plasticjax.runtime import enable_compilation_cache  # noqa: E402

enable_compilation_cache()

# Compiling makes the first example slow, and the x64 fixture is the same for every example.
_CHECKS = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=_CHECKS)
settings.register_profile("dev", deadline=None, suppress_health_check=_CHECKS)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser):
    parser.addoption(
        "--hardware", action="store_true", help="run the tests that need a BrainScaleS-2 chip"
    )


@pytest.fixture
def x64():
    """Runs a test in double precision."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(autouse=True)
def precision_stays():
    """A test that leaves double precision on would break others, far away."""
    yield
    assert not jax.config.jax_enable_x64, "this test leaves jax_enable_x64 on; use the fixture x64"


@pytest.fixture(autouse=True, scope="module")
def programs_are_forgotten():
    """Each compiled program maps memory, and a process may have 65,530 maps: XLA crashes beyond."""
    yield
    jax.clear_caches()
