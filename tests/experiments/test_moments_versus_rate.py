import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments._contract import NullJob
from experiments._randman_networks import data_of, initial
from experiments.moments_versus_rate import (
    BACKWARD,
    CLAIMS,
    CONDITIONS,
    Condition,
    Config,
    figure,
    gradient,
    run,
)
from plasticjax.models import forward_gradient
from plasticjax.neurons import OwnSpikeSurrogate
from plasticjax.training import Batch

from .judged import assert_claims_hold

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def smoke():
    return run(Config.smoke(), key=KEY, job=NullJob())


def test_the_claims_hold_at_smoke_size(smoke):
    assert_claims_hold(CLAIMS, smoke, size="smoke", seeds=2)


def test_every_condition_has_finite_numbers_and_its_own_network(smoke):
    shape = (2, len(CONDITIONS), 2)
    *numbers, rates = smoke
    assert all(one.shape == shape and np.isfinite(one).all() for one in numbers)
    np.testing.assert_allclose(rates.mean(axis=2), smoke.spikes[-1], rtol=1e-5)
    assert len(np.unique(smoke.second[-1, :, 0])) == len(CONDITIONS)


def test_conditions_share_data_and_start(smoke):
    config = dataclasses.replace(Config.smoke(), epochs=1, learning_rate=0.0)
    still = run(config, key=KEY, job=NullJob())
    for one in still[:-1]:
        np.testing.assert_allclose(one, np.broadcast_to(one[:, :1], one.shape), rtol=1e-5)


def test_the_local_rule_is_the_forward_gradient(x64):
    config = dataclasses.replace(Config.smoke(), dtype="float64")
    network = initial(config, KEY)
    (rasters, labels), _ = data_of(config, KEY)
    batch = Batch(rasters[:8], labels[:8], jnp.ones(8, bool))
    found = gradient(config, Condition(), network, batch, local=True)
    each = jax.vmap(
        lambda spikes, label: forward_gradient(
            network, spikes, label, surrogate=OwnSpikeSurrogate(config.width)
        )
    )(batch.inputs, batch.targets)
    leaves = map(jax.tree.leaves, (found, each))
    for own, one in zip(*leaves, strict=True):
        assert float(jnp.abs(own).max()) > 0
        np.testing.assert_allclose(own, one.mean(axis=0), rtol=1e-10, atol=1e-14)


def test_time_constants_do_not_learn():
    network = initial(Config.smoke(), KEY)
    assert len(jax.tree.leaves(eqx.filter(network, eqx.is_array))) == 2


def test_the_figure_names_every_condition(smoke):
    accuracy = figure(smoke).axes[0]
    assert {text.get_text() for text in accuracy.get_legend().get_texts()} == set(CONDITIONS)
    assert set(BACKWARD) < set(CONDITIONS)


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="batch is 1000; there are 240 training samples"):
        run(dataclasses.replace(Config.smoke(), batch=1000), key=KEY, job=NullJob())


@pytest.mark.slow
def test_the_claims_hold_at_default_size():
    result = run(Config(), key=KEY, job=NullJob())
    assert_claims_hold(CLAIMS, result, size="default", seeds=3)
