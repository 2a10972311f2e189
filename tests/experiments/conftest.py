from pathlib import Path

import pytest

from experiments.__main__ import main


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Runs `python -m experiments` on the toys; returns status, standard output and error."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        try:
            status = main(arguments, package="toys")
        except SystemExit as leave:
            status = leave.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
