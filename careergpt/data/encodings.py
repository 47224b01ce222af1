"""Text in whichever encoding a file turns out to have; bytes that are none of it are marked."""

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain

from careergpt.data.packed import CHUNK_BYTES, open_bytes
from careergpt.errors import InputError

REMEDY = "Give a table with a header and at least one row"

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

BAD = "\udcff"
"""Stands for bytes that are not of the encoding: half a character, which no text holds."""

MARK_BAD = "careergpt.mark_bad"

MANY_BAD = 10_000
"""So many bad bytes have shown what the encoding is not."""


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return BAD, error.end


codecs.register_error(MARK_BAD, _mark)


@contextmanager
def open_text(path: str, encoding: str) -> Iterator[io.TextIOWrapper]:
    """The file's text, its line ends as they stand: csv must see them inside quoted cells."""
    with (
        open_bytes(path) as file,
        io.TextIOWrapper(file, encoding=encoding, errors=MARK_BAD, newline="") as text,
    ):
        yield text


def detect_encoding(path: str) -> str:
    """UTF-8 or UTF-16, else Windows-1252: whichever most of the file's other letters are of."""
    with open_bytes(path) as file:
        start = file.read(CHUNK_BYTES)
        if not start:
            raise InputError(f"{path} is empty. {REMEDY}")
        if encoding := _wide_encoding(start):
            return encoding
        decoder = codecs.getincrementaldecoder("utf-8")(MARK_BAD)
        bad = letters = 0
        for chunk in chain([start], iter(partial(file.read, CHUNK_BYTES), b""), [b""]):
            text = decoder.decode(chunk, final=not chunk)
            if not text.isascii():
                bad += text.count(BAD)
                letters += len(text) - len(text.encode("ascii", "ignore"))
            if bad > MANY_BAD:
                break
    # One bad byte among letters of UTF-8 is a fault of its row alone.
    return "utf-8" if 2 * bad <= letters else "cp1252"


def _wide_encoding(start: bytes) -> str | None:
    """What a mark, or the NUL bytes of UTF-16, say at the start."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return encoding
    # Western text in UTF-16 has a NUL in every other byte; stray NULs in UTF-8 are far rarer.
    even, odd = start[::2].count(0), start[1::2].count(0)
    if max(even, odd) * 4 > len(start) and min(even, odd) * 20 < len(start):
        return "utf-16-le" if odd > even else "utf-16-be"
    return None
