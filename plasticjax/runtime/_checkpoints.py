"""Checkpoints of a computation's state: atomic, bit for bit, the last few kept."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ._directories import require_writable

_State = TypeVar("_State")
_ARRAYS = (jax.Array, np.ndarray, np.generic)
_NUMBERS = (bool, int, float, complex)


class CheckpointError(ValueError):
    """A checkpoint is damaged, or does not hold the state that is asked for."""


class Checkpoints:
    """The checkpoints of one computation, in one directory.

    A step either is stored completely or does not exist: if the process dies while saving, the
    previous step is still there. The files are written by orbax.

    Args:
        directory: where the checkpoints live; created if it does not exist.
        keep: how many of the last steps are kept, dimensionless; at least 1.

    Raises:
        ValueError: if the directory is not writable or `keep` is less than 1.
    """

    def __init__(self, directory: str | PathLike[str], keep: int = 2):
        if keep < 1:
            raise ValueError(f"keep is {keep}; at least 1 checkpoint has to be kept")
        self.directory = require_writable(directory)
        self.keep = keep

    def save(self, step: int, state: PyTree) -> None:
        """Store the state of a step.

        Args:
            step: number of steps done, dimensionless; larger than that of any stored step.
            state: a pytree whose leaves are JAX or NumPy arrays of any shape `[...]`, typed PRNG
                keys, or Python numbers, in any unit. Its structure is not stored, so static
                fields of Modules are taken from `like` when it is restored.

        Raises:
            ValueError: if `step` is not larger than the last one, or a leaf is not an array.
        """
        last = self.last_step()
        if step < 0 or (last is not None and step <= last):
            raise ValueError(
                f"step is {step}; a step after {last} is required"
                if last is not None
                else f"step is {step}; a step >= 0 is required"
            )
        paths, _ = jax.tree.flatten_with_path(state)
        if not paths:
            raise ValueError("state has no leaves; at least one array is required")
        arrays = [_to_numpy(_name(path), leaf) for path, leaf in paths]
        about = [
            {"name": _name(path), **_describe(leaf), "sha256": _digest(array)}
            for (path, leaf), array in zip(paths, arrays, strict=True)
        ]
        # orbax cannot store arrays without elements; their description says all about them.
        stored = {str(i): array for i, array in enumerate(arrays) if array.size}
        with _manager(self.directory, self.keep, clean=True) as (manager, args):
            items = {"about": args.JsonSave({"leaves": about})}
            if stored:
                items["arrays"] = args.PyTreeSave(stored)
            manager.save(step, args=args.Composite(**items), force=True)

    def restore(self, like: _State) -> tuple[int, _State] | None:
        """Return the last stored step and its state, bit for bit as it was saved.

        Args:
            like: a state with the structure, shapes `[...]` and dtypes of the stored one, such
                as the initial state. Leaves come back as the same kind of array or number, in the
                unit they were saved in.

        Returns:
            `(step, state)`, or None if there is no checkpoint.

        Raises:
            CheckpointError: if the last checkpoint is damaged or differs from `like` in
                structure, shape or dtype.
        """
        step = self.last_step()
        if step is None:
            return None
        stored, about = self._read(step)
        paths, structure = jax.tree.flatten_with_path(like)
        expected = {_name(path): _describe(leaf) for path, leaf in paths}
        self._compare(step, expected, {leaf["name"]: leaf for leaf in about})
        leaves = []
        for i, (path, leaf) in enumerate(paths):
            array = stored.get(str(i), _to_numpy(_name(path), leaf))
            if _digest(array) != about[i]["sha256"]:
                raise self._error(step, f"is corrupted: wrong checksum of {_name(path)}")
            leaves.append(_from_numpy(array, leaf))
        return step, jax.tree.unflatten(structure, leaves)

    def last_step(self) -> int | None:
        """Return the largest stored step, dimensionless, or None if there is no checkpoint.

        Returns:
            The number of the step.
        """
        # A step's directory gets its final name only when it is complete.
        names = [path.name for path in self.directory.iterdir()]
        return max((int(name) for name in names if name.isdecimal()), default=None)

    def _read(self, step: int) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
        try:
            with _manager(self.directory, self.keep, clean=False) as (manager, args):
                items = {"about": args.JsonRestore()}
                about = manager.restore(step, args=args.Composite(**items))["about"]["leaves"]
                if all(0 in leaf["shape"] for leaf in about):
                    return {}, about
                items = {"arrays": args.PyTreeRestore()}
                arrays = manager.restore(step, args=args.Composite(**items))["arrays"]
                return {name: np.asarray(array) for name, array in arrays.items()}, about
        # orbax, tensorstore and the JSON parser each have their own errors for a damaged file.
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0][:200]
            raise self._error(step, f"cannot be read ({type(error).__name__}: {reason})") from error

    def _compare(self, step: int, expected: dict[str, Any], found: dict[str, Any]) -> None:
        if list(found) != list(expected):
            unknown = [name for name in found if name not in expected]
            missing = [name for name in expected if name not in found]
            raise self._error(
                step,
                "holds a state of another structure"
                + (f"; only stored: {', '.join(unknown)}" if unknown else "")
                + (f"; not stored: {', '.join(missing)}" if missing else ""),
            )
        for name, wanted in expected.items():
            got = {field: found[name][field] for field in wanted}
            if got != wanted:
                raise self._error(
                    step, f"holds {name} as {_words(got)}; {_words(wanted)} is expected"
                )

    def _error(self, step: int, problem: str) -> CheckpointError:
        return CheckpointError(
            f"checkpoint of step {step} in {str(self.directory)!r} {problem}; "
            "delete that step's directory to go on from an earlier one, or use another directory"
        )


@contextmanager
def _manager(directory: Path, keep: int, *, clean: bool) -> Iterator[tuple[Any, Any]]:
    """`clean` removes what a killed save left behind. Orbax does so in the background and waits for
    it only when it saves, so a reader must not: it would get in the way of the next save."""
    import orbax.checkpoint as ocp

    # Whoever saves or restores does so alone: the state is whole in every process.
    me = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process{me}"
    )
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep,
        enable_async_checkpointing=False,
        cleanup_tmp_directories=clean,
        create=False,
        multiprocessing_options=alone,
    )
    handlers = {
        "arrays": ocp.PyTreeCheckpointHandler(multiprocessing_options=alone),
        "about": ocp.JsonCheckpointHandler(multiprocessing_options=alone),
    }
    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with ocp.CheckpointManager(directory, options=options, item_handlers=handlers) as manager:
            yield manager, ocp.args
    finally:
        log.setLevel(level)


def _name(path: tuple[Any, ...]) -> str:
    return "state" + jax.tree_util.keystr(path)


def _is_key(leaf: Any) -> TypeGuard[jax.Array]:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _describe(leaf: Any) -> dict[str, Any]:
    if isinstance(leaf, _ARRAYS):
        return {"shape": list(leaf.shape), "dtype": str(leaf.dtype)}
    return {"shape": [], "dtype": f"Python {type(leaf).__name__}"}


def _words(description: dict[str, Any]) -> str:
    return f"{description['dtype']}{description['shape']}"


def _digest(array: np.ndarray) -> str:
    digest = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
    digest.update(array.tobytes())
    return digest.hexdigest()


def _to_numpy(name: str, leaf: Any) -> np.ndarray:
    if not isinstance(leaf, _ARRAYS + _NUMBERS):
        raise ValueError(f"{name} is a {type(leaf).__name__}; an array or a number is required")
    array = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
    if array.dtype.hasobject:
        raise ValueError(f"{name} is {leaf!r}; a number that fits into 64 bits is required")
    return array


def _from_numpy(array: np.ndarray, like: Any) -> Any:
    if _is_key(like):
        return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(like))
    if isinstance(like, jax.Array):
        # Under x64 the conversion keeps every dtype as it is.
        with jax.enable_x64(True):
            return jax.device_put(array, like.sharding) if like.committed else jnp.asarray(array)
    if isinstance(like, np.ndarray):
        return array
    return array[()] if isinstance(like, np.generic) else type(like)(array.item())
