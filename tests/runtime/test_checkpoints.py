import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.runtime import CheckpointError, Checkpoints


def _state(seed):
    key = jax.random.key(seed)
    return {
        "weights": jax.random.normal(key, (5, 3)),
        "net": eqx.nn.MLP(2, 1, 4, 1, activation=jax.nn.tanh, key=key).layers,
        "double": np.array([1 / 3, np.nan, -np.inf, 5e-324, -0.0]),
        "half": jnp.arange(3, dtype=jnp.bfloat16),
        "empty": jnp.zeros((0, 2)),
        "flags": np.array([True, False]),
        "small": np.array([-128, 127], np.int8),
        "count": np.float64(0.1),
        "key": jax.random.split(key, 2),
        "numbers": (seed, 0.1 + seed, True, 1j),
    }


def _bits(leaf):
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf).tobytes()


def _same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert type(a) is type(b)
        assert getattr(a, "dtype", None) == getattr(b, "dtype", None)
        assert np.shape(a) == np.shape(b)
        assert _bits(a) == _bits(b)


def test_state_comes_back_bit_for_bit(tmp_path):
    saved = _state(1)
    Checkpoints(tmp_path).save(7, saved)
    step, state = Checkpoints(tmp_path).restore(_state(0))
    assert step == 7
    _same(saved, state)


def test_double_precision_comes_back_bit_for_bit(tmp_path, x64):
    saved = {"x": jax.random.normal(jax.random.key(0), (100,)), "n": jnp.array(2**40 + 1)}
    assert saved["x"].dtype == jnp.float64
    Checkpoints(tmp_path).save(0, saved)
    _, state = Checkpoints(tmp_path).restore(jax.tree.map(jnp.zeros_like, saved))
    _same(saved, state)


def test_restored_key_draws_the_same_numbers(tmp_path):
    Checkpoints(tmp_path).save(1, jax.random.key(3, impl="rbg"))
    _, key = Checkpoints(tmp_path).restore(jax.random.key(0, impl="rbg"))
    assert jax.random.bits(key) == jax.random.bits(jax.random.key(3, impl="rbg"))
    with pytest.raises(CheckpointError, match=r"state as key<rbg>\[\]; key<fry>\[\] is expected"):
        Checkpoints(tmp_path).restore(jax.random.key(0))


def test_only_empty_arrays(tmp_path):
    Checkpoints(tmp_path).save(0, [jnp.zeros((0, 2))])
    _, state = Checkpoints(tmp_path).restore([jnp.zeros((0, 2))])
    assert state[0].shape == (0, 2)


def test_no_checkpoint(tmp_path):
    checkpoints = Checkpoints(tmp_path / "new" / "directory")
    assert checkpoints.last_step() is None
    assert checkpoints.restore({"x": 1}) is None


def test_last_ones_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (0, 3, 4, 10):
        checkpoints.save(step, {"x": step})
    assert sorted(os.listdir(tmp_path)) == ["10", "4"]
    assert checkpoints.restore({"x": 0}) == (10, {"x": 10})


def test_steps_must_grow(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(3, {"x": 1})
    for step in (3, 2):
        with pytest.raises(ValueError, match=f"step is {step}; a step after 3 is required"):
            checkpoints.save(step, {"x": 2})
    assert checkpoints.restore({"x": 0}) == (3, {"x": 1})
    with pytest.raises(ValueError, match="step is -1; a step >= 0"):
        Checkpoints(tmp_path / "other").save(-1, {"x": 1})


@pytest.mark.parametrize(
    "like, message",
    [
        ({"x": np.zeros(3), "y": 0}, r"only stored: state\['z'\]; not stored: state\['y'\]"),
        ({"x": np.zeros(4), "z": 0}, r"holds state\['x'\] as float64\[3\]; float64\[4\]"),
        ({"x": np.zeros(3, np.float32), "z": 0}, r"as float64\[3\]; float32\[3\] is expected"),
        ({"x": np.zeros(3), "z": 0.0}, r"as Python int\[\]; Python float\[\] is expected"),
    ],
)
def test_another_state_is_refused(tmp_path, like, message):
    Checkpoints(tmp_path).save(5, {"x": np.ones(3), "z": 1})
    with pytest.raises(CheckpointError, match=message) as error:
        Checkpoints(tmp_path).restore(like)
    assert "step 5" in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert "use another directory" in str(error.value)


def _files(directory):
    return sorted(path for path in Path(directory).rglob("*") if path.is_file())


# Reads that fail inside tensorstore may leave a callback for a closed event loop.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_damaged_file_goes_unnoticed(tmp_path):
    """Truncates, empties and changes each file of the newest step in turn."""
    like = {"x": np.arange(1000.0), "n": 3}
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"x": np.zeros(1000), "n": 1})
    checkpoints.save(2, like)
    refused = 0
    for path in _files(tmp_path / "2"):
        original = path.read_bytes()
        flipped = bytearray(original)
        flipped[len(flipped) // 2] ^= 0xFF
        for damage in (original[: len(original) // 2], b"", bytes(flipped)):
            path.write_bytes(damage)
            try:
                restored = checkpoints.restore(like)
            except CheckpointError as error:
                assert "step 2" in str(error)
                assert str(tmp_path) in str(error)
                refused += 1
            else:  # a file that the state does not depend on
                assert restored is not None and restored[0] == 2
                _same(restored[1], like)
        path.write_bytes(original)
    assert refused >= 6


def test_missing_files_are_an_error(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"x": 1})
    (tmp_path / "2").mkdir()
    with pytest.raises(CheckpointError, match="step 2"):
        checkpoints.restore({"x": 0})


def test_changed_numbers_are_noticed(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"x": np.ones(3)})
    (about,) = (
        path
        for path in _files(tmp_path / "1")
        if path.parent.name == "about" and b"sha256" in path.read_bytes()
    )
    content = json.loads(about.read_text())
    content["leaves"][0]["sha256"] = "0" * 64
    about.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"corrupted: wrong checksum of state\['x'\]"):
        checkpoints.restore({"x": np.zeros(3)})


@pytest.mark.parametrize(
    "state, message",
    [
        ({"name": "Yin"}, r"state\['name'\] is a str; an array or a number is required"),
        ({"n": 2**70}, r"a number that fits into 64 bits"),
        ({}, "state has no leaves"),
    ],
)
def test_what_is_not_an_array_is_refused(tmp_path, state, message):
    with pytest.raises(ValueError, match=message):
        Checkpoints(tmp_path).save(0, state)
    assert Checkpoints(tmp_path).last_step() is None


def test_keep_is_checked(tmp_path):
    with pytest.raises(ValueError, match="keep is 0; at least 1"):
        Checkpoints(tmp_path, keep=0)


_SAVER = """
import sys
import numpy as np
from plasticjax.runtime import Checkpoints
checkpoints = Checkpoints(sys.argv[1])
step = 0
while True:
    checkpoints.save(step, {"x": np.full(200_000, float(step)), "step": step})
    print(step, flush=True)
    step += 1
"""


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05])
def test_kill_while_saving_leaves_a_complete_step(tmp_path, delay):
    process = subprocess.Popen(
        [sys.executable, "-c", _SAVER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    for _ in range(3):
        printed = int(process.stdout.readline())
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    printed = max([printed, *map(int, process.stdout.read().split())])
    process.stdout.close()
    step, state = Checkpoints(tmp_path).restore({"x": np.zeros(200_000), "step": 0})
    assert step >= printed
    assert state["step"] == step
    assert np.all(state["x"] == step)
    Checkpoints(tmp_path).save(step + 1, state)
    assert Checkpoints(tmp_path).last_step() == step + 1
