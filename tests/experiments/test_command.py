import json
import re

import jax
import pytest
from matplotlib.image import imread

from experiments._discovery import discover

RUN = ("run", "random-walk")


def _only(tmp_path, name):
    (path,) = tmp_path.glob(f"results/random-walk/*/{name}")
    return path


def test_list_shows_names_and_summaries_without_importing(command):
    status, output, _ = command("list")
    assert status == 0
    assert output.splitlines() == [
        "incomplete   Exports nothing.",
        "needs-more   Needs a package that does not exist.",
        "random-walk  A walk of random steps, slow enough to be killed.",
    ]


def test_every_experiment_of_the_project_has_a_summary_and_its_exports():
    for experiment in discover().values():
        assert experiment.summary
        module = experiment.load()
        for config in (module.Config(), module.Config.paper(), module.Config.smoke()):
            assert config.seeds >= 1
            assert config.dtype in ("float32", "float64")
        assert any("default" in claim.accept for claim in module.CLAIMS)
        assert all(claim.accept for claim in module.CLAIMS)


def test_run_writes_all_files(command, tmp_path):
    status, output, error = command(*RUN, "--smoke")
    assert (status, error) == (0, "")
    metrics = json.loads(_only(tmp_path, "metrics.json").read_text())
    assert metrics["experiment"] == "random-walk"
    assert metrics["config"]["steps"] == 4
    assert metrics["config"]["scales"] == [1.0, 0.5]
    assert metrics["size"] == "smoke"
    assert metrics["command"] == "python -m experiments run random-walk --smoke"
    assert metrics["config_hash"] == _only(tmp_path, "metrics.json").parent.name
    assert metrics["versions"]["jax"] == jax.__version__
    assert {"python", "jax", "jaxlib", "equinox", "optax", "plasticjax"} == set(metrics["versions"])
    assert metrics["wall_seconds"] > 0
    assert metrics["compile_seconds"] >= 0
    assert set(metrics["machine"]) == {"cpus", "device", "devices", "processes"}
    distance, bits, never = metrics["claims"]
    assert set(distance) == {
        "statement", "paper", "source", "mean", "sd", "n", "values", "accept", "verdict"
    }  # fmt: skip
    assert distance["n"] == len(distance["values"]) == 3
    assert distance["accept"] == [-100.0, 100.0]
    assert bits["verdict"] == "reproduced"  # ran in double precision
    assert never["verdict"] == "not judged"
    config = json.loads(_only(tmp_path, "config.json").read_text())
    assert config == {"experiment": "random-walk", "config": metrics["config"], "key": 0}
    assert imread(_only(tmp_path, "figure.png")).shape[:2] == (300, 300)
    assert _only(tmp_path, "walk.txt").read_text() == "3 walks\n"
    assert _only(tmp_path, "checkpoints/4").is_dir()
    assert re.search(r"distance \(m\) \| here.* \[-100, 100\] .* reproduced", output)
    assert not jax.config.jax_enable_x64
    assert not list(tmp_path.rglob(".*"))


def test_seeds_keep_claims_judged_and_set_does_not(command, tmp_path):
    assert command(*RUN, "--smoke", "--seeds", "2", "--out", "a")[0] == 0
    assert command(*RUN, "--smoke", "--set", "seeds=2", "--out", "b")[0] == 0
    (seeds,) = (json.loads(path.read_text()) for path in tmp_path.glob("a/*/*/metrics.json"))
    (custom,) = (json.loads(path.read_text()) for path in tmp_path.glob("b/*/*/metrics.json"))
    assert (seeds["size"], custom["size"]) == ("smoke", "custom")
    assert seeds["claims"][0]["verdict"] == "reproduced"
    assert {claim["verdict"] for claim in custom["claims"]} == {"not judged"}
    assert seeds["claims"][0]["values"] == custom["claims"][0]["values"]
    assert custom["command"].endswith("--smoke --set seeds=2")


def test_float32_runs_in_single_precision(command, tmp_path):
    command(*RUN, "--smoke", "--set", "dtype=float32")
    metrics = json.loads(_only(tmp_path, "metrics.json").read_text())
    assert metrics["claims"][1]["mean"] == 32


def test_keys_are_different_runs(command, tmp_path):
    for key in ("0", "1"):
        command(*RUN, "--smoke", "--key", key)
    one, other = (
        json.loads(path.read_text())["claims"][0]["values"]
        for path in tmp_path.glob("results/random-walk/*/metrics.json")
    )
    assert one != other


def test_check_makes_the_status(command):
    assert command(*RUN, "--smoke", "--check")[0] == 0
    assert command(*RUN)[0] == 0
    assert command(*RUN, "--check")[0] == 1
    assert command(*RUN, "--set", "steps=2", "--check")[0] == 0


def test_paper_size(command, tmp_path):
    command(*RUN, "--paper", "--set", "steps=2")
    assert json.loads(_only(tmp_path, "metrics.json").read_text())["size"] == "custom"


def test_a_result_with_nan_is_an_error(command, tmp_path):
    status, _, error = command(*RUN, "--smoke", "--set", "broken_seed=1")
    assert status == 1
    assert error == "error: claim 'distance (m) | here' is not finite for seed 1 (nan)\n"
    assert not list(tmp_path.rglob("metrics.json"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("run", "randomwalk"), r"unknown experiment 'randomwalk'; did you mean 'random-walk'\?"),
        (("run", "zzz"), r"unknown experiment 'zzz'; valid: incomplete, needs-more, random-walk"),
        (("run", "needs-more"), r"needs 'no_such_package_at_all', which is not installed"),
        ((*RUN, "--set", "step=3"), r"unknown field 'step'; did you mean 'steps'\?"),
        ((*RUN, "--set", "steps=many"), r"steps=many is not valid; int is expected"),
        ((*RUN, "--set", "steps=0"), r"steps is 0; at least 1 is required"),
        ((*RUN, "--set", "dtype=int8"), r"dtype=int8 is not valid; float32 or float64"),
        ((*RUN, "--seeds", "0"), r"seeds=0 is not valid; at least 1 seed"),
        ((*RUN, "--seeds", "two"), r"argument --seeds: invalid int value: 'two'"),
        ((*RUN, "--smoke", "--paper"), r"not allowed with argument"),
        ((*RUN, "--out", "file"), r"directory '.*file/random-walk/\w+' is not writable"),
        (("walk",), r"invalid choice: 'walk'"),
        (("run",), r"required: NAME"),
    ],
)
def test_user_errors_are_one_line(command, tmp_path, arguments, message):
    (tmp_path / "file").write_text("")
    status, output, error = command(*arguments)
    assert (status, output) == (2, "")
    assert re.fullmatch(rf"error: .*{message}.*\n", error)
    assert not list(tmp_path.rglob("checkpoints"))


def test_an_experiment_that_breaks_the_contract_is_a_bug(command):
    with pytest.raises(TypeError, match=r"toys.incomplete does not export Config, run"):
        command("run", "incomplete")


def test_help_shows_how(command):
    status, output, _ = command("run", "--help")
    assert status == 0
    assert "python -m experiments run yin-yang-first-spike --smoke --check" in output
    for option in ("--resume", "--set", "--seeds", "--paper", "--out", "--check", "--key"):
        assert option in output
