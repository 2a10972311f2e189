import re
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.runtime import _progress, progress


def test_plain_lines_where_output_is_no_terminal(capsys):
    with progress(20, "train") as shown:
        for step in range(20):
            shown.advance(loss=jnp.array(1 / (1 + step)), accuracy=np.float64(0.5))
    output = capsys.readouterr().out
    assert "\x1b" not in output
    (line,) = output.splitlines()
    assert re.fullmatch(r"train  20/20  \S+/s  loss 0\.05  accuracy 0\.5", line)


def test_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(_progress, "_SECONDS_BETWEEN_LINES", 0.0)
    with progress(3, "train") as shown:
        shown.advance(loss=1.0)
        shown.advance()
        shown.advance(1, loss=0.25)
    lines = capsys.readouterr().out.splitlines()
    assert [re.search(r"\d/3", line)[0] for line in lines] == ["1/3", "2/3", "3/3"]
    assert lines[1].endswith("s left  loss 1")
    assert lines[2].endswith("loss 0.25")


def test_an_error_shows_how_far_it_came(capsys):
    with pytest.raises(ZeroDivisionError), progress(8, "train") as shown:
        shown.advance(3)
        raise ZeroDivisionError
    assert capsys.readouterr().out.startswith("train  3/8")


def test_live_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with progress(4, "train") as shown:
        shown.advance(4, loss=0.125)
    output = capsys.readouterr().out
    assert "\x1b[" in output
    assert "4/4" in output
    assert "loss 0.125" in output


def test_rates_of_slow_and_compiled_steps():
    task = SimpleNamespace(elapsed=10.0, completed=2, remaining=2, speed=None, finished=False)
    assert _progress._rate(task) == "5 s each  10 s left"
    task.speed = 4.0
    assert _progress._rate(task) == "4/s  0 s left"
    task.finished = True
    assert _progress._rate(task) == "5 s each"
    task.elapsed = None
    assert _progress._rate(task) == "-/s"


def test_total_is_checked():
    with pytest.raises(ValueError, match="total is -1; a number of steps >= 0"), progress(-1, ""):
        pass


def test_metrics_are_scalars():
    with progress(1, "") as shown, pytest.raises(TypeError):
        shown.advance(loss=np.ones(2))


def test_metrics_may_be_texts(capsys):
    with progress(2, "train") as shown:
        shown.advance(condition="slow neurons", loss=1.0)
        shown.advance(loss=0.5)
    assert capsys.readouterr().out.endswith("condition slow neurons  loss 0.5\n")
