import dataclasses
import warnings

import jax
import numpy as np
import pytest

from experiments import le_bars_microcircuit as bars
from experiments._contract import NullJob
from experiments.le_bars_microcircuit import CLAIMS, Config, figure, final, run


class Killed(Exception):
    pass


class KilledJob(NullJob):
    """Keeps the last checkpoint and dies right after writing the one of step `last`."""

    def __init__(self, last=None, checkpoint=None):
        self.last = last
        self.checkpoint = checkpoint

    def save(self, step, state):
        self.checkpoint = step, jax.tree.map(np.asarray, state)
        if step == self.last:
            raise Killed

    def restore(self, like):
        if self.checkpoint is not None:
            jax.tree.map(
                lambda a, b: np.testing.assert_equal(a.shape, b.shape), like, self.checkpoint[1]
            )
        return self.checkpoint


@pytest.fixture(scope="module")
def smoke():
    return run(Config.smoke(), key=jax.random.key(0), job=NullJob())


def test_the_images_are_the_eight_bars():
    images = bars.IMAGES.reshape(8, 3, 3)
    assert len(np.unique(bars.IMAGES, axis=0)) == 8
    np.testing.assert_array_equal(bars.IMAGES.sum(axis=1), 3)
    np.testing.assert_array_equal(bars.LABELS, [0, 0, 0, 1, 1, 1, 2, 2])
    np.testing.assert_array_equal(images[1], [[0, 0, 0], [1, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(images[3], [[1, 0, 0], [1, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(images[7], [[0, 0, 1], [0, 1, 0], [1, 0, 0]])
    assert Config().targets == (1.0, 0.1)
    targets = bars.target_potentials(Config())
    np.testing.assert_allclose(targets[3], [0.1, 1.0, 0.1])


def test_the_settings_are_the_published_ones():
    config = Config.paper()
    assert (config.seeds, config.epochs, config.hidden, config.dt) == (10, 1000, 30, 0.1)
    lags = [bars.LAGS[duration] * config.dt for duration in config.durations]
    np.testing.assert_allclose(lags, [0, 0.2, 0.5, 1, 2, 5, 15, 40, 80, 80, 80])
    assert config.durations == (3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


def test_the_claims_hold_at_smoke_size(smoke):
    for claim in CLAIMS:
        values = claim.measure(smoke)
        assert values.shape == (Config.smoke().seeds,)
        if "smoke" in claim.accept:
            low, high = claim.accept["smoke"]
            assert low <= values.mean() <= high, claim.statement


def test_only_latent_equilibrium_lowers_the_error(smoke):
    prospective, original = smoke.error[..., -50:].mean(axis=(0, 2, 3))
    assert prospective < 0.02
    # The least error of an output that does not depend on the image, within a tenth.
    np.testing.assert_allclose(original, 0.177, rtol=0.1)


def test_results_have_seeds_first(smoke):
    config = Config.smoke()
    shape = (config.seeds, 2, len(config.durations), config.epochs)
    assert smoke.accuracy.shape == smoke.error.shape == shape
    assert len(np.unique(smoke.error[:, 0, 0, -1])) == config.seeds
    assert smoke.accuracy.dtype == np.float32


def test_both_models_start_from_the_same_weights():
    keys = jax.random.split(jax.random.key(0), 2)
    weights = bars.initial_circuits(keys, Config()).weights
    for leaf in jax.tree.leaves(weights):
        np.testing.assert_array_equal(leaf[:, 0], leaf[:, 1])
        assert np.all(leaf[0] != leaf[1])
    np.testing.assert_allclose(weights.pi[0], -weights.down[0])


def test_one_presentation_is_averaged_after_the_lag():
    config = Config()
    circuit = bars.DendriticMicrocircuit(False)
    carry = circuit.initial(circuit.init_weights((9, 30, 3), key=jax.random.key(1)))

    @jax.jit
    def present(steps, lag):
        return bars.present(circuit, carry, 4, taught=True, steps=steps, lag=lag, config=config)

    shown = []
    for end in range(1, 9):
        after, mean = present(end, end - 1)
        shown.append(mean)
        np.testing.assert_array_equal(mean, after.pyramids[-1].soma)
    _, mean = present(8, 3)
    np.testing.assert_allclose(mean, np.mean(shown[3:], axis=0), rtol=1e-5)


def test_a_killed_run_continues_to_the_identical_result(monkeypatch):
    monkeypatch.setattr(bars, "SAVE_EVERY", 10)
    config = dataclasses.replace(Config.smoke(), seeds=2, epochs=20)
    key = jax.random.key(3)
    whole = run(config, key=key, job=NullJob())
    for last in (1, 2, 3):
        killed = KilledJob(last=last)
        with pytest.raises(Killed):
            run(config, key=key, job=killed)
        resumed = run(config, key=key, job=KilledJob(checkpoint=killed.checkpoint))
        np.testing.assert_array_equal(whole.accuracy, resumed.accuracy)
        np.testing.assert_array_equal(whole.error, resumed.error)


def test_double_precision_is_available():
    config = dataclasses.replace(Config.smoke(), seeds=1, epochs=10, dtype="float64")
    result = run(config, key=jax.random.key(0), job=NullJob())
    assert result.error.dtype == np.float64 and np.all(np.isfinite(result.error))


def test_divergence_is_reported(monkeypatch):
    def diverge(state, keys, first, place, *, config):
        return state._replace(error=np.full(state.error.shape, np.inf))

    monkeypatch.setattr(bars, "train_all", diverge)
    config = dataclasses.replace(Config.smoke(), seeds=1, epochs=10)
    with pytest.raises(FloatingPointError, match="inf after 10 epochs with presentations of 10"):
        run(config, key=jax.random.key(0), job=NullJob())


def test_the_figure_is_drawn_without_warnings(smoke, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fig = figure(smoke)
        fig.savefig(tmp_path / "figure.png")
    main, _ = fig.axes
    drawn = {line.get_label(): line for line in main.lines}
    for k, name in enumerate(bars.MODELS):
        x, y = drawn[name].get_data()
        np.testing.assert_allclose(x, [0.19, 0.38])
        np.testing.assert_allclose(y, final(smoke)[:, k].mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 0}, "seeds is 0; a whole number >= 1"),
        ({"hidden": 0}, "hidden is 0; a whole number >= 1"),
        ({"epochs": 15}, "epochs is 15; a multiple of 10 is required"),
        ({"durations": (10, 20, 30)}, r"durations is \(10, 20, 30\); 10 and 20 are required"),
        ({"durations": (20, 50)}, r"durations is \(20, 50\); 10 and 20 are required"),
        ({"dtype": "float16"}, "dtype is 'float16'; valid: 'float32', 'float64'"),
    ],
)
def test_bad_configurations_are_refused(change, message):
    config = dataclasses.replace(Config.smoke(), **change)
    with pytest.raises(ValueError, match=message):
        run(config, key=jax.random.key(0), job=NullJob())


@pytest.mark.slow
def test_the_claims_hold_at_default_size():
    result = run(Config(), key=jax.random.key(0), job=NullJob())
    for claim in CLAIMS:
        low, high = claim.accept["default"]
        assert low <= claim.measure(result).mean() <= high, claim.statement
