"""The epoch: what it visits, in which order, and that seeds can be mapped over."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.training import train_epoch

SAMPLES, BATCH = 23, 5
INPUTS = {"index": jnp.arange(SAMPLES), "value": jnp.arange(SAMPLES) / 7}
TARGETS = -jnp.arange(SAMPLES)


def count(state, batch, key):
    visits = state.at[batch.inputs["index"]].add(batch.real)
    return visits, (batch, jax.random.uniform(key))


@jax.jit
def epoch(key):
    return train_epoch(count, jnp.zeros(SAMPLES, jnp.int32), INPUTS, TARGETS, batch=BATCH, key=key)


def test_every_sample_counts_once():
    visits, (batches, _) = epoch(jax.random.key(0))
    np.testing.assert_array_equal(visits, 1)
    assert batches.real.shape == (5, BATCH)
    np.testing.assert_array_equal(jnp.sum(batches.real, axis=1), [5, 5, 5, 5, 3])
    np.testing.assert_array_equal(batches.targets, -batches.inputs["index"])
    np.testing.assert_allclose(batches.inputs["value"], batches.inputs["index"] / 7, rtol=1e-6)
    # Those that fill up the last batch are samples, too.
    assert len(set(np.asarray(batches.inputs["index"][-1]))) == BATCH


def test_orders_and_noise_follow_the_key():
    _, (first, noise) = epoch(jax.random.key(0))
    _, (again, same) = epoch(jax.random.key(0))
    _, (other, different) = epoch(jax.random.key(1))
    np.testing.assert_array_equal(first.targets, again.targets)
    np.testing.assert_array_equal(noise, same)
    assert np.any(first.targets != other.targets)
    assert np.any(np.sort(np.asarray(first.targets).ravel()) != np.asarray(first.targets).ravel())
    assert len(np.unique(np.append(noise, different))) == 10


def test_seeds_are_a_vmap():
    keys = jax.random.split(jax.random.key(3), 4)
    visits, (batches, noise) = jax.jit(jax.vmap(epoch))(keys)
    np.testing.assert_array_equal(visits, np.ones((4, SAMPLES)))
    for k in range(4):
        _, (alone, own_noise) = epoch(keys[k])
        np.testing.assert_array_equal(batches.targets[k], alone.targets)
        np.testing.assert_array_equal(noise[k], own_noise)


def test_the_state_is_carried_from_update_to_update():
    def update(state, batch, key):
        return state + 1, state

    last, seen = train_epoch(
        update, jnp.array(10), INPUTS, TARGETS, batch=SAMPLES - 1, key=jax.random.key(0)
    )
    assert last == 12
    np.testing.assert_array_equal(seen, [10, 11])
    whole, _ = train_epoch(
        update, jnp.array(10), INPUTS, TARGETS, batch=SAMPLES, key=jax.random.key(0)
    )
    assert whole == 11


@pytest.mark.parametrize("batch", [0, -1, SAMPLES + 1])
def test_batch_must_fit(batch):
    message = rf"batch={batch} must lie between 1 and the {SAMPLES} samples"
    with pytest.raises(ValueError, match=message):
        train_epoch(count, None, INPUTS, TARGETS, batch=batch, key=jax.random.key(0))
