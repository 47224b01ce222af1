"""Files of a model folder, which others may have written: what of them is not read at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from careergpt.errors import InputError

LARGEST = 2**26
"""Bytes of a file that is read whole: a tokenizer of 260,000 tokens takes half of them."""

DEEPEST = 20
"""Objects and lists within each other: what is written here and by transformers has six."""

_WHOLE = (".json", ".txt", ".model", ".jinja")
_BY_PARTS = (".safetensors", ".bin")


def check_files(folder: Path) -> None:
    """Raises InputError where a library would read a device, or a file beyond all bounds."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix in _WHOLE + _BY_PARTS:
            check_file(path, LARGEST if path.suffix in _WHOLE else None)


def check_file(path: Path, largest: int | None = None) -> None:
    """Raises InputError for what is there and is no file, or one of more bytes."""
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is a device, a pipe or a folder: put the file there")
    if largest is not None and path.exists() and (size := path.stat().st_size) > largest:
        raise InputError(f"{path} has {size:,} bytes, and {largest:,} are read: write it anew")


def read_json(path: Path) -> Any:
    """What the file holds.

    Raises:
        InputError: It is too large or too deep, is no JSON, or says something twice.
    """
    check_file(path, LARGEST)
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(LARGEST), object_pairs_hook=object_once)
        if _depth(content) > DEEPEST:
            raise ValueError(f"more than {DEEPEST} objects or lists lie within each other")
        json.dumps(content, ensure_ascii=False).encode()  # Halves of a character are no text.
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON that can be used: {error}; write it anew") from None
    return content


def object_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The object; Python would keep the last of two values, others the first.

    Raises:
        ValueError: It has a name twice.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"it says {name[:40]!r} twice")
        found[name] = value
    return found


def _depth(content: Any) -> int:
    depth, level = 0, [content]
    while level := [part for part in level if isinstance(part, dict | list)]:
        depth += 1
        level = [
            value for part in level for value in (part.values() if isinstance(part, dict) else part)
        ]
    return depth
