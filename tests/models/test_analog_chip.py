"""The emulated chip: its weights, its fixed pattern, its noise and its gradients."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.models import AnalogChip, AnalogImperfections, FirstSpikeNetwork
from plasticjax.neurons import CurrentLIF
from plasticjax.simulate import first_spike_times, measured_spike_times

KEY = jax.random.key(5)
SHAPES = [(6, 5), (3, 7)]
NEURON = CurrentLIF(threshold=1.2)
BIASES = ((0.9,), (0.9,))
TIMES = np.array([0.2, 1.4, np.inf, 0.8])
EVERYTHING = dict(
    weight_step=1 / 30,
    weight_limit=2.1,
    weight_mismatch=0.05,
    threshold_offset=0.13,
    threshold_mismatch=0.08,
    threshold_noise=0.04,
    input_jitter=0.03,
    spike_jitter=0.02,
)


def _chip(key=KEY, **sizes):
    """Sizes are arrays, hence traced by `run`, which is then compiled once for all chips."""
    sizes = {name: jnp.asarray(size, float) for name, size in (_NONE | sizes).items()}
    return AnalogChip.fabricate(AnalogImperfections(**sizes), SHAPES, key=key)


_NONE = vars(AnalogImperfections())


def _weights():
    rng = np.random.default_rng(0)
    return tuple(jnp.asarray(rng.normal(1.4, 0.8, shape)) for shape in SHAPES)


@eqx.filter_jit
def run(weights, times, chip=None, key=None):
    return FirstSpikeNetwork(weights, NEURON, BIASES)(times, chip=chip, key=key)


def test_weights_are_rounded_and_clipped(x64):
    weights = jnp.asarray(np.random.default_rng(1).normal(0, 1.5, (6, 50)))
    chip = AnalogChip.fabricate(AnalogImperfections.brainscales2(), SHAPES, key=KEY)
    programmed = np.asarray(chip.program(weights))
    steps = programmed * 30
    np.testing.assert_allclose(steps, np.clip(np.round(weights * 30), -63, 63), atol=1e-9)
    assert steps.max() == pytest.approx(63) and steps.min() == pytest.approx(-63)
    assert np.all(np.abs(programmed - np.clip(weights, -2.1, 2.1)) <= 1 / 60 + 1e-12)
    np.testing.assert_allclose(chip.program(jnp.asarray(programmed)), programmed, atol=1e-12)


def test_a_limit_that_is_no_multiple_of_the_step_is_not_passed(x64):
    weights = jnp.array([[-5.0, 0.26, 0.24, 0.94, 0.96, 5.0]])
    found = _chip(weight_step=0.5, weight_limit=0.95).program(weights)
    np.testing.assert_allclose(found, [[-0.5, 0.5, 0.0, 0.5, 0.5, 0.5]])
    found = _chip(weight_limit=0.95).program(weights)
    np.testing.assert_allclose(found, [[-0.95, 0.26, 0.24, 0.94, 0.95, 0.95]])


@pytest.mark.parametrize("bits", [2, 3, 6])
def test_levels_reach_up_to_the_largest_weight(x64, bits):
    levels = 2 ** (bits - 1) - 1
    weights = jnp.asarray(np.random.default_rng(2).normal(0.2, 1.0, (5, 40)))
    found = np.asarray(_chip(weight_levels=levels).program(weights))
    step = np.max(np.abs(weights)) / levels
    np.testing.assert_allclose(found, np.round(weights / step) * step, atol=1e-12)
    assert len(np.unique(np.round(found / step))) <= 2 * levels + 1
    np.testing.assert_array_equal(_chip(weight_levels=levels).program(jnp.zeros((2, 2))), 0)


@pytest.mark.parametrize(
    "sizes", [dict(weight_step=1 / 30, weight_limit=2.1), dict(weight_levels=3.0)]
)
def test_derivatives_pass_straight_through_the_rounding(x64, sizes):
    weights = _weights()[0]
    factors = jnp.arange(30.0).reshape(6, 5)
    gradient = jax.grad(lambda w: jnp.sum(factors * _chip(**sizes).program(w)))(weights)
    np.testing.assert_array_equal(gradient, factors)


def test_without_imperfections_the_chip_is_the_ideal_network(x64):
    weights = _weights()
    ideal = run(weights, TIMES)
    emulated = run(weights, TIMES, _chip(), KEY)
    assert np.isfinite(ideal[1]).any()
    for a, b in zip(emulated, ideal, strict=True):
        np.testing.assert_array_equal(a, b)


def test_imperfections_move_the_spikes(x64):
    weights = _weights()
    ideal = run(weights, TIMES)[0]
    fired = np.isfinite(ideal)
    for name in _NONE:
        size = {"weight_levels": 7.0, "weight_limit": 1.0}.get(name, 0.05)
        chip = _chip(**{name: size})
        chip = chip.recalibrate(KEY)
        moved = run(weights, TIMES, chip, KEY)[0]
        assert np.any(moved[fired] != ideal[fired]), name
    later = run(weights, TIMES, _chip(threshold_offset=0.1), KEY)[0]
    assert np.all(later[fired] > ideal[fired])
    higher = dataclasses.replace(NEURON, threshold=1.3)
    expected = first_spike_times(higher, weights[0], jnp.append(TIMES, 0.9))
    np.testing.assert_allclose(later, expected, rtol=1e-9)


def test_the_fixed_pattern_belongs_to_the_key():
    chip, again = (_chip(**EVERYTHING) for _ in range(2))
    other = _chip(jax.random.key(6), **EVERYTHING)
    for a, b, c in zip(*map(jax.tree.leaves, (chip, again, other)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.ndim(a) == 0 or np.all(a != c)
    assert [t.shape for t in chip.thresholds] == [(6,), (3,)]
    assert [g.shape for g in chip.gains] == SHAPES
    large = AnalogChip.fabricate(AnalogImperfections(**EVERYTHING), [(4000, 10)], key=KEY)
    assert np.mean(large.thresholds[0]) == pytest.approx(0.13, abs=0.01)
    assert np.std(large.thresholds[0]) == pytest.approx(0.08, rel=0.05)
    assert np.mean(large.gains[0]) == pytest.approx(1, abs=0.005)
    assert np.std(large.gains[0]) == pytest.approx(0.05, rel=0.05)


def test_recalibration_shifts_the_thresholds_only():
    chip = AnalogChip.fabricate(AnalogImperfections(**EVERYTHING), [(4000, 2), (5, 3)], key=KEY)
    shifted = chip.recalibrate(jax.random.key(9))
    assert eqx.tree_equal(shifted.imperfections, chip.imperfections)
    for a, b in zip(shifted.gains, chip.gains, strict=True):
        np.testing.assert_array_equal(a, b)
    shift = np.asarray(shifted.thresholds[0] - chip.thresholds[0])
    assert np.std(shift) == pytest.approx(0.04, rel=0.05) and abs(np.mean(shift)) < 0.003
    assert np.all(chip.recalibrate(jax.random.key(8)).thresholds[1] != shifted.thresholds[1])
    quiet = _chip(threshold_mismatch=0.1).recalibrate(KEY)
    for a, b in zip(quiet.thresholds, _chip(threshold_mismatch=0.1).thresholds, strict=True):
        np.testing.assert_array_equal(a, b)


def test_trials_differ_by_their_noise_only(x64):
    weights = _weights()
    fixed = _chip(threshold_mismatch=0.1, weight_mismatch=0.1)
    noisy = _chip(threshold_mismatch=0.1, weight_mismatch=0.1, spike_jitter=0.02)
    keys = jax.random.split(KEY, 300)
    first = [run(weights, TIMES, fixed, key)[0] for key in keys[:2]]
    np.testing.assert_array_equal(*first)
    trials = jax.vmap(lambda key: run(weights, TIMES, noisy, key)[0])(keys)
    fired = np.isfinite(first[0])
    assert fired.sum() >= 3
    spread = np.asarray(trials)[:, fired] - first[0][fired]
    np.testing.assert_allclose(np.std(spread), 0.02, rtol=0.1)
    assert np.all(np.isinf(np.asarray(trials)[:, ~fired]))


def test_jitter_has_its_size_and_silent_inputs_stay_silent():
    times = jnp.append(jnp.full(4000, -0.2), jnp.inf)
    arriving = np.asarray(_chip(input_jitter=0.3).inputs(times, KEY))
    assert arriving[-1] == np.inf and np.std(arriving[:-1]) == pytest.approx(0.3, rel=0.05)
    assert np.mean(arriving[:-1]) == pytest.approx(-0.2, abs=0.03)
    recorded = np.asarray(_chip(spike_jitter=0.3).outputs(times, KEY))
    assert recorded[-1] == np.inf and np.std(recorded[:-1]) == pytest.approx(0.3, rel=0.05)
    np.testing.assert_array_equal(_chip().inputs(times, KEY), times)


def test_silent_neurons_stay_silent(x64):
    weights = tuple(-jnp.abs(w) for w in _weights())
    chip = _chip(**EVERYTHING).recalibrate(KEY)
    for layer in run(weights, TIMES, chip, KEY):
        assert np.all(np.isinf(layer))


def test_gradients_are_those_of_the_nominal_network_at_the_measured_spikes(x64):
    weights = _weights()
    chip = _chip(**EVERYTHING).recalibrate(KEY)
    measured = run(weights, TIMES, chip, KEY)
    arriving = chip.inputs(jnp.asarray(TIMES), jax.random.fold_in(KEY, 0))
    assert np.isfinite(measured[1]).sum() >= 2

    def readout(layers):
        return sum(jnp.sum(jnp.where(jnp.isfinite(t), jnp.sin(3 * t), 0)) for t in layers)

    def emulated(weights):
        return readout(run(weights, TIMES, chip, KEY))

    def nominal(weights):
        rounded = [w + jax.lax.stop_gradient(jnp.clip(jnp.round(w * 30), -63, 63) / 30 - w)
                   for w in weights]  # fmt: skip
        hidden = measured_spike_times(NEURON, rounded[0], jnp.append(arriving, 0.9), measured[0])
        out = measured_spike_times(NEURON, rounded[1], jnp.append(hidden, 0.9), measured[1])
        return readout((hidden, out))

    found, expected = jax.jit(jax.grad(emulated))(weights), jax.jit(jax.grad(nominal))(weights)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
        assert np.any(a != 0)


def test_chips_are_a_vmap(x64):
    weights, keys = _weights(), jax.random.split(KEY, 4)

    def one(key):
        chip = _chip(key, **EVERYTHING)
        return run(weights, TIMES, chip.recalibrate(key), key)

    together = jax.jit(jax.vmap(one))(keys)
    for k in range(4):
        for a, b in zip(together, one(keys[k]), strict=True):
            np.testing.assert_allclose(a[k], b, rtol=1e-10)
    # A sweep over the size of an imperfection.
    steps = jnp.array([0.0, 1 / 30, 0.5])
    swept = jax.vmap(lambda step: _chip(weight_step=step).program(weights[0]))(steps)
    np.testing.assert_array_equal(swept[0], weights[0])
    np.testing.assert_allclose(swept[2], np.round(weights[0] / 0.5) * 0.5, atol=1e-12)
