import math

import numpy as np
import pytest

from experiments._claims import NotFiniteError, judge
from experiments._contract import Claim


def _judge(values, size="default", accept=(1.0, 3.0)):
    claim = Claim("accuracy", 2.0, "paper", lambda result: result, {"default": accept})
    (judged,) = judge([claim], np.array(values), seeds=3, size=size)
    return judged


def test_mean_and_spread_over_seeds():
    judged = _judge([1.0, 2.0, 6.0])
    assert judged["mean"] == 3.0
    assert judged["sd"] == pytest.approx(math.sqrt(7.0))
    assert judged["values"] == [1.0, 2.0, 6.0]
    assert judged["verdict"] == "reproduced"


@pytest.mark.parametrize(
    "mean, verdict",
    [
        (0.999, "not reproduced"),
        (3.001, "not reproduced"),
        (1.0, "reproduced"),
        (3.0, "reproduced"),
    ],
)
def test_interval_is_closed(mean, verdict):
    assert _judge([mean] * 3)["verdict"] == verdict


def test_a_size_without_interval_is_not_judged():
    judged = _judge([1.0, 2.0, 3.0], size="custom")
    assert (judged["verdict"], judged["accept"]) == ("not judged", None)


def test_one_seed_has_no_spread():
    claim = Claim("accuracy", 2.0, "paper", lambda result: result, {})
    assert judge([claim], np.array([1.0]), seeds=1, size="paper")[0]["sd"] is None


def test_nan_names_claim_and_seed():
    with pytest.raises(NotFiniteError, match=r"'accuracy' is not finite for seed 1 \(nan\), 2 \(i"):
        _judge([1.0, np.nan, np.inf])


def test_one_number_per_seed():
    with pytest.raises(ValueError, match=r"shape \(2,\); one number per seed, \(3,\)"):
        _judge([1.0, 2.0])
