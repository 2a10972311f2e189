"""The energy suite: both ways to write a step agree, and a report says what was measured."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import energy
from benchmarks.__main__ import main
from benchmarks._energy_report import lines
from benchmarks._harness import Measured
from benchmarks._machine import step_cost
from benchmarks._workers import le_torch_reference
from benchmarks._workers._le_steps import VARIANTS, linears, product_flops
from benchmarks._workers._protocol import forget_peak, peak_rss
from benchmarks._workers.predictive_coding import gradient_of


def given(sizes, batch, dtype="float64"):
    rng = np.random.default_rng(1)
    pairs = list(itertools.pairwise(sizes))
    draw = lambda *shape: jnp.asarray(rng.normal(0, 0.5, shape), dtype)  # noqa: E731
    weights = tuple(draw(*pair) for pair in pairs)
    biases = tuple(draw(post) for _, post in pairs)
    return abs(draw(batch, sizes[0])), draw(batch, sizes[-1]), weights, biases


def test_the_step_by_hand_is_the_step_from_the_energy(x64):
    x, y, weights, biases = given((6, 5, 4, 3), 7)
    ends = []
    for name in ("plasticjax", "hand"):
        step, carry, weights_of = VARIANTS[name](x, y, weights, biases, (0.2, 0.1, 0.3))
        carry, _ = jax.lax.scan(lambda c, _, step=step: (step(c), None), carry, length=40)
        ends.append(weights_of(carry))
    for ours, hand, start in zip(*ends, weights, strict=True):
        np.testing.assert_allclose(ours, hand, rtol=0, atol=1e-13)
        assert jnp.abs(ours - start).max() > 1e-3


@pytest.mark.parametrize("name", ["plasticjax", "hand", "products"])
def test_no_step_does_more_than_its_matrix_products(name):
    sizes, batch = energy.STEP["sizes"], energy.STEP["batch"]
    step, carry, _ = VARIANTS[name](*given(sizes, batch, "float32"), energy.STEP["rates"])
    compiled = jax.jit(step).lower(carry).compile()
    assert step_cost(compiled)["flops"] == pytest.approx(product_flops(sizes, batch), rel=0.02)
    planned = compiled.memory_analysis()
    assert planned is not None
    assert planned.temp_size_in_bytes < 0.02 * 4 * batch * sizes[0] * sizes[1]


def test_products_are_counted_without_errors_to_the_input():
    assert product_flops((5, 3, 2), 7) == 2 * 7 * (2 * 15 + 3 * 6)


def test_predictive_coding_starts_from_the_forward_pass_and_averages_samples(x64):
    x, y, weights, biases = given((4, 3, 2), 5)
    layers = linears(weights, biases)
    first, last = gradient_of(layers, x, y, steps=0, dt=0.1)
    hidden = jnp.tanh(x @ weights[0] + biases[0])
    error = y - (hidden @ weights[1] + biases[1])
    np.testing.assert_allclose(last.weight, -error.T @ hidden / 5, atol=1e-14)
    np.testing.assert_array_equal(first.weight, 0)

    batch = gradient_of(layers, x, y, steps=30, dt=0.1)
    each = [gradient_of(layers, x[i : i + 1], y[i : i + 1], steps=30, dt=0.1) for i in range(5)]
    for layer, *samples in zip(batch, *each, strict=True):
        np.testing.assert_allclose(
            layer.weight, sum(one.weight for one in samples) / 5, rtol=0, atol=1e-14
        )
    assert jnp.abs(batch[0].weight).max() > 1e-3


def test_forgotten_peaks_do_not_count():
    block = np.ones(2**25)  # 256 MiB
    assert block.sum() == 2**25
    high = peak_rss()
    del block
    now = forget_peak()
    assert now < high - 2**27
    assert peak_rss() < high - 2**27


def test_differences_are_relative_to_the_change(tmp_path):
    start, one = np.zeros((2, 2)), np.array([[4.0, 0.0], [0.0, 1.0]])
    np.savez(tmp_path / "data.npz", weight0=start + 2)
    np.savez(tmp_path / "a.npz", one + 2)
    np.savez(tmp_path / "b.npz", one + 2.5)
    difference = energy._difference(tmp_path, "a", "b", str(tmp_path / "data.npz"))
    assert difference == 0.5 / 4
    assert energy._difference(tmp_path, "a", "b") == 0.5 / 6


def test_the_reference_must_be_a_checkout(tmp_path):
    with pytest.raises(FileNotFoundError, match="--reference wants a checkout"):
        le_torch_reference.prepare({"reference": str(tmp_path)})


def test_the_command_line_refuses_unknown_peers_and_a_missing_reference(capsys):
    assert main(["energy", "--peers", "torch"]) == 1
    assert "--reference PATH" in capsys.readouterr().err
    assert main(["energy", "--peers", "jaxsnn"]) == 1
    assert "valid peers: torch, jpc" in capsys.readouterr().err


def test_a_whole_report_with_fakes(monkeypatch, tmp_path, capsys):
    seconds = {"hand": 0.5, "products": 0.25, "torch": 60.0, "jpc solver": 3.0, "jpc scan": 2.0}
    growth = {"torch": 3e8}
    peak = {"bytes_per_s": 1e12, "float32_flops_per_s": 1e12, "float64_flops_per_s": 1.0}
    turns = {}

    def fake_alternate(workers, repeats):
        measured = {}
        for worker in workers:
            data = np.load(worker.case["data"])
            turns[worker.name] = repeats
            for path in (worker.case["out"], worker.case.get("limit")):
                if path:
                    np.savez(path, *(data[name] + 1 for name in data if name[:6] == "weight"))
            entry = {
                "seconds": seconds.get(worker.name, 1.0),
                "samples": 4,
                "growth": growth.get(worker.name, 1e7),
                "peak_rss": 2e9,
            }
            cost = {"flops": 1.0, "transcendentals": 0.0, "bytes": 1.0}
            ready = {"first_seconds": 2.0, "facts": {"step_cost": cost}}
            measured[worker.name] = Measured(ready, [entry] * repeats)
        return measured

    monkeypatch.setattr(energy, "alternate", fake_alternate)
    monkeypatch.setattr(energy, "measure_peak", lambda python: peak)
    out = tmp_path / "report.json"
    assert main(["energy", "--reference", "there", "--repeats", "2", "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    assert turns["hand"] == energy.JAX_TURNS * turns["torch"] == energy.JAX_TURNS * 2
    assert report["step"]["times_hand"]["median"] == 2
    assert report["step"]["times_products"]["median"] == 4
    assert report["torch"]["times_faster"]["median"] == 60
    assert report["torch"]["times_less_memory"] == 30
    assert report["jpc"]["times_faster"]["jpc scan"]["median"] == 2
    share = report["step"]["results"]["plasticjax"]["against_peak"]["flops_fraction"]
    assert share == pytest.approx(report["step"]["product_flops"] / (1.0 / 100) / 1e12)
    printed = capsys.readouterr().out
    assert printed.strip() == "\n".join(lines(report))
    assert "plasticjax takes 2 [2, 2; best rounds 2] times as long as by hand" in printed
    assert "1/30 of the working memory" in printed
    assert "3 [3, 3; best rounds 3] times as fast as jpc solver" in printed
