import pytest

from experiments._contract import Claim, NullJob


def _claim(accept):
    return Claim("accuracy (%)", 95.9, "paper", lambda result: result, accept)


def test_sizes_are_known():
    with pytest.raises(ValueError, match="'full'; valid sizes: smoke, default, paper"):
        _claim({"full": (0.0, 1.0)})


def test_intervals_are_not_empty():
    with pytest.raises(ValueError, match=r"accept\['smoke'\] is \(2.0, 1.0\); lo <= hi"):
        _claim({"smoke": (2.0, 1.0)})
    assert _claim({"smoke": (1.0, 1.0)}).accept["smoke"] == (1.0, 1.0)


def test_null_job_stores_nothing(capsys):
    job = NullJob()
    with job.progress(3, "train") as progress:
        progress.advance(loss=1.0)
        progress.advance(2)
    job.save(1, {"x": 1})
    assert job.restore({"x": 0}) is None
    assert capsys.readouterr().out == ""
