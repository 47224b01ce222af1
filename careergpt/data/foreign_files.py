"""Files that others wrote, read within bounds: unpacked as they are read, or JSON as a whole."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from careergpt.errors import InputError

CHUNK_BYTES = 1 << 20

UNPACKERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}

MOST_BYTES, MOST_TIMES = 1 << 28, 250
"""Any file may unfold to so many bytes, or so many times its size: scrapes full of duplicates pack
to a hundredth."""

_MEMBER = re.compile(r"(.+\.zip)/(.+)", re.IGNORECASE | re.DOTALL)

LARGEST = 2**26
"""Bytes of a file that is read whole: a tokenizer of 260,000 tokens takes half of them."""

DEEPEST = 20
"""Objects and lists within each other: what is written here and by transformers has six."""

_WHOLE = (".json", ".txt", ".model", ".jinja")
_BY_PARTS = (".safetensors", ".bin")


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Whatever goes wrong while `name` is read becomes one line for its user."""
    try:
        yield
    except (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"{name} cannot be read: {error.strerror}") from error
        raise InputError(f"{name} is damaged: {error}. Fetch it or pack it again") from error


class Bound:
    """Refuses a file that unfolds to far more than it is: it would fill memory or take hours."""

    def __init__(self, path: str) -> None:
        """Counts from nothing what the file, or the member of an archive, holds."""
        self.path = path
        self.size = os.path.getsize(_on_disk(path))
        self.most = max(MOST_BYTES, MOST_TIMES * self.size)
        self.found = 0

    def take(self, amount: int) -> None:
        """Adds so many bytes, or raises InputError where they are too many."""
        self.found += amount
        if self.found > self.most:
            raise InputError(
                f"{self.path} holds {self.size:,} bytes that unfold to more than {self.most:,}: no "
                "table does. Look into it, and give what is a table plain (.csv or .jsonl)"
            )


class _Bounded(io.RawIOBase):
    """What an unpacker gives, counted."""

    def __init__(self, file: io.BufferedIOBase, bound: Bound) -> None:
        self.file, self.bound = file, bound

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self.file.read(len(buffer))
        buffer[: len(found)] = found
        self.bound.take(len(found))
        return len(found)


@contextmanager
def open_bytes(path: str) -> Iterator[io.BufferedReader]:
    """The file's bytes in order, unpacked where its name says that they are packed."""
    with reading(path), ExitStack() as opened:
        file: Any = opened.enter_context(open_stored(path))
        unpack = UNPACKERS.get(os.path.splitext(path.lower())[1])
        if unpack:
            file = opened.enter_context(unpack(file))
        if unpack or path != _on_disk(path):
            file = io.BufferedReader(_Bounded(file, Bound(path)), CHUNK_BYTES)
        yield file


@contextmanager
def open_seekable(path: str) -> Iterator[io.BufferedIOBase]:
    """The file's bytes for a format that is read from its end: unpacked on disk, not in memory."""
    with open_bytes(path) as file:
        if file.seekable():
            yield file
            return
        with tempfile.TemporaryFile() as unpacked:
            shutil.copyfileobj(file, unpacked, CHUNK_BYTES)
            unpacked.seek(0)
            yield unpacked


@contextmanager
def open_stored(path: str) -> Iterator[Any]:
    """The bytes of a file, or of a member of a zip archive, as they are."""
    archive_path = _on_disk(path)
    if archive_path == path:
        with open(path, "rb") as file:
            yield file
        return
    with zipfile.ZipFile(archive_path) as archive:
        check_archive(archive, archive_path)
        try:
            member = archive.open(path[len(archive_path) + 1 :])
        except RuntimeError as error:  # A password, or a way of packing that Python does not know.
            raise InputError(f"{path} cannot be unpacked: {error}. Unpack it first") from error
        with member:
            yield member


def members(path: str) -> list[str]:
    """The paths of a zip archive's files, `jobs.zip/2026/may.csv`, in its order."""
    with reading(path), zipfile.ZipFile(path) as archive:
        check_archive(archive, path)
        return [f"{path}/{info.filename}" for info in archive.infolist() if not info.is_dir()]


def check_archive(archive: zipfile.ZipFile, path: str) -> None:
    """Raises InputError where the members unfold too far; none gives more than it declares."""
    Bound(path).take(sum(info.file_size for info in archive.infolist()))


def _on_disk(path: str) -> str:
    """The file itself, or the archive that it is a member of."""
    member = None if os.path.exists(path) else _MEMBER.fullmatch(path)
    return member[1] if member else path


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


class RepeatedError(ValueError):
    """An object that says something twice."""


def object_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The object; Python would keep the last of two values, others the first.

    Raises:
        RepeatedError: It has a name twice.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise RepeatedError(f"it says {name[:40]!r} twice")
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
