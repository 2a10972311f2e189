"""Six experiments that a chip must pass; the emulator passes them as well.

On a machine with a chip: `python -m pytest tests/hardware/test_on_hardware.py --hardware`.
"""

import os
import pickle

import numpy as np
import pytest

from plasticjax.hardware import (
    ChipNetwork,
    EmulatorBackend,
    EmulatorSettings,
    NeuronPopulation,
    PoissonInput,
    Projection,
    PyNNBackend,
    Scheduled,
    SensorSTDP,
    anticausal,
    causal,
    column_table,
    cost,
    lower,
    row_table,
    shipped_rules,
    weight,
)
from plasticjax.hardware import Correlations as Sensors
from plasticjax.plasticity import increment

CORRELATION = "PLASTICJAX_BSS2_CORRELATION"


@pytest.fixture(params=[pytest.param("emulator", marks=pytest.mark.slow), "chip"])
def where(request):
    if request.param == "chip" and not request.config.getoption("--hardware"):
        pytest.skip("no BSS-2 connection: give --hardware on a machine that has one")
    return request.param


def backend(where, **options):
    if where == "chip":
        return PyNNBackend(**options)
    return EmulatorBackend(EmulatorSettings(dt_us=1.0, max_spikes=20_000))


def one_rule(on, program, net, weights, stimulus, duration, start, period, calls):
    placement = on.map(net)
    on.load_weights(placement, weights)
    handle = on.compile_rule(program, placement)
    scheduled = Scheduled(handle, "rule", start, period, calls)
    return on.run(placement, stimulus, duration, [scheduled])


def wired(neurons, sources):
    projection = Projection("in", "n", plastic="rule")
    return ChipNetwork({"n": NeuronPopulation(neurons)}, {"p": projection}, {"in": sources})


def test_a_constant_rule_writes_42(where):
    program = lower(lambda syn, pre, post, third, obs: syn * 0 + 42.0, syn=weight(),
                    rounding="floor")  # fmt: skip
    result = one_rule(backend(where), program, wired(5, 3), {}, {}, 500.0, 100.0, 200.0, 1)
    np.testing.assert_array_equal(result.weights["p"].values[-1], np.full((5, 3), 42))


def test_lanes_keep_their_order_through_16_bits(where):
    program = lower(increment(lambda syn, pre, post, third, obs: syn * 0.25), syn=weight(),
                    rounding="floor")  # fmt: skip
    before = (np.arange(100)[:, None] * np.array([1, 5]) + np.array([0, 7])) % 51
    result = one_rule(backend(where), program, wired(100, 2), {"p": before}, {}, 500.0, 100.0,
                      200.0, 1)  # fmt: skip
    np.testing.assert_array_equal(result.weights["p"].values[-1], (before * 5) // 4)


def test_homeostasis_approaches_its_target(where):
    program = shipped_rules()["homeostasis"].lower()
    before = np.repeat([[4], [60]], 4, axis=0)
    result = one_rule(backend(where), program, wired(8, 1), {"p": before},
                      {"in": PoissonInput(120.0)}, 31_000.0, 10_000.0, 10_000.0, 3)  # fmt: skip
    change = result.weights["p"].values[-1] - before
    assert np.mean(change[:4]) > 2 and np.mean(change[4:]) < -2


def test_the_sign_of_correlation_is_that_of_the_order(where):
    options = {}
    if where == "chip":
        if CORRELATION not in os.environ:
            pytest.skip(f"{CORRELATION} must name the calibration of the correlation sensors")
        with open(os.environ[CORRELATION], "rb") as file:
            options["correlation"] = pickle.load(file)
    rule = increment(SensorSTDP(plus=0.25, minus=0.25))
    program = lower(rule, syn=weight(), obs=Sensors(causal(), anticausal()), rounding="nearest")
    net = ChipNetwork(
        {"n": NeuronPopulation(16)},
        {"p": Projection("in", "n", plastic="rule"), "drive": Projection("teacher", "n")},
        {"in": 2, "teacher": 3},
    )
    on = backend(where, **options)
    placement = on.map(net)
    on.load_weights(placement, {"p": np.full((16, 2), 20), "drive": np.full((16, 3), 63)})
    handle = on.compile_rule(program, placement)
    # The teacher makes all neurons spike within 15 us; one input comes before that, one after. The
    # first call on the chip measures baselines and changes nothing.
    times = np.arange(100.0, 6000.0, 60.0)
    trains = {"in": [times + 1.0, times + 16.0], "teacher": [times] * 3}
    result = on.run(placement, trains, 6100.0, [Scheduled(handle, "rule", 3000.0, 2900.0, 2)])
    before, after = np.mean(result.weights["p"].values[-1], axis=0)
    assert before > after + 2


def test_signed_weights_and_tables_meet_their_neurons(where):
    """Every synapse changes by the product of its own two entries: no row or column is mistaken."""
    program = lower(
        increment(lambda syn, pre, post, third, obs: pre * post), syn=weight(signed=True),
        pre=row_table("x", -8.0, 8.0), post=column_table("y", -8.0, 8.0), rounding="nearest",
    )  # fmt: skip
    net = ChipNetwork({"n": NeuronPopulation(9)}, {"p": Projection("in", "n", "signed",
                      plastic="rule")}, {"in": 7})  # fmt: skip
    on = backend(where)
    placement = on.map(net)
    before = np.random.default_rng(0).integers(-20, 21, (9, 7))
    on.load_weights(placement, {"p": before})
    x, y = np.arange(7) - 3, np.arange(9) - 4
    handle = on.compile_rule(program, placement)
    rule = Scheduled(handle, "rule", 100.0, 500.0, 1, {"x": x, "y": y})
    result = on.run(placement, {}, 1000.0, [rule])
    np.testing.assert_array_equal(result.weights["p"].values[-1], before + np.outer(y, x))


def test_calls_take_as_long_as_predicted(where):
    program = shipped_rules()["weight_decay_noise"].lower()
    expected = cost(program, 40).microseconds
    period = round(expected / 20)
    result = one_rule(backend(where), program, wired(10, 40), {}, {}, 200.0 * period, 0.0,
                      float(period), 200)  # fmt: skip
    times = result.weights["p"].times_us
    took = np.diff(times[np.concatenate([[True], np.diff(times) > 0])])
    assert 0.5 * expected < np.median(took) < 2 * expected
