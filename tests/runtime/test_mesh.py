import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.runtime import device_mesh, gather, shard_over, start_processes, use_cpu_devices


def test_a_function_spread_over_one_device_is_the_function():
    mesh = device_mesh(1)
    values, scale = jnp.arange(6.0).reshape(3, 2), jnp.array(2.0)

    def function(values, scale):
        return scale * jnp.sin(values), jnp.cumsum(values, axis=0)

    spread = jax.jit(shard_over(function, mesh, shared=(1,)))
    for one, other in zip(spread(values, scale), function(values, scale), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_results_are_put_together_along_the_given_axes():
    mesh = device_mesh(1)
    spread = shard_over(lambda x: (x, x.T), mesh, out_axes=(0, 1))
    straight, turned = spread(jnp.arange(6.0).reshape(3, 2))
    assert straight.shape == (3, 2)
    assert turned.shape == (2, 3)


def test_arguments_without_leading_axis_are_refused():
    with pytest.raises(ValueError, match="argument 0 must have a leading axis"):
        shard_over(lambda x: x, device_mesh(1))(jnp.array(1.0))


def test_gather_gives_arrays_of_the_host():
    tree = gather({"a": jnp.arange(3), "b": np.ones(2)})
    assert all(isinstance(leaf, np.ndarray) for leaf in tree.values())


def test_more_devices_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="count must be 1 to"):
        device_mesh(10_000)


def test_cpu_devices_cannot_change_after_the_start():
    jnp.zeros(1).block_until_ready()
    use_cpu_devices(len(jax.devices("cpu")))
    with pytest.raises(ValueError, match="comes too late"):
        use_cpu_devices(len(jax.devices("cpu")) + 1)
    with pytest.raises(ValueError, match="at least 1 device"):
        use_cpu_devices(0)


def test_a_place_among_processes_is_given_completely_or_not_at_all():
    with pytest.raises(ValueError, match="given together"):
        start_processes("localhost:1")
    with pytest.raises(ValueError, match="process must be 0 to 1, got 2"):
        start_processes("localhost:1", 2, 2)
