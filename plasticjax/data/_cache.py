"""Where files of public data sets are looked for, and how they get there."""

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class DataUnavailable(FileNotFoundError):
    """A data set is neither in the cache nor can it be downloaded.

    The message says which file was sought, where, and how to provide it. The cache is the directory
    named by the environment variable `PLASTICJAX_DATA`, else `~/.cache/plasticjax`. (Of data sets
    in general: no shapes, no units.)
    """


@dataclass(frozen=True)
class DataFile:
    path: str  # in the cache, of the plain file; a compressed one has `.gz` appended
    sha256: str  # of the plain content
    url: str  # of the gzip-compressed original
    url_sha256: str  # of the compressed original


def data_directory() -> Path:
    chosen = os.environ.get("PLASTICJAX_DATA")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "plasticjax"


def read(file: DataFile, root: Path) -> tuple[Path, bytes]:
    """The plain content of a file, and the path it was read from, for messages about it."""
    plain = root / file.path
    packed = plain.with_name(plain.name + ".gz")
    if plain.is_file():
        return plain, plain.read_bytes()
    if not packed.is_file():
        download(file.url, file.url_sha256, packed, f"{plain.name} or {packed.name}")
    try:
        return packed, gzip.decompress(packed.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{packed} is not a complete gzip file: {error}") from error


def check_sha256(path: Path, content: bytes, sha256: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{path} is corrupted: the SHA-256 of its content is {found}, published is {sha256}"
        )


def download(url: str, sha256: str, target: Path, sought: str, processor: Any = None) -> None:
    """Download `url` to `target`; `sought` names the files that were looked for beside it."""
    try:
        import pooch

        pooch.retrieve(url, f"sha256:{sha256}", target.name, target.parent, processor)
    except (ImportError, OSError, ValueError) as error:
        failure = f"{type(error).__name__}: {error}"
        raise unavailable(
            sought, target.parent, f", and the download of {url} failed ({failure})"
        ) from error


def unavailable(sought: str, folder: Path, why: str) -> DataUnavailable:
    return DataUnavailable(
        f"{sought} not found in {folder}{why}. Put the file there by hand, or set "
        f"PLASTICJAX_DATA (now {os.environ.get('PLASTICJAX_DATA') or 'not set'}) to the "
        "directory that holds the data sets"
    )
