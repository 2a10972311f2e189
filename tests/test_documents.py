"""What the prose promises: its Python blocks run, and its commands exist."""

import re
import shlex
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.__main__ import main
from experiments._discovery import discover

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def with_python():
    return [page for page in PAGES if blocks(page, "python")]


@pytest.mark.parametrize("page", with_python(), ids=lambda page: page.name)
def test_the_python_blocks_of_a_page_run_one_after_the_other(page):
    names = {}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)
    assert len(names) > 1


def test_the_example_of_the_readme_is_what_the_text_says():
    text = (ROOT / "README.md").read_text()
    after = text.split("<!-- example -->\n```python\n")[1]
    example = after.split("```")[0]
    assert len([line for line in example.splitlines() if line]) <= 15
    names = {}
    exec(example, names)
    spike, weights = names["spike_time"], names["weights"]
    gradient = names["jax"].grad(spike)(weights)
    np.testing.assert_allclose(spike(weights), 6.97, atol=0.005)
    assert names["arrivals"][2] < spike(weights) < names["arrivals"][3]
    assert gradient[3] == 0 and jnp.all(gradient[:3] < 0)
    potential = names["neuron"].membrane(spike(weights), weights, names["arrivals"])
    np.testing.assert_allclose(potential, names["neuron"].threshold, rtol=1e-5)


def test_the_spike_times_of_getting_started_are_those_in_its_comment():
    names = {}
    exec(blocks(ROOT / "docs" / "getting-started.md", "python")[0], names)
    neuron, weights, times = (names[name] for name in ("neuron", "weights", "times"))
    first = names["first_spike_times"](neuron, weights, times)
    np.testing.assert_allclose(first, [6.97, np.inf], atol=0.005)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_name_experiments_and_options_that_exist(page, capsys):
    known = discover("experiments")
    options = _options(capsys)
    for line in re.findall(r"^[^#|`\n]*python -m experiments run (.+)$", page.read_text(), re.M):
        name, *rest = shlex.split(line.strip("`"))
        assert name in known
        assert {word for word in rest if word.startswith("--")} <= options


def test_the_options_listed_in_getting_started_exist(capsys):
    text = (ROOT / "docs" / "getting-started.md").read_text()
    listed = re.findall(r"^\| `(--[a-z]+)", text, re.M)
    assert len(listed) >= 6
    assert set(listed) <= _options(capsys)


def _options(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    return set(re.findall(r"--[a-z]+", capsys.readouterr().out))
