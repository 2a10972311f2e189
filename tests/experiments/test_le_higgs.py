import dataclasses
import warnings

import jax
import numpy as np
import pytest

from experiments._contract import NullJob
from experiments.le_higgs import CLAIMS, Config, figure, run
from plasticjax.data import DataUnavailable

SMOKE = Config.smoke()
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def smoke():
    return run(SMOKE, key=KEY, job=NullJob())


def test_only_the_claim_on_synthetic_rows_is_judged(smoke):
    higgs, synthetic = CLAIMS
    assert higgs.measure(smoke) is None
    values = np.asarray(synthetic.measure(smoke))
    low, high = synthetic.accept["smoke"]
    assert values.shape == (1,)
    assert low <= values.mean() <= high


def test_the_figure_names_the_stand_in(smoke, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = figure(smoke)
        drawn.savefig(tmp_path / "figure.png")
    assert drawn.axes[0].get_title() == "synthetic rows, not HIGGS"
    assert (tmp_path / "figure.png").stat().st_size > 5_000


def test_missing_data_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PLASTICJAX_DATA", str(tmp_path))
    with pytest.raises(DataUnavailable, match=r"HIGGS.csv or HIGGS.csv.gz not found"):
        run(Config(), key=KEY, job=NullJob())


def test_unknown_data_are_an_error():
    config = dataclasses.replace(SMOKE, data="other")
    with pytest.raises(ValueError, match="data='other' must be 'higgs' or 'synthetic rows'"):
        run(config, key=KEY, job=NullJob())


def test_published_rows_are_split_as_published():
    config = Config.paper()
    assert (config.rows, config.learning_rate, config.steps) == (400_000, 0.125 * 64, 20)
