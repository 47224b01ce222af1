"""Files that are whole or not there: the one way in which files are written and take their names.

What is written lies beside its name, in a file that its process locks: what a killed process has
left is told from what another is writing, on this machine or on one that shares the folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import mmap
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, TextIO

import pyarrow as pa

from careergpt.data.processes import remove, unfinished
from careergpt.errors import InputError, system_fault

_MARK = b"sha256 "
SEAL = len(_MARK) + 64 + 1
"""Bytes after a sealed file's own: `sha256 `, 64 hexadecimal digits, a line's end."""

_PARTIAL = re.compile(r"\.\d+-[0-9a-f]{8}\.partial$")


def check_writable(path: Path, option: str, *, is_file: bool = False) -> None:
    """Raises InputError for what could not be written, before the work that makes it.

    The option named a folder, which is made where it is missing, or a file in one that is there.
    """
    places = (path.absolute(), *path.absolute().parents)
    nearest = places[1] if is_file else next(place for place in places if place.exists())
    if is_file and path.exists() and not path.is_file():
        raise InputError(f"{option} {path}: it is a folder, a pipe or a device; name a file")
    if not nearest.exists():
        raise InputError(f"{option} {path}: there is no folder {nearest}; make it")
    if not nearest.is_dir():
        raise InputError(f"{option} {path}: {nearest} is no folder; name one")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{option} {path}: {nearest} cannot be written; name another folder")


def check_new_folder(path: Path, option: str) -> None:
    """Raises InputError unless the folder that the option named can be made, or is there, empty."""
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{option} {path}: it is there already; name a new folder")
    check_writable(path, option)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Whatever the system refuses while the path is written becomes one line for its user."""
    try:
        yield
    except Exception as error:
        if (fault := system_fault(error, path)) is None:
            raise
        raise InputError(f"cannot write {fault}") from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file to write instead, which takes the path's name once it is on disk, or is gone.

    A folder that is missing is made.

    Raises:
        InputError: The system refuses it, or it is no file; what lay at the path is as it was.
    """
    with writing(path):
        if path.exists() and not path.is_file():  # Root would take a device's name: /dev/null.
            raise InputError(
                f"cannot write {path}: it is a folder, a pipe or a device; name a file"
            )
        with temporary(path) as partial:
            yield partial
            _flush(partial)
            move(partial, path)


@contextmanager
def whole_files(folder: Path) -> Iterator[Path]:
    """A folder to fill instead, whose files take their places once all of them are on disk."""
    with writing(folder), temporary(folder / "files", Path.mkdir) as partial:
        yield partial
        files = sorted(partial.iterdir())
        for file in files:
            _flush(file)
        for file in files:
            move(file, folder / file.name)


@contextmanager
def sealed(path: Path) -> Iterator[Path]:
    """The same as `whole` for a file that ends with its digest: `find_damage` looks at that."""
    with whole(path) as partial:
        yield partial
        with partial.open("rb+") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.write(_MARK + digest.encode() + b"\n")


@contextmanager
def adding(path: Path) -> Iterator[TextIO]:
    """The file, to add lines to its end that are on disk before it is closed."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())


def write_json(path: Path, content: Any) -> None:
    """Writes the content as JSON."""
    with whole(path) as partial:
        partial.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes the rows as JSON Lines; `text_files.read_objects` reads them."""
    with whole(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_arrow(path: Path, schema: pa.Schema, batches: Iterable[Mapping[str, Any]]) -> None:
    """Writes batches, column names and their values, as one Arrow file, and its digest after that.

    Example:
        write_arrow(path, pa.schema({"a": pa.int64()}), [{"a": [1, 2]}, {"a": [3]}])
    """
    with (
        sealed(path) as partial,
        pa.OSFile(str(partial), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        for columns in batches:
            writer.write_batch(pa.record_batch(dict(columns), schema=schema))


def read_arrow(path: Path) -> pa.Table:
    """The table in the file, memory-mapped: opening costs no memory for its rows.

    As long as anybody uses a part of it, `remove_unless_held` leaves the file.
    """
    with path.open("rb") as file:
        _share(file)
        # It keeps the open file, and with that the lock.
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return pa.ipc.open_file(pa.py_buffer(content).slice(0, len(content) - SEAL)).read_all()


def find_damage(path: Path) -> str | None:
    """What is wrong with the sealed file; None: it is as it was written."""
    try:
        with path.open("rb") as file:
            _share(file)
            size = os.fstat(file.fileno()).st_size
            if size < SEAL:
                return "empty" if size == 0 else f"{size} bytes"
            digest, left = hashlib.sha256(), size - SEAL
            while left and (block := file.read(min(left, 1 << 20))):
                digest.update(block)
                left -= len(block)
            seal = file.read()
    except OSError as error:
        return error.strerror or str(error)
    if not (seal.startswith(_MARK) and seal.endswith(b"\n")):
        return "truncated, or not written by careergpt: no digest at its end"
    found = seal[len(_MARK) : -1]
    return None if found == digest.hexdigest().encode() else "its SHA-256 is not what it says"


def move(old: Path, new: Path) -> None:
    """Gives a file another name, on disk before it returns."""
    os.replace(old, new)
    _flush(new.parent)


@contextmanager
def temporary(path: Path, make: Callable[[Path], None] = Path.touch) -> Iterator[Path]:
    """What `make` makes beside the path, locked while it is used; it is gone at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_left_over(path.parent)
    # A name may be as long as the system takes: then there is room for no more.
    partial = path.with_name(f"{path.name[:50]}.{os.getpid()}-{token_hex(4)}.partial")
    with unfinished(partial):
        held = _made(partial, make)
        try:
            yield partial
        finally:
            os.close(held)


def _made(partial: Path, make: Callable[[Path], None]) -> int:
    """The file or folder, made, opened and locked."""
    while True:
        make(partial)
        with suppress(FileNotFoundError):
            held = os.open(partial, os.O_RDONLY)
            with suppress(OSError):  # Some network file systems have no locks.
                fcntl.flock(held, fcntl.LOCK_EX)
            if partial.exists():
                return held
            os.close(held)
        # Before it was locked another process took it for left over.


def remove_left_over(folder: Path) -> None:
    """Removes what processes that are gone have left: it is not locked."""
    for left in folder.glob("*.partial"):
        if _PARTIAL.search(left.name):
            remove_unless_held(left)


def remove_unless_held(path: Path) -> bool:
    """Removes a file or folder that no process has locked; whether it is gone.

    It stays where it is not ours to remove, or on a file system without locks.
    """
    with suppress(OSError), _opened(path) as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(path)
    return not path.exists()


def _share(file: BinaryIO) -> None:
    """Locks the file for readers, as long as it is open."""
    with suppress(OSError):  # Some network file systems have no locks.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _flush(path: Path) -> None:
    with _opened(path) as held:
        os.fsync(held)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    held = os.open(path, os.O_RDONLY)
    try:
        yield held
    finally:
        os.close(held)
