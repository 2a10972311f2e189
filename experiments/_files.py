"""Write files that are either complete or absent."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO


def write(path: Path, save: Callable[[BinaryIO], Any]) -> None:
    """Let `save` fill a file that takes the place of `path` when it is complete."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            save(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8."""
    write(path, lambda file: file.write(text.encode()))


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file that a person can read."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
