from dataclasses import fields, replace

import jax
import numpy as np
import pytest

from plasticjax.hardware import ChipProfile, draw_chip


def test_a_profile_survives_json():
    for profile in (
        ChipProfile.ideal(),
        ChipProfile.bss2_uncalibrated(seed=7),
        ChipProfile(weight_table=tuple(np.sqrt(np.arange(64.0)).tolist())),
    ):
        assert ChipProfile.from_json(profile.to_json()) == profile
        assert hash(profile) == hash(ChipProfile.from_json(profile.to_json()))


def test_the_profiles_of_the_sheet():
    calibrated, wild = ChipProfile.bss2_calibrated(), ChipProfile.bss2_uncalibrated()
    assert (calibrated.leak_sd, calibrated.reset_sd, calibrated.threshold_sd) == (1.5, 1.5, 2.5)
    assert wild.leak_sd == pytest.approx(5.0)
    assert wild.reset_sd == pytest.approx(7.5)
    assert wild.threshold_sd == pytest.approx(2.5 / 0.35)
    assert wild.tau_mem_cv == pytest.approx(0.05 / 0.45)
    assert wild.tau_syn_cv == pytest.approx(0.25)
    ideal = ChipProfile.ideal()
    quiet = {f.name for f in fields(ideal) if getattr(ideal, f.name) == 0 and f.name != "seed"}
    assert {"leak_sd", "tau_mem_cv", "dead", "jitter", "cadc_noise", "sensor_tau_log_sd"} <= quiet


def test_the_same_seed_is_the_same_chip():
    one, again = draw_chip(ChipProfile(seed=3)), draw_chip(ChipProfile(seed=3))
    other = draw_chip(ChipProfile(seed=4))
    jax.tree.map(np.testing.assert_array_equal, one, again)
    assert not np.any(one.leak == other.leak)


def test_a_region_is_a_part_of_its_chip():
    whole = draw_chip(ChipProfile())
    part = draw_chip(ChipProfile(), hemispheres=1, columns=5, rows=4)
    assert part.shape == (1, 5, 4)
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(a[:1, :5, :4] if a.ndim == 3 else a[:1, :5], b),
        whole,
        part,
    )


def test_spreads_are_those_of_the_profile():
    profile = ChipProfile.bss2_uncalibrated()
    chip = draw_chip(profile)
    assert chip.shape == (2, 256, 256)
    for drawn, sd in ((chip.leak, 5.0), (chip.reset, 7.5), (chip.threshold, 2.5 / 0.35)):
        assert np.std(drawn) == pytest.approx(sd, rel=0.1)
    assert np.std(chip.tau_exc) == pytest.approx(0.25, rel=0.1)
    assert np.mean(chip.synapse_gain) == pytest.approx(1.0, abs=0.002)
    assert np.std(chip.synapse_gain) == pytest.approx(0.1, rel=0.02)
    log = np.log(np.asarray(chip.causal.amplitude) / 0.5)
    assert (np.mean(log), np.std(log)) == pytest.approx((0.0, 0.4), abs=0.01)
    assert abs(np.corrcoef(chip.causal.tau.ravel(), chip.anticausal.tau.ravel())[0, 1]) < 0.02
    assert np.mean(~np.asarray(chip.alive)) == pytest.approx(0.02, abs=0.015)
    assert np.min(chip.causal.baseline) > 120


def test_an_ideal_chip_has_no_pattern():
    chip = draw_chip(ChipProfile.ideal(), columns=3, rows=2)
    assert np.all(chip.leak == 0) and np.all(chip.synapse_gain == 1) and np.all(chip.alive)
    assert np.all(chip.causal.tau == 5.0)


def test_many_chips_at_once():
    keys = jax.random.split(jax.random.key(0), 3)
    draw = lambda key: draw_chip(ChipProfile(), columns=2, rows=2, key=key)  # noqa: E731
    chips = jax.vmap(draw)(keys)
    assert chips.leak.shape == (3, 2, 2)
    np.testing.assert_allclose(chips.tau_mem[1], draw(keys[1]).tau_mem, rtol=1e-6)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ChipProfile(leak_sd=-1.0), "leak_sd=-1.0"),
        (lambda: ChipProfile(jitter=float("nan")), "jitter"),
        (lambda: ChipProfile(dead=1.5), "at most 1"),
        (lambda: ChipProfile(weight_table=(1.0,)), "valid: 64"),
        (lambda: ChipProfile.from_json('{"leek_sd": 1}'), "leek_sd"),
        (lambda: draw_chip(ChipProfile(), hemispheres=3), "hemispheres=3"),
        (lambda: draw_chip(ChipProfile(), columns=0), "columns=0"),
        (lambda: draw_chip(ChipProfile(), rows=3), "must be even"),
        (lambda: replace(ChipProfile(), latency=-0.1), "latency"),
    ],
)
def test_bad_values_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
