import os

import pytest

from plasticjax.runtime import require_writable


def test_directory_is_created_and_left_empty(tmp_path):
    directory = require_writable(tmp_path / "a" / "b")
    assert directory.is_absolute()
    assert os.listdir(directory) == []


def test_relative_paths_are_meant_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert require_writable("results") == tmp_path / "results"


def test_a_file_is_no_directory(tmp_path):
    path = tmp_path / "results"
    path.write_text("")
    for wrong in (path, path / "below"):
        with pytest.raises(ValueError, match=f"directory '{wrong}' is not writable"):
            require_writable(wrong)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_directory(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ValueError, match="Permission denied"):
        require_writable(tmp_path)
    tmp_path.chmod(0o700)
