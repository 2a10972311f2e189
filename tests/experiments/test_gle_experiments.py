import dataclasses
import warnings
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import gle_lagline, gle_lagnet_mnist1d, gle_mnist1d, gle_speech_commands
from experiments._contract import NullJob
from experiments._gle import balanced, shuffled, with_rows
from experiments._lag_line import square_wave
from plasticjax.data import DataUnavailable

TINY = {
    gle_lagline: dataclasses.replace(gle_lagline.Config.smoke(), batch=2),
    gle_mnist1d: dataclasses.replace(gle_mnist1d.Config.smoke(), samples=200, batch=40),
    gle_lagnet_mnist1d: dataclasses.replace(
        gle_lagnet_mnist1d.Config.smoke(), epochs=2, samples=200, batch=40
    ),
    gle_speech_commands: dataclasses.replace(
        gle_speech_commands.Config.smoke(), draws=48, validation=24
    ),
}
NAMES = [module.__name__.rpartition(".")[2] for module in TINY]


class MemoryJob(NullJob):
    def __init__(self, checkpoint=None):
        self.checkpoint = checkpoint

    def save(self, step, state):
        self.checkpoint = step, jax.tree.map(np.array, state)

    def restore(self, like):
        return self.checkpoint


@pytest.fixture(scope="module")
def results():
    return {
        module: module.run(config, key=jax.random.key(0), job=NullJob())
        for module, config in TINY.items()
    }


@pytest.mark.parametrize("module", TINY, ids=NAMES)
def test_results_are_finite_with_seeds_first(module, results):
    for field, value in results[module]._asdict().items():
        for leaf in jax.tree.leaves(value):
            assert np.all(np.isfinite(leaf)), field
    for claim in module.CLAIMS:
        values = claim.measure(results[module])  # None: about an epoch that was not reached
        assert values is None or np.shape(values) == (2,)
    assert any(claim.measure(results[module]) is not None for claim in module.CLAIMS)


@pytest.mark.parametrize("module", TINY, ids=NAMES)
def test_the_figure_is_drawn_without_warnings(module, results, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module.figure(results[module]).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_the_lag_line_approaches_its_teacher(results):
    result = results[gle_lagline]
    assert np.all(result.loss[:, 0, -1] < 0.1 * result.loss[:, 0, 0])
    gap = np.abs(result.parameters[:, 0] - gle_lagline.TEACHER).sum(axis=-1)
    assert np.all(gap[:, -1] < gap[:, 0])


def test_weights_adapt_within_a_presentation(results):
    assert np.all(results[gle_mnist1d].training_loss < np.log(10))
    assert np.all(results[gle_lagnet_mnist1d].training_loss < np.log(10))
    assert np.all(results[gle_speech_commands].training_loss < np.log(12))


@pytest.mark.parametrize(
    "module", [gle_mnist1d, gle_lagnet_mnist1d], ids=["gle_mnist1d", "gle_lagnet_mnist1d"]
)
def test_a_resumed_run_gives_the_identical_result(module, monkeypatch):
    monkeypatch.setattr("experiments._gle.SAVE_EVERY", 1)
    job = MemoryJob()
    whole = module.run(TINY[module], key=jax.random.key(0), job=job)
    assert job.checkpoint is not None and job.checkpoint[0] == 1
    rest = module.run(TINY[module], key=jax.random.key(0), job=MemoryJob(job.checkpoint))
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(rest), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_published_sizes():
    def weights(widths):
        return sum((pre + 1) * post for pre, post in pairwise(widths))

    small = gle_mnist1d.network(gle_mnist1d.Config.paper())
    large = gle_mnist1d.network(gle_mnist1d.Config.large())
    speech = gle_speech_commands.network(gle_speech_commands.Config.paper())
    static = gle_lagnet_mnist1d.network(gle_lagnet_mnist1d.Config.paper())
    assert [weights(net.widths) for net in (small, large, speech)] == [14_956, 42_040, 1_160_262]
    assert weights(static.widths) == 4_930
    assert small.tau_m[0].shape == (53,) and speech.tau_r[0].shape == (750,)
    np.testing.assert_allclose(np.unique(small.tau_m[0]), [0.6, 1.2])
    np.testing.assert_allclose(small.tau_r[0], [0.2] * 36 + [1.2] * 17)


def test_a_lag_net_filters_the_input_as_often_as_it_has_layers():
    """Every chain answers a pulse with its exponential kernel, folded with itself; gain one."""
    config = dataclasses.replace(gle_lagnet_mnist1d.Config(), chains=3, chain_layers=2)
    pulse = jnp.zeros((400, 1)).at[5].set(1.0)
    shown = np.asarray(gle_lagnet_mnist1d.lag_net(config)(pulse))
    for chain, tau_m in enumerate((0.2, 1.0, 1.8)):
        kernel = 0.2 / tau_m * (1 - 0.2 / tau_m) ** np.arange(400)
        wanted = np.convolve(kernel, kernel)[: 400 - 6]
        np.testing.assert_allclose(shown[6:, chain], wanted, atol=1e-6)
    np.testing.assert_array_equal(shown[:6], 0)
    np.testing.assert_allclose(shown.sum(axis=0), 1, rtol=1e-5)


def test_orders_of_samples():
    key, labels = jax.random.key(0), jnp.repeat(jnp.arange(3), jnp.array([1, 9, 90]))
    order = shuffled(30)(key, labels)
    assert order.shape == (3, 30) and len(np.unique(order)) == 90
    drawn = np.asarray(labels[balanced(100, 2_950, 3)(key, labels)])
    assert drawn.shape == (30, 100)
    np.testing.assert_allclose(np.bincount(drawn.ravel()) / 3000, 1 / 3, atol=0.04)


def test_rows_are_repeated_or_left_out():
    rows = jnp.arange(3.0)[:, None]
    np.testing.assert_array_equal(with_rows(rows, 5)[:, 0], [0, 1, 2, 0, 1])
    np.testing.assert_array_equal(with_rows(rows, 2)[:, 0], [0, 1])


def test_the_square_wave_is_odd_about_its_edges_and_flat_between():
    wave = square_wave(5.0)
    assert wave.shape == (400,)
    np.testing.assert_allclose(wave[50:150], 1.0, atol=1e-12)
    np.testing.assert_allclose(wave[:200], -wave[200:], atol=1e-12)
    np.testing.assert_allclose(wave[:10], -wave[-1:-11:-1], atol=1e-12)


def test_speech_without_data_says_where_it_looked(monkeypatch, tmp_path):
    monkeypatch.setenv("PLASTICJAX_DATA", str(tmp_path))
    with pytest.raises(DataUnavailable, match=r"speech_commands_v0\.02"):
        gle_speech_commands.run(gle_speech_commands.Config(), key=jax.random.key(0), job=NullJob())


def test_lag_line_refuses_what_it_cannot_cut_into_chunks():
    for changes, message in (
        ({"duration": 150}, "duration is 150; a multiple of 100"),
        ({"windows": (3,)}, r"windows are \(3,\); divisors of 100"),
    ):
        config = dataclasses.replace(TINY[gle_lagline], **changes)
        with pytest.raises(ValueError, match=message):
            gle_lagline.run(config, key=jax.random.key(0), job=NullJob())


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    [gle_lagline, gle_mnist1d, gle_lagnet_mnist1d],
    ids=["gle_lagline", "gle_mnist1d", "gle_lagnet_mnist1d"],
)
def test_the_claims_hold(module):
    result = module.run(module.Config(), key=jax.random.key(0), job=NullJob())
    for claim in module.CLAIMS:
        low, high = claim.accept["default"]
        assert low <= np.mean(claim.measure(result)) <= high, claim.statement
