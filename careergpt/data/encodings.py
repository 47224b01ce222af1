"""Opens files as people have them: plain or gzipped, in whichever encoding they turn out to be."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from careergpt.errors import InputError

CHUNK_BYTES = 1 << 20

REMEDY = "Give a table with a header and at least one row"

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Fault(NamedTuple):
    """The first byte that an encoding cannot have written, and its line."""

    line: int
    byte: int


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Whatever goes wrong while `name` is read becomes one line for its user."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        message = f"{name} is not a whole gzip file: {error}. Fetch it or compress it again"
        raise InputError(message) from error
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}") from error


def open_bytes(path: str) -> io.BufferedReader | gzip.GzipFile:
    """The file's bytes, unpacked where its name ends in .gz."""
    if path.lower().endswith(".gz"):
        return gzip.open(path, "rb")
    return open(path, "rb")


def open_text(path: str, encoding: str) -> io.TextIOWrapper:
    """The file's text, its line ends as they stand: csv must see them inside quoted cells."""
    return io.TextIOWrapper(open_bytes(path), encoding=encoding, newline="")


def detect_encoding(path: str) -> str:
    """UTF-8 or UTF-16 where the whole file agrees, else Windows-1252; found in a streamed pass."""
    with reading(path), open_bytes(path) as file:
        start = file.read(CHUNK_BYTES)
    if not start:
        raise InputError(f"{path} is empty. {REMEDY}")
    first, *others = _candidates(start)
    encoding, fault = first, find_fault(path, first)
    for encoding in others if fault else ():
        fault = find_fault(path, encoding)
    if fault is None:
        return encoding
    tried = " or ".join((first, *others))
    place = f"{path}:{fault.line}"
    raise InputError(f"{place}: the byte 0x{fault.byte:02x} is not {tried}. Save it as UTF-8")


def _candidates(start: bytes) -> tuple[str, ...]:
    """The encodings that a file with this start may have, the likeliest first."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return (encoding,)
    # Western text in UTF-16 has a NUL in every other byte; stray NULs in UTF-8 are far rarer.
    even, odd = start[::2].count(0), start[1::2].count(0)
    if max(even, odd) * 4 > len(start) and min(even, odd) * 20 < len(start):
        return ("utf-16-le",) if odd > even else ("utf-16-be",)
    return ("utf-8", "cp1252")


def find_fault(path: str, encoding: str) -> Fault | None:
    """Where the file stops being this encoding; holds one chunk at a time."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with reading(path), open_bytes(path) as file:
        while True:
            chunk = file.read(CHUNK_BYTES)
            try:
                line += decoder.decode(chunk, final=not chunk).count("\n")
            except UnicodeDecodeError as error:
                before = error.object[: error.start].decode(error.encoding, "replace")
                return Fault(line + before.count("\n"), error.object[error.start])
            if not chunk:
                return None
