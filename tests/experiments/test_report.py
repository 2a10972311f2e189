import json

import pytest


def _metrics(experiment, size="default", seeds=3, mean=95.87, **changes):
    claim = {
        "statement": "accuracy (%) | test",
        "paper": 95.9,
        "source": "Fig. 2",
        "mean": mean,
        "sd": 0.312,
        "n": seeds,
        "values": [mean] * seeds,
        "accept": [95.2, 97.5],
        "verdict": "reproduced",
    }
    return {
        "experiment": experiment,
        "config": {"seeds": seeds},
        "key": 0,
        "size": size,
        "command": f"python -m experiments run {experiment}",
        "config_hash": "0123456789ab",
        "versions": {"jax": "0.10.2"},
        "machine": {"cpus": 2, "device": "cpu"},
        "wall_seconds": 90.0,
        "compile_seconds": 9.0,
        "claims": [claim],
    } | changes


@pytest.fixture
def store(tmp_path):
    def write(name, metrics, kept=False):
        folder = "docs/reproduction/" if kept else "results/any/"
        path = tmp_path / (f"{folder}{name}.json" if kept else f"{folder}{name}/metrics.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(metrics if isinstance(metrics, str) else json.dumps(metrics))
        return path

    return write


def _page(command, tmp_path, *arguments):
    status, _, error = command("report", *arguments)
    assert (status, error) == (0, "")
    return (tmp_path / "docs/reproduction.md").read_text()


def _rows(page):
    return [line for line in page.splitlines() if "Fig. 2" in line]


def test_table(command, tmp_path, store):
    store("b", _metrics("walk"))
    store("a", _metrics("yin"))
    page = _page(command, tmp_path)
    assert _rows(page) == [
        f"| {name} | default | accuracy (%) \\| test | 95.9 | Fig. 2 | 95.87 ± 0.31 (3) "
        "| [95.2, 97.5] | reproduced |"
        for name in ("walk", "yin")
    ]
    assert (
        "| walk | `python -m experiments run walk` | 90 s | cpu | 0.10.2 | 0123456789ab |" in page
    )


@pytest.mark.parametrize("shown", range(4))
def test_largest_size_with_most_seeds_is_shown(command, tmp_path, store, shown):
    runs = [("smoke", 90), ("default", 3), ("default", 8), ("paper", 2)][: shown + 1]
    for name, (size, seeds) in zip("dabc", runs, strict=False):
        store(name, _metrics("walk", size, seeds))
    (row,) = _rows(_page(command, tmp_path))
    assert f"| {runs[-1][0]} |" in row
    assert f"({runs[-1][1]})" in row


def test_changed_fields_are_left_out(command, tmp_path, store):
    store("a", _metrics("walk", size="custom"))
    assert _rows(_page(command, tmp_path)) == []


def test_fresh_results_come_before_committed_ones(command, tmp_path, store):
    store("walk", _metrics("walk", mean=11.0), kept=True)
    store("yin", _metrics("yin", mean=12.0), kept=True)
    store("a", _metrics("walk", mean=13.0))
    rows = _rows(_page(command, tmp_path))
    assert ["13 ± 0.31" in rows[0], "12 ± 0.31" in rows[1]] == [True, True]


def test_kept_metrics_rebuild_the_same_page(command, tmp_path, store):
    store("a", _metrics("walk"))
    page = _page(command, tmp_path, "--keep")
    assert _page(command, tmp_path, "--results", "nowhere") == page
    assert json.loads((tmp_path / "docs/reproduction/walk.json").read_text()) == _metrics("walk")


def test_no_runs(command, tmp_path):
    assert "No runs yet" in _page(command, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"experiment": "wal',
        "[]",
        "{}",
        json.dumps(_metrics("walk", size=None)).replace("null", '"default"').replace("mean", "m"),
        json.dumps(_metrics("walk", claims=3)),
        json.dumps(_metrics("walk", wall_seconds="long")),
        json.dumps(_metrics("walk", config={})),
    ],
)
def test_malformed_metrics_are_named(command, store, content):
    path = store("a", content)
    status, _, error = command("report")
    assert status == 2
    assert "results/any/a/metrics.json is not a complete metrics file" in error
    assert error.count("\n") == 1
    assert path.exists()


def test_report_of_a_real_run(command, tmp_path):
    command("run", "random-walk", "--smoke")
    page = _page(command, tmp_path)
    assert "| random-walk | smoke | distance (m) \\| here | 0 | nobody, Fig. 1 |" in page
