"""Files as they are stored: plain, packed, or in a zip archive; how far they unfold is bounded."""

import bz2
import gzip
import io
import lzma
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from careergpt.errors import InputError

CHUNK_BYTES = 1 << 20

UNPACKERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}

MOST_BYTES = 1 << 28
"""As much any file may unfold to, however small it is."""

MOST_TIMES = 250
"""Text packs to a tenth, and scrapes full of duplicates to a hundredth of its size."""

_MEMBER = re.compile(r"(.+\.zip)/(.+)", re.IGNORECASE | re.DOTALL)


class Bound:
    """Refuses a file that unfolds to far more than it is: it would fill memory or take hours."""

    def __init__(self, path: str) -> None:
        """Counts from nothing.

        Args:
            path: The file, or a member of an archive.
        """
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
def reading(name: str) -> Iterator[None]:
    """Whatever goes wrong while `name` is read becomes one line for its user."""
    try:
        yield
    except (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"{name} cannot be read: {error.strerror}") from error
        raise InputError(f"{name} is damaged: {error}. Fetch it or pack it again") from error


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
